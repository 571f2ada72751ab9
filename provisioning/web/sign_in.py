"""Sign-in: limits on guessing that spare the owner, and sessions that are stored on the server.

Attempts are counted before a password is hashed, so that many at once get no more than their bound. A browser in which
the user has signed in before carries a signed cookie and has a bound of its own: others who guess, also from the
same address, do not shut the owner out. Users themselves are in `users`.
"""

import hashlib
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from flask import current_app
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import ColumnElement, and_, case, delete, func, insert, or_, select, update

from provisioning.core import threads
from provisioning.core.config import current_config
from provisioning.core.errors import Invalid, TooMany
from provisioning.models import LoginFailure, User, WebSession, changed, db, visibility
from provisioning.translation import N_, gettext
from provisioning.web import tag_limit, users
from receiver.addresses import network

WINDOW = timedelta(minutes=15)
# failed sign-ins within WINDOW
PER_PAIR = 10  # of one e-mail from one address
PER_BROWSER = 10  # of one e-mail from a browser in which its user has signed in before
PER_ADDRESS = 50  # an office may share one; IPv6 by its network of 64 bits, which one customer has
PER_EMAIL = 100  # from everywhere but the browsers of its user
# attempts at once in one process: each costs some commits and a hash of a tenth of a second, and those beyond are
# refused before they cost either; browsers of users are let in where others are not
AT_ONCE = PER_PAIR  # if more began together, each would count all others and be refused
AT_ONCE_KNOWN = 20
BROWSER_DAYS = 365
SEEN_EVERY = timedelta(minutes=1)  # last_seen_at is for people: no write per request
_attempts = threads.Places()
TOO_MANY = N_("Too many failed sign-ins. Wait 15 minutes, then try again.")


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a browser gets for a right password: the session's key, and the cookie by which it is known again."""

    user: User
    key: str
    browser: str


@dataclass(frozen=True, slots=True)
class Guess:
    """Whom somebody tries to sign in as, and from where; `browser`: one in which that user has signed in before."""

    email: str
    address: str
    browser: str | None


def sign_in(
    email: str, password: str, address: str, now: datetime, *, browser: str = "", agent: str = ""
) -> SignIn:
    """Begin a session for a right e-mail and password. Raises Invalid, or TooMany after many failures.

    `address`: the client's; `browser`: the cookie of an earlier sign-in; `agent`: what the browser calls itself.
    """
    email = users.normalised(email)[:254]
    try:
        with _attempts.take(AT_ONCE_KNOWN if _read(browser) else AT_ONCE):
            guess = Guess(email, network_of(address), _known(browser, email))
            return begin(_attempt(guess, password, now), address, agent, now)
    except threads.Busy:
        raise TooMany(
            gettext("Too many sign in at this moment. Try again in some seconds."), retry_after=5
        ) from None


def _attempt(guess: Guess, password: str, now: datetime) -> User:
    """Give the user of a right e-mail and password; forgive the failures before it, which its session commits."""
    # most guesses that come one after the other end here, where nothing is written
    if _is_beyond(guess, now, counted=False):
        raise TooMany(gettext(TOO_MANY), retry_after=int(WINDOW.total_seconds()))
    db.session.execute(delete(LoginFailure).where(LoginFailure.at < now - WINDOW))
    added = insert(LoginFailure).values(**asdict(guess), at=now).returning(LoginFailure.id)
    ident = db.session.scalar(added)
    db.session.commit()  # counts from now on, for all that are made at the same time
    if _is_beyond(guess, now, counted=True):
        db.session.execute(delete(LoginFailure).where(LoginFailure.id == ident))
        db.session.commit()
        raise TooMany(gettext(TOO_MANY), retry_after=int(WINDOW.total_seconds()))
    user = _user(guess.email)
    stored = (user.password_hash if user else users.NO_PASSWORD) or users.NOBODY
    db.session.commit()  # hold no transaction while hashing yields
    if not users.verify(stored, password) or user is None or stored == users.NOBODY:
        raise Invalid(gettext("E-mail or password is wrong."))
    db.session.execute(delete(LoginFailure).where(_bucket(guess)))
    return user


def user_named(email: str) -> User | None:
    """Give the user with this e-mail, as somebody typed it, whether active or not."""
    found: User | None = db.session.scalar(select(User).where(User.email == users.normalised(email)[:254]))
    return found


def _user(email: str) -> User | None:
    found: User | None = db.session.scalar(select(User).where(User.email == email, User.active))
    return found


def _is_beyond(guess: Guess, now: datetime, *, counted: bool) -> bool:
    """Say whether a guess is one too many. `counted`: it is among those in the table already."""
    if guess.browser:
        where, bounds = [_bucket(guess)], [PER_BROWSER]
    else:
        strange = LoginFailure.browser.is_(None)
        where = [
            _bucket(guess),
            LoginFailure.address == guess.address,
            and_(LoginFailure.email == guess.email, strange),
        ]
        bounds = [PER_PAIR, PER_ADDRESS, PER_EMAIL]
    counts = db.session.execute(
        select(*(func.sum(case((condition, 1), else_=0)) for condition in where)).where(
            LoginFailure.at > now - WINDOW, or_(*where)
        )
    ).one()
    return any((count or 0) + (not counted) > bound for count, bound in zip(counts, bounds, strict=True))


def _bucket(guess: Guess) -> ColumnElement[bool]:
    """Give the condition of the failures that are counted together with this guess most narrowly."""
    if guess.browser:
        return and_(LoginFailure.email == guess.email, LoginFailure.browser == guess.browser)
    return and_(
        LoginFailure.email == guess.email, LoginFailure.address == guess.address, LoginFailure.browser.is_(None)
    )  # fmt: skip


def network_of(address: str) -> str:
    """Give what stands for a client: its IPv4 address, or the network of 64 bits of its IPv6 address."""
    return network(f"{address}:0")[:45]  # which reads a peer: an address with a port


# browsers in which a user has signed in before


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.secret_key or "", salt="known-browser")


def _known(cookie: str, email: str) -> str | None:
    """Give the id of a browser in which the user with this e-mail has signed in before, by its cookie."""
    found = _read(cookie)
    user = _user(email) if found else None
    return found[1] if found and user is not None and found[0] == user.id else None


def _read(cookie: str) -> tuple[int, str] | None:
    """Give whose browser a cookie is of, and the browser's id; None where it is none of ours."""
    if not cookie:
        return None
    try:
        user_id, browser = _signer().loads(cookie, max_age=BROWSER_DAYS * 86_400)
    except (BadSignature, TypeError, ValueError):
        return None
    return user_id, browser


# sessions


def begin(user: User, address: str, agent: str, now: datetime) -> SignIn:
    """Begin a session of a user whose password was right; old sessions of everybody go."""
    key = secrets.token_urlsafe(32)
    db.session.execute(delete(WebSession).where(WebSession.expires_at < now))
    user.last_seen_at = now
    db.session.add(
        WebSession(
            key_hash=_hash(key),
            user_id=user.id,
            address=address[:45],
            agent=agent[:200],
            created_at=now,
            last_seen_at=now,
            expires_at=now + timedelta(hours=current_config().session_hours),
        )
    )
    db.session.commit()
    return SignIn(user, key, _signer().dumps([user.id, secrets.token_hex(16)]))


def user_of(key: str, now: datetime) -> User | None:
    """Give the user whose session has this key; None where it ended, or the user may not sign in."""
    row = db.session.execute(
        select(WebSession, User)
        .join(User, User.id == WebSession.user_id)
        .where(WebSession.key_hash == _hash(key), WebSession.expires_at > now, User.active)
    ).one_or_none()
    if row is None:
        return None
    found, user = row
    if now - found.last_seen_at > SEEN_EVERY:
        db.session.execute(update(WebSession).where(WebSession.id == found.id).values(last_seen_at=now))
        db.session.execute(update(User).where(User.id == user.id).values(last_seen_at=now))
        db.session.commit()
    return user


def tags_of(key: str, now: datetime) -> tuple[visibility.Tags | None] | None:
    """Give the tags that the user of a session is limited to, in a tuple; None where the session has ended.

    Unlike `user_of` it does not count as seen: an open page asks, and nobody may look at it.
    """
    user = db.session.scalar(
        select(User)
        .join(WebSession, WebSession.user_id == User.id)
        .where(WebSession.key_hash == _hash(key), WebSession.expires_at > now, User.active)
    )
    return None if user is None else (tag_limit.of(user),)


def sign_out(key: str) -> None:
    """End the session with this key."""
    db.session.execute(delete(WebSession).where(WebSession.key_hash == _hash(key)))
    db.session.commit()


def sessions_of(user: User, now: datetime) -> list[WebSession]:
    """Give a user's sessions, the newest first."""
    return list(
        db.session.scalars(
            select(WebSession)
            .where(WebSession.user_id == user.id, WebSession.expires_at > now)
            .order_by(WebSession.id.desc())
        )
    )


def session_id_of(key: str) -> int | None:
    """Give the id of the session with this key."""
    return db.session.scalar(select(WebSession.id).where(WebSession.key_hash == _hash(key)))


def end_sessions(user: User, session_id: int | None = None) -> int:
    """End one session of a user, or all; give how many there were."""
    one = [WebSession.id == session_id] if session_id is not None else []
    count = changed(delete(WebSession).where(WebSession.user_id == user.id, *one))
    db.session.commit()
    return count


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
