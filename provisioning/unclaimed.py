"""Texts that nobody claimed: whose they may be, and putting them aside. Taking one for a device's is `inbox`'s."""

import re
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select

from . import commands, events
from .errors import Conflict
from .models import Command, Device, Direction, Message, db

SILENT_SINCE = timedelta(hours=24)  # so long a device that owes an answer is thought of
LIKELY = 3  # more would be no guess any more


def put_aside(message: Message, by: str) -> None:
    """Take a text off the list of those that wait for somebody, and commit; it stays at its device.

    Raises Conflict where it is not on that list.
    """
    demand_open(message)
    message.claimed = True
    message.note = f"Put aside by {by}."
    events.publish(message.device_id, "messages")
    db.session.commit()


def demand_open(message: Message) -> None:
    """Let nothing be done with a message that does not wait for somebody. Raises Conflict."""
    if message.direction != Direction.IN or message.claimed:
        raise Conflict("This text does not wait for anybody any more.", code="claimed")


def likely_devices(messages: Sequence[Message]) -> dict[str, list[Device]]:
    """Guess whose texts from unknown numbers are, by message id; nothing follows from a guess, a person decides.

    By an IMEI in the text; else, where it reads as a tracker's words, by who owes an answer.
    """
    live = select(Device).where(Device.archived_at.is_(None))
    found: dict[str, list[Device]] = {}
    for message in messages:
        named = re.findall(r"(?<!\d)\d{15}(?!\d)", message.body)
        rows = db.session.scalars(live.where(Device.imei.in_(named)).limit(LIKELY)).all() if named else ()
        if not rows and not all(isinstance(r, commands.Unread) for r in commands.read_replies(message.body)):
            owing = select(Command.device_id).where(
                Command.answered_at.is_(None),
                Command.sending_at >= message.created_at - SILENT_SINCE,
                Command.sending_at <= message.created_at,
            )
            rows = db.session.scalars(live.where(Device.id.in_(owing)).limit(LIKELY + 1)).all()
        found[message.id] = list(rows) if len(rows) <= LIKELY else []
    return found
