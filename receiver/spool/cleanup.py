"""Removes old partial files, old quarantined files, and temporary files of crashes from the spool.

One rule for time: what is to go must have been found old in sweeps an hour apart by a steady clock, so that a clock
that jumps for a while (a machine that starts in 2099 or 1970 before its clock is set) costs nothing. An
implausible time is set to now, by the same rule. A file that no receiver can use is logged once and kept as long as
a partial file; a file whose name is not one of ours is logged once and left alone. Called by `server`, every hour.
"""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from receiver.spool.sidecar import IMEI, UPLOAD, SidecarRecord
from receiver.spool.sidecar_files import read_sidecar
from receiver.spool.spool import Spool
from receiver.store.media_store import MediaError, is_away

SETTLED_SECONDS = 3000.0  # between the sweeps that must agree
LEFTOVER = timedelta(days=1)  # for temporary files, and sidecars whose bytes are stored
CLOCK_AHEAD = timedelta(days=1)
NEVER_BEFORE = datetime(2024, 1, 1, tzinfo=UTC)  # the product did not exist
PARTS = (".part", ".json", ".json.tmp", ".part.tmp", ".leaving")


@dataclass(slots=True)
class CleanupResult:
    """The result of a sweep: discarded uploads, unusable files found for the first time, why the store was away."""

    gone: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    away: str | None = None


@dataclass(frozen=True, slots=True)
class CleanupItem:
    """What goes or stays as a whole: its name, its files, when it was last touched, how long it may stay."""

    name: str
    paths: tuple[Path, ...]
    touched: datetime
    limit: timedelta
    upload: str | None = None  # reported when it is removed
    keys: tuple[str, ...] = ()  # in the media store


class Cleaner:
    """Sweeps one spool and its media store; each process of a machine may have one."""

    def __init__(self, store: Spool, steady: Callable[[], float]) -> None:
        self._store, self._steady = store, steady
        self._old: dict[str, float] = {}  # what was found old, and since when by the steady clock
        self._reported: set[str] = set()

    def sweep(self, now: datetime) -> CleanupResult:
        """Remove what is settled to be old, as far as the media store is there. Blocks; raises OSError."""
        swept = CleanupResult()
        try:
            self._sweep(now, swept)
            self._store.quarantine.count(now, self._beside)
        except MediaError as error:
            swept.away = str(error)  # what was discarded until then is reported all the same
        return swept

    def _sweep(self, now: datetime, swept: CleanupResult) -> None:
        at, old = self._steady(), {}
        for thing in self._things(swept):
            impossible = thing.touched > now + CLOCK_AHEAD or thing.touched < NEVER_BEFORE
            if not impossible and now - thing.touched <= thing.limit:
                continue
            since = old[thing.name] = self._old.get(thing.name, at)
            if at - since < SETTLED_SECONDS:
                continue
            try:
                self._touch(thing, now) if impossible else self._remove(thing, swept)
                del old[thing.name]
            except MediaError as error:
                if is_away(self._store.media, error):
                    raise
                self._odd(thing.name, f"cannot be removed: {error}", swept)
        self._old = old

    def _things(self, swept: CleanupResult) -> Iterator[CleanupItem]:
        for entry in self._beside(_listed, self._store.spool / "partial"):
            if entry.is_dir(follow_symlinks=False) and IMEI.fullmatch(entry.name):
                yield from self._beside(lambda folder: list(self._partials(folder, swept)), Path(entry.path))
            else:
                self._odd(entry.path, "is not a folder of a device", swept)
        yield from self._pending(swept)
        yield from self._media()

    def _beside(self, work: Callable[..., Any], *given: Any) -> Any:
        return self._store.beside(work, *given)

    def _partials(self, folder: Path, swept: CleanupResult) -> Iterator[CleanupItem]:
        groups: dict[str, list[Path]] = {}
        for entry in _listed(folder):
            upload, dot, ending = entry.name.partition(".")
            if UPLOAD.fullmatch(upload) and dot + ending in PARTS and entry.is_file(follow_symlinks=False):
                groups.setdefault(upload, []).append(Path(entry.path))
            else:
                self._odd(entry.path, "is nothing that a receiver writes", swept)
        for upload, paths in groups.items():
            endings = {path.name[len(upload) :] for path in paths}
            if upload in self._store.active or not (touched := _touched(paths)):
                continue
            part = folder / f"{upload}.part"
            if ".part" in endings and read_sidecar(part.with_suffix(".json")) is None:
                self._odd(str(part), "has no sidecar that can be read", swept)
            limit = timedelta(days=self._store.caps.partial_days) if ".part" in endings else LEFTOVER
            yield CleanupItem(str(part), tuple(paths), touched, limit, upload if ".part" in endings else None)
            for path in paths:
                if path.name.endswith(".tmp") and (touched := _touched([path])):
                    yield CleanupItem(str(path), (path,), touched, LEFTOVER)
        if not groups and (touched := _touched([folder])):
            yield CleanupItem(str(folder), (folder,), touched, LEFTOVER)

    def _pending(self, swept: CleanupResult) -> Iterator[CleanupItem]:
        limit = timedelta(days=self._store.caps.partial_days)
        for entry, record in self._beside(_read, self._store.spool / "pending"):
            path = Path(entry.path)
            if not entry.is_file(follow_symlinks=False):
                self._odd(entry.path, "is nothing that a receiver writes", swept)
            elif record is None:
                self._odd(entry.path, "cannot be read", swept)
            elif record["upload"] in self._store.active or self._waits(record, entry.path, swept):
                continue
            else:
                self._odd(entry.path, "names a file that does not exist", swept)
            if entry.is_file(follow_symlinks=False) and (touched := _touched([path])):
                yield CleanupItem(entry.path, (path,), touched, limit)

    def _waits(self, record: SidecarRecord, path: str, swept: CleanupResult) -> bool:
        """Say whether a sidecar's file is there; while that cannot be found out, it counts as there."""
        try:
            return self._store.pending.has_file(record)
        except (OSError, MediaError) as error:
            if is_away(self._store.media, error):
                raise
            self._odd(path, f"names a file that cannot be looked at: {error}", swept)
            return True

    def _media(self) -> Iterator[CleanupItem]:
        caps = self._store.caps
        for prefix, limit in (
            ("partial/", timedelta(days=caps.partial_days)),
            ("incoming/", LEFTOVER),
            ("quarantine/", timedelta(days=caps.quarantine_days)),
        ):
            entries = list(self._store.media.entries(prefix))
            newest = {
                _upload(entry.key): entry.key
                for entry in sorted(entries, key=lambda e: e.modified)
                if not entry.key.endswith((".json", ".tmp"))
            }
            for entry in entries:
                # what several sessions left of an upload goes one by one: it is given up with the last
                upload = _upload(entry.key)
                upload = upload if newest.get(upload) == entry.key else None
                yield CleanupItem(f"media {entry.key}", (), entry.modified, limit, upload, (entry.key,))

    def _remove(self, thing: CleanupItem, swept: CleanupResult) -> None:
        for key in thing.keys:
            self._store.media.delete(key)
        for path in thing.paths:
            try:
                path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
            except OSError:
                return  # in use again, or not to be removed: the next sweep sees
        if thing.upload:
            swept.gone.append(thing.upload)

    def _touch(self, thing: CleanupItem, now: datetime) -> None:
        kept = [found for key in thing.keys if (found := self._store.media.path(key))]
        for path in (*thing.paths, *kept):
            try:
                os.utime(path, (now.timestamp(), now.timestamp()))
            except OSError:
                continue  # gone, or not ours: it stays

    def _odd(self, path: str, what: str, swept: CleanupResult) -> None:
        if path not in self._reported:
            self._reported.add(path)
            swept.odd.append(f"{path} {what}")


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _read(folder: Path) -> list[tuple[os.DirEntry[str], SidecarRecord | None]]:
    return [
        (entry, read_sidecar(Path(entry.path)) if entry.is_file(follow_symlinks=False) else None)
        for entry in _listed(folder)
    ]


def _touched(paths: list[Path]) -> datetime | None:
    """Give when the newest of some files was touched, None if one of them is gone or no file or folder."""
    try:
        facts = [path.lstat() for path in paths]
    except OSError:
        return None
    if not all(stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode) for found in facts):
        return None
    return datetime.fromtimestamp(max(found.st_mtime for found in facts), UTC)


def _upload(key: str) -> str | None:
    found = UPLOAD.search(key.rpartition("/")[2])
    return found.group() if found else None
