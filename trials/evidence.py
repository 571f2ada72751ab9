"""What is true in the end: files on disk, rows in the database, against what was acknowledged to cameras.

Reads the folder and the database from outside, with statements of its own.
"""

import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, insert, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

Figures = dict[str, Any]
ENDINGS = (".jpg", ".h265", ".mp4", ".bin")


class BrokenPromise(AssertionError):
    """A trial saw what must never happen."""


def hold(claim: object, text_: str, *shown: object) -> None:
    """Go on if the claim holds. Raises BrokenPromise."""
    if not claim:
        raise BrokenPromise(" ".join([text_, *(str(one)[:2000] for one in shown)]))


def wait(claim: Callable[[], Any], seconds: float, text_: str, every: float = 0.2) -> Any:
    """Wait for the claim's first true answer. Raises BrokenPromise when there is none in time."""
    deadline, answer = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        if answer := claim():
            return answer
        time.sleep(every)
    raise BrokenPromise(f"{text_} (not within {seconds:.0f} s)")


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that a camera sent whole. `stamp`: milliseconds as the camera gave them on that connection; 0: no time.

    `identifier`: what it was asked for by, its path where it was offered by path.
    """

    imei: str
    identifier: str
    stamp: int
    sha256: str


@dataclass(slots=True)
class Tally:
    """What cameras did: what was acknowledged to them, and what they sent whole without hearing of it."""

    acknowledged: list[Sent] = field(default_factory=list)
    unheard: list[Sent] = field(default_factory=list)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.acknowledged + other.acknowledged, self.unheard + other.unheard)


class Database:
    """The product's database, looked at from outside."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(
            url.replace("postgresql://", "postgresql+psycopg://"), poolclass=NullPool
        )

    def rows(self, statement: str, **given: object) -> list[Any]:
        """Give the rows of a query."""
        with self._engine.connect() as connection:
            return list(connection.execute(text(statement), given))

    def count(self, statement: str, **given: object) -> int:
        """Give the number that a query gives; -1 while the database is away."""
        try:
            return int(self.rows(statement, **given)[0][0])
        except SQLAlchemyError:
            return -1

    @contextlib.contextmanager
    def held_up(self) -> Iterator[None]:
        """Let no file be registered until the end of the block."""
        with self._engine.connect() as connection:
            is_file = connection.dialect.name == "sqlite"
            connection.exec_driver_sql(
                "BEGIN EXCLUSIVE" if is_file else "LOCK TABLE uploads IN ACCESS EXCLUSIVE MODE"
            )
            yield
            connection.rollback()

    def register(self, imeis: Iterable[str]) -> None:
        """Add devices, as many as there are."""
        from provisioning.models import Device, utcnow

        now = utcnow()
        rows = [
            {"imei": imei, "phone": f"+999{imei[4:14]}", "name": f"Trial {imei}", "time_zone": "UTC",
             "created_at": now, "updated_at": now}
            for imei in imeis
        ]  # fmt: skip
        with self._engine.begin() as connection:
            connection.execute(insert(Device), rows)


def originals(media: Path) -> dict[str, Path]:
    """Give the stored originals by their path below the media folder."""
    return {
        path.relative_to(media).as_posix(): path
        for path in media.rglob("*")
        if path.suffix in ENDINGS and path.is_file() and "derived" not in path.parts
    }


def stored_once(database: Database, media: Path, spool: Path, tally: Tally, seconds: float = 90) -> Figures:
    """Hold the promise: each acknowledged file is there, byte for byte, with a row of its own; nothing else is.

    A file with a time is there once, however often it was sent. One without is there at least as often as it was
    acknowledged, and at most as often as it was sent whole: nothing proves that it is the file that was sent before.
    Waits until the rows have come. Raises BrokenPromise.
    """
    least, most = bounds(tally)
    stored = "FROM uploads WHERE state = 'stored'"
    columns = f"SELECT imei, identifier, timestamp, sha256, path, size {stored}"
    try:
        wait(
            lambda: database.count(f"SELECT count(*) {stored}") >= least.total(), seconds, "rows are missing"
        )
    except BrokenPromise as error:
        missing = least - Counter(map(_sent, database.rows(columns)))
        raise BrokenPromise(f"{least.total()} files were acknowledged, but {error}: {missing.total()},"
                            f" the first of them {missing.most_common(3)}") from None  # fmt: skip
    wait(lambda: not list((spool / "pending").glob("*.json")), seconds, "sidecars wait for ever")
    rows = database.rows(columns)
    found = Counter(map(_sent, rows))
    on_disk = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in originals(media).items()}
    for row in rows:
        hold(on_disk.get(row.path) == row.sha256, "a row's file is not there, or has other bytes:", row)
    hold(not least - found, "acknowledged, and no row:", list((least - found).items())[:3])
    hold(not found - most, "stored twice, or never sent whole:", list((found - most).items())[:3])
    hold(sorted(row.path for row in rows) == sorted(on_disk), "files without a row, or rows that share a file:",
         sorted(set(on_disk) - {row.path for row in rows})[:3])  # fmt: skip
    untimed = sum(count for sent, count in least.items() if not sent.stamp)
    return {
        "acknowledged": least.total(), "acknowledged_without_time": untimed,
        "rows": len(rows), "files": len(on_disk), "stored_again_without_time": (found - least).total(),
        "bytes": sum(row.size for row in rows),
    }  # fmt: skip


def bounds(tally: Tally) -> tuple[Counter[Sent], Counter[Sent]]:
    """Give how often each file must be stored at least, and how often it may be at most. Raises BrokenPromise."""
    least = Counter(tally.acknowledged)
    twice = {sent: count for sent, count in least.items() if sent.stamp and count > 1}
    hold(not twice, "a camera offered one file as two:", list(twice.items())[:1])
    most = least + Counter(tally.unheard)
    return least, Counter({sent: 1 if sent.stamp else count for sent, count in most.items()})


def _sent(row: Any) -> Sent:
    moment = row.timestamp
    if isinstance(moment, str):  # SQLite keeps text, in UTC
        moment = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return Sent(row.imei, row.identifier, round(moment.timestamp() * 1000) if moment else 0, row.sha256)
