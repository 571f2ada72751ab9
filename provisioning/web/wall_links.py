"""Links of wall boards: making, finding and revoking them."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update

from provisioning.core.errors import Invalid, NotFound
from provisioning.models import Role, WallLink, db
from provisioning.tracker.normalization import clean_line
from provisioning.translation import gettext
from provisioning.web import tag_limit

PREFIX = "dcw_"  # the log hides what begins so
LARGEST = 2**31 - 1  # what a database's integer holds
SEEN_EVERY = timedelta(minutes=1)  # opened_at is for people: no write per request
NAME_LENGTH = 100


def create(name: str, tags: Sequence[str] | None, by: str, now: datetime) -> str:
    """Add a link and give its token, which is stored nowhere. Raises Invalid naming name or tags."""
    name = named(name)
    problem = None
    if not name:
        problem = gettext("Say where the screen hangs.")
    elif len(name) > NAME_LENGTH:
        problem = gettext("At most %(number)s characters.", number=NAME_LENGTH)
    if problem:
        raise Invalid(gettext("The link cannot be made."), errors={"name": [problem]})
    token = PREFIX + secrets.token_urlsafe(32)
    limit = tag_limit.checked(tags, Role.VIEWER)
    db.session.add(WallLink(name=name, token_hash=_hash(token), tags=limit, created_by=by, created_at=now))
    db.session.commit()
    return token


def named(text: str) -> str:
    """Give the name of a link as it is kept."""
    return clean_line(text)


def find(token: str, now: datetime) -> WallLink:
    """Give the link that a token opens, and note that it was opened. Raises NotFound."""
    link = db.session.scalar(
        select(WallLink).where(WallLink.token_hash == _hash(token), WallLink.revoked_at.is_(None))
    )
    if link is None:
        raise NotFound(gettext("There is no such board. Its link may have been revoked."))
    if link.opened_at is None or now - link.opened_at > SEEN_EVERY:
        link.opened_at = now
        db.session.commit()
    return link


def valid() -> Sequence[WallLink]:
    """Give the links that are not revoked, the newest first."""
    query = select(WallLink).where(WallLink.revoked_at.is_(None)).order_by(WallLink.id.desc())
    return db.session.scalars(query).all()


def revoke(number: int, now: datetime) -> str | None:
    """Revoke a link, at once, and give its name; None, and nothing happens, where no valid one has that number."""
    if number > LARGEST:
        return None
    valid = WallLink.id == number, WallLink.revoked_at.is_(None)
    revoked = update(WallLink).where(*valid).values(revoked_at=now).returning(WallLink.name)
    name: str | None = db.session.scalar(revoked)
    db.session.commit()
    return name


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
