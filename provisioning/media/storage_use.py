"""How much the media store holds, how fast that grows, and what a change of the days would remove.

Sizes are those of the cameras' originals; copies for viewing come on top. Adding up reads the row of every file (1 s of
processor time for a million). So the worker does it every ten minutes for the page, which says when. What a change
of the days would remove is counted while somebody waits for it, and so only up to `MANY` files of a type.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select

from provisioning.core.config import Config
from provisioning.media.kept_days import KeptDays, is_due, oldest
from provisioning.models import Event, StoredAmount, Upload, UploadState, db, first_id, put_all

GROWTH_DAYS = 7
SHORTEST = timedelta(hours=1)  # over which an average is taken: a first file alone has come in no time
COUNT_MINUTES = 10  # from one count to the next
STEP = 20_000  # files that one statement adds up: others of the process have their turn after some 20 ms
TYPES = ("photo", "video")
MANY = 10_000  # files of a type; counting so many that would be removed takes some 20 ms
SAVED, NEW = "saved", "new"  # amounts of files of saved events, and of those of the last days


@dataclass(frozen=True, slots=True)
class Amount:
    """Files: how many, and their size in bytes."""

    files: int = 0
    size: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.files + other.files, self.size + other.size)


@dataclass(frozen=True, slots=True)
class Removal(Amount):
    """What a change of the days would remove of a type; `has_more`: there is more than this."""

    has_more: bool = False


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of a media folder, in bytes; `days`: for how long it lasts at the present growth, None for no growth."""

    total: int
    free: int
    days: int | None


@dataclass(frozen=True, slots=True)
class Use:
    """What is stored, by type of file; what belongs to saved events; and what came on a day, in bytes, on average.

    The average is of the last `GROWTH_DAYS`, or since the first file (`since`) where that came later.
    """

    by_type: Mapping[str, Amount]
    saved: Amount
    a_day: int
    counted_at: datetime | None  # None: not yet
    since: datetime | None = None

    @property
    def is_of_a_day(self) -> bool:
        """Condition: the average is of a day or more, so that it says something of the days to come."""
        return self.since is None or (
            self.counted_at is not None and self.counted_at - self.since >= timedelta(days=1)
        )


def count(clock: Callable[[], datetime]) -> None:
    """Add up what is stored, for the page; commits. A job of the worker."""
    now = clock()
    is_stored = Upload.state == UploadState.STORED
    found = dict(_by_type(is_stored))
    found[NEW] = sum(
        _by_type(is_stored, Upload.id >= first_id(now - timedelta(days=GROWTH_DAYS))).values(), Amount()
    )
    # not a join, in which SQLite would begin with all files
    is_saved = Upload.event_id.in_(select(Event.id).where(Event.saved_at.is_not(None)))
    saved = select(func.count(), func.coalesce(func.sum(Upload.size), 0)).where(is_stored, is_saved)
    found[SAVED] = Amount(*map(int, db.session.execute(saved).one()))
    rows = [
        {"name": name, "files": amount.files, "size": amount.size, "counted_at": now}
        for name, amount in found.items()
    ]
    put_all(StoredAmount, rows, "name")
    db.session.commit()


def in_use() -> Use:
    """Give what was stored when it was last counted."""
    rows = {row.name: row for row in db.session.scalars(select(StoredAmount))}
    amounts = {name: Amount(row.files, row.size) for name, row in rows.items()}
    counted_at = rows[NEW].counted_at if NEW in rows else None
    span, since = timedelta(days=GROWTH_DAYS), _first_file()
    if counted_at is None or since is None or counted_at - since >= span:
        since = None
    else:
        span = max(counted_at - since, SHORTEST)
    return Use(
        {name: amounts.get(name, Amount()) for name in TYPES},
        amounts.get(SAVED, Amount()),
        int(amounts.get(NEW, Amount()).size / (span / timedelta(days=1))),
        counted_at,
        since,
    )


def _first_file() -> datetime | None:
    """Give when the first file came that is still here; None where there is none."""
    return db.session.scalar(select(Upload.started_at).order_by(Upload.id).limit(1))


def would_remove(days: KeptDays, now: datetime) -> Mapping[str, Removal]:
    """Count what is removed if files are kept for so many days, by type of file: up to `MANY` of each."""
    return {
        file_type: _due(file_type, oldest(count, now)) if count else Removal()
        for file_type, count in days.by_type().items()
    }


def first_due(days: KeptDays, now: datetime) -> datetime | None:
    """Give when the first file is removed if files are kept for so many days; None where none is here that ever is."""
    found = []
    for file_type, count in days.by_type().items():
        oldest_file = select(Upload.updated_at).where(is_due({file_type: now})).order_by(Upload.id).limit(1)
        came = db.session.scalar(oldest_file) if count else None
        if came is not None:
            found.append(came + timedelta(days=count))
    return min(found, default=None)


def disk(config: Config, a_day: int) -> Disk | None:
    """Give the disk of a media folder, into which so many bytes come a day; None for a bucket, which has no end."""
    if not config.media_url.startswith("file://"):
        return None
    try:
        found = shutil.disk_usage(config.media_url.removeprefix("file://"))
    except OSError:
        return None
    return Disk(found.total, found.free, found.free // a_day if a_day else None)


def _due(file_type: str, before: datetime) -> Removal:
    some = select(Upload.size).where(is_due({file_type: before})).limit(MANY + 1).subquery()
    files, size = db.session.execute(select(func.count(), func.coalesce(func.sum(some.c.size), 0))).one()
    return Removal(min(files, MANY), int(size), has_more=files > MANY)


def _by_type(*conditions: ColumnElement[bool]) -> dict[str, Amount]:
    """Add up the files that meet some conditions, in the order of their ids, some at a time."""
    found = {name: Amount() for name in TYPES}
    last = ""
    while True:
        some = (
            select(Upload.id, Upload.file_type, Upload.size)
            .where(Upload.id > last, *conditions)
            .order_by(Upload.id)
            .limit(STEP)
            .subquery()
        )
        rows = db.session.execute(
            select(some.c.file_type, func.count(), func.sum(some.c.size), func.max(some.c.id)).group_by(
                some.c.file_type
            )
        ).all()
        for file_type, files, size, _ in rows:
            found[file_type] = found.get(file_type, Amount()) + Amount(files, int(size))
        if sum(row[1] for row in rows) < STEP:
            return found
        last = max(row[3] for row in rows)
        time.sleep(0)  # SQLite lets no other greenlet run by itself
