"""What comes back from the gateway: replies of devices and reports on our messages, each exactly once.

A raw event is kept with its effects in one transaction; if reading it fails, it stays owed and the sweep tries
again. Webhooks and the reconciler bring events through the same two functions. Which command a text answers is
decided in `reply_matching`; what the words mean in `commands`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError

from provisioning.commands import outcomes, reply_effects, submission
from provisioning.commands.reply_matching import Candidate, Match, choose
from provisioning.core import encryption
from provisioning.core.errors import Conflict, ServiceError
from provisioning.devices import credentials, status_table
from provisioning.media import link_service
from provisioning.models import (
    STATUS_RANK,
    Command,
    Device,
    DevicePhone,
    Direction,
    GatewayEvent,
    Message,
    State,
    Upload,
    Verdict,
    changes,
    command_state,
    db,
    locks,
    new_id,
    timestamps,
)
from provisioning.sms import gateway, unmatched
from provisioning.tracker import language

log = structlog.get_logger(__name__)

JOINED_WITHIN = timedelta(minutes=2)  # so far apart two parts of one answer come
UNANSWERED_FOR = timedelta(hours=24)  # so long a command without a reply stays a candidate for one
EVENT_TRIES = 2000  # with the waits below about a week: time to put a key back, or to mend a mistake of ours
EVENT_WAIT_SECONDS = 300  # at most, between two tries
TOKENS_AT_ONCE = 500
ENCRYPTED = "encrypted"  # in a kept event, instead of a text whose credentials could not be hidden


@dataclass(frozen=True, slots=True)
class Touched:
    """What device an event changed, for the caller to wake."""

    device_id: int | None


def follow(touched: Touched, now: datetime) -> None:
    """Go on after an event: the device's SMS place may be free. If this is lost, the sweep drives what is due."""
    if touched.device_id is not None:
        submission.wake(touched.device_id)


class EventOwed(Exception):
    """The effects of an event are still owed."""


def receive(params: Mapping[str, str], now: datetime, *, via: str, at: datetime | None = None) -> Touched:
    """Take one inbound text; the same one again changes nothing. Commits."""
    params = _keepable(params)
    return _once(_text_token(params), "inbound", params, now, via, at)


def report(params: Mapping[str, str], now: datetime, *, via: str) -> Touched:
    """Take one status report on a message of ours; states only move forward. Commits."""
    params = _keepable(params)
    token = _report_token(params)
    if _our_message(params) is None:
        if via == "reconciler":
            return Touched(None)
        # kept under a token of its own: the same report counts once its message is known
        token = f"{token}:{new_id()}"
    return _once(token, "status", params, now, via, None)


@dataclass(frozen=True, slots=True)
class Listed:
    """What the gateway lists: a text (`is_text`) or the status of a message of ours, as a webhook would tell it."""

    is_text: bool
    params: Mapping[str, str]
    at: datetime | None


def not_known(listed: Sequence[Listed]) -> list[Listed]:
    """Leave out what was taken already: one statement for hundreds."""
    tokens = [_text_token(one.params) if one.is_text else _report_token(one.params) for one in listed]
    known: set[str] = set()
    for at in range(0, len(tokens), TOKENS_AT_ONCE):
        some = tokens[at : at + TOKENS_AT_ONCE]
        known.update(db.session.scalars(select(GatewayEvent.token).where(GatewayEvent.token.in_(some))))
    db.session.rollback()
    return [one for one, token in zip(listed, tokens, strict=True) if token not in known]


def _text_token(params: Mapping[str, str]) -> str:
    token = params.get("MessageSid") or params.get("SmsSid")
    return f"in:{token or new_id()}"[:160]


def _report_token(params: Mapping[str, str]) -> str:
    sid = params.get("MessageSid") or params.get("SmsSid") or ""
    status = (params.get("MessageStatus") or params.get("SmsStatus") or "").lower()
    return f"{sid}:{status}:{params.get('ErrorCode') or ''}"[:120]


def _keepable(params: Mapping[str, str]) -> dict[str, str]:
    """Leave NULs out: PostgreSQL keeps none, and a text with one must not be lost."""
    return {name: value.replace("\0", "") for name, value in params.items()}


def _once(
    token: str, kind: str, params: Mapping[str, str], now: datetime, via: str, at: datetime | None
) -> Touched:
    known = db.session.scalar(select(GatewayEvent).where(GatewayEvent.token == token))
    if known is not None:
        return _repeated(known, now)
    device_id = _device_of(params, kind, at or now)
    if device_id is not None:
        locks.lock_device(device_id)
    event = GatewayEvent(
        id=new_id(),
        kind=kind,
        token=token,
        via=via,
        received_at=now,
        attempts=0,
        payload=dict(params) | ({"at": timestamps.stamp(at)} if at else {}),
    )
    if kind == "inbound":
        event.payload = event.payload | _kept_text(params.get("Body", ""), device_id)
    db.session.add(event)
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        return Touched(None)  # the same event, at the same moment, in another process
    return _process(event, params, now)


def owe(one: Listed, error: Exception, now: datetime) -> None:
    """Keep what could not be taken, so that it is tried again with the owed events. Commits."""
    params = _keepable(one.params)
    token = _text_token(params) if one.is_text else _report_token(params)
    kept = {"Body": "", ENCRYPTED: encryption.encrypt(params.get("Body", ""))} if one.is_text else {}
    event = GatewayEvent(
        id=new_id(),
        kind="inbound" if one.is_text else "status",
        token=token,
        via="reconciler",
        received_at=now,
        payload=params | kept | ({"at": timestamps.stamp(one.at)} if one.at else {}),
        attempts=0,
    )
    _put_off(event, error, now)
    db.session.add(event)
    db.session.commit()


def _process(event: GatewayEvent, params: Mapping[str, str], now: datetime) -> Touched:
    try:
        with db.session.begin_nested():
            touched = (_take_text if event.kind == "inbound" else _take_report)(event, params, now)
        event.processed_at, event.error, event.due_at = now, None, None
        if ENCRYPTED in event.payload:
            device_id = _device_of(params, event.kind, now)
            kept = {name: value for name, value in event.payload.items() if name != ENCRYPTED}
            event.payload = kept | {"Body": _masked(params.get("Body", ""), device_id)}
    except Exception as error:
        if isinstance(error, ServiceError):
            log.warning("event not processed", gateway_event=event.id, kind=event.kind, reason=error.message)
        else:
            log.exception("event not processed", gateway_event=event.id, kind=event.kind)
        _put_off(event, error, now)
        touched = Touched(None)
    db.session.commit()
    return touched


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


def _repeated(known: GatewayEvent, now: datetime) -> Touched:
    """Do what was left of an event that is told again."""
    if known.processed_at is not None:
        return Touched(None)
    try:
        return retry_event(known.id, now)
    except (EventOwed, ServiceError) as error:
        log.warning("event still not processed", event=known.id, reason=str(error))
        db.session.rollback()
        return Touched(None)


def retry_event(ident: str, now: datetime) -> Touched:
    """Process an event whose effects are still owed. Commits. Raises EventOwed where it fails again."""
    event = db.session.get_one(GatewayEvent, ident)
    device_id = _device_of(event.payload, event.kind, _told_at(event))
    if device_id is not None:
        locks.lock_device(device_id)
    event = db.session.get_one(GatewayEvent, ident, with_for_update=True, populate_existing=True)
    if event.processed_at is not None:
        db.session.rollback()
        return Touched(None)
    params = dict(event.payload)
    if ENCRYPTED in params:
        params["Body"] = encryption.decrypt(params.pop(ENCRYPTED))
    touched = _process(event, params, now)
    if event.error is not None:
        raise EventOwed(event.error)
    return touched


def _told_at(event: GatewayEvent) -> datetime:
    """Give when the gateway got a text; where it does not say, when it reached us."""
    at = datetime.fromisoformat(event.payload["at"]) if "at" in event.payload else event.received_at
    return min(at, event.received_at)


def _device_of(params: Mapping[str, str], kind: str, at: datetime) -> int | None:
    if kind == "status":
        message = _our_message(params)
        return message.device_id if message else None
    return find_device(params.get("From", ""), at)


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


def _kept_text(body: str, device_id: int | None) -> dict[str, str]:
    """Give a text to be kept: with dots for credentials, or encrypted where nobody can tell what they are."""
    try:
        return {"Body": _masked(body, device_id)}
    except encryption.Undecryptable:
        return {"Body": "", ENCRYPTED: encryption.encrypt(body)}


def _masked(body: str, device_id: int | None) -> str:
    return language.mask(body, _secrets(db.session.get(Device, device_id)) if device_id else ())


def _secrets(device: Device | None) -> tuple[str, ...]:
    if device is None:
        return ()
    pairs = (submission.credentials(device, "current"), submission.credentials(device, "pending"))
    return tuple(secret for pair in pairs for secret in pair if secret)


# inbound texts


def _take_text(event: GatewayEvent, params: Mapping[str, str], now: datetime) -> Touched:
    at = _told_at(event)
    device_id = find_device(params.get("From", ""), at)
    device = db.session.get(Device, device_id) if device_id else None
    body = params.get("Body", "")
    message = Message(
        id=new_id(),
        direction=Direction.IN,
        sid=params.get("MessageSid") or params.get("SmsSid"),
        sender=params.get("From", "")[:64],
        recipient=params.get("To", "")[:64],
        body=language.mask(body, _secrets(device)),
        status="received",
        device_id=device_id,
        created_at=at,
        received_at=event.received_at,
    )
    db.session.add(message)
    changes.publish(device_id, "messages")
    if device is None:
        message.note = "No device has this number."
        return Touched(None)
    db.session.flush()
    return _take_reply(device, message, body, at, now)


def _take_reply(device: Device, message: Message, body: str, at: datetime, now: datetime) -> Touched:
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
    reply_effects.learn(
        device, replies, source, at, changing=command is not None and reply_effects.changes(command)
    )
    if command is None or match is None:
        taken = any(
            isinstance(reply, language.Values | language.Info | language.CameraVersions) for reply in replies
        )
        message.claimed = taken
        message.note = (
            "No command asked for this; its values are in the status table."
            if taken
            else ("No command fits these words.")
        )
        return Touched(device.id)
    message.command_id, message.claimed = command.id, True
    message.note = " ".join(dict.fromkeys(reply.sentence for reply in replies))
    if not match.certain and command.match is None:
        command.match = "probable"
    elif match.certain:
        command.match = "certain"
    reply_effects.apply(command, device, replies, message.body, now, at)
    if command.kind == "camreq":
        link_service.relink(device, now)
    return Touched(device.id)


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


def _as_candidates(rows: Sequence[Command]) -> list[Candidate]:
    taken: dict[str, list[float]] = {}
    files = select(Upload.command_id, Upload.timestamp).where(
        Upload.command_id.in_([row.id for row in rows if row.kind == "camreq"]), Upload.timestamp.is_not(None)
    )
    for ident, moment in db.session.execute(files):
        if ident is not None and moment is not None:
            taken.setdefault(ident, []).append(moment.timestamp())
    return [_candidate(row, taken.get(row.id, [])) for row in rows]


def _candidate(row: Command, taken: Sequence[float]) -> Candidate:
    asked = row.arguments.get("timestamp")
    announced = [milliseconds / 1000 for milliseconds in (row.result or {}).get("file_timestamps", [])]
    unannounced = row.kind == "camreq" and row.state == State.DONE and not announced
    arguments = row.arguments
    if credentials.is_change(row):
        login, password = credentials.pair_set_by(row)  # compared only: a candidate is neither kept nor shown
        arguments = {"parameters": {credentials.LOGIN: login, credentials.PASSWORD: password}}
    return Candidate(
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


# reports on our own messages


def _our_message(params: Mapping[str, str]) -> Message | None:
    sid = params.get("MessageSid") or params.get("SmsSid")
    found = db.session.scalar(select(Message).where(Message.sid == sid)) if sid else None
    if found is None and params.get("message"):
        found = db.session.get(Message, params["message"])
    return found if found is not None and found.direction == Direction.OUT else None


def _take_report(event: GatewayEvent, params: Mapping[str, str], now: datetime) -> Touched:
    message = _our_message(params)
    if message is None:
        return Touched(None)
    sid = params.get("MessageSid") or params.get("SmsSid")
    if message.sid is None and sid:
        message.sid = sid
    status = (params.get("MessageStatus") or params.get("SmsStatus") or "").lower()
    error = params.get("ErrorCode") or None
    if error and error != "0" and message.error_code is None:
        message.error_code = error[:48]
    is_news = STATUS_RANK.get(status, -1) > STATUS_RANK.get(message.status, -1)
    if is_news:
        message.status = status
    changes.publish(message.device_id, "messages")
    if is_news and message.command_id is not None and message.device_id is not None:
        _move_command(message, status, now)
    return Touched(message.device_id)


def _move_command(message: Message, status: str, now: datetime) -> None:
    command = db.session.get_one(Command, message.command_id)
    device = db.session.get_one(Device, message.device_id)
    if message is not command_state.last_message(command.id):
        return  # a report on an attempt that was given up
    if status in ("queued", "accepted", "sending", "sent", "delivered"):
        status_table.note_asked(device, command, now)
    if status in ("undelivered", "failed", "canceled") and command.in_flight:
        permanent, sentence = gateway.explain(message.error_code)
        code = message.error_code or status
        if command.state == State.CANCELLED:
            command.in_flight, command.expires_at = False, None
            if credentials.is_change(command):
                credentials.ended(command, device, now)
        else:
            outcomes.fail(command, device, code, sentence, not permanent, now)
    elif status == "delivered" and command.state in (State.SENDING, State.SENT, State.UNKNOWN):
        command.lease_until = None
        command_state.move(command, State.DELIVERED, now)
    elif status in ("queued", "accepted", "sending", "sent") and command.state in (
        State.SENDING,
        State.UNKNOWN,
    ):
        command.lease_until = None
        command_state.move(command, State.SENT, now)


def claim_sender(
    message: Message, device: Device, change_phone: Callable[[Device, str], Any], now: datetime
) -> Touched:
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
    touched = _take_reply(device, message, message.body, message.created_at, now)
    _hide(message, device)
    message.claimed = True
    db.session.commit()
    return touched


def _hide(message: Message, device: Device) -> None:
    """Put dots for a device's credentials in a text that was taken before the device was known."""
    message.body = language.mask(message.body, _secrets(device))
    event = db.session.scalar(select(GatewayEvent).where(GatewayEvent.token == f"in:{message.sid}"[:160]))
    if event is not None:
        event.payload = event.payload | {"Body": message.body}
