"""Users: adding them, roles, passwords, deactivation, removal.

Signing in itself, its limits and its sessions are in `sign_in`.
"""

from collections.abc import Sequence

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, select

from provisioning.core import threads
from provisioning.core.errors import Invalid, NotFound
from provisioning.models import Role, User, WebSession, db
from provisioning.tracker.normalization import clean_text
from provisioning.web import tag_limit

PASSWORD_MIN = 10
ADMIN_PASSWORD_MIN = 12
GUESSABLE = 2  # zxcvbn's scores below it: fewer than a million guesses
SCORED = 72  # characters that zxcvbn looks at; its time grows with them
HASHING_THREADS = 2
_hasher = PasswordHasher()
# a hash takes 64 MiB and a tenth of a second: a pool of its own, so that guesses delay nothing but guesses
_hashing = threads.Pool(HASHING_THREADS)


def create(email: str, role: Role, password: str, tags: Sequence[str] | None = None) -> User:
    """Add a user; `tags` limit what the person reads. Raises Invalid naming email, password or tags."""
    email = normalised(email)
    if email.count("@") != 1 or len(email) > 254 or any(c.isspace() for c in email):
        raise Invalid("The user cannot be added.", errors={"email": ["Not an e-mail address."]})
    if db.session.scalar(select(User.id).where(User.email == email)):
        raise Invalid("The user cannot be added.", errors={"email": ["There is a user with this e-mail."]})
    _check_password(password, email, role)
    limit = tag_limit.checked(tags, role)
    user = User(email=email, role=role.value, tags=limit, password_hash=_hash(password))
    db.session.add(user)
    db.session.commit()
    return user


def find(email: str) -> User:
    """Give the user with this e-mail address. Raises NotFound."""
    user = db.session.scalar(select(User).where(User.email == normalised(email)))
    if user is None:
        raise NotFound(f"There is no user {email}.")
    return user


def set_password(user: User, password: str) -> None:
    """Give a user a new password and end all sessions of that user. Raises Invalid."""
    _check_password(password, user.email, Role(user.role))
    user.password_hash = _hash(password)
    _end_sessions(user)
    db.session.commit()


def set_role(user: User, role: Role) -> None:
    """Give a user another role, from the next request on. Raises Invalid for an administrator limited to tags."""
    tag_limit.checked(user.tags, role)
    user.role = role.value
    db.session.commit()


def set_tags(user: User, tags: Sequence[str] | None) -> None:
    """Limit what a user reads to vehicles with one of these tags, from the next request on; None: the whole fleet.

    Raises Invalid naming tags.
    """
    user.tags = tag_limit.checked(tags, Role(user.role))
    db.session.commit()


def set_active(user: User, active: bool) -> None:
    """Let a user sign in, or shut the user out and end all sessions."""
    user.active = active
    if not active:
        _end_sessions(user)
    db.session.commit()


def remove(user: User) -> None:
    """Delete a user and the user's sessions; what the user did keeps the name."""
    _end_sessions(user)
    db.session.delete(user)
    db.session.commit()


def verify(stored: str, password: str) -> bool:
    """Say whether a password fits a stored hash."""
    return _hashing.run(_verify, stored, password)


def normalised(email: str) -> str:
    """Give an e-mail address as it is stored."""
    return clean_text(email).lower()


def _end_sessions(user: User) -> None:
    db.session.execute(delete(WebSession).where(WebSession.user_id == user.id))


def _check_password(password: str, email: str, role: Role) -> None:
    from zxcvbn import zxcvbn  # a large list, which only a new password needs

    least = ADMIN_PASSWORD_MIN if role is Role.ADMIN else PASSWORD_MIN
    if len(password) < least:
        raise Invalid("The password is too short.", errors={"password": [f"At least {least} characters."]})
    known = [email, *email.split("@"), "dualcam"]
    if zxcvbn(password[:SCORED], user_inputs=known)["score"] < GUESSABLE:
        text = (
            "It is among the first that somebody would try: take several words that do not belong together."
        )
        raise Invalid("The password is too easy to guess.", errors={"password": [text]})


def hashed(password: str) -> str:
    """Give what is kept of a password that `verify` compares with, of whatever strength it is."""
    return _hash(password)


def _hash(password: str) -> str:
    return _hashing.run(_hasher.hash, password)


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


# verified against when the e-mail is unknown, so that the answer takes as long
NOBODY = _hasher.hash("nobody has this password")
