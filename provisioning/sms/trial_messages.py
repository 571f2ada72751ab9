"""Trial messages: an administrator has the service send an SMS to a phone, to see that the gateway carries it.

It belongs to no vehicle and no command, and is sent once: nothing repeats it. A few an hour, since each costs.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import structlog
from sqlalchemy import func, select

from provisioning.core.config import current_config
from provisioning.core.errors import GatewayError, Invalid, TooMany
from provisioning.models import (
    DeliveryStatus,
    Device,
    Direction,
    Message,
    db,
    first_id,
    new_id,
    take_write_lock,
)
from provisioning.sms import gateway
from provisioning.sms.gateway import OutgoingSms
from provisioning.sms.message_ids import keep_id
from provisioning.translation import gettext

log = structlog.get_logger(__name__)
PER_HOUR = 5
SHOWN = 5
PERIOD = timedelta(hours=24)
_IS_TRIAL = (Message.direction == Direction.OUT, Message.device_id.is_(None), Message.command_id.is_(None))


def send(phone: str, now: datetime) -> Message:
    """Send one to a phone, and keep what the gateway says of it as the message's note.

    Raises Unavailable where no gateway is configured, Invalid where the number is a vehicle's, TooMany after five in an
    hour.
    """
    sms_gateway = gateway.gateway()
    is_vehicle = select(Device.id).where(Device.phone == phone, Device.archived_at.is_(None))
    if db.session.scalar(is_vehicle) is not None:
        text = gettext("This is the number of a vehicle: a check of that vehicle tells more.")
        raise Invalid(gettext("Some fields are wrong; nothing was sent."), errors={"phone": [text]})
    message = Message(
        id=new_id(), direction=Direction.OUT, gateway=sms_gateway.name, sender=sms_gateway.sender, recipient=phone,
        body=_text(now), status=DeliveryStatus.SENDING, claimed=True, created_at=now,
    )  # fmt: skip
    db.session.add(message)
    db.session.commit()
    # counted with its own row: of several at once too many may be refused, and never too few
    if _count(now - timedelta(hours=1)) > PER_HOUR:
        db.session.delete(message)
        db.session.commit()
        raise TooMany(
            gettext("%(number)s test SMS were sent within an hour. Try again later.", number=PER_HOUR),
            retry_after=3600,
        )
    outgoing = OutgoingSms(message.id, phone, message.body)
    db.session.commit()  # hold no transaction while the gateway answers
    try:
        accepted = sms_gateway.send(outgoing)
    except GatewayError as error:
        log.warning("trial message not handed over", message=message.id, code=error.code, sent=error.sent)
        _lock(message)
        _note_failure(message, error)
    else:
        _lock(message)
        keep_id(message, accepted.gateway_id)
        if message.status == DeliveryStatus.SENDING:
            message.status = accepted.status
    db.session.commit()
    return message


def latest(now: datetime) -> Sequence[Message]:
    """Give the newest of the last 24 hours."""
    return db.session.scalars(
        select(Message)
        .where(Message.id >= first_id(now - PERIOD), *_IS_TRIAL)
        .order_by(Message.id.desc())
        .limit(SHOWN)
    ).all()


def _count(since: datetime) -> int:
    return db.session.scalar(select(func.count()).where(Message.id >= first_id(since), *_IS_TRIAL)) or 0


def _lock(message: Message) -> None:
    """Read the row anew, and let nobody else change it: a report may have come meanwhile, or be coming."""
    take_write_lock(db.session.connection())
    db.session.refresh(message, with_for_update=True)


def _note_failure(message: Message, error: GatewayError) -> None:
    if message.status == DeliveryStatus.SENDING:
        is_unclear = error.sent == "unknown"
        message.status = DeliveryStatus.UNKNOWN if is_unclear else DeliveryStatus.FAILED
        message.error_code, message.note = error.code[:48], error.phrase


def _text(now: datetime) -> str:
    return f"Test SMS of DualCam at {urlsplit(current_config().public_url).hostname}, {now:%H:%M} UTC."
