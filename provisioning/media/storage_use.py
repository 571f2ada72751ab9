"""How much the media store holds, how fast that grows, and what a change of the days would remove.

Sizes are those of the cameras' originals; copies for viewing come on top. For administrators: the totals read the row
of every file (0.3 s of processor time for 200,000).
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select

from provisioning.core.config import Config
from provisioning.media.kept_days import KeptDays, is_due, oldest
from provisioning.models import Event, Upload, UploadState, db, first_id

GROWTH_DAYS = 7


@dataclass(frozen=True, slots=True)
class Amount:
    """Files: how many, and their size in bytes."""

    files: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of a media folder, in bytes; `days`: for how long it lasts at the present growth, None for no growth."""

    total: int
    free: int
    days: int | None


@dataclass(frozen=True, slots=True)
class Use:
    """What is stored, by type of file; what belongs to saved events; and what came on a day, in bytes, on average."""

    by_type: Mapping[str, Amount]
    saved: Amount
    a_day: int
    disk: Disk | None  # None: a bucket has no end


def in_use(config: Config, now: datetime) -> Use:
    """Measure what is stored."""
    by_type = _amounts(Upload.state == UploadState.STORED)
    came = _amounts(
        Upload.id >= first_id(now - timedelta(days=GROWTH_DAYS)), Upload.state == UploadState.STORED
    )
    # not a join, in which SQLite would begin with all files
    of_saved = Upload.event_id.in_(select(Event.id).where(Event.saved_at.is_not(None)))
    saved = db.session.execute(
        select(func.count(), func.coalesce(func.sum(Upload.size), 0)).where(of_saved)
    ).one()
    a_day = sum(amount.size for amount in came.values()) // GROWTH_DAYS
    return Use(by_type, Amount(*map(int, saved)), a_day, _disk(config, a_day))


def would_remove(days: KeptDays, now: datetime) -> Mapping[str, Amount]:
    """Count what is removed if files are kept for so many days, by type of file."""
    return {
        file_type: _amounts(is_due(file_type, oldest(count, now)))[file_type] if count else Amount()
        for file_type, count in days.by_type().items()
    }


def _amounts(*conditions: ColumnElement[bool]) -> dict[str, Amount]:
    rows = db.session.execute(
        select(Upload.file_type, func.count(), func.coalesce(func.sum(Upload.size), 0))
        .where(*conditions)
        .group_by(Upload.file_type)
    )
    found = {file_type: Amount(files, int(size)) for file_type, files, size in rows}
    return {file_type: found.get(file_type, Amount()) for file_type in ("photo", "video")}


def _disk(config: Config, a_day: int) -> Disk | None:
    if not config.media_url.startswith("file://"):
        return None
    try:
        found = shutil.disk_usage(config.media_url.removeprefix("file://"))
    except OSError:
        return None
    return Disk(found.total, found.free, found.free // a_day if a_day else None)
