"""A command's life: how a row is made and how its state moves. The only place that changes Command.state.

Every unit of work that changes commands of a device begins with `lock_device`: one device, one writer at a time,
across processes. No texts are composed here and nothing is sent. Called by outbox, sending, inbox and links.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from provisioning.core import change_feed
from provisioning.models import (
    ENDED,
    TRANSITIONS,
    Command,
    Device,
    Direction,
    Message,
    State,
    db,
    new_id,
    take_write_lock,
)

# the device's one SMS place is held from handing over until reply, failure or time-out
HOLDS_LINE = frozenset({State.SENDING, State.SENT, State.DELIVERED, State.UNKNOWN})
# the capture place of a camreq is kept until its files are linked or it ends
HOLDS_CAPTURE = HOLDS_LINE | {State.ANSWERED}


class WrongTurn(Exception):
    """A state change that the table forbids: a mistake in our code, not in the world."""


def lock_device(device_id: int) -> Device:
    """Begin a unit of work on one device: wait for other writers, then give it as it is now."""
    take_write_lock(db.session.connection())
    db.session.expire_all()
    return db.session.scalars(
        select(Device)
        .where(Device.id == device_id)
        # rows that name the device may be added meanwhile: who adds some of several devices would deadlock with us
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).one()


def last_message(command_id: str) -> Message | None:
    """Give the SMS of a command's last attempt."""
    return db.session.scalars(
        select(Message)
        .where(Message.command_id == command_id, Message.direction == Direction.OUT)
        .order_by(Message.id.desc())
        .limit(1)
    ).first()


def enqueue(
    device: Device,
    *,
    kind: str,
    arguments: Mapping[str, Any],
    text: str,
    length: int,
    now: datetime,
    requested_by: str,
    expires_at: datetime,
    batch: str | None = None,
    parent_id: str | None = None,
    credentials: str = "current",
    foreign_server: bool = False,
) -> Command:
    """Add a queued command of one SMS; `text` is masked, `length` in GSM-7 septets."""
    command = Command(
        id=new_id(),
        device_id=device.id,
        kind=kind,
        arguments=dict(arguments),
        text=text,
        length=length,
        state=State.QUEUED,
        due_at=now,
        created_at=now,
        updated_at=now,
        expires_at=expires_at,
        requested_by=requested_by,
        batch=batch,
        parent_id=parent_id,
        credentials=credentials,
        foreign_server=foreign_server,
        history=[{"at": stamp(now), "state": State.QUEUED.value, "note": None}],
    )
    db.session.add(command)
    change_feed.publish(device.id, "commands")
    return command


def stamp(now: datetime) -> str:
    """Write a time as the API does: RFC 3339 in UTC."""
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def may_move(command: Command, state: State) -> bool:
    """Say whether the table allows this state now."""
    return state in TRANSITIONS[State(command.state)]


def move(
    command: Command,
    state: State,
    now: datetime,
    *,
    note: str | None = None,
    error: tuple[str, str, bool] | None = None,
    expires_at: datetime | None = None,
) -> None:
    """Move a command to another state; `error` is code, sentence, whether a retry helps.

    Raises WrongTurn where the table forbids it.
    """
    if not may_move(command, state):
        raise WrongTurn(f"{command.id}: {command.state} to {state}")
    was_ended = command.state in ENDED
    line_kept = state is State.CANCELLED and command.in_flight  # it may still happen: keep the SMS place
    command.late = state is State.DONE and (was_ended or command.late)
    command.state = state
    command.in_flight = state in HOLDS_LINE or line_kept
    command.capturing = command.capturing and state in HOLDS_CAPTURE
    command.ended_at = now if state in ENDED else None
    command.updated_at = now
    command.note = None
    if expires_at is not None or (state in ENDED and not line_kept):
        command.expires_at = expires_at
    command.error_code, command.error_message, command.error_retry = error or (None, None, None)
    command.history = [*command.history, {"at": stamp(now), "state": state.value, "note": note}]
    change_feed.publish(command.device_id, "commands")


def remark(command: Command, note: str | None, now: datetime) -> None:
    """Say beside the state what a person should know now; no state changes."""
    if command.note != note:
        command.note = note
        command.updated_at = now
        change_feed.publish(command.device_id, "commands")


def later(now: datetime, seconds: float) -> datetime:
    """Give the moment so many seconds after `now`."""
    return now + timedelta(seconds=seconds)


def wanted_sources(command: Command) -> tuple[str, ...]:
    """Give the cameras whose file a camreq asks for."""
    return sources(str(command.arguments.get("source")))


def sources(source: str) -> tuple[str, ...]:
    """Give the cameras that a request's source names."""
    return ("front", "rear") if source == "both" else (source,)


def missing_sources(command: Command, linked: Iterable[str]) -> list[str]:
    """Give the cameras of a camreq whose file has not come."""
    have = set(linked)
    return [source for source in wanted_sources(command) if source not in have]
