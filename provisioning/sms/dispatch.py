"""Sends the next SMS of a device: claims the command, hands it to the gateway, records the outcome.

Two short transactions with the gateway's answer between them; whatever line a process is killed at, the row
tells the sweep (`recovery`) what to do. Called by the worker's senders (`senders`).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import ColumnElement, and_, bindparam, case, insert, literal, not_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from provisioning.commands import outcomes, submission
from provisioning.core import encryption
from provisioning.core.config import current_config
from provisioning.core.errors import Conflict, GatewayError
from provisioning.devices import credential_pairs, credentials, status_table
from provisioning.models import (
    Attempt,
    Command,
    DeliveryStatus,
    Device,
    Direction,
    Message,
    Passage,
    SenderBucket,
    State,
    Transport,
    changed,
    changes,
    command_state,
    db,
    locks,
    new_id,
    timestamps,
    utcnow,
)
from provisioning.sms import gateway
from provisioning.sms.gateway import Accepted, OutgoingSms, SmsGateway
from provisioning.sms.message_ids import keep_id
from provisioning.tracker import language
from provisioning.tracker.parameters import ParameterErrors

log = structlog.get_logger(__name__)

FIGURE_SPACE = "\u2007"  # stands for two blanks on its way to the gateway
LEASE_SECONDS = 90  # longer than the gateway's time-out: after it the process that held it is gone
ATTEMPTS = 8  # with the waits below about 20 minutes
LOOKUP_EVERY = 15
DUE_AT_ONCE = 32  # devices of one poll
WAITS_FOR_PROOF = "Waits until the new SMS credentials are proved."
WAITS_FOR_FILES = "Waits for the files of the request before it."


@dataclass(frozen=True, slots=True)
class Handover:
    """One attempt to send a claimed command, ready for the gateway."""

    attempt_id: str
    command_id: str
    device_id: int
    sms: OutgoingSms


def _is_not_known_to_wait(
    waits_for_proof: ColumnElement[bool], capturing: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Leave out the commands whose note says already why they wait, as long as that is so."""
    return and_(
        Command.parent_id.is_not(None)
        | not_(waits_for_proof)
        | Command.note.is_distinct_from(WAITS_FOR_PROOF),
        (Command.kind != "camreq") | not_(capturing) | Command.note.is_distinct_from(WAITS_FOR_FILES),
    )


def _of_same_device(other: Any, condition: Any) -> ColumnElement[bool]:
    return select(other.id).where(other.device_id == Command.device_id, condition).exists()


_other = aliased(Command)
# built once: building it takes ten times as long as running it, and it runs many times a second
DUE = (
    select(Command.device_id)
    .join(Device, Command.device_id == Device.id)
    .where(
        Command.state == State.QUEUED,
        Command.due_at <= bindparam("now", callable_=utcnow),
        Command.device_id.not_in(bindparam("but", (), expanding=True)),
        Device.archived_at.is_(None),
        ~_of_same_device(_other, _other.in_flight),
        _is_not_known_to_wait(credentials.is_waiting_for_proof(), _of_same_device(_other, _other.capturing)),
    )
    .order_by(Command.due_at)
    .limit(bindparam("most", DUE_AT_ONCE))
)


def due_devices(now: datetime, but: Collection[int] = ()) -> list[int]:
    """Give the devices of which a command may be sent now, the longest due first, without those in `but`.

    No more than the sender's bucket has tokens for. A command that must wait for another one counts only until it
    says so in its note; the end of its wait makes it due again by itself. Raises Unavailable where something is due
    and no gateway is configured.
    """
    told = {"now": now, "but": list(but), "most": DUE_AT_ONCE}
    found = list(dict.fromkeys(db.session.scalars(DUE, told)))
    if found:
        found = found[: _tokens_left(gateway.gateway(), now)]
    db.session.rollback()
    return found


def drive(device_id: int, clock: Callable[[], datetime]) -> bool:
    """Send the device's next command if one may go now; say whether one was handed over.

    Raises Unavailable where no gateway is configured.
    """
    carrier = gateway.gateway()  # before anything is claimed: without a gateway nothing is under way
    handover = _claim(device_id, carrier, clock())
    if handover is None:
        return False
    try:
        accepted = carrier.send(handover.sms)
    except GatewayError as error:
        _note_failure(handover, error, clock())
        return False
    _note_sent(handover, accepted, clock())
    return True


def _claim(device_id: int, carrier: SmsGateway, now: datetime) -> Handover | None:
    device = locks.lock_device(device_id)
    command = _next(device, now)
    if command is None:
        db.session.commit()
        return None
    if not _take_token(carrier, now):
        db.session.commit()
        return None
    try:
        sms = _text(command, device, now)
    except Conflict as error:
        outcomes.fail(command, device, error.code, error.message, False, now)
        db.session.commit()
        return None
    message = _message(command, device, sms, carrier, now)
    db.session.add(message)
    db.session.flush()  # before the attempt, which names it
    attempt = _begin(command, device, sms, message, now)
    outgoing = OutgoingSms(message.id, device.phone, sms.text, _validity(carrier))
    handover = Handover(attempt.id, command.id, device.id, outgoing)
    try:
        db.session.commit()
    except IntegrityError:
        # the partial unique index: another process holds the device's place
        db.session.rollback()
        return None
    return handover


def _begin(command: Command, device: Device, sms: language.Sms, message: Message, now: datetime) -> Attempt:
    """Move a command into a new attempt: it holds the device's SMS place and a lease of this process."""
    command.text, command.length = sms.masked, sms.length
    attempt = Attempt(
        id=new_id(),
        command_id=command.id,
        transport=Transport.SMS,
        began_at=now,
        lease_until=timestamps.later(now, LEASE_SECONDS),
        outcome=Passage.SENDING,
        message_id=message.id,
        sent_with=credential_pairs.fingerprint(device, command.credentials),
    )
    expires_at = timestamps.later(now, current_config().sms_reply_timeout)
    command_state.begin(command, attempt, now, expires_at=expires_at)
    command.capturing = command.kind == "camreq"
    credentials.handed_over(command, device, now)
    return attempt


def _message(
    command: Command, device: Device, sms: language.Sms, carrier: SmsGateway, now: datetime
) -> Message:
    return Message(
        id=new_id(),
        direction=Direction.OUT,
        gateway=carrier.name,
        sender=carrier.sender,
        recipient=device.phone,
        body=sms.masked,
        body_hash=text_hash(sms.text),
        status=DeliveryStatus.SENDING,
        device_id=device.id,
        command_id=command.id,
        claimed=True,
        created_at=now,
    )


def _validity(carrier: SmsGateway) -> int | None:
    """Give for how many seconds the SMS is worth delivering, where the gateway takes a validity period."""
    limit = carrier.capabilities.validity_limit
    return None if limit is None else min(current_config().sms_reply_timeout, limit)


def text_hash(text: str) -> str:
    """Hash a text as the gateway will list it, to find its message again without keeping the text."""
    return encryption.keyed_hash(text.replace(FIGURE_SPACE, "  ").strip())


def _text(command: Command, device: Device, now: datetime) -> language.Sms:
    """Compose a row's SMS as settings and credentials are now. Raises Conflict where that cannot be one right SMS."""
    try:
        envelope = credential_pairs.envelope(device, command.credentials)
        texts = submission.compose(submission.typed(command, now), envelope)
    except (language.CommandErrors, ParameterErrors) as error:
        text = f"The settings of this service have changed since it was asked: {error}"
        raise Conflict(text, code="unsendable") from error
    except encryption.Undecryptable as error:
        raise Conflict(str(error), code="no_sms_credentials") from error
    if len(texts) != 1:
        text = "With the login and password that were entered since, it takes more than one SMS. Ask again."
        raise Conflict(text, code="unsendable")
    return texts[0]


def _next(device: Device, now: datetime) -> Command | None:
    """Choose what may go now: proofs and read-backs first, then by order of asking."""
    if device.archived_at is not None:
        return None
    held = db.session.scalars(
        select(Command).where(Command.device_id == device.id, Command.in_flight | Command.capturing)
    ).all()
    if any(command.in_flight for command in held):
        return None
    capturing = bool(held)
    waits_for_proof = credentials.waits_for_proof(device)
    waiting = db.session.scalars(
        select(Command)
        .where(
            Command.device_id == device.id,
            Command.state == State.QUEUED,
            Command.due_at <= now,
            _is_not_known_to_wait(literal(waits_for_proof), literal(capturing)),
        )
        .order_by(case((Command.parent_id.is_not(None), 0), else_=1), Command.id)
        .limit(50)
    )
    for command in waiting:
        if waits_for_proof and command.parent_id is None:
            command_state.remark(command, WAITS_FOR_PROOF, now)
        elif command.kind == "camreq" and capturing:
            command_state.remark(command, WAITS_FOR_FILES, now)
        elif command.kind == "camreq" and (until := _reconfiguring(device, now)):
            command.due_at = until
            command_state.remark(
                command, "Waits about half a minute: the camera takes over its new settings.", now
            )
        else:
            return command
    return None


def _reconfiguring(device: Device, now: datetime) -> datetime | None:
    """Give until when the camera takes no request; a time too far ahead was written by a clock that was wrong."""
    until, longest = device.reconfiguring_until, current_config().reconfiguration_wait
    return until if until is not None and now < until <= timestamps.later(now, longest) else None


def _take_token(carrier: SmsGateway, now: datetime) -> bool:
    """Take one token of the sender's bucket in one atomic statement; say whether there was one."""
    config, at = current_config(), now.timestamp()
    sender, tokens = _sender(carrier), _tokens(now)
    take = (
        update(SenderBucket)
        .where(SenderBucket.sender == sender, tokens >= 1)
        .values(tokens=tokens - 1, at=at)
        .execution_options(synchronize_session=False)
    )
    if changed(take):
        return True
    if db.session.get(SenderBucket, sender) is not None:
        return False
    try:
        with db.session.begin_nested():
            first = {"sender": sender, "tokens": float(config.sms_burst), "at": at}
            db.session.execute(insert(SenderBucket).values(first))
    except IntegrityError:
        pass  # another process made it just now
    return bool(changed(take))


def _sender(carrier: SmsGateway) -> str:
    return carrier.sender or carrier.name


def _tokens(now: datetime) -> ColumnElement[float]:
    """Give how many tokens a bucket holds now."""
    config, at = current_config(), now.timestamp()
    # a time ahead of now, by a clock that was set wrong, counts as now
    since = case((SenderBucket.at < at, at - SenderBucket.at), else_=0.0)
    filled = SenderBucket.tokens + since * config.sms_per_second
    return case((filled > config.sms_burst, float(config.sms_burst)), else_=filled)


def _tokens_left(carrier: SmsGateway, now: datetime) -> int:
    """Give how many SMS may go now: whole tokens of the sender's bucket, which is full where it is not there yet."""
    tokens = db.session.scalar(select(_tokens(now)).where(SenderBucket.sender == _sender(carrier)))
    return current_config().sms_burst if tokens is None else int(tokens)


def _note_sent(handover: Handover, accepted: Accepted, now: datetime) -> None:
    device = locks.lock_device(handover.device_id)
    message = db.session.get_one(Message, handover.sms.message_id)
    command = db.session.get_one(Command, handover.command_id)
    attempt = db.session.get_one(Attempt, handover.attempt_id)
    status_table.note_asked(device, command, now)
    keep_id(message, accepted.gateway_id)
    if message.status == DeliveryStatus.SENDING:
        message.status = accepted.status
    attempt.lease_until = None
    # a reply or a report may have overtaken the gateway's own answer
    command_state.record(command, attempt, Passage.SENT, now)
    changes.publish(handover.device_id, "messages")
    db.session.commit()


def _note_failure(handover: Handover, error: GatewayError, now: datetime) -> None:
    device = locks.lock_device(handover.device_id)
    message = db.session.get_one(Message, handover.sms.message_id)
    command = db.session.get_one(Command, handover.command_id)
    attempt = db.session.get_one(Attempt, handover.attempt_id)
    attempt.lease_until = None
    log.warning("SMS not handed over", command=command.id, code=error.code, sent=error.sent)
    if error.sent == "unknown":
        _note_unclear(command, attempt, message, error, now)
    else:
        message.status, message.error_code = DeliveryStatus.FAILED, error.code[:48]
        is_news = command_state.record(command, attempt, Passage.NOT_SENT, now)
        if command.state == State.CANCELLED:
            _free_cancelled(command, device, now)
        elif command.state == State.IN_PROGRESS and is_news:
            _note_refused(command, device, error, now)
    changes.publish(handover.device_id, "messages")
    db.session.commit()


def _note_unclear(
    command: Command, attempt: Attempt, message: Message, error: GatewayError, now: datetime
) -> None:
    # a report may have come meanwhile: then it is known that the gateway has taken it
    if message.status == DeliveryStatus.SENDING:
        message.status = DeliveryStatus.UNKNOWN
    is_news = command_state.record(command, attempt, Passage.UNCLEAR, now, note=error.message)
    if is_news and command.state == State.IN_PROGRESS:
        command.due_at = timestamps.later(now, LOOKUP_EVERY)


def _free_cancelled(command: Command, device: Device, now: datetime) -> None:
    command.in_flight, command.expires_at = False, None
    command_state.remark(command, "It was cancelled and never sent.", now)
    if credential_pairs.is_change(command):
        credentials.ended(command, device, now)


def _note_refused(command: Command, device: Device, error: GatewayError, now: datetime) -> None:
    if error.permanent or len(command.attempts) >= ATTEMPTS:
        outcomes.fail(command, device, error.code, error.message, not error.permanent, now)
        return
    given_up = timestamps.later(command.created_at, current_config().queue_timeout)
    command_state.move(command, State.QUEUED, now, note=error.message, expires_at=given_up)
    command.due_at = timestamps.later(now, min(300, 5 * 2 ** (len(command.attempts) - 1)))
    command_state.remark(command, error.message, now)
