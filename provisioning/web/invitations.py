"""Invitations: links by which a person sets the first or a new password, once, within 48 hours.

Only the hash of a link's token is kept. The link is shown to the administrator who made it and, where SMTP is
configured, mailed to the person.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from provisioning.core import mail
from provisioning.core.config import current_config
from provisioning.core.errors import Conflict, NotFound, ServiceError
from provisioning.models import Role, User, WebSession, changed, db
from provisioning.translation import N_, gettext
from provisioning.web import users

VALID = timedelta(hours=48)
GONE = N_("This link is not valid: it was used already, or a newer one was made.")
SUBJECT = N_("Your access to DualCam")
TEXT = N_(
    """Hello,

you are invited to DualCam. Set your password here, within 48 hours:

%(url)s

If you expected no invitation, leave this mail alone.
"""
)


class Expired(ServiceError):
    """The link has come to its end."""

    status = 410
    code = "invitation_expired"


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link, shown once, its end, and whether it was mailed; `problem`: why not, where it should have been."""

    url: str
    expires_at: datetime
    is_mailed: bool
    problem: str = ""


def invite(
    email: str, name: str, role: Role, now: datetime, tags: Sequence[str] | None = None
) -> tuple[User, Invitation]:
    """Add a user who sets the password by a link. Raises Invalid naming email or tags."""
    user = users.add(email, name, role, tags)
    return user, renew(user, now)


def renew(user: User, now: datetime) -> Invitation:
    """Make a link for a user; an older link ends, the present password stays until the link is used.

    Raises Conflict for a user who is disabled.
    """
    if not user.active:
        raise Conflict(gettext("This person is disabled: enable the person first."), code="disabled")
    token = secrets.token_urlsafe(32)
    user.invite_hash, user.invite_until = _hash(token), now + VALID
    db.session.commit()
    url = f"{current_config().public_url}/invite/{token}"
    return Invitation(url, now + VALID, *_mailed(user.email, url))


def _mailed(email: str, url: str) -> tuple[bool, str]:
    if not mail.is_configured():
        return False, ""
    try:
        mail.send(email, gettext(SUBJECT), gettext(TEXT, url=url))
    except mail.MailError as error:
        return False, str(error)
    return True, ""


def find(token: str, now: datetime) -> User:
    """Give the user whom a link is for. Raises Expired, or NotFound where it was used, replaced or never made."""
    user: User | None = db.session.scalar(select(User).where(User.invite_hash == _hash(token), User.active))
    if user is None or user.invite_until is None:
        raise NotFound(gettext(GONE))
    if user.invite_until <= now:
        raise Expired(gettext("This link has come to its end."))
    return user


def accept(token: str, name: str, password: str, now: datetime) -> User:
    """Set the password by a link, which ends with it, as do all sessions of the user.

    Raises Invalid naming the password, and what `find` raises.
    """
    user = find(token, now)
    users.check_password(password, user)
    ident, shown = user.id, users.clean_name(name) or user.name
    db.session.rollback()  # hold no transaction while hashing yields
    values = {
        "invite_hash": None,
        "invite_until": None,
        "name": shown,
        "password_hash": users.hashed(password),
    }
    link = [User.id == ident, User.invite_hash == _hash(token), User.invite_until > now, User.active]
    if not changed(update(User).where(*link).values(**values)):
        db.session.rollback()
        raise NotFound(gettext(GONE))
    db.session.execute(delete(WebSession).where(WebSession.user_id == ident))
    db.session.commit()
    return user


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
