"""What comes back from the gateway: replies of devices and reports on our messages, each exactly once.

An event is kept with its effects in one transaction; if reading it fails, it stays owed and the sweep tries again.
Webhooks and the reconciler bring events through the same two functions. Which command a text answers is decided in
`reply_matching`; what the words mean in `commands`; what a report does in `delivery_reports`.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog
from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError

from provisioning.commands import reply_effects, submission
from provisioning.commands.reply_matching import Match, choose
from provisioning.core import encryption
from provisioning.core.errors import Conflict, ServiceError
from provisioning.devices import credentials, status_table
from provisioning.media import link_service
from provisioning.models import (
    Command,
    DeliveryStatus,
    Device,
    DevicePhone,
    Direction,
    GatewayEvent,
    Message,
    State,
    Upload,
    Verdict,
    changes,
    db,
    locks,
    new_id,
    timestamps,
)
from provisioning.sms import delivery_reports, kept_events, unmatched
from provisioning.sms.gateway import DeliveryReport, InboundSms
from provisioning.sms.kept_events import ENCRYPTED, Fact
from provisioning.tracker import language

log = structlog.get_logger(__name__)

JOINED_WITHIN = timedelta(minutes=2)  # so far apart two parts of one answer come
UNANSWERED_FOR = timedelta(hours=24)  # so long a command without a reply stays a candidate for one
EVENT_TRIES = 2000  # with the waits below about a week: time to put a key back, or to mend a mistake of ours
EVENT_WAIT_SECONDS = 300  # at most, between two tries
TOKENS_AT_ONCE = 500
REPORT_WAIT_SECONDS = 5  # between two looks whether the SMS of a report has become known

F = TypeVar("F", bound=Fact)


class EventOwed(Exception):
    """The effects of an event are still owed."""


def receive(sms: InboundSms, now: datetime, *, via: str) -> int | None:
    """Take one inbound text; the same one again changes nothing. Commits. Gives the id of the device it changed."""
    sms = _keepable(sms)
    return _once(sms, kept_events.token_of(sms), now, via)


def report(fact: DeliveryReport, now: datetime, *, via: str) -> int | None:
    """Take one delivery report on a message of ours; states only move forward. Commits. Gives the id as `receive`."""
    fact = _keepable(fact)
    token = kept_events.token_of(fact)
    if delivery_reports.message_of(fact) is None:
        if via == "reconciler":
            return None
        # kept under a token of its own: the same report counts once its message is known
        token = f"{token}:{new_id()}"
    return _once(fact, token, now, via)


def not_known(facts: Sequence[Fact]) -> list[Fact]:
    """Leave out what was taken already: one statement for hundreds. All facts are of one gateway."""
    keys = [(kept_events.kind_of(fact), kept_events.token_of(fact)) for fact in facts]
    known: set[tuple[str, str]] = set()
    for at in range(0, len(keys), TOKENS_AT_ONCE):
        some = [token for _, token in keys[at : at + TOKENS_AT_ONCE]]
        rows = select(GatewayEvent.kind, GatewayEvent.token).where(
            GatewayEvent.gateway == facts[0].gateway, GatewayEvent.token.in_(some)
        )
        known.update((row.kind, row.token) for row in db.session.execute(rows))
    db.session.rollback()
    return [fact for fact, key in zip(facts, keys, strict=True) if key not in known]


def _keepable(fact: F) -> F:
    """Leave NULs out: PostgreSQL keeps none, and a text with one must not be lost."""
    values: dict[str, Any] = {field.name: getattr(fact, field.name) for field in fields(fact)}
    clean: dict[str, Any] = {
        name: value.replace("\0", "")
        for name, value in values.items()
        if isinstance(value, str) and "\0" in value
    }
    return replace(fact, **clean)


def _once(fact: Fact, token: str, now: datetime, via: str) -> int | None:
    kind = kept_events.kind_of(fact)
    known = db.session.scalar(
        select(GatewayEvent).where(
            GatewayEvent.gateway == fact.gateway, GatewayEvent.token == token, GatewayEvent.kind == kind
        )
    )
    if known is not None:
        return _repeated(known, now)
    device_id = _device_of(fact, _at(fact, now))
    if device_id is not None:
        locks.lock_device(device_id)
    event = _event(fact, token, now, via)
    event.payload = _payload(fact, device_id)
    db.session.add(event)
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        return None  # the same event, at the same moment, in another process
    return _process(event, fact, now)


def owe(fact: Fact, error: Exception, now: datetime) -> None:
    """Keep what could not be taken, so that it is tried again with the owed events. Commits."""
    fact = _keepable(fact)
    event = _event(fact, kept_events.token_of(fact), now, "reconciler")
    event.payload = kept_events.payload_of(fact, "")
    if isinstance(fact, InboundSms):
        event.payload |= {ENCRYPTED: encryption.encrypt(fact.text)}
    _put_off(event, error, now)
    db.session.add(event)
    db.session.commit()


def _event(fact: Fact, token: str, now: datetime, via: str) -> GatewayEvent:
    return GatewayEvent(
        id=new_id(),
        kind=kept_events.kind_of(fact),
        gateway=fact.gateway,
        token=token,
        via=via,
        received_at=now,
        attempts=0,
    )


def _process(event: GatewayEvent, fact: Fact, now: datetime) -> int | None:
    if isinstance(fact, DeliveryReport) and delivery_reports.may_become_known(fact, now):
        event.due_at = timestamps.later(now, REPORT_WAIT_SECONDS)
        db.session.commit()
        return None
    try:
        with db.session.begin_nested():
            device_id = _take(event, fact, now)
        event.processed_at, event.error, event.due_at = now, None, None
        if ENCRYPTED in event.payload:
            event.payload = _payload(fact, _device_of(fact, now))
    except Exception as error:
        if isinstance(error, ServiceError):
            log.warning("event not processed", gateway_event=event.id, kind=event.kind, reason=error.message)
        else:
            log.exception("event not processed", gateway_event=event.id, kind=event.kind)
        _put_off(event, error, now)
        device_id = None
    db.session.commit()
    return device_id


def _take(event: GatewayEvent, fact: Fact, now: datetime) -> int | None:
    """Let a fact take effect; give the device that it changed."""
    if isinstance(fact, InboundSms):
        return _take_text(event, fact, now)
    return delivery_reports.take(fact, now)


def _put_off(event: GatewayEvent, error: Exception, now: datetime) -> None:
    """Try an event again: at once, then after ever longer waits."""
    wait = min(EVENT_WAIT_SECONDS, 3 * (2 ** min(event.attempts, 10) - 1))
    event.attempts, event.due_at = event.attempts + 1, timestamps.later(now, wait)
    event.error = f"{type(error).__name__}: {error}"[:500]


def owed_events(now: datetime) -> Sequence[str]:
    """Give the events whose effects are still owed and due, the longest due first."""
    due = or_(GatewayEvent.due_at.is_(None), GatewayEvent.due_at <= now)
    owed = db.session.scalars(
        select(GatewayEvent.id)
        .where(GatewayEvent.processed_at.is_(None), GatewayEvent.attempts < EVENT_TRIES, due)
        .order_by(GatewayEvent.due_at, GatewayEvent.id)
        .limit(100)
    ).all()
    db.session.commit()
    return owed


def _repeated(known: GatewayEvent, now: datetime) -> int | None:
    """Do what was left of an event that is brought again."""
    if known.processed_at is not None:
        return None
    try:
        return retry_event(known.id, now)
    except (EventOwed, ServiceError) as error:
        log.warning("event still not processed", event=known.id, reason=str(error))
        db.session.rollback()
        return None


def retry_event(ident: str, now: datetime) -> int | None:
    """Process an event whose effects are still owed. Commits. Raises EventOwed where it fails again."""
    event = db.session.get_one(GatewayEvent, ident)
    fact = kept_events.fact_of(event)
    device_id = _device_of(fact, _at(fact, event.received_at))
    if device_id is not None:
        locks.lock_device(device_id)
    event = db.session.get_one(GatewayEvent, ident, with_for_update=True, populate_existing=True)
    if event.processed_at is not None:
        db.session.rollback()
        return None
    changed = _process(event, fact, now)
    if event.error is not None:
        raise EventOwed(event.error)
    return changed


def _at(fact: Fact, received_at: datetime) -> datetime:
    """Give when the gateway got a text; where it does not say, or says a later time, when it reached us."""
    at = fact.at if isinstance(fact, InboundSms) else None
    return min(at, received_at) if at else received_at


def _device_of(fact: Fact, at: datetime) -> int | None:
    if isinstance(fact, InboundSms):
        return find_device(fact.sender, at)
    message = delivery_reports.message_of(fact)
    return message.device_id if message else None


def find_device(phone: str, at: datetime) -> int | None:
    """Give the device that had this number at that time; a live one before an archived one."""
    number = phone if phone.startswith("+") else f"+{phone}"
    found = db.session.scalar(
        select(Device.id)
        .join(DevicePhone)
        .where(
            DevicePhone.phone == number,
            # a reply may be dated a little before the number was entered
            DevicePhone.since <= at + timedelta(minutes=5),
            or_(DevicePhone.until.is_(None), DevicePhone.until >= at),
        )
        .order_by(Device.archived_at.is_not(None), DevicePhone.since.desc())
        .limit(1)
    )
    return found if found is not None else _asked_at(number, at)


def _asked_at(number: str, at: datetime) -> int | None:
    """Give the device that still owes an answer from a number which it has given up since."""
    return db.session.scalar(
        select(Message.device_id)
        .join(Command, Message.command_id == Command.id)
        .where(
            Message.recipient == number,
            Message.direction == Direction.OUT,
            Message.created_at >= at - UNANSWERED_FOR,
            or_(Command.in_flight, Command.capturing, Command.answered_at.is_(None)),
        )
        .order_by(Message.id.desc())
        .limit(1)
    )


def _payload(fact: Fact, device_id: int | None) -> dict[str, Any]:
    """Give what is kept of a fact: dots for credentials, or the text encrypted where they cannot be known."""
    if not isinstance(fact, InboundSms):
        return kept_events.payload_of(fact, "")
    try:
        device = db.session.get(Device, device_id) if device_id else None
        return kept_events.payload_of(fact, language.mask(fact.text, _secrets(device)))
    except encryption.Undecryptable:
        return kept_events.payload_of(fact, "") | {ENCRYPTED: encryption.encrypt(fact.text)}


def _secrets(device: Device | None) -> tuple[str, ...]:
    if device is None:
        return ()
    pairs = (submission.credentials(device, "current"), submission.credentials(device, "pending"))
    return tuple(secret for pair in pairs for secret in pair if secret)


# inbound texts


def _take_text(event: GatewayEvent, sms: InboundSms, now: datetime) -> int | None:
    at = _at(sms, event.received_at)
    device_id = find_device(sms.sender, at)
    device = db.session.get(Device, device_id) if device_id else None
    message = Message(
        id=event.id,  # by which its event is found again
        direction=Direction.IN,
        gateway=sms.gateway,
        gateway_id=sms.gateway_id,
        sender=sms.sender[:64],
        recipient=sms.recipient[:64],
        body=language.mask(sms.text, _secrets(device)),
        status=DeliveryStatus.RECEIVED,
        device_id=device_id,
        created_at=at,
        received_at=event.received_at,
    )
    db.session.add(message)
    changes.publish(device_id, "messages")
    if device is None:
        message.note = "No device has this number."
        return None
    db.session.flush()
    _take_reply(device, message, sms.text, at, now)
    return device.id


def _take_reply(device: Device, message: Message, body: str, at: datetime, now: datetime) -> None:
    status_table.note(
        device,
        "contact.sms",
        timestamps.stamp(at),
        Verdict.GOOD,
        now=at,
        source_kind="message",
        source_id=message.id,
    )
    whole, other = _joined(message, body, at)
    replies = [reply.without(_secrets(device)) for reply in language.read_replies(whole)]
    rows = _candidates(device, at)
    if other is not None and other.command is not None and other.command.answered_at is not None:
        rows = [other.command]
        match: Match | None = Match(other.command.id, other.command.match == "certain")
    else:
        match = choose(replies, _as_candidates(rows))
    command = next((row for row in rows if match and row.id == match.id), None)
    if other is not None:
        other.claimed, other.command_id = True, command.id if command else None
        other.note = "Read together with the text that came with it."
    source = ("command", command.id) if command else ("message", message.id)
    changing = command is not None and reply_effects.changes(command)
    learned = reply_effects.learn(device, replies, source, at, changing=changing)
    if command is None or match is None:
        message.claimed = learned
        message.note = (
            "No command asked for this; its values are in the status table."
            if learned
            else "No command fits these words."
        )
        return
    message.command_id, message.claimed = command.id, True
    message.note = " ".join(dict.fromkeys(reply.sentence for reply in replies))
    if not match.certain and command.match is None:
        command.match = "probable"
    elif match.certain:
        command.match = "certain"
    reply_effects.apply(command, device, replies, message.body, now, at)
    if command.kind == "camreq":
        link_service.relink(device, now)


def _joined(message: Message, body: str, at: datetime) -> tuple[str, Message | None]:
    """Give the whole text and the message with its other part, where a device sent its answer in two, in any order."""
    is_full, is_rest = len(body) in language.PARTS, _may_be_rest(body)
    if not is_full and not is_rest:
        return body, None
    near = db.session.scalars(
        select(Message)
        .where(
            Message.device_id == message.device_id,
            Message.direction == Direction.IN,
            Message.id != message.id,
            Message.created_at >= at - JOINED_WITHIN,
            Message.created_at <= at + JOINED_WITHIN,
        )
        .order_by(Message.id.desc())
        .limit(5)
    ).all()
    for other in near:
        if is_full and _may_be_rest(other.body) and _is_read(body + other.body):
            return body + other.body, other
        if is_rest and len(other.body) in language.PARTS and _is_read(other.body + body):
            return other.body + body, other
    return body, None


def _may_be_rest(text: str) -> bool:
    """Say whether a text may go on where another was cut: unreadable alone, and no sentence."""
    words = text.split()
    no_sentence = len(words) == 1 or any(":" in word for word in words[1:])
    return no_sentence and all(isinstance(reply, language.Unread) for reply in language.read_replies(text))


def _is_read(text: str) -> bool:
    return not any(isinstance(reply, language.Unread) for reply in language.read_replies(text))


def _candidates(device: Device, at: datetime) -> list[Command]:
    """Give the commands that a text of this time may answer, newest first.

    In flight, capturing, never answered for a day, or files whose announcement may still come. Asked for apart, so
    that each is found by an index and not among all that the device was ever asked.
    """
    until = at + timedelta(seconds=30)
    mine = select(Command).where(Command.device_id == device.id)
    held = db.session.scalars(mine.where(or_(Command.in_flight, Command.capturing)))
    rows = {row.id: row for row in held if row.sending_at is not None and row.sending_at <= until}
    recent = db.session.scalars(
        mine.where(
            Command.sending_at >= at - UNANSWERED_FOR,
            Command.sending_at <= until,
            Command.answered_at.is_(None) | ((Command.kind == "camreq") & (Command.state == State.DONE)),
        )
        .order_by(Command.id.desc())
        .limit(200)
    )
    rows |= {row.id: row for row in recent}
    return [rows[ident] for ident in sorted(rows, reverse=True)]


def _as_candidates(rows: Sequence[Command]) -> list[language.Candidate]:
    taken: dict[str, list[float]] = {}
    files = select(Upload.command_id, Upload.timestamp).where(
        Upload.command_id.in_([row.id for row in rows if row.kind == "camreq"]), Upload.timestamp.is_not(None)
    )
    for ident, moment in db.session.execute(files):
        if ident is not None and moment is not None:
            taken.setdefault(ident, []).append(moment.timestamp())
    return [_candidate(row, taken.get(row.id, [])) for row in rows]


def _candidate(row: Command, taken: Sequence[float]) -> language.Candidate:
    asked = row.arguments.get("timestamp")
    announced = [milliseconds / 1000 for milliseconds in (row.result or {}).get("file_timestamps", [])]
    unannounced = row.kind == "camreq" and row.state == State.DONE and not announced
    arguments = row.arguments
    if credentials.is_change(row):
        login, password = credentials.pair_set_by(row)  # compared only: a candidate is neither kept nor shown
        arguments = {"parameters": {credentials.LOGIN: login, credentials.PASSWORD: password}}
    return language.Candidate(
        row.id,
        row.kind,
        arguments,
        row.in_flight,
        row.capturing,
        asked=float(asked) if asked is not None else None,
        reported=(*taken, *announced),
        unannounced=unannounced,
        answered=row.answered_at is not None,
    )


def claim_sender(
    message: Message, device: Device, change_phone: Callable[[Device, str], Any], now: datetime
) -> None:
    """Take an unclaimed text's sender as a device's new number, and read the text as that device's.

    Raises Conflict where the text is none that waits for its device.
    """
    locks.lock_device(device.id)
    message = db.session.get_one(Message, message.id, with_for_update=True, populate_existing=True)
    unmatched.demand_open(message)
    if message.device_id is not None:
        raise Conflict("This text has its device already.", code="claimed")
    change_phone(device, message.sender)
    message.device_id = device.id
    db.session.flush()
    _take_reply(device, message, message.body, message.created_at, now)
    _hide(message, device)
    message.claimed = True
    db.session.commit()


def _hide(message: Message, device: Device) -> None:
    """Put dots for a device's credentials in a text that was taken before the device was known."""
    message.body = language.mask(message.body, _secrets(device))
    event = db.session.get(GatewayEvent, message.id) or _event_of_older_version(message)
    if event is not None:
        event.payload = event.payload | {"text": message.body}


def _event_of_older_version(message: Message) -> GatewayEvent | None:
    """Find the event of a text that had another id than its event."""
    return db.session.scalar(
        select(GatewayEvent).where(
            GatewayEvent.gateway == message.gateway,
            GatewayEvent.token == f"in:{message.gateway_id}"[:160],
            GatewayEvent.kind == kept_events.TEXT,
        )
    )
