"""Finds out at the gateway whether SMS went out of which that is not clear, and moves their commands accordingly.

Called by `recovery`; commits row by row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import false, or_, select

from provisioning.commands import outcomes, submission
from provisioning.core import jobs
from provisioning.core.config import current_config
from provisioning.core.errors import GatewayError
from provisioning.devices import status_table
from provisioning.models import (
    BEING_SENT,
    Attempt,
    Command,
    DeliveryStatus,
    Device,
    Direction,
    Message,
    Passage,
    State,
    changes,
    command_state,
    db,
    locks,
    timestamps,
)
from provisioning.phrase import Phrase
from provisioning.sms import dispatch, gateway
from provisioning.sms.gateway import ListedSms
from provisioning.sms.message_ids import keep_id
from provisioning.sms.recovery_rows import ROWS_AT_ONCE, command_ids, has_passage
from provisioning.tracker import language

NOT_SENT_AFTER = timedelta(minutes=2)  # only then a message that is nowhere listed was not sent


def look_up(clock: Callable[[], datetime]) -> None:
    """Ask the gateway for each SMS that is due to be looked up, and move its command by what is found."""
    unclear = has_passage(Passage.UNCLEAR)
    rows = command_ids(
        Command.state == State.IN_PROGRESS, Command.due_at <= clock(), unclear, by=Command.due_at
    )
    if rows:
        gateway.gateway()  # where none is configured, it is the job that fails and none of the rows
    jobs.each("look_up", rows, lambda row: _look_up_one(*row, clock))


def _look_up_one(ident: str, device_id: int, clock: Callable[[], datetime]) -> None:
    message = command_state.last_message(ident)
    if message is None:
        db.session.rollback()
        return
    wanted, gateway_id = _Wanted.of(message), message.gateway_id
    db.session.commit()
    if gateway_id is None:
        if not gateway.can_list(wanted.gateway):
            _stay_unclear(ident, device_id, clock())
            return
        try:
            gateway_id = _find(wanted)
        except GatewayError:
            _put_off(ident, device_id, clock())
            raise
    _resolve(ident, device_id, wanted.message_id, gateway_id, clock())


def _stay_unclear(ident: str, device_id: int, now: datetime) -> None:
    """Conclude nothing where the gateway cannot be asked: a reply or a report decides, or the command expires."""
    locks.lock_device(device_id)
    command = db.session.get_one(Command, ident)
    if _is_unclear(command):
        command.due_at = command.expires_at or timestamps.later(now, dispatch.LOOKUP_EVERY)
    db.session.commit()


def _put_off(ident: str, device_id: int, now: datetime) -> None:
    """Look a command up again in a while, so that the others have their turn."""
    locks.lock_device(device_id)
    db.session.get_one(Command, ident).due_at = timestamps.later(now, dispatch.LOOKUP_EVERY)
    db.session.commit()


def _is_unclear(command: Command) -> bool:
    return command.state == State.IN_PROGRESS and command.passage is Passage.UNCLEAR


def find_ids(clock: Callable[[], datetime]) -> None:
    """Find SMS at the gateway that were answered although the process that sent them ended before it knew their id."""
    sms_gateway = gateway.configured()
    lists = sms_gateway is not None and sms_gateway.capabilities.lists_messages
    listing = Message.gateway == sms_gateway.name if sms_gateway is not None and lists else false()
    orphans = db.session.scalars(
        select(Message)
        .join(Command, Message.command_id == Command.id)
        .join(Attempt, Attempt.message_id == Message.id)
        .where(
            BEING_SENT,
            Message.created_at < clock() - NOT_SENT_AFTER,
            Message.direction == Direction.OUT,
            # of another gateway nothing more can be found than that it is not known
            or_(listing, Message.status == DeliveryStatus.SENDING),
            or_(
                Command.state != State.IN_PROGRESS, Attempt.outcome.not_in((Passage.SENDING, Passage.UNCLEAR))
            ),
        )
        .limit(ROWS_AT_ONCE)
    ).all()
    wanted = [_Wanted.of(row) for row in orphans]
    db.session.commit()
    jobs.each("find_ids", wanted, lambda one: _find_id(one, clock()), named=lambda one: one.message_id)


def _find_id(wanted: "_Wanted", now: datetime) -> None:
    can_list = gateway.can_list(wanted.gateway)
    gateway_id = _find(wanted) if can_list else None
    locks.lock_device(wanted.device_id)
    message = db.session.get_one(Message, wanted.message_id)
    if message.gateway_id is None:
        keep_id(message, gateway_id)
        not_found = DeliveryStatus.FAILED if can_list else DeliveryStatus.UNKNOWN
        message.status = DeliveryStatus.SENT if gateway_id else not_found
        passage = Passage.SENT if gateway_id else Passage.NOT_SENT if can_list else Passage.UNCLEAR
        attempt = db.session.scalar(select(Attempt).where(Attempt.message_id == message.id))
        if attempt is not None:
            command = db.session.get_one(Command, attempt.command_id)
            command_state.record(command, attempt, passage, now)
        changes.publish(wanted.device_id, "messages")
    db.session.commit()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What an SMS is found by in the gateway's list."""

    message_id: str
    device_id: int
    gateway: str
    phone: str
    began: datetime
    text_hash: str | None

    @classmethod
    def of(cls, row: Message) -> "_Wanted":
        assert row.device_id is not None
        return cls(row.id, row.device_id, row.gateway, row.recipient, row.created_at, row.body_hash)


def _find(wanted: _Wanted) -> str | None:
    """Find an SMS at the gateway that no other row knows, by recipient, text and time. Raises GatewayError."""
    since = wanted.began - timedelta(seconds=5)
    listed = [
        one.report.gateway_id
        for one in gateway.gateway().messages(since, to=wanted.phone)
        if isinstance(one, ListedSms) and dispatch.text_hash(one.text) == wanted.text_hash
    ]
    rows = select(Message.gateway_id).where(
        Message.gateway == wanted.gateway, Message.direction == Direction.OUT, Message.gateway_id.in_(listed)
    )
    known = set(db.session.scalars(rows))
    db.session.commit()
    free = [gateway_id for gateway_id in listed if gateway_id not in known]
    return free[-1] if free else None


def _resolve(ident: str, device_id: int, message_id: str, gateway_id: str | None, now: datetime) -> None:
    device = locks.lock_device(device_id)
    command, message = db.session.get_one(Command, ident), db.session.get_one(Message, message_id)
    attempt = command.attempt
    if attempt is None or not _is_unclear(command):
        db.session.commit()
        return
    if gateway_id is not None:
        keep_id(message, gateway_id)
        message.status = DeliveryStatus.SENT
        status_table.note_asked(device, command, now)
        note = Phrase("found_at_gateway")
        command_state.record(command, attempt, Passage.SENT, now, note=note)
    elif now - message.created_at < NOT_SENT_AFTER:
        command.due_at = timestamps.later(now, dispatch.LOOKUP_EVERY)
    else:
        message.status = DeliveryStatus.FAILED
        command_state.record(command, attempt, Passage.NOT_SENT, now)
        _not_sent(command, device, now)
    db.session.commit()


def _not_sent(command: Command, device: Device, now: datetime) -> None:
    if language.COMMANDS[command.kind].is_repeatable() and len(command.attempts) < dispatch.ATTEMPTS:
        if command.kind == "setparam" and _superseded(command):
            numbers = sorted(int(number) for number in command.arguments.get("parameters", {}))
            command_state.move(command, State.FAILED, now, error=("superseded", Phrase("superseded"), False))
            submission.read_back(command, device, numbers, now)
            return
        command_state.move(
            command,
            State.QUEUED,
            now,
            note=Phrase("sent_again"),
            expires_at=timestamps.later(now, current_config().queue_timeout),
        )
        command.due_at = now
        return
    outcomes.fail(command, device, "not_sent", Phrase("not_sent"), True, now)


def _superseded(command: Command) -> bool:
    parameters = _parameters(command)
    newer = db.session.scalars(
        select(Command).where(
            Command.device_id == command.device_id,
            Command.kind == "setparam",
            Command.id > command.id,
            Command.state.not_in([State.CANCELLED]),
        )
    )
    return any(parameters & _parameters(other) for other in newer)


def _parameters(command: Command) -> set[str]:
    return set(command.arguments.get("parameters") or command.arguments.get("encrypted") or {})
