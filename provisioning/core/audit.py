"""The log of who did and saw what: writing entries, and reading them by person, object and time.

An entry is written in a transaction of its own after the thing itself, whose answer waits for it. Where that fails, the
thing stays done and the entry goes to the process's own log. Who calls, and from where, the web layer knows
(`provisioning.web.audit_notes`).
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy import Select, func, insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from provisioning.models import AuditEntry, db, first_id, new_id

log = structlog.get_logger(__name__)

COMMAND_LINE = "command line"
SHARED_LINK = "shared link "  # before its id: somebody without an account
UNKNOWN = "unknown"  # somebody who could not sign in, and whom no user's e-mail names
# requests of one person, from one address, for one file within it are one viewing
VIEWING = timedelta(minutes=30)
VIEWERS = 50  # of one object, at most
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # no id is older


class AuditAction(StrEnum):
    """What was done. Programs read these words: a word keeps its meaning."""

    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    SIGNED_OUT = "signed_out"
    SAW = "saw"
    DOWNLOADED = "downloaded"
    EXPORTED = "exported"
    SHARED = "shared"
    UNSHARED = "unshared"
    RESHARED = "reshared"
    SAVED = "saved"
    UNSAVED = "unsaved"
    ASKED = "asked"
    CANCELLED = "cancelled"
    CHECKED = "checked"
    ANSWERED = "answered"
    STOPPED = "stopped"
    CORRECTED = "corrected"
    NOTED = "noted"
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    RESTORED = "restored"
    INVITED = "invited"
    RAN = "ran"


VIEWINGS = (AuditAction.SAW, AuditAction.DOWNLOADED)


class AuditKind(StrEnum):
    """What entries are about, by which they are looked for."""

    SIGN_IN = "sign_in"
    VIEWING = "viewing"
    SHARING = "sharing"
    ASKING = "asking"
    CHANGE = "change"


_KINDS: Mapping[AuditKind, Collection[AuditAction]] = {
    AuditKind.SIGN_IN: {AuditAction.SIGNED_IN, AuditAction.SIGN_IN_FAILED, AuditAction.SIGNED_OUT},
    AuditKind.VIEWING: {*VIEWINGS, AuditAction.EXPORTED},
    AuditKind.SHARING: {AuditAction.SHARED, AuditAction.UNSHARED, AuditAction.RESHARED},
    AuditKind.ASKING: {
        AuditAction.ASKED,
        AuditAction.CANCELLED,
        AuditAction.CHECKED,
        AuditAction.ANSWERED,
        AuditAction.STOPPED,
    },
}


def actions_of(kind: AuditKind) -> Collection[AuditAction]:
    """Give the actions of a kind: each action is of one, and what is of no other is a change."""
    return _KINDS.get(kind) or set(AuditAction).difference(*_KINDS.values())


@dataclass(frozen=True, slots=True)
class NewEntry:
    """What is written; `detail` holds no secret, `object` is "upload:ID", "device:IMEI" and the like."""

    who: str
    address: str
    action: AuditAction
    object: str | None = None
    imei: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries are wanted; `object` "device:IMEI" means all that concerns the device, its files too."""

    who: str = ""
    object: str = ""
    since: datetime | None = None
    until: datetime | None = None  # before it
    kind: AuditKind | None = None


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who saw an object, and when last."""

    who: str
    at: datetime


def write(entries: Sequence[NewEntry], now: datetime) -> None:
    """Add entries in a transaction of their own; a viewing that has its entry gets no other. Never fails."""
    try:
        db.session.rollback()  # what is done is committed; reads are over
        for entry in entries:
            _add(entry, now)
    except SQLAlchemyError:
        db.session.rollback()
        for entry in entries:
            log.exception("an entry of the log of people could not be written", **asdict(entry))


def _add(entry: NewEntry, now: datetime) -> None:
    viewing = None
    if entry.action in VIEWINGS:
        if _is_known(entry, now):
            return
        viewing = _viewing(entry, now)
    row = asdict(entry) | {"action": entry.action.value, "detail": dict(entry.detail) or None}
    row |= {
        "who": entry.who[:254],
        "address": entry.address[:45],
        "object": (entry.object or "")[:300] or None,
    }
    try:
        db.session.execute(insert(AuditEntry).values(id=new_id(), at=now, viewing=viewing, **row))
        db.session.commit()
        log.info("done by a person", **asdict(entry))
    except IntegrityError:  # another request of this viewing was quicker
        db.session.rollback()


def _is_known(entry: NewEntry, now: datetime) -> bool:
    """Say whether this viewing has its entry."""
    since = first_id(now - VIEWING)
    same = [
        AuditEntry.object == entry.object,
        AuditEntry.who == entry.who,
        AuditEntry.action == entry.action,
        AuditEntry.address == entry.address[:45],
    ]
    return db.session.scalar(select(AuditEntry.id).where(*same, AuditEntry.id > since).limit(1)) is not None


def _viewing(entry: NewEntry, now: datetime) -> str:
    """Give what requests of one viewing that come at the same moment share."""
    number = int(now.timestamp() // VIEWING.total_seconds())
    parts = (entry.who, entry.address, entry.action, entry.object, str(number))
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def select_entries(wanted: EntryFilter) -> Select[Any]:
    """Select the entries that are wanted, in no order."""
    query: Select[Any] = select(AuditEntry)
    if wanted.who:
        query = query.where(AuditEntry.who == wanted.who)
    kind, _, ident = wanted.object.partition(":")
    if kind == "device":
        query = query.where(AuditEntry.imei == ident)
    elif wanted.object:
        query = query.where(AuditEntry.object == wanted.object)
    if wanted.kind is not None:
        query = query.where(AuditEntry.action.in_(sorted(actions_of(wanted.kind))))
    if wanted.since is not None:
        query = query.where(AuditEntry.id >= first_id(max(EPOCH, wanted.since)))
    if wanted.until is not None:
        query = query.where(AuditEntry.id < first_id(max(EPOCH, wanted.until)))
    return query


def viewers(objects: Sequence[str]) -> list[Viewer]:
    """Give who of those with an account saw or downloaded any of these objects, who did so last first."""
    last = func.max(AuditEntry.at)
    rows = db.session.execute(
        select(AuditEntry.who, last)
        .where(
            AuditEntry.object.in_(objects),
            AuditEntry.action.in_(VIEWINGS),
            ~AuditEntry.who.startswith(SHARED_LINK),
        )
        .group_by(AuditEntry.who)
        .order_by(last.desc())
        .limit(VIEWERS)
    )
    return [Viewer(who, at) for who, at in rows]
