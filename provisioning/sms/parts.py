"""Joins the two SMS into which a device may cut one answer, in whatever order they come."""

from datetime import datetime, timedelta

from sqlalchemy import select

from provisioning.models import Direction, Message, db
from provisioning.tracker import language

JOINED_WITHIN = timedelta(minutes=2)  # so far apart two parts of one answer come


def joined(message: Message, body: str, at: datetime) -> tuple[str, Message | None]:
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
