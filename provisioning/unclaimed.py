"""Texts that nobody claimed: whose they may be, and putting them aside. Taking one for a device's is `inbox`'s."""

import re
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select

from . import commands, events
from .models import Command, Device, Message, db

SILENT_SINCE = timedelta(hours=24)  # so long a device that owes an answer is thought of
LIKELY = 3  # more would be no guess any more


def put_aside(message: Message, by: str) -> None:
    """Take a text off the list of those that wait for somebody, and commit; it stays at its device."""
    message.claimed = True
    message.note = f"Put aside by {by}."
    events.publish(message.device_id, "messages")
    db.session.commit()


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
