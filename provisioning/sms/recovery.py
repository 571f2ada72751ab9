"""Commands that were left, by a process that was killed, a gateway that did not say, a device that keeps silent.

The sweep looks up at the gateway what is unclear, ends what waited too long, and drives what is due. It never repeats
by itself what costs or destroys something. Called by the worker's periodic work; commits row by row.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import aliased

from provisioning.commands import outcomes, submission
from provisioning.core import job_queue, jobs
from provisioning.core.config import current_config
from provisioning.core.errors import GatewayError
from provisioning.devices import credentials, status_table
from provisioning.models import (
    OPEN,
    Command,
    Device,
    Direction,
    Message,
    State,
    changes,
    command_state,
    db,
    locks,
    timestamps,
)
from provisioning.sms import dispatch, gateway
from provisioning.tracker import language

log = structlog.get_logger(__name__)

AHEAD = status_table.AHEAD
NOT_SENT_AFTER = timedelta(minutes=2)  # only then a message that is nowhere listed was not sent
SWEEP_BATCH = 200


def _ids(*conditions: object, by: Any = Command.id) -> list[tuple[str, int]]:
    rows = db.session.execute(
        select(Command.id, Command.device_id)
        .where(*conditions)  # type: ignore[arg-type]
        .order_by(by)
        .limit(SWEEP_BATCH)
    ).all()
    db.session.commit()
    return [(row.id, row.device_id) for row in rows]


def _bring_back(clock: Callable[[], datetime]) -> None:
    """Bring the times of open commands back that were written while this machine's clock was ahead."""
    now = clock()

    def bring_back(row: tuple[str, int]) -> None:
        ident, device_id = row
        locks.lock_device(device_id)
        command = db.session.get_one(Command, ident)
        ahead = command.updated_at - now
        if command.state in OPEN and ahead > AHEAD:
            log.warning("times ahead of now brought back", command=ident, seconds=ahead.total_seconds())
            for name in ("due_at", "lease_until", "expires_at", "sending_at", "created_at"):
                if (moment := getattr(command, name)) is not None and moment > now:
                    setattr(command, name, moment - ahead)
            command.updated_at = now
        db.session.commit()

    jobs.each("clock_ahead", _ids(Command.state.in_(OPEN), Command.updated_at > now + AHEAD), bring_back)


def _free_leases(clock: Callable[[], datetime]) -> None:
    def free(row: tuple[str, int]) -> None:
        ident, device_id = row
        now = clock()
        locks.lock_device(device_id)
        command = db.session.get_one(Command, ident)
        if command.state == State.SENDING and command.lease_until and command.lease_until < now:
            command_state.move(
                command, State.UNKNOWN, now, note="the process that sent it was ended; it is looked up"
            )
            command.due_at, command.lease_until = now, None
        db.session.commit()

    jobs.each("stale_leases", _ids(Command.state == State.SENDING, Command.lease_until < clock()), free)


def _look_up(clock: Callable[[], datetime]) -> None:
    rows = _ids(Command.state == State.UNKNOWN, Command.due_at <= clock(), by=Command.due_at)
    if rows:
        gateway.gateway()  # where none is configured, it is the job that fails and none of the rows
    jobs.each("look_up", rows, lambda row: _look_up_one(*row, clock))


def _look_up_one(ident: str, device_id: int, clock: Callable[[], datetime]) -> None:
    message = command_state.last_message(ident)
    if message is None:
        db.session.rollback()
        return
    message_id, sid = message.id, message.sid
    phone, began, wanted = message.recipient, message.created_at, message.body_hash
    db.session.commit()
    if sid is None:
        try:
            sid = _find(phone, began, wanted)
        except GatewayError:
            _put_off(ident, device_id, clock())
            raise
    _resolve(ident, device_id, message_id, sid, clock())


def _put_off(ident: str, device_id: int, now: datetime) -> None:
    """Look a command up again in a while, so that the others have their turn."""
    locks.lock_device(device_id)
    db.session.get_one(Command, ident).due_at = timestamps.later(now, dispatch.LOOKUP_EVERY)
    db.session.commit()


def _learn_sids(clock: Callable[[], datetime]) -> None:
    """Find messages at the gateway whose reply came before the process that sent them heard its answer and died."""
    orphans = db.session.scalars(
        select(Message)
        .join(Command, Message.command_id == Command.id)
        .where(
            Message.direction == Direction.OUT,
            Message.sid.is_(None),
            Message.status.in_(("sending", "unknown")),
            Message.created_at < clock() - NOT_SENT_AFTER,
            Command.state.not_in((State.SENDING, State.UNKNOWN)),
        )
        .limit(SWEEP_BATCH)
    ).all()
    wanted = [row.id for row in orphans]
    db.session.commit()
    if wanted:
        gateway.gateway()
    jobs.each("learn_sids", wanted, _learn_sid)


def _learn_sid(ident: str) -> None:
    message = db.session.get_one(Message, ident)
    device_id, phone, began, text_hash = (
        message.device_id,
        message.recipient,
        message.created_at,
        message.body_hash,
    )
    db.session.commit()
    sid = _find(phone, began, text_hash)
    assert device_id is not None
    locks.lock_device(device_id)
    message = db.session.get_one(Message, ident)
    if message.sid is None:
        message.sid, message.status = sid, "sent" if sid else "failed"
        changes.publish(device_id, "messages")
    db.session.commit()


def _find(phone: str, began: datetime, wanted: str | None) -> str | None:
    """Find a message at the gateway that no other row knows, by recipient, text and time."""
    listed = [
        seen.sid
        for seen in gateway.gateway().messages(began - timedelta(seconds=5), to=phone)
        if not seen.inbound and dispatch.text_hash(seen.body) == wanted
    ]
    known = set(db.session.scalars(select(Message.sid).where(Message.sid.in_(listed))))
    db.session.commit()
    free = [sid for sid in listed if sid not in known]
    return free[-1] if free else None


def _resolve(ident: str, device_id: int, message_id: str, sid: str | None, now: datetime) -> None:
    device = locks.lock_device(device_id)
    command, message = db.session.get_one(Command, ident), db.session.get_one(Message, message_id)
    if command.state != State.UNKNOWN:
        db.session.commit()
        return
    if sid is not None:
        message.sid, message.status = message.sid or sid, "sent"
        status_table.note_asked(device, command, now)
        command_state.move(command, State.SENT, now, note="found at the gateway: it went out")
    elif now - message.created_at < NOT_SENT_AFTER:
        command.due_at = timestamps.later(now, dispatch.LOOKUP_EVERY)
    else:
        message.status = "failed"
        _not_sent(command, device, now)
    db.session.commit()


def _not_sent(command: Command, device: Device, now: datetime) -> None:
    if language.COMMANDS[command.kind].repeatable and command.attempts < dispatch.ATTEMPTS:
        if command.kind == "setparam" and _superseded(command):
            numbers = sorted(int(number) for number in command.arguments.get("parameters", {}))
            command_state.move(
                command,
                State.FAILED,
                now,
                error=(
                    "superseded",
                    "It was not sent, and a newer command sets one of its parameters; the device is"
                    " asked what it holds.",
                    False,
                ),
            )
            submission.read_back(command, device, numbers, now)
            return
        command_state.move(
            command,
            State.QUEUED,
            now,
            note="the gateway does not have it: sent again",
            expires_at=timestamps.later(now, current_config().queue_timeout),
        )
        command.due_at = now
        return
    outcomes.fail(
        command,
        device,
        "not_sent",
        "The SMS was never sent, so nothing happened. Asking again is safe.",
        True,
        now,
    )


def _superseded(command: Command) -> bool:
    mine = _parameters(command)
    newer = db.session.scalars(
        select(Command).where(
            Command.device_id == command.device_id,
            Command.kind == "setparam",
            Command.id > command.id,
            Command.state.not_in([State.CANCELLED]),
        )
    )
    return any(mine & _parameters(other) for other in newer)


def _parameters(command: Command) -> set[str]:
    return set(command.arguments.get("parameters") or command.arguments.get("encrypted") or {})


def _expire(clock: Callable[[], datetime]) -> None:
    waiting = [State.QUEUED, State.SENT, State.DELIVERED, State.UNKNOWN, State.ANSWERED]

    def expire(row: tuple[str, int]) -> None:
        ident, device_id = row
        device = locks.lock_device(device_id)
        command = db.session.get_one(Command, ident)
        now = clock()
        if command.state in waiting and command.expires_at and command.expires_at < now:
            outcomes.expire(command, device, now)
        db.session.commit()

    jobs.each("expire", _ids(Command.expires_at < clock(), Command.state.in_(waiting)), expire)


def _free_lines(clock: Callable[[], datetime]) -> None:
    """Free the SMS place of commands that were cancelled after they were handed over."""

    def free(row: tuple[str, int]) -> None:
        ident, device_id = row
        device = locks.lock_device(device_id)
        command = db.session.get_one(Command, ident)
        if command.state == State.CANCELLED and command.expires_at and command.expires_at < clock():
            command.in_flight, command.expires_at = False, None
            if credentials.is_change(command):
                credentials.ended(command, device, clock())
        db.session.commit()

    held = _ids(Command.in_flight, Command.state == State.CANCELLED, Command.expires_at < clock())
    jobs.each("free_lines", held, free)


def _drive_due(clock: Callable[[], datetime]) -> None:
    """Drive the devices whose command has been due longest and may go; a held place is freed by its own event."""
    other = aliased(Command)
    devices = db.session.scalars(
        select(Command.device_id)
        .where(
            Command.state == State.QUEUED,
            Command.due_at <= clock(),
            ~_of_same_device(other, other.in_flight),
            or_(Command.kind != "camreq", ~_of_same_device(other, other.capturing)),
        )
        .group_by(Command.device_id)
        .order_by(func.min(Command.due_at))
        .limit(SWEEP_BATCH)
    ).all()
    db.session.commit()
    if devices:
        gateway.gateway()

    def drive(device_id: int) -> None:
        if not job_queue.wake(job_queue.DEVICES, device_id):
            dispatch.drive(device_id, clock)

    jobs.each("due_commands", devices, drive)


def _of_same_device(other: Any, condition: Any) -> ColumnElement[bool]:
    return select(other.id).where(other.device_id == Command.device_id, condition).exists()


SECONDS = 3.0
JOBS = (
    jobs.Job("clock_ahead", SECONDS, _bring_back),
    jobs.Job("stale_leases", SECONDS, _free_leases),
    jobs.Job("look_up", SECONDS, _look_up),
    jobs.Job("learn_sids", SECONDS, _learn_sids),
    jobs.Job("expire", SECONDS, _expire),
    jobs.Job("free_lines", SECONDS, _free_lines),
    jobs.Job("due_commands", SECONDS, _drive_due),
)


def sweep(clock: Callable[[], datetime]) -> None:
    """Drive what a killed process left, resolve the unclear, expire what waited too long: each job once."""
    for job in JOBS:
        jobs.run(job, clock)
