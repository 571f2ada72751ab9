"""All that happened with a vehicle in one line of time, newest first, page by page.

Each kind is one table, read along an index with a limit, so that a page costs the same however much there is. All ids
are in the order of time, and are the cursor; a health change, whose id is a number, gets such a key from its time.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sqlalchemy import Select, literal_column, select

from provisioning.models import (
    AuditEntry,
    CameraSession,
    Command,
    Device,
    HealthChange,
    Message,
    Upload,
    VehicleNote,
    db,
    files_of,
    first_id,
)

_SETTING = Command.kind.in_([literal_column("'setparam'"), literal_column("'getparam'")])


class Kind(StrEnum):
    """What an entry is about."""

    REQUESTS = "requests"
    SETTINGS = "settings"
    MESSAGES = "messages"
    SESSIONS = "sessions"
    FILES = "files"
    HEALTH = "health"
    NOTES = "notes"
    PEOPLE = "people"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One thing that happened: `key` sorts by time and is the cursor of the page after it."""

    kind: Kind
    key: str
    at: datetime
    row: Any


def entries(device: Device, kinds: Collection[Kind], before: str, limit: int) -> list[LogEntry]:
    """Give the newest entries of these kinds that are older than the key `before` (empty: of all)."""
    found: list[LogEntry] = []
    for kind in kinds:
        if kind is Kind.HEALTH:
            found += _health(device, before, limit)
        else:
            found += _of_table(device, kind, before, limit)
    return sorted(found, key=lambda entry: entry.key, reverse=True)[:limit]


@dataclass(frozen=True, slots=True)
class _Table:
    """A kind whose ids are in the order of time: its rows of a device, and the column that says when."""

    model: Any
    rows: Callable[[Device], Select[Any]]
    at: str


_TABLES: Mapping[Kind, _Table] = MappingProxyType(
    {
        Kind.REQUESTS: _Table(
            Command,
            lambda device: select(Command).where(Command.device_id == device.id, ~_SETTING),
            "created_at",
        ),
        Kind.SETTINGS: _Table(
            Command,
            lambda device: select(Command).where(Command.device_id == device.id, _SETTING),
            "created_at",
        ),
        Kind.MESSAGES: _Table(
            Message, lambda device: select(Message).where(Message.device_id == device.id), "created_at"
        ),
        Kind.SESSIONS: _Table(
            CameraSession,
            lambda device: select(CameraSession).where(CameraSession.device_id == device.id),
            "started_at",
        ),
        Kind.FILES: _Table(Upload, lambda device: select(Upload).where(files_of(device)), "started_at"),
        Kind.NOTES: _Table(
            VehicleNote, lambda device: select(VehicleNote).where(VehicleNote.device_id == device.id), "at"
        ),
        # an archived device may have had the same IMEI before
        Kind.PEOPLE: _Table(
            AuditEntry,
            lambda device: select(AuditEntry).where(
                AuditEntry.imei == device.imei, AuditEntry.id >= first_id(device.created_at)
            ),
            "at",
        ),
    }
)


def _of_table(device: Device, kind: Kind, before: str, limit: int) -> list[LogEntry]:
    table = _TABLES[kind]
    query = table.rows(device)
    if before:
        query = query.where(table.model.id < before)
    rows: Sequence[Any] = db.session.scalars(query.order_by(table.model.id.desc()).limit(limit)).all()
    return [LogEntry(kind, row.id, getattr(row, table.at), row) for row in rows]


def _health(device: Device, before: str, limit: int) -> list[LogEntry]:
    query = select(HealthChange).where(HealthChange.device_id == device.id)
    if before:
        query = query.where(HealthChange.at < _moment(before) + timedelta(milliseconds=1))
    rows = db.session.scalars(
        query.order_by(HealthChange.at.desc(), HealthChange.id.desc()).limit(limit)
    ).all()
    found = [LogEntry(Kind.HEALTH, f"{first_id(row.at)}{row.id:020x}", row.at, row) for row in rows]
    return [entry for entry in found if not before or entry.key < before]


def _moment(key: str) -> datetime:
    """Give the time of a key; the end of all times for what is none."""
    try:
        return datetime.fromtimestamp(int(key[:12].ljust(12, "0"), 16) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.max.replace(tzinfo=UTC) - timedelta(days=1)
