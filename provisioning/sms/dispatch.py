"""Sends the next SMS of a device: claims the command, hands it to the gateway, records the outcome.

Two short transactions with the gateway's answer between them; wherever a process is killed, the row tells `recovery`
what to do. Called by the worker's senders (`senders`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.exc import IntegrityError

from provisioning.commands import command_words, outcomes, submission
from provisioning.core import encryption
from provisioning.core.config import current_config
from provisioning.core.errors import Conflict, GatewayError, Invalid
from provisioning.devices import cabin_rule, credential_pairs, credentials, status_table
from provisioning.models import (
    Attempt,
    Command,
    DeliveryStatus,
    Device,
    Direction,
    Message,
    Passage,
    State,
    Transport,
    changes,
    command_state,
    db,
    locks,
    new_id,
    timestamps,
)
from provisioning.phrase import Phrase
from provisioning.sms import gateway
from provisioning.sms.due_commands import next_command
from provisioning.sms.gateway import Accepted, OutgoingSms, SmsGateway
from provisioning.sms.message_ids import keep_id
from provisioning.sms.sender_bucket import take_token
from provisioning.tracker import language
from provisioning.tracker.parameters import ParameterErrors

log = structlog.get_logger(__name__)

FIGURE_SPACE = "\u2007"  # stands for two blanks on its way to the gateway
LEASE_SECONDS = 90  # longer than the gateway's time-out: after it the process that held it is gone
ATTEMPTS = 8  # with the waits below about 20 minutes
LOOKUP_EVERY = 15


@dataclass(frozen=True, slots=True)
class Handover:
    """One attempt to send a claimed command, ready for the gateway."""

    attempt_id: str
    command_id: str
    device_id: int
    sms: OutgoingSms


def send_next(device_id: int, clock: Callable[[], datetime]) -> bool:
    """Send the device's next command if one may go now; say whether one was handed over.

    Raises Unavailable where no gateway is configured.
    """
    sms_gateway = gateway.gateway()  # before anything is claimed: without a gateway nothing is under way
    handover = _claim(device_id, sms_gateway, clock())
    if handover is None:
        return False
    try:
        accepted = sms_gateway.send(handover.sms)
    except GatewayError as error:
        _note_failure(handover, error, clock())
        return False
    _note_sent(handover, accepted, clock())
    return True


def _claim(device_id: int, sms_gateway: SmsGateway, now: datetime) -> Handover | None:
    device = locks.lock_device(device_id)
    command = next_command(device, now)
    if command is None:
        db.session.commit()
        return None
    if not take_token(sms_gateway, now):
        db.session.commit()
        return None
    try:
        sms = _text(command, device, now)
    except Conflict as error:
        outcomes.fail(command, device, error.code, error.phrase, False, now)
        db.session.commit()
        return None
    message = _message(command, device, sms, sms_gateway, now)
    db.session.add(message)
    db.session.flush()  # before the attempt, which names it
    attempt = _begin(command, device, sms, message, now)
    outgoing = OutgoingSms(message.id, device.phone, sms.text, _validity(sms_gateway))
    handover = Handover(attempt.id, command.id, device.id, outgoing)
    try:
        db.session.commit()
    except IntegrityError:
        # the partial unique index: another process holds the device's SMS slot
        db.session.rollback()
        return None
    return handover


def _begin(command: Command, device: Device, sms: language.Sms, message: Message, now: datetime) -> Attempt:
    """Move a command into a new attempt: it holds the device's SMS slot and a lease of this process."""
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
    command: Command, device: Device, sms: language.Sms, sms_gateway: SmsGateway, now: datetime
) -> Message:
    return Message(
        id=new_id(),
        direction=Direction.OUT,
        gateway=sms_gateway.name,
        sender=sms_gateway.sender,
        recipient=device.phone,
        body=sms.masked,
        body_hash=text_hash(sms.text),
        status=DeliveryStatus.SENDING,
        device_id=device.id,
        command_id=command.id,
        claimed=True,
        created_at=now,
    )


def _validity(sms_gateway: SmsGateway) -> int | None:
    """Give for how many seconds the SMS is worth delivering, where the gateway takes a validity period."""
    limit = sms_gateway.capabilities.validity_limit
    return None if limit is None else min(current_config().sms_reply_timeout, limit)


def text_hash(text: str) -> str:
    """Hash a text as the gateway will list it, to find its message again without keeping the text."""
    return encryption.keyed_hash(text.replace(FIGURE_SPACE, "  ").strip())


def _text(command: Command, device: Device, now: datetime) -> language.Sms:
    """Compose a row's SMS as settings and credentials are now. Raises Conflict where that cannot be one right SMS."""
    try:
        envelope = credential_pairs.envelope(device, command.credentials)
        asked = submission.typed(command, now)
        _refuse_cabin(device, asked)
        texts = submission.compose(asked, envelope)
    except (language.CommandErrors, ParameterErrors) as error:
        raise _unsendable(Phrase("settings_changed", {"words": str(error)})) from error
    except encryption.Undecryptable as error:
        raise Conflict(error.message, code="no_sms_credentials", phrase=error.phrase) from error
    if len(texts) != 1:
        raise _unsendable(Phrase("more_than_one_sms"))
    return texts[0]


def _refuse_cabin(device: Device, asked: language.TypedCommand) -> None:
    """Refuse what the vehicle must not take any more: it may be set so after it was asked. Raises Conflict."""
    try:
        cabin_rule.refuse(device, asked)
    except Invalid as error:
        raise Conflict(error.message, code=error.code) from error


def _unsendable(phrase: Phrase) -> Conflict:
    return Conflict(command_words.sentence(phrase), code="unsendable", phrase=phrase)


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
    is_news = command_state.record(command, attempt, Passage.UNCLEAR, now, note=error.phrase)
    if is_news and command.state == State.IN_PROGRESS:
        command.due_at = timestamps.later(now, LOOKUP_EVERY)


def _free_cancelled(command: Command, device: Device, now: datetime) -> None:
    command.in_flight, command.expires_at = False, None
    command_state.set_note(command, Phrase("cancelled_never_sent"), now)
    if credential_pairs.is_change(command):
        credentials.ended(command, device, now)


def _note_refused(command: Command, device: Device, error: GatewayError, now: datetime) -> None:
    if error.permanent or len(command.attempts) >= ATTEMPTS:
        outcomes.fail(command, device, error.code, error.phrase, not error.permanent, now)
        return
    given_up = timestamps.later(command.created_at, current_config().queue_timeout)
    command_state.move(command, State.QUEUED, now, note=error.phrase, expires_at=given_up)
    command.due_at = timestamps.later(now, min(300, 5 * 2 ** (len(command.attempts) - 1)))
    command_state.set_note(command, error.phrase, now)
