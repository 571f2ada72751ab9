"""Partial files that receivers leave for one another in a shared media store, and announcements of stored files.

`partial/<imei>/<upload>.<session>.part`, then its `.json`: what an ended session had of a file. Every session
writes under a name of its own, and bytes before their sidecar: two receivers that know nothing of each other can
mix nothing up, and what has no sidecar is not there. `pending/<imei>/<upload>.json`: the sidecar of a stored file
until the product has it, written before the file is acknowledged. Used by `spool`; no sockets of devices.
"""

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from receiver.spool.sidecar import SidecarRecord, sound
from receiver.store.keys import adopted, quarantined
from receiver.store.media_store import Media, MediaError, is_away

NAME = re.compile(r"partial/[0-9]+/[0-9a-f]{32}\.[0-9a-f]{32}\.json")
SIDECAR = 64 * 1024  # bytes; the longest has a path and the camera's metadata
# a sidecar without its file: its receiver was lost before it had put the file
NEVER_STORED_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class LeftPartial:
    """A partial file that an ended session left: its sidecar, and the names of both objects."""

    record: SidecarRecord
    part: str
    sidecar: str

    @property
    def keys(self) -> tuple[str, str]:
        """Both names."""
        return self.part, self.sidecar


class SharedPartials:
    """The part of a shared store through which receivers hand files on. Every method may raise MediaError."""

    def __init__(self, media: Media, steady: Callable[[], float] = time.monotonic) -> None:
        self._media, self._steady = media, steady
        self._alone: dict[str, float] = {}  # announcements without their file, and since when (steady)

    # partial files

    def leave(self, record: SidecarRecord, part: Path, most: int) -> list[str]:
        """Make a partial file reachable for every receiver; what it grew out of goes. The local file stays.

        Of one device `most` are kept; gives the uploads of the oldest, which went.
        """
        name = f"partial/{record['imei']}/{record['upload']}.{record['session']}"
        outgrown = [key for key in record.get("left", ()) if not key.startswith(f"{name}.")]
        copy = part.with_suffix(".leaving")
        copy.unlink(missing_ok=True)
        os.link(part, copy)  # putting takes a file away, and the sidecar is not there yet
        try:
            self._media.put(copy, f"{name}.part")
        finally:
            copy.unlink(missing_ok=True)
        self._media.write(f"{name}.json", json.dumps(record | {"left": []}).encode())
        with contextlib.suppress(MediaError):
            self._media.delete(*outgrown)
            return self._make_room(record["imei"], most)
        return []

    def _make_room(self, imei: str, most: int) -> list[str]:
        entries = sorted(
            self._media.entries(f"partial/{imei}/"), key=lambda entry: entry.modified, reverse=True
        )
        sessions = list(dict.fromkeys(PurePosixPath(entry.key).stem for entry in entries))
        gone, kept = sessions[most:], {name.partition(".")[0] for name in sessions[:most]}
        if gone:
            self._media.delete(
                *(f"partial/{imei}/{name}{ending}" for name in gone for ending in (".json", ".part"))
            )
        return sorted({name.partition(".")[0] for name in gone} - kept)

    def left(self, imei: str) -> list[LeftPartial]:
        """Give the partial files of a device that ended sessions left."""
        entries = {entry.key: entry.size for entry in self._media.entries(f"partial/{imei}/")}
        found = []
        for key in entries:
            part = f"{key[:-5]}.part"
            if NAME.fullmatch(key) and part in entries:
                try:
                    record = self._read(key)
                except MediaError:
                    continue  # the store was there a moment ago: this one is passed over
                if record is not None and record["size"] == entries[part]:
                    found.append(LeftPartial(record, part, key))
        return found

    def fetch(self, left: LeftPartial, part: Path) -> bool:
        """Bring a partial file to this machine; False if it went meanwhile. It stays in the store until outgrown."""
        part.parent.mkdir(exist_ok=True)
        return self._media.fetch(left.part, part) and part.stat().st_size == left.record["size"]

    def forget(self, keys: Iterable[str]) -> None:
        """Remove what was outgrown, as far as that can be done now; the rest goes when it is old."""
        with contextlib.suppress(MediaError):
            self._media.delete(*keys)

    # stored files on their way to the product

    def announce(self, record: SidecarRecord) -> None:
        """Leave the sidecar of a file that is about to be stored: another machine finds it if this one is lost."""
        self._media.write(_pending(record), json.dumps(record).encode())

    def announced(self, imei: str) -> list[SidecarRecord]:
        """Give a device's stored files that the product may not have yet."""
        keys = [entry.key for entry in self._media.entries(f"pending/{imei}/")]
        return [record for key in keys if (record := self._read(key))]

    def waiting(
        self,
        before: datetime,
        but: Container[str] = (),
        most: int = 500,
        failed: Callable[[SidecarRecord, Exception], object] = lambda record, error: None,
    ) -> list[SidecarRecord]:
        """Give stored files that the product should have since `before`, but not these uploads.

        Their receivers did not report them. One that cannot be looked at is given to `failed` and passed over.
        """
        found: list[SidecarRecord] = []
        alone, self._alone = self._alone, {}
        for entry in self._media.entries("pending/"):
            if len(found) == most:
                break
            name = PurePosixPath(entry.key)
            if name.stem in but or entry.modified >= before:
                continue
            try:
                if (record := self._read(entry.key)) is None:
                    continue
                if place(self._media, record["imei"], record["path"], record["size"]):
                    found.append(record)
                else:  # by our own clock: nobody knows how far the store's is from it
                    since = self._alone[entry.key] = alone.get(entry.key, self._steady())
                    if self._steady() - since >= NEVER_STORED_SECONDS:
                        self._media.delete(entry.key)
            except MediaError as error:
                if is_away(self._media, error):
                    raise
                failed({"imei": name.parent.name, "upload": name.stem}, error)
        return found

    def delivered(self, records: Sequence[SidecarRecord]) -> None:
        """Take that the product has these files."""
        self._media.delete(*[_pending(record) for record in records])

    def _read(self, key: str) -> SidecarRecord | None:
        try:
            return sound(json.loads(self._media.read(key, 0, SIDECAR) or b"null"))
        except (ValueError, RecursionError):
            return None


def place(media: Media, imei: str, path: str, size: int) -> str | None:
    """Give where a file is in the store: where it was put, or where the product moved it. Raises MediaError."""
    return next((key for key in places(imei, path) if media.size(key) == size), None)


def places(imei: str, path: str) -> Iterable[str]:
    """Give the keys that a stored file may have: its own, among the ordinary ones, in quarantine."""
    ordinary = adopted(imei, path)
    return dict.fromkeys((path, ordinary, quarantined(imei, ordinary)))


def _pending(record: SidecarRecord) -> str:
    return f"pending/{record['imei']}/{record['upload']}.json"
