"""Counts how much unknown devices may send in all, without reading their files for each upload.

The sum stands in `<spool>/quarantine.bytes`, shared by the processes of this machine: an upload adds what it
announces, and at least LEAST, which bounds the number of files as well. It is counted anew from the files by the
janitor, and at most every COUNT_SECONDS when it says full: files may have gone, or never come as large as announced.
A partial file counts by what it announced: it may still grow so far. Called by `spool` and `cleanup`.
"""

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from receiver.spool.sidecar import announced
from receiver.spool.sidecar_files import read_sidecar
from receiver.store.media_store import Media

COUNT_SECONDS = 60.0
LEAST = 4096  # bytes that a file counts, however small it is: a block and its inode
Aside = Callable[..., Any]  # does what blocks, in a thread where others are to be served meanwhile


def here(work: Callable[..., Any], *given: Any) -> Any:
    """Do what blocks, and block."""
    return work(*given)


class QuarantineBudget:
    """The sum of quarantined bytes of this machine's spool and of the media store."""

    def __init__(self, spool: Path, media: Media) -> None:
        self._path, self._partial, self._media = spool / "quarantine.bytes", spool / "partial", media
        self._counted = datetime.min.replace(tzinfo=UTC)

    def takes(self, more: int, most: int, now: datetime, aside: Aside = here) -> bool:
        """Add so many bytes, unless there are more than `most` then. Raises OSError, MediaError."""
        more = max(more, LEAST)
        if not self._path.exists():
            self.count(now, aside)
        if self._add(more, most):
            return True
        if abs((now - self._counted).total_seconds()) < COUNT_SECONDS:
            return False
        self.count(now, aside)
        return self._add(more, most)

    def count(self, now: datetime, aside: Aside = here) -> int:
        """Count anew from the files. Raises OSError, MediaError."""
        self._counted = now
        # a shared store is reached over sockets, which wait without blocking
        stored: int = self._stored() if self._media.shared else aside(self._stored)
        total = stored + int(aside(self._partials))
        with self._sum() as descriptor:
            _write(descriptor, total)
        return total

    def _stored(self) -> int:
        return sum(counted(e.size) for e in self._media.entries("quarantine/") if not e.key.endswith(".json"))

    def _partials(self) -> int:
        found = (read_sidecar(path) for path in self._partial.glob("*/*.json") if _is_quarantined(path))
        return sum(counted(announced(record)) for record in found if record)

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


def counted(size: int) -> int:
    """Give how many bytes a file of this size counts."""
    return max(size, LEAST)


def _is_quarantined(sidecar: Path) -> bool:
    """Say whether a sidecar is of an unknown device, without parsing those of all known ones."""
    try:
        return re.search(rb'"admission": ?"quarantine"', sidecar.read_bytes()) is not None
    except OSError:
        return False  # gone meanwhile, or no file


def _write(descriptor: int, total: int) -> None:
    os.ftruncate(descriptor, os.pwrite(descriptor, f"{total:020d}".encode(), 0))
