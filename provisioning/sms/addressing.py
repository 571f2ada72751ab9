"""Whose text an SMS is: the device that had its number at that time. `commands.answers` reads what it says."""

from datetime import datetime, timedelta

from sqlalchemy import or_, select

from provisioning.commands.reply_matching import UNANSWERED_FOR
from provisioning.models import Command, Device, DevicePhone, Direction, Message, db


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
    """Give the device that was asked at this number and has not answered yet, though it has another number since."""
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
