"""Users: adding them, roles, passwords, deactivation, removal.

Signing in itself, its limits and its sessions are in `sign_in`, links that set a password in `invitations`.
"""

import base64
import re
from collections.abc import Sequence

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from provisioning.core import threads
from provisioning.core.errors import Conflict, Invalid, NotFound
from provisioning.models import Role, User, WebSession, db, take_write_lock
from provisioning.tracker.normalization import clean_line, clean_text
from provisioning.translation import gettext
from provisioning.web import tag_limit

PASSWORD_MIN = 10
ADMIN_PASSWORD_MIN = 12
GUESSABLE = 2  # zxcvbn's scores below it: fewer than a million guesses
SCORED = 72  # characters that zxcvbn looks at; its time grows with them
HASHING_THREADS = 2
NAME_LENGTH = 100
NO_PASSWORD = ""  # of a user who was invited: no hash, so that no password fits
# in the head of a mail they part, quote or explain addresses: the mail would go to another one, or to none
NOT_IN_EMAIL = '()<>[]:;,\\"?'
IDENT = re.compile(r"[0-9]{1,9}")
_hasher = PasswordHasher()
# a hash takes 64 MiB and a tenth of a second: a pool of its own, so that guesses delay nothing but guesses
_hashing = threads.Pool(HASHING_THREADS)


def create(email: str, role: Role, password: str, tags: Sequence[str] | None = None) -> User:
    """Add a user with a password; `tags` limit what the person reads. Raises Invalid naming email, password or tags."""
    user = _new(email, "", role, tags)
    check_password(password, user)
    user.password_hash = hashed(password)
    _save_new(user)
    return user


def add(email: str, name: str, role: Role, tags: Sequence[str] | None = None) -> User:
    """Add a user who has no password yet, and cannot sign in. Raises Invalid naming email or tags."""
    user = _new(email, name, role, tags)
    _save_new(user)
    return user


def _new(email: str, name: str, role: Role, tags: Sequence[str] | None) -> User:
    email = normalised(email)
    if email.count("@") != 1 or len(email) > 254 or any(c.isspace() or c in NOT_IN_EMAIL for c in email):
        raise Invalid(
            gettext("The user cannot be added."), errors={"email": [gettext("Not an e-mail address.")]}
        )
    if db.session.scalar(select(User.id).where(User.email == email)):
        raise _taken()
    limit = tag_limit.checked(tags, role)
    return User(
        email=email, name=clean_name(name) or None, role=role.value, tags=limit, password_hash=NO_PASSWORD
    )


def _save_new(user: User) -> None:
    """Commit; an e-mail that another request took at the same moment is a Conflict, too."""
    db.session.add(user)
    try:
        db.session.commit()
    except IntegrityError as error:
        db.session.rollback()
        raise _taken() from error


def _taken() -> Conflict:
    errors = {"email": [gettext("There is a user with this e-mail.")]}
    return Conflict(gettext("The user cannot be added."), code="email_taken", errors=errors)


def find(email: str) -> User:
    """Give the user with this e-mail address. Raises NotFound."""
    user = db.session.scalar(select(User).where(User.email == normalised(email)))
    if user is None:
        raise NotFound(gettext("There is no user %(email)s.", email=email))
    return user


def by_id(ident: str) -> User:
    """Give the user with this id. Raises NotFound."""
    user = db.session.get(User, int(ident)) if IDENT.fullmatch(ident) else None
    if user is None:
        raise NotFound(gettext("There is no such person."))
    return user


def set_password(user: User, password: str) -> None:
    """Give a user a new password and end all sessions of that user. Raises Invalid."""
    check_password(password, user)
    user.password_hash = hashed(password)
    _end_sessions(user)
    db.session.commit()


def set_name(user: User, name: str) -> None:
    """Give a person another name."""
    user.name = clean_name(name) or None
    db.session.commit()


def set_reading(user: User, language: str | None, time_zone: str | None) -> None:
    """Set in which language a person reads pages, and in which zone the person is. None: the browser's; none."""
    user.language, user.time_zone = language, time_zone
    db.session.commit()


def set_access(user: User, role: Role, tags: Sequence[str] | None) -> None:
    """Set what a user may do, and the tags of the vehicles that the user sees, from the next request on.

    `tags`: None for the whole fleet. Raises Invalid naming tags, Conflict for the last administrator and for an
    administrator with tags.
    """
    limit = tag_limit.checked(tags, role)
    if role is not Role.ADMIN:
        _keep_an_administrator(user)
    user.role, user.tags = role.value, limit
    db.session.commit()


def set_active(user: User, active: bool) -> None:
    """Let a user sign in, or shut the user out and end all sessions. Raises Conflict for the last administrator."""
    if not active:
        _keep_an_administrator(user)
    user.active = active
    if not active:
        user.invite_hash = user.invite_until = None
        _end_sessions(user)
    db.session.commit()


def remove(user: User) -> None:
    """Delete a user and the user's sessions; what the user did keeps the name. Raises Conflict for the last admin."""
    _keep_an_administrator(user)
    _end_sessions(user)
    db.session.delete(user)
    db.session.commit()


def verify(stored: str, password: str) -> bool:
    """Say whether a password fits a stored hash."""
    return _hashing.run(_verify, stored, password)


def normalised(email: str) -> str:
    """Give an e-mail address as it is stored."""
    return clean_text(email).lower()


def clean_name(name: str) -> str:
    """Give a person's name as it is stored."""
    return clean_line(name)[:NAME_LENGTH]


def _keep_an_administrator(user: User) -> None:
    """Lock the administrators who can sign in; refuse where no other one would be left. Raises Conflict."""
    take_write_lock(db.session.connection())
    able = db.session.scalars(
        select(User.id)
        .where(User.role == Role.ADMIN.value, User.active, User.password_hash != NO_PASSWORD)
        .order_by(User.id)
        .with_for_update()
    ).all()
    if list(able) == [user.id]:
        db.session.rollback()
        raise Conflict(
            gettext("This is the last administrator: make another person one first."),
            code="last_administrator",
        )


def _end_sessions(user: User) -> None:
    db.session.execute(delete(WebSession).where(WebSession.user_id == user.id))


def check_password(password: str, user: User) -> None:
    """Refuse a password that is too short or easy to guess. Raises Invalid."""
    from zxcvbn import zxcvbn  # a large list, which only a new password needs

    least = ADMIN_PASSWORD_MIN if user.role == Role.ADMIN else PASSWORD_MIN
    if len(password) < least:
        text = gettext("At least %(number)s characters.", number=least)
        raise Invalid(gettext("The password is too short."), errors={"password": [text]})
    known = [user.email, *user.email.split("@"), "dualcam"]
    if zxcvbn(password[:SCORED], user_inputs=known)["score"] < GUESSABLE:
        text = gettext(
            "It is among the first that somebody would try: take several words that do not belong together."
        )
        raise Invalid(gettext("The password is too easy to guess."), errors={"password": [text]})


def hashed(password: str) -> str:
    """Give what is kept of a password that `verify` compares with, of whatever strength it is."""
    return _hashing.run(_hasher.hash, password)


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def unmatched(hasher: PasswordHasher) -> str:
    """Give a hash that no password fits, and that takes as long to verify as one that the hasher made."""
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    salt, digest = (
        base64.b64encode(bytes(length)).decode().rstrip("=") for length in (hasher.salt_len, hasher.hash_len)
    )
    return f"$argon2id$v={ARGON2_VERSION}${cost}${salt}${digest}"


# verified against when the e-mail is unknown, so that the answer takes as long; made without hashing, which would
# add a quarter of a second and 64 MiB to the start of each process
NOBODY = unmatched(_hasher)
