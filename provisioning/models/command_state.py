"""The state of a command: how a row is made and how its state moves. Only this module changes `Command.state`.

Every unit of work that changes commands of a device begins with `locks.lock_device`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select

from provisioning.models import (
    ENDED,
    TRANSITIONS,
    Command,
    Device,
    Direction,
    Message,
    State,
    changes,
    db,
    health_marks,
    new_id,
    timestamps,
)
from provisioning.tracker import language

# the device's one SMS place is held from handing over until reply, failure or time-out
HOLDS_LINE = frozenset({State.SENDING, State.SENT, State.DELIVERED, State.UNKNOWN})
# the capture place of a camreq is kept until its files are linked or it ends
HOLDS_CAPTURE = HOLDS_LINE | {State.ANSWERED}


class WrongTurn(Exception):
    """A state change that the table forbids: a mistake in our code, not in the world."""


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
        history=[{"at": timestamps.stamp(now), "state": State.QUEUED.value, "note": None}],
    )
    db.session.add(command)
    changes.publish(device.id, "commands")
    return command


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
    command.history = [*command.history, {"at": timestamps.stamp(now), "state": state.value, "note": note}]
    changes.publish(command.device_id, "commands")
    if was_ended or state in ENDED:
        health_marks.mark([command.device_id])


def remark(command: Command, note: str | None, now: datetime) -> None:
    """Say beside the state what a person should know now; no state changes."""
    if command.note != note:
        command.note = note
        command.updated_at = now
        changes.publish(command.device_id, "commands")


def wanted_sources(command: Command) -> tuple[str, ...]:
    """Give the cameras whose file a camreq asks for."""
    return language.cameras(str(command.arguments.get("source")))


def missing_sources(command: Command, linked: Iterable[str]) -> list[str]:
    """Give the cameras of a camreq whose file has not come."""
    have = set(linked)
    return [source for source in wanted_sources(command) if source not in have]
