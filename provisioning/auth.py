"""Who is calling and what they may do: sign-in, roles, API tokens.

Pages authenticate by session cookie (Flask-Login), the API by bearer token only, so that no form on a
foreign page can use the API with a cookie. Views use `require(role)`; rules about rows live elsewhere.
"""

import functools
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask import Flask, Request, g
from flask_login import LoginManager, current_user
from sqlalchemy import delete, func, or_, select, update

from . import offload
from .cleaning import clean_text
from .errors import Forbidden, Invalid, ServiceError, TooMany
from .models import RANK, ApiToken, LoginFailure, Role, User, changed, db, new_id, utcnow

F = TypeVar("F", bound=Callable[..., Any])

PASSWORD_MIN = 10
GUESSES = 10  # failed sign-ins per e-mail or address within GUESS_WINDOW, then wait
GUESS_WINDOW = timedelta(minutes=15)
TOKEN_SEEN_EVERY = timedelta(minutes=1)  # last_used_at is for people: no write per request
_hasher = PasswordHasher()
# verified against when the e-mail is unknown, so that the answer takes as long
_NOBODY = _hasher.hash("nobody has this password")

login_manager = LoginManager()


class Unauthenticated(ServiceError):
    """No valid bearer token."""

    status = 401
    code = "unauthenticated"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever makes the request: a user or a token."""

    scope: str  # "user:1", "token:3": whose idempotency keys
    label: str  # shown as "asked by"
    role: Role

    def may(self, role: Role) -> bool:
        """Say whether the caller has at least this role."""
        return RANK[self.role] >= RANK[role]


class SignedIn:
    """Flask-Login's view of a User; the id carries session_key, so a new password ends old sessions."""

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, user: User) -> None:
        self.user = user

    def get_id(self) -> str:
        return f"{self.user.id}:{self.user.session_key}"


def init_app(app: Flask) -> None:
    """Attach sign-in to the app."""
    login_manager.init_app(app)
    login_manager.login_view = "pages.login"
    login_manager.login_message = "Please sign in."


@login_manager.user_loader
def _load_user(identity: str) -> SignedIn | None:
    number, _, key = identity.partition(":")
    user = db.session.get(User, int(number)) if number.isdigit() else None
    return SignedIn(user) if user and user.active and secrets.compare_digest(user.session_key, key) else None


def caller() -> Caller:
    """Give who makes this request. Raises Unauthenticated where nobody is known."""
    found = getattr(g, "caller", None)
    if found is not None:
        return found
    if current_user.is_authenticated:
        user = current_user.user
        return Caller(f"user:{user.id}", user.email, Role(user.role))
    raise Unauthenticated("Sign in first.")


def authenticate_bearer(request: Request, now: datetime) -> Caller:
    """Set and give the caller by `Authorization: Bearer TOKEN`. Raises Unauthenticated (401)."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated(
            "Send the header 'Authorization: Bearer TOKEN'; `flask tokens create` makes one."
        )
    row = db.session.scalar(
        select(ApiToken).where(ApiToken.token_hash == _hash(token.strip()), ApiToken.revoked_at.is_(None))
    )
    if row is None:
        raise Unauthenticated("This token is not known, or was revoked.")
    if row.last_used_at is None or now - row.last_used_at > TOKEN_SEEN_EVERY:
        db.session.execute(update(ApiToken).where(ApiToken.id == row.id).values(last_used_at=now))
        db.session.commit()
    g.caller = Caller(f"token:{row.id}", f"token {row.name}", Role(row.role))
    return g.caller


def require(role: Role) -> Callable[[F], F]:
    """Let a view run only for callers with at least `role`; else Unauthenticated or Forbidden."""

    def wrap(view: F) -> F:
        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            demand(role)
            return view(*args, **kwargs)

        return guarded  # type: ignore[return-value]

    return wrap


def demand(role: Role) -> Caller:
    """Give the caller if it has at least `role`. Raises Unauthenticated or Forbidden."""
    who = caller()
    if not who.may(role):
        raise Forbidden(f"This needs the role {role.value}; you have the role {who.role.value}.")
    return who


def create_user(email: str, role: Role, password: str) -> User:
    """Add a user. Raises Invalid naming email or password."""
    email = clean_text(email).lower()
    if email.count("@") != 1 or len(email) > 254 or any(c.isspace() for c in email):
        raise Invalid("The user cannot be added.", errors={"email": ["Not an e-mail address."]})
    if db.session.scalar(select(User.id).where(User.email == email)):
        raise Invalid("The user cannot be added.", errors={"email": ["There is a user with this e-mail."]})
    user = User(email=email, role=role.value, password_hash=_hash_password(password))
    db.session.add(user)
    db.session.commit()
    return user


def set_password(user: User, password: str) -> None:
    """Give a user a new password; sessions under the old one end."""
    user.password_hash = _hash_password(password)
    user.session_key = new_id()
    db.session.commit()


def _hash_password(password: str) -> str:
    if len(password) < PASSWORD_MIN:
        raise Invalid(
            "The password is too short.", errors={"password": [f"At least {PASSWORD_MIN} characters."]}
        )
    return offload.run(_hasher.hash, password)


def sign_in(email: str, password: str, address: str, now: datetime) -> User:
    """Give the user for a right e-mail and password. Raises Invalid, or TooMany after many failures."""
    email = clean_text(email).lower()[:254]
    since = now - GUESS_WINDOW
    failures = db.session.scalar(
        select(func.count()).where(
            LoginFailure.at > since, or_(LoginFailure.email == email, LoginFailure.address == address)
        )
    )
    if (failures or 0) >= GUESSES:
        raise TooMany("Too many failed sign-ins. Wait 15 minutes, then try again.")
    user = db.session.scalar(select(User).where(User.email == email, User.active))
    stored = user.password_hash if user else _NOBODY
    db.session.commit()  # hold no transaction while hashing yields
    if not offload.run(_verify, stored, password) or user is None:
        db.session.add(LoginFailure(email=email, address=address, at=now))
        db.session.execute(delete(LoginFailure).where(LoginFailure.at < since))
        db.session.commit()
        raise Invalid("E-mail or password is wrong.")
    user.last_login_at = now
    db.session.commit()
    return user


def _verify(stored: str, password: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def create_token(name: str, role: Role) -> str:
    """Add an API token and give its clear text, which is stored nowhere."""
    clear = "dct_" + secrets.token_urlsafe(32)
    db.session.add(ApiToken(name=name[:100], role=role.value, token_hash=_hash(clear)))
    db.session.commit()
    return clear


def revoke_tokens(name: str) -> int:
    """Revoke all tokens of that name; give how many."""
    count = changed(
        update(ApiToken)
        .where(ApiToken.name == name, ApiToken.revoked_at.is_(None))
        .values(revoked_at=utcnow())
    )
    db.session.commit()
    return count


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
