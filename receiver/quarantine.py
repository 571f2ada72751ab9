"""How much unknown devices may send in all, counted without looking at their files for each upload.

The sum stands in `<spool>/quarantine.bytes`, shared by the processes of this machine: an upload adds what it
announces. It is counted anew from the files by the janitor, and at most every COUNT_SECONDS when it says full:
files may have gone, or never come as large as announced. Called by `storage` and `janitor`.
"""

import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from receiver.media import Media

COUNT_SECONDS = 60.0


class Quarantine:
    """The sum of quarantined bytes of this machine's spool and of the media store."""

    def __init__(self, spool: Path, media: Media) -> None:
        self._path, self._partial, self._media = spool / "quarantine.bytes", spool / "partial", media
        self._counted = datetime.min.replace(tzinfo=UTC)

    def takes(self, more: int, most: int, now: datetime) -> bool:
        """Add so many bytes, unless there are more than `most` then. Raises OSError, MediaError."""
        if not self._path.exists():
            self.count(now)
        if self._add(more, most):
            return True
        if abs((now - self._counted).total_seconds()) < COUNT_SECONDS:
            return False
        self.count(now)
        return self._add(more, most)

    def count(self, now: datetime) -> int:
        """Count anew from the files. Raises OSError, MediaError."""
        self._counted = now
        total = sum(entry.size for entry in self._media.entries("quarantine/")) + sum(self._partials())
        with self._sum() as descriptor:
            _write(descriptor, total)
        return total

    def _partials(self) -> Iterable[int]:
        for sidecar in self._partial.glob("*/*.json"):
            try:
                if re.search(rb'"admission": ?"quarantine"', sidecar.read_bytes()):
                    yield sidecar.with_suffix(".part").stat().st_size
            except OSError:
                continue  # gone meanwhile, or no file

    def _add(self, more: int, most: int) -> bool:
        with self._sum() as descriptor:
            text = os.pread(descriptor, 32, 0)
            total = int(text) if text.isdigit() else most
            if total + more > most:
                return False
            _write(descriptor, total + more)
            return True

    @contextmanager
    def _sum(self) -> Iterator[int]:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)


def _write(descriptor: int, total: int) -> None:
    os.ftruncate(descriptor, os.pwrite(descriptor, f"{total:020d}".encode(), 0))
