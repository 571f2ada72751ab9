"""Links by which people without an account see one event: made, opened, ended. The password is the caller's to hash."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select, update

from provisioning.core.errors import NotFound
from provisioning.core.undo import may_be_undone
from provisioning.media import event_list
from provisioning.models import Event, Share, changed, db, new_id
from provisioning.translation import gettext

EVENT = "event"


def make(event: Event, hours: int, password_hash: str | None, by: str, now: datetime) -> tuple[Share, str]:
    """Make a link to an event; give it and its token, which is stored nowhere. Commits.

    Raises NotFound where the event's files are of another one by now.
    """
    event = event_list.locked(event)  # if it goes later, its links lead to the event that has its files
    token = secrets.token_urlsafe(24)
    share = Share(
        id=new_id(),
        token_hash=_hash(token),
        object_kind=EVENT,
        object_id=event.id,
        device_id=event.device_id,
        password_hash=password_hash,
        created_by=by,
        created_at=now,
        expires_at=now + timedelta(hours=hours),
    )
    db.session.add(share)
    db.session.commit()
    return share, token


def find(ident: str, *, of: Event | None = None) -> Share:
    """Give the share with this id. Raises NotFound, also where it is a link to another event than `of`.

    The API names a share without its event; a page always knows both.
    """
    found = db.session.get(Share, ident)
    if found is None or (of is not None and found.object_id != of.id):
        raise NotFound(gettext("There is no such share."))
    return found


def of_event(event: Event, now: datetime) -> Sequence[Share]:
    """Give the links to an event that have not ended, the newest first."""
    rows = db.session.scalars(select(Share).where(Share.object_id == event.id).order_by(Share.id.desc()))
    return [row for row in rows if row.is_open(now)]


def views_of(event: Event) -> int:
    """Give how often an event was opened by links to it, those that have ended too."""
    views = select(func.coalesce(func.sum(Share.views), 0)).where(Share.object_id == event.id)
    return int(db.session.scalar(views) or 0)


def by_token(token: str, now: datetime) -> tuple[Share, Event] | None:
    """Give the share of a token with its event; None where it is unknown, has ended, or leads nowhere any more."""
    share = db.session.scalar(select(Share).where(Share.token_hash == _hash(token)))
    if share is None or not share.is_open(now):
        return None
    event = db.session.get(Event, share.object_id)
    return (share, event) if event is not None else None


def count_view(share: Share, now: datetime) -> None:
    """Count that somebody opened the link. Commits."""
    db.session.execute(update(Share).where(Share.id == share.id).values(views=Share.views + 1, viewed_at=now))
    db.session.commit()


def end(share: Share, now: datetime) -> bool:
    """Have a link lead nowhere any more; say whether it led somewhere until now. Commits."""
    ending = update(Share).where(Share.id == share.id, Share.ended_at.is_(None)).values(ended_at=now)
    is_new = changed(ending) > 0
    db.session.commit()
    return is_new


def may_be_restored(share: Share, now: datetime) -> bool:
    """Say whether a person ended a link within `undo.UNDO`, and its time is not over."""
    return may_be_undone(share.ended_at, now) and now < share.expires_at


def restore(share: Share, now: datetime) -> None:
    """Have a link that was ended within `undo.UNDO` lead to its event again. Commits. Raises NotFound."""
    if not may_be_restored(share, now):
        raise NotFound(gettext("This link cannot be restored any more; make a new one."))
    share.ended_at = None
    db.session.commit()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
