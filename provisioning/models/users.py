"""Who may use the service: users with roles, API tokens, and what makes a repeated request harmless."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.models.base import db, partial_index, utcnow


class User(db.Model):  # type: ignore[name-defined]
    """A person who signs in with an e-mail address and a password (argon2id hash; empty until the first is set)."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str | None] = mapped_column(String(100))  # as the person wrote it
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(16))
    # the person reads only what belongs to vehicles with one of these; NULL: the whole fleet
    tags: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    active: Mapped[bool] = mapped_column(default=True)
    language: Mapped[str | None] = mapped_column(String(8))  # NULL: the browser's
    time_zone: Mapped[str | None] = mapped_column(String(64))  # NULL: none
    # of the link that sets a password: the SHA-256 of its token, and its end
    invite_hash: Mapped[str | None] = mapped_column(String(64), index=True, unique=True)
    invite_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    last_seen_at: Mapped[datetime | None]  # outlives the sessions


class WebSession(db.Model):  # type: ignore[name-defined]
    """A browser in which a user is signed in; the cookie holds the key, of which only the SHA-256 is kept."""

    __tablename__ = "web_sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    address: Mapped[str] = mapped_column(String(45))
    agent: Mapped[str] = mapped_column(String(200))  # what the browser calls itself
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class ApiToken(db.Model):  # type: ignore[name-defined]
    """A program's bearer token; only its SHA-256 is kept. No two that are not revoked have one name."""

    __tablename__ = "api_tokens"
    __table_args__ = (partial_index("uq_api_tokens_name", "name", where="revoked_at IS NULL", unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(16))
    tags: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))  # as those of a user
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    made_by: Mapped[str | None] = mapped_column(String(254))  # who did; NULL: before that was kept
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    last_used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class IdempotencyKey(db.Model):  # type: ignore[name-defined]
    """What was answered to a request that carried a key or a form nonce, so that its repeat does nothing.

    `scope` is the caller ("token:3", "user:1"); `fingerprint` is the SHA-256 of method, path and body.
    `status` is None while the first request is still at work.
    """

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("scope", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    scope: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(255))
    fingerprint: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None]
    body: Mapped[dict[str, Any] | None]
    location: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)


class LoginFailure(db.Model):  # type: ignore[name-defined]
    """A sign-in that failed, or whose password is being verified; counted to slow guessing down.

    `address`: an IPv4 address, or an IPv6 network of 64 bits; `browser`: one in which the user has signed in before.
    """

    __tablename__ = "login_failures"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), index=True)
    address: Mapped[str] = mapped_column(String(45), index=True)
    browser: Mapped[str | None] = mapped_column(String(32))
    at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
