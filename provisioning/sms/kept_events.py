"""How an event of the gateway is kept: its facts as JSON in the row, and the token by which it is known again."""

import hashlib
from datetime import datetime
from typing import Any

from provisioning.core import encryption
from provisioning.models import DeliveryStatus, GatewayEvent, new_id, timestamps
from provisioning.sms.gateway import DeliveryReport, InboundSms

ENCRYPTED = "encrypted"  # holds a text whose credentials could not be hidden, instead of "text"
TEXT, REPORT = "inbound", "status"  # kinds of events

Fact = InboundSms | DeliveryReport


def kind_of(fact: Fact) -> str:
    """Give the kind that an event of this fact has."""
    return TEXT if isinstance(fact, InboundSms) else REPORT


def token_of(fact: Fact) -> str:
    """Give what is the same each time this event is delivered.

    A text without id and time is another event each time.
    """
    if isinstance(fact, InboundSms):
        return f"in:{fact.gateway_id or _repeated(fact) or new_id()}"[:160]
    return f"{fact.gateway_id or fact.our_id or ''}:{fact.gateway_status}:{fact.error_code or ''}"[:120]


def _repeated(sms: InboundSms) -> str | None:
    """Recognize a text without an id by sender, time and content."""
    if sms.at is None:
        return None
    return hashlib.sha256(f"{sms.sender}\n{sms.at.isoformat()}\n{sms.text}".encode()).hexdigest()


def payload_of(fact: Fact, text: str) -> dict[str, Any]:
    """Give the facts as they are kept, `text` being what may be kept of an inbound text."""
    if isinstance(fact, InboundSms):
        kept = {"id": fact.gateway_id, "from": fact.sender, "to": fact.recipient, "text": text}
        return kept | ({"at": timestamps.stamp(fact.at)} if fact.at else {})
    return {
        "id": fact.gateway_id,
        "our_id": fact.our_id,
        "status": fact.status,
        "word": fact.gateway_status,
        "error": fact.error_code,
    }


def fact_of(event: GatewayEvent) -> Fact:
    """Read the facts of a kept event back. Raises Undecryptable where no key opens its text."""
    kept = event.payload
    if event.kind == TEXT:
        text = encryption.decrypt(kept[ENCRYPTED]) if ENCRYPTED in kept else kept.get("text", "")
        at = datetime.fromisoformat(kept["at"]) if "at" in kept else None
        return InboundSms(event.gateway, kept.get("id"), kept.get("from", ""), kept.get("to", ""), text, at)
    status = DeliveryStatus(kept["status"]) if kept.get("status") else None
    word = kept.get("word", "")
    return DeliveryReport(event.gateway, kept.get("id"), kept.get("our_id"), status, word, kept.get("error"))


def time_of(fact: Fact, received_at: datetime) -> datetime:
    """Give when the gateway got a text; where it does not say, or says a later time, when it reached us."""
    at = fact.at if isinstance(fact, InboundSms) else None
    return min(at, received_at) if at else received_at
