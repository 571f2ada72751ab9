"""Unmatched texts: which device they may be of, and dismissing them."""

import re
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import literal, select, union_all

from provisioning.core.errors import Conflict
from provisioning.models import Command, Device, Direction, Message, changes, db
from provisioning.phrase import Phrase
from provisioning.tracker import language
from provisioning.translation import gettext

SILENT_SINCE = timedelta(hours=24)  # so long a device that has not answered is proposed
LIKELY = 3  # more would be no guess any more


def put_aside(message: Message, by: str) -> None:
    """Take a text off the list of unmatched texts, and commit; it stays at its device.

    Raises Conflict where it is not on that list.
    """
    demand_open(message)
    message.claimed = True
    message.note = Phrase("put_aside", {"who": by})
    changes.publish(message.device_id, "messages")
    db.session.commit()


def demand_open(message: Message) -> None:
    """Demand that a message stands on the list of unmatched texts. Raises Conflict."""
    if message.direction != Direction.IN or message.claimed:
        raise Conflict(gettext("This text does not wait for anybody any more."), code="claimed")


def likely_devices(messages: Sequence[Message]) -> dict[str, list[Device]]:
    """Guess whose texts from unknown numbers are, by message id; nothing follows from a guess, a person decides.

    By an IMEI in the text; else, where it reads as a tracker's reply, the devices that have not answered yet.
    """
    named = {message.id: re.findall(r"(?<!\d)\d{15}(?!\d)", message.body) for message in messages}
    live = select(Device).where(Device.archived_at.is_(None))
    wanted = {imei for imeis in named.values() for imei in imeis}
    by_imei = (
        {row.imei: row for row in db.session.scalars(live.where(Device.imei.in_(wanted)))} if wanted else {}
    )
    found = {
        message: [by_imei[imei] for imei in dict.fromkeys(imeis) if imei in by_imei][:LIKELY]
        for message, imeis in named.items()
    }
    unanswered = _unanswered(
        [message for message in messages if not found[message.id] and _is_trackers(message.body)]
    )
    return found | {message: rows for message, rows in unanswered.items() if len(rows) <= LIKELY}


def _is_trackers(text: str) -> bool:
    return not all(isinstance(reply, language.Unread) for reply in language.read_replies(text))


def _unanswered(messages: Sequence[Message]) -> dict[str, list[Device]]:
    """Give, by message id, live devices that had not answered when it came: one more than LIKELY at most."""
    if not messages:
        return {}
    each = [
        select(literal(message.id).label("message"), Device.id.label("device"))
        .where(
            Device.archived_at.is_(None),
            Device.id.in_(
                select(Command.device_id).where(
                    Command.answered_at.is_(None),
                    Command.sending_at >= message.created_at - SILENT_SINCE,
                    Command.sending_at <= message.created_at,
                )
            ),
        )
        .limit(LIKELY + 1)
        .subquery()
        for message in messages
    ]
    pairs = db.session.execute(union_all(*(select(one.c.message, one.c.device) for one in each))).all()
    devices = db.session.scalars(select(Device).where(Device.id.in_({pair.device for pair in pairs})))
    by_id = {device.id: device for device in devices}
    found: dict[str, list[Device]] = {}
    for pair in pairs:
        found.setdefault(pair.message, []).append(by_id[pair.device])
    return found
