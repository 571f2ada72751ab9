"""What comes back from the gateway: replies of devices and reports on our messages, each exactly once.

An event is stored with its effects in one transaction; if processing fails, it stays unprocessed and is tried again.
Webhooks and the reconciler pass events to the same two functions. Whose text it is says `addressing`; which
command it answers and what follows, `commands.answers`; what a report does, `delivery_reports`.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, TypeVar

import structlog
from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError

from provisioning.core import encryption
from provisioning.core.errors import ServiceError
from provisioning.devices import credential_pairs
from provisioning.models import Device, GatewayEvent, db, locks, new_id, timestamps
from provisioning.sms import addressing, delivery_reports, inbound_texts, kept_events
from provisioning.sms.gateway import DeliveryReport, InboundSms
from provisioning.sms.kept_events import ENCRYPTED, Fact
from provisioning.tracker import language

log = structlog.get_logger(__name__)

EVENT_TRIES = 2000  # with the waits below about a week: time to put a key back, or to mend a mistake of ours
EVENT_WAIT_SECONDS = 300  # at most, between two tries
TOKENS_AT_ONCE = 500
REPORT_WAIT_SECONDS = 5  # between two looks whether the SMS of a report has become known

F = TypeVar("F", bound=Fact)


class EventUnprocessed(Exception):
    """The effects of an event have still not been applied."""


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
    device_id = _device_of(fact, kept_events.time_of(fact, now))
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


def keep_unprocessed(fact: Fact, error: Exception, now: datetime) -> None:
    """Store what could not be processed, so that it is tried again with the unprocessed events. Commits."""
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
        return inbound_texts.take(event, fact, now)
    return delivery_reports.take(fact, now)


def _put_off(event: GatewayEvent, error: Exception, now: datetime) -> None:
    """Try an event again: at once, then after ever longer waits."""
    wait = min(EVENT_WAIT_SECONDS, 3 * (2 ** min(event.attempts, 10) - 1))
    event.attempts, event.due_at = event.attempts + 1, timestamps.later(now, wait)
    event.error = f"{type(error).__name__}: {error}"[:500]


def unprocessed_events(now: datetime) -> Sequence[str]:
    """Give the unprocessed events that are due, the longest due first."""
    due = or_(GatewayEvent.due_at.is_(None), GatewayEvent.due_at <= now)
    unprocessed = db.session.scalars(
        select(GatewayEvent.id)
        .where(GatewayEvent.processed_at.is_(None), GatewayEvent.attempts < EVENT_TRIES, due)
        .order_by(GatewayEvent.due_at, GatewayEvent.id)
        .limit(100)
    ).all()
    db.session.commit()
    return unprocessed


def _repeated(known: GatewayEvent, now: datetime) -> int | None:
    """Do what was left of an event that the gateway delivers again."""
    if known.processed_at is not None:
        return None
    try:
        return retry_event(known.id, now)
    except (EventUnprocessed, ServiceError) as error:
        log.warning("event still not processed", event=known.id, reason=str(error))
        db.session.rollback()
        return None


def retry_event(ident: str, now: datetime) -> int | None:
    """Process an event that is still unprocessed. Commits. Raises EventUnprocessed where it fails again."""
    event = db.session.get_one(GatewayEvent, ident)
    fact = kept_events.fact_of(event)
    device_id = _device_of(fact, kept_events.time_of(fact, event.received_at))
    if device_id is not None:
        locks.lock_device(device_id)
    event = db.session.get_one(GatewayEvent, ident, with_for_update=True, populate_existing=True)
    if event.processed_at is not None:
        db.session.rollback()
        return None
    changed = _process(event, fact, now)
    if event.error is not None:
        raise EventUnprocessed(event.error)
    return changed


def _device_of(fact: Fact, at: datetime) -> int | None:
    if isinstance(fact, InboundSms):
        return addressing.find_device(fact.sender, at)
    message = delivery_reports.message_of(fact)
    return message.device_id if message else None


def _payload(fact: Fact, device_id: int | None) -> dict[str, Any]:
    """Give what is kept of a fact: dots for credentials, or the text encrypted where they cannot be known."""
    if not isinstance(fact, InboundSms):
        return kept_events.payload_of(fact, "")
    try:
        device = db.session.get(Device, device_id) if device_id else None
        return kept_events.payload_of(fact, language.mask(fact.text, credential_pairs.secrets(device)))
    except encryption.Undecryptable:
        return kept_events.payload_of(fact, "") | {ENCRYPTED: encryption.encrypt(fact.text)}
