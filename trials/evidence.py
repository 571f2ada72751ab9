"""What is true in the end: files on disk, rows in the database, against what cameras were told.

Reads the folder and the database from outside, with statements of its own.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
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
class Acknowledged:
    """A file that a camera was told is safe. `stamp` 0: it told no time."""

    imei: str
    identifier: str
    stamp: int
    sha256: str


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

    def register(self, imeis: Iterable[str]) -> None:
        """Add devices, as many as there are."""
        from provisioning.models import Device, utcnow

        now = utcnow()
        rows = [
            {"imei": imei, "phone": f"+999{imei[4:14]}", "name": f"Trial {number}", "time_zone": "UTC",
             "created_at": now, "updated_at": now}
            for number, imei in enumerate(imeis)
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


def stored_once(
    database: Database, media: Path, spool: Path, acknowledged: Iterable[Acknowledged], seconds: float = 90
) -> Figures:
    """Hold the promise: each acknowledged file is there once, byte for byte, with one row; nothing else is.

    Waits until the rows have come. Raises BrokenPromise.
    """
    told = Counter(acknowledged)
    hold(all(count == 1 for count in told.values()), "a camera offered one file as two:", told.most_common(1))
    by_camera = Counter((one.imei, one.identifier, one.sha256) for one in told)
    stored = "FROM uploads WHERE state = 'stored'"
    try:
        wait(lambda: database.count(f"SELECT count(*) {stored}") >= len(told), seconds, "rows are missing")
    except BrokenPromise as error:
        rows = database.rows(f"SELECT imei, identifier, sha256 {stored}")
        missing = by_camera - Counter((row.imei, row.identifier, row.sha256) for row in rows)
        raise BrokenPromise(f"{len(told)} files were acknowledged, but {error}: {missing}") from None
    wait(lambda: not list((spool / "pending").glob("*.json")), seconds, "sidecars wait for ever")
    files = originals(media)
    on_disk = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    rows = database.rows(f"SELECT imei, identifier, sha256, path, size {stored}")
    for row in rows:
        hold(on_disk.get(row.path) == row.sha256, "a row's file is not there, or has other bytes:", row)
    by_row = Counter((row.imei, row.identifier, row.sha256) for row in rows)
    hold(not by_camera - by_row, "acknowledged, and no row:", list((by_camera - by_row).items())[:3])
    hold(
        not by_row - by_camera, "stored twice, or never acknowledged:", list((by_row - by_camera).items())[:3]
    )
    hold(sorted(row.path for row in rows) == sorted(on_disk), "files without a row:",
         sorted(set(on_disk) - {row.path for row in rows})[:3])  # fmt: skip
    return {"acknowledged": len(told), "rows": len(rows), "files": len(on_disk),
            "bytes": sum(row.size for row in rows)}  # fmt: skip
