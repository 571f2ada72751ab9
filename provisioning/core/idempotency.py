"""Makes a repeated request harmless: API keys (`Idempotency-Key`) and the nonces of forms.

The key's row is written first and alone; the work then happens at most once under it. A process killed between
leaves a key without an answer: a repeat gets an error that says so, and nothing happens twice. Answers are encrypted:
some hold a token or a link that nobody else may read from the database.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from provisioning.core.encryption import Undecryptable, decrypt, encrypt
from provisioning.core.errors import Conflict, Invalid
from provisioning.models import IdempotencyKey, db
from provisioning.translation import gettext

ENCRYPTED = "encrypted"  # the one field of an answer as it is kept
UNFINISHED_FOR = timedelta(minutes=2)  # longer than any request of ours takes


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered the first time."""

    status: int
    body: Mapping[str, Any] | None
    location: str | None


def fingerprint(method: str, path: str, body: bytes) -> str:
    """Give what makes two requests the same."""
    return hashlib.sha256(b"\0".join([method.encode(), path.encode(), body])).hexdigest()


def begin(scope: str, key: str, mark: str, now: datetime) -> Answer | None:
    """Take a key for this request: None means do the work, an Answer that it was done before.

    Raises Conflict while the first request is at work or ended without an answer, Invalid for another body.
    """
    db.session.add(IdempotencyKey(scope=scope, key=key, fingerprint=mark, created_at=now))
    try:
        db.session.commit()
        return None
    except IntegrityError:
        db.session.rollback()
    row = db.session.scalar(
        select(IdempotencyKey).where(IdempotencyKey.scope == scope, IdempotencyKey.key == key)
    )
    if row is None:
        raise Conflict(
            gettext("The first request with this key has just ended; send it again."), code="in_progress"
        )
    if row.fingerprint != mark:
        raise Invalid(
            gettext("This key was used for another request."),
            code="idempotency_key_reused",
            errors={"Idempotency-Key": ["Use a new key for a new request."]},
        )
    if row.status is None:
        if now - row.created_at < UNFINISHED_FOR:
            raise Conflict(gettext("The first request with this key is still at work."), code="in_progress")
        raise Conflict(
            gettext(
                "The first request with this key was cut off; look whether it took effect, then use a new key."
            ),
            code="outcome_unknown",
        )
    return Answer(row.status, _opened(row.body), row.location)


def finish(
    scope: str, key: str, status: int, body: Mapping[str, Any] | None, location: str | None = None
) -> None:
    """Keep what was answered, in the transaction of the caller."""
    row = db.session.scalar(
        select(IdempotencyKey).where(IdempotencyKey.scope == scope, IdempotencyKey.key == key)
    )
    if row is not None:
        row.status, row.location = status, location
        row.body = {ENCRYPTED: encrypt(json.dumps(body))} if body is not None else None


def _opened(body: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if body is None or ENCRYPTED not in body:  # of an earlier version, which kept answers as they were
        return body
    try:
        return dict(json.loads(decrypt(body[ENCRYPTED])))
    except Undecryptable:
        raise Conflict(
            "The first request with this key took effect, but its answer cannot be read since the encryption keys"
            " changed. Look for what it made, then use a new key.",
            code="outcome_unknown",
        ) from None


def abandon(scope: str, key: str) -> None:
    """Free a key whose request was refused and changed nothing. Commits."""
    db.session.execute(delete(IdempotencyKey).where(IdempotencyKey.scope == scope, IdempotencyKey.key == key))
    db.session.commit()
