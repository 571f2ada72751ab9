"""The state of a command: how a row is made, how its state moves, and how far its attempts are.

Only this module changes `Command.state` and `Attempt.outcome`.

Every unit of work that changes commands of a device begins with `locks.lock_device`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, select

from provisioning.models import (
    ENDED,
    PASSAGES,
    SHOWN,
    TRANSITIONS,
    Attempt,
    Command,
    Device,
    Direction,
    Message,
    Passage,
    ShownState,
    State,
    changes,
    db,
    health_marks,
    new_id,
    timestamps,
)
from provisioning.phrase import Phrase
from provisioning.tracker import language

# the device's one SMS slot is held from handing over until reply, failure or time-out
HOLDS_SLOT = frozenset({State.IN_PROGRESS})
# the capture slot of a camreq is kept until its files are linked or it ends
HOLDS_CAPTURE = HOLDS_SLOT | {State.ANSWERED}


# after these the command itself is moved on
ENDS = frozenset({Passage.NOT_SENT, Passage.LOST})


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
    sms: language.Sms,
    *,
    now: datetime,
    requested_by: str,
    expires_at: datetime,
    arguments: Mapping[str, Any] | None = None,
    batch: str | None = None,
    parent_id: str | None = None,
    credentials: str = "current",
    foreign_server: bool = False,
) -> Command:
    """Add a queued command of one SMS; `arguments`: what the row keeps of them, where that is not what they are."""
    command = Command(
        id=new_id(),
        device_id=device.id,
        kind=sms.command.name,
        arguments=dict(sms.command.as_arguments() if arguments is None else arguments),
        text=sms.masked,
        length=sms.length,
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
        history=[{"at": timestamps.stamp(now), "state": ShownState.QUEUED.value, "note": None}],
    )
    db.session.add(command)
    changes.publish(device.id, "commands")
    return command


def may_move(command: Command, state: State) -> bool:
    """Say whether the table allows this state now; back into the queue goes only what certainly was not sent."""
    if state is State.QUEUED and command.passage is not Passage.NOT_SENT:
        return False
    return state in TRANSITIONS[State(command.state)]


def begin(command: Command, attempt: Attempt, now: datetime, *, expires_at: datetime) -> None:
    """Move a queued command into an attempt, which holds the device's SMS slot."""
    command.attempts.append(attempt)
    command.sending_at = attempt.began_at
    move(command, State.IN_PROGRESS, now, expires_at=expires_at)


def record(
    command: Command, attempt: Attempt, passage: Passage, now: datetime, *, note: Phrase | None = None
) -> bool:
    """Note how far an attempt is; say whether that is news. What comes late or twice changes nothing.

    While the command is in progress by this attempt, it is shown so.
    """
    if passage not in PASSAGES[Passage(attempt.outcome)]:
        return False
    attempt.outcome, attempt.lease_until = passage, None
    if command.state == State.IN_PROGRESS and attempt is command.attempt and passage not in ENDS:
        command.updated_at, command.note = now, None
        _remember(command, now, note)
        changes.publish(command.device_id, "commands")
    return True


def release(command: Command) -> None:
    """End the lease of the last attempt: nothing that its process still has to say is waited for."""
    if command.attempt is not None:
        command.attempt.lease_until = None


def _remember(command: Command, now: datetime, note: Phrase | None) -> None:
    said = note.as_json() if note else None
    entry = {"at": timestamps.stamp(now), "state": command.shown_state.value, "note": said}
    command.history = [*command.history, entry]


def move(
    command: Command,
    state: State,
    now: datetime,
    *,
    note: Phrase | None = None,
    error: tuple[str, Phrase, bool] | None = None,
    expires_at: datetime | None = None,
) -> None:
    """Move a command to another state; `error` is code, phrase, whether a retry helps.

    Raises WrongTurn where the table forbids it.
    """
    if not may_move(command, state):
        raise WrongTurn(f"{command.id}: {command.shown_state} to {state}")
    was_ended = command.state in ENDED
    slot_kept = state is State.CANCELLED and command.in_flight  # it may still happen: keep the SMS slot
    command.late = state is State.DONE and (was_ended or command.late)
    command.state = state
    command.in_flight = state in HOLDS_SLOT or slot_kept
    command.capturing = command.capturing and state in HOLDS_CAPTURE
    command.ended_at = now if state in ENDED else None
    command.updated_at = now
    command.note = None
    if expires_at is not None or (state in ENDED and not slot_kept):
        command.expires_at = expires_at
    command.error_code, command.error, command.error_retry = error or (None, None, None)
    _remember(command, now, note)
    changes.publish(command.device_id, "commands")
    if was_ended or state in ENDED:
        health_marks.mark([command.device_id])


def set_note(command: Command, note: Phrase | None, now: datetime) -> None:
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


def is_shown_as(state: ShownState) -> ColumnElement[bool]:
    """Give the condition of the commands that are shown with this state."""
    passages = [passage for passage, shown in SHOWN.items() if shown is state]
    if not passages:
        return Command.state == State(state)
    last = (
        select(Attempt.outcome)
        .where(Attempt.command_id == Command.id)
        .order_by(Attempt.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return and_(Command.state == State.IN_PROGRESS, last.in_(passages))
