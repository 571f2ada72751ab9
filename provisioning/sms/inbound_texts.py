"""Inbound texts: whose each is, what it answers, and an unmatched one whose sender a person takes as a new number.

Called by `inbound`, which sees to it that each text counts once.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import select

from provisioning.commands import answers
from provisioning.core.errors import Conflict
from provisioning.devices import credential_pairs, status_table
from provisioning.media import link_service
from provisioning.models import (
    DeliveryStatus,
    Device,
    Direction,
    GatewayEvent,
    Message,
    Verdict,
    changes,
    db,
    locks,
    timestamps,
)
from provisioning.phrase import Phrase
from provisioning.sms import addressing, kept_events, parts, unmatched
from provisioning.sms.gateway import InboundSms
from provisioning.tracker import language
from provisioning.translation import gettext


def take(event: GatewayEvent, sms: InboundSms, now: datetime) -> int | None:
    at = kept_events.time_of(sms, event.received_at)
    device_id = addressing.find_device(sms.sender, at)
    device = db.session.get(Device, device_id) if device_id else None
    message = Message(
        id=event.id,  # by which its event is found again
        direction=Direction.IN,
        gateway=sms.gateway,
        gateway_id=sms.gateway_id,
        sender=sms.sender[:64],
        recipient=sms.recipient[:64],
        body=language.mask(sms.text, credential_pairs.secrets(device)),
        status=DeliveryStatus.RECEIVED,
        device_id=device_id,
        created_at=at,
        received_at=event.received_at,
    )
    db.session.add(message)
    changes.publish(device_id, "messages")
    if device is None:
        message.note = Phrase("unknown_number")
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
    whole, other = parts.joined(message, body, at)
    first = other.command if other is not None else None
    goes_on = first if first is not None and first.answered_at is not None else None
    reading = answers.take(device, whole, message.body, ("message", message.id), at, now, goes_on=goes_on)
    command = reading.command
    message.command_id = command.id if command else None
    message.claimed, message.note = reading.is_taken, reading.note
    if other is not None:
        other.claimed, other.command_id = True, message.command_id
        other.note = Phrase("read_with_other")
    if command is not None and command.kind == "camreq":
        link_service.relink(device, now)


def claim_sender(
    message: Message, device: Device, change_phone: Callable[[Device, str], Any], now: datetime
) -> None:
    """Take an unmatched text's sender as a device's new number, and read the text as that device's.

    Raises Conflict where the text is none that waits for its device.
    """
    locks.lock_device(device.id)
    message = db.session.get_one(Message, message.id, with_for_update=True, populate_existing=True)
    unmatched.demand_open(message)
    if message.device_id is not None:
        raise Conflict(gettext("This text has its vehicle already."), code="claimed")
    change_phone(device, message.sender)
    message.device_id = device.id
    db.session.flush()
    _take_reply(device, message, message.body, message.created_at, now)
    _hide(message, device)
    message.claimed = True
    db.session.commit()


def _hide(message: Message, device: Device) -> None:
    """Put dots for a device's credentials in a text that was taken before the device was known."""
    message.body = language.mask(message.body, credential_pairs.secrets(device))
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
