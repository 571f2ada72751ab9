"""What went over the SMS gateway lately, in figures, and when the gateway last called us."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import case, func, select

from provisioning.models import (
    Command,
    DeliveryStatus,
    Device,
    Direction,
    GatewayEvent,
    Message,
    db,
    first_id,
)

PERIOD = timedelta(hours=24)
NOT_SENT = (DeliveryStatus.FAILED, DeliveryStatus.CANCELED)
LOST = (DeliveryStatus.UNDELIVERED, *NOT_SENT)


@dataclass(frozen=True, slots=True)
class Traffic:
    """SMS of a period: sent to vehicles, those of them answered or not delivered, and texts that came in."""

    sent: int
    answered: int
    not_delivered: int
    received: int

    @property
    def waiting(self) -> int:
        """Give how many went out and are neither answered nor known to be lost."""
        return self.sent - self.answered - self.not_delivered


def lately(now: datetime) -> Traffic:
    """Count the SMS of the last 24 hours. Each attempt counts; test SMS to people do not."""
    since = first_id(now - PERIOD)
    is_answered = Command.answered_at.is_not(None)
    out = db.session.execute(
        select(
            func.count(),
            func.count(case((is_answered, 1))),
            func.count(case((~is_answered & Message.status.in_(LOST), 1))),
        )
        .select_from(Message)
        .join(Command, Message.command_id == Command.id)
        .where(Message.id >= since, Message.direction == Direction.OUT)
    ).one()
    received = select(func.count()).where(Message.id >= since, Message.direction == Direction.IN)
    return Traffic(*out, db.session.scalar(received) or 0)


def sent_this_month(device: Device, now: datetime) -> int:
    """Count the SMS that were sent to a device since its month began, in its own time zone."""
    begin = now.astimezone(ZoneInfo(device.time_zone)).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    query = select(func.count()).where(
        Message.device_id == device.id,
        Message.id >= first_id(begin),
        Message.direction == Direction.OUT,
        Message.status.not_in(NOT_SENT),
    )
    return db.session.scalar(query) or 0


def last_webhook(gateway: str) -> datetime | None:
    """Give when this gateway last delivered a text or a delivery report."""
    return db.session.scalar(
        select(GatewayEvent.received_at)
        .where(GatewayEvent.gateway == gateway, GatewayEvent.via == "webhook")
        .order_by(GatewayEvent.received_at.desc())
        .limit(1)
    )
