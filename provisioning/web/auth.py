"""Authentication: API tokens, the user of a session, and who makes a request.

Pages authenticate by session cookie (Flask-Login), the API by bearer token only, so that no form on a foreign page can
use the API with a cookie. What a caller needs for a route stands in `access`; `demand` checks what depends on a row.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Flask, Request, g
from flask_login import LoginManager, current_user
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from provisioning.core import audit
from provisioning.core.errors import Conflict, Forbidden, NotFound, ServiceError
from provisioning.core.undo import may_be_undone
from provisioning.models import ApiToken, Role, User, changed, db, utcnow, visibility
from provisioning.roles import LEAST, Permission
from provisioning.translation import gettext
from provisioning.web import sign_in, tag_limit, users

TOKEN_DAYS = 365
TOKEN_SEEN_EVERY = timedelta(minutes=1)  # last_used_at is for people: no write per request

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
    tags: visibility.Tags | None  # whose vehicles' rows it may read; None: the whole fleet

    @property
    def sees_whole_fleet(self) -> bool:
        """Say whether the caller is limited to no tags."""
        return self.tags is None

    def may(self, permission: Permission) -> bool:
        """Say whether the caller has this permission."""
        return self.role.may(permission)


class SignedIn:
    """Flask-Login's view of a user in a session; the id is the session's key."""

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, user: User, key: str) -> None:
        self.user = user
        self.key = key

    def get_id(self) -> str:
        return self.key


def init_app(app: Flask) -> None:
    """Attach sign-in to the app."""
    login_manager.init_app(app, add_context_processor=False)  # templates have `who`
    login_manager.login_view = "pages.login"
    login_manager.login_message = "Please sign in."
    app.teardown_request(lambda _error: visibility.limit_to(None))


@login_manager.user_loader
def _load_user(key: str) -> SignedIn | None:
    user = sign_in.user_of(key, utcnow())
    return SignedIn(user, key) if user else None


def caller() -> Caller:
    """Give who makes this request, which from now on reads what the caller may see.

    Raises Unauthenticated where nobody is known.
    """
    found: Caller | None = getattr(g, "caller", None)
    if found is None and current_user.is_authenticated:
        user = current_user.user
        found = Caller(f"user:{user.id}", user.email, Role(user.role), tag_limit.of(user))
    if found is not None:
        visibility.limit_to(found.tags)
        return found
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
    if row.expires_at <= now:
        raise Unauthenticated("This token has come to its end; `flask tokens create` makes a new one.")
    if row.last_used_at is None or now - row.last_used_at > TOKEN_SEEN_EVERY:
        db.session.execute(update(ApiToken).where(ApiToken.id == row.id).values(last_used_at=now))
        db.session.commit()
    g.caller = Caller(f"token:{row.id}", f"token {row.name}", Role(row.role), tag_limit.of(row))
    return caller()


def demand(permission: Permission) -> Caller:
    """Give the caller if it has the permission. Raises Unauthenticated or Forbidden."""
    who = caller()
    if not who.may(permission):
        raise Forbidden(
            gettext(
                "This needs the role %(needed)s; you have the role %(present)s.",
                needed=gettext(LEAST[permission].label),
                present=gettext(who.role.label),
            )
        )
    return who


def demand_whole_fleet() -> None:
    """Refuse a caller who is limited to tags. Raises Forbidden."""
    if not caller().sees_whole_fleet:
        raise Forbidden(
            gettext("This concerns the whole fleet, of which you see a part. Ask an administrator.")
        )


def create_token(
    name: str,
    role: Role,
    days: int = TOKEN_DAYS,
    tags: Sequence[str] | None = None,
    *,
    made_by: str = audit.COMMAND_LINE,
) -> str:
    """Add an API token and give its clear text, which is stored nowhere; `tags` limit what it reads.

    Raises Conflict where the name is taken, Invalid naming the tags.
    """
    now = utcnow()
    limit = tag_limit.checked(tags, role)
    same = [ApiToken.name == name[:100], ApiToken.revoked_at.is_(None)]
    db.session.execute(update(ApiToken).where(*same, ApiToken.expires_at <= now).values(revoked_at=now))
    text = gettext("There is a token named %(name)s: revoke it first, or take another name.", name=name)
    taken = Conflict(gettext("The token cannot be made."), code="name_taken", errors={"name": [text]})
    if db.session.scalar(select(ApiToken.id).where(*same)):
        raise taken
    clear = "dct_" + secrets.token_urlsafe(32)
    row = ApiToken(name=name[:100], role=role.value, tags=limit, made_by=made_by[:254])
    row.token_hash, row.expires_at = _hash(clear), now + timedelta(days=days)
    db.session.add(row)
    _save(taken)
    return clear


def _save(taken: Conflict) -> None:
    """Commit; a name that another request took at the same moment is a Conflict, as one that was taken before."""
    try:
        db.session.commit()
    except IntegrityError as error:
        db.session.rollback()
        raise taken from error


def revoke_token(name: str) -> bool:
    """Revoke the token of that name; say whether there was one."""
    count = changed(
        update(ApiToken)
        .where(ApiToken.name == name, ApiToken.revoked_at.is_(None))
        .values(revoked_at=utcnow())
    )
    db.session.commit()
    return count > 0


def latest_tokens(limit: int) -> Sequence[ApiToken]:
    """Give so many tokens that are not revoked, the one used or made last first."""
    latest = func.coalesce(ApiToken.last_used_at, ApiToken.created_at)
    query = select(ApiToken).where(ApiToken.revoked_at.is_(None)).order_by(latest.desc(), ApiToken.id)
    return db.session.scalars(query.limit(limit)).all()


def names_of_tokens_by(who: str, now: datetime) -> Sequence[str]:
    """Give the names of the valid tokens that somebody made, in their order."""
    valid = ApiToken.revoked_at.is_(None), ApiToken.expires_at > now
    return db.session.scalars(
        select(ApiToken.name).where(ApiToken.made_by == who, *valid).order_by(ApiToken.name)
    ).all()


def restore_token(ident: str, now: datetime) -> ApiToken:
    """Have a token that was revoked within `undo.UNDO` work again.

    Raises NotFound, Conflict where its name is taken.
    """
    row = just_revoked(ident, now)
    if row is None:
        raise NotFound(gettext("This token cannot be restored any more."))
    text = gettext("There is another token named %(name)s by now.", name=row.name)
    row.revoked_at = None
    _save(Conflict(text, code="name_taken"))
    return row


def just_revoked(ident: str, now: datetime) -> ApiToken | None:
    """Give the token with this id if it was revoked within `undo.UNDO`."""
    row = db.session.get(ApiToken, int(ident)) if users.IDENT.fullmatch(ident) else None
    return row if row and may_be_undone(row.revoked_at, now) else None


def find_token(ident: str) -> ApiToken:
    """Give the token with this id, which is not revoked. Raises NotFound."""
    row = db.session.get(ApiToken, int(ident)) if users.IDENT.fullmatch(ident) else None
    if row is None or row.revoked_at is not None:
        raise NotFound(gettext("There is no such token."))
    return row


def change_token(row: ApiToken, name: str, role: Role, tags: Sequence[str] | None) -> None:
    """Give a token another name, role and tags that limit it, from the next request on.

    Raises Conflict where the name is taken and for an administrator with tags, Invalid naming the tags.
    """
    limit = tag_limit.checked(tags, role)
    errors = {"name": [gettext("There is a token named %(name)s.", name=name)]}
    taken = Conflict(gettext("The token cannot be changed."), code="name_taken", errors=errors)
    same = [ApiToken.name == name[:100], ApiToken.revoked_at.is_(None), ApiToken.id != row.id]
    if db.session.scalar(select(ApiToken.id).where(*same)):
        raise taken
    row.name, row.role, row.tags = name[:100], role.value, limit
    _save(taken)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
