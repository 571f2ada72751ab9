"""The folder of partial files of one spool: which a device has there, which fit an offer, and their removal.

`<imei>/<upload>.part` with its `.json`. The bytes of a file and its sidecar are written by `file_transfer`.
"""

import os
from collections.abc import Container
from datetime import datetime, timedelta
from pathlib import Path

from receiver.spool.file_identity import camera_time, offered_time
from receiver.spool.sidecar import SidecarRecord
from receiver.spool.sidecar_files import read_sidecar
from receiver.store.durability import OpenFiles, is_part, when
from receiver.wire.actions import Offer


class PartialFolder:
    """The partial files of one machine. `active`: uploads that this process writes at this moment."""

    def __init__(
        self, folder: Path, files: OpenFiles, active: Container[str], hours_without_metadata: float
    ) -> None:
        self.folder = folder
        self._files, self._active = files, active
        self._untimed = timedelta(hours=hours_without_metadata)

    def part(self, record: SidecarRecord) -> Path:
        """Give where the bytes of a partial file lie; its sidecar lies beside them."""
        return self.folder / record["imei"] / f"{record['upload']}.part"

    def sidecars(self, imei: str) -> list[SidecarRecord]:
        """Give the sidecars of a device that can be used."""
        folder = self.folder / imei
        try:
            names = os.listdir(folder)
        except OSError:
            return []  # there is none, or nothing there can be used: then `Transfer.begin` says why
        records = [(name, read_sidecar(folder / name)) for name in names if name.endswith(".json")]
        return [r for name, r in records if r and (r["imei"], f"{r['upload']}.json") == (imei, name)]

    def waiting(self, imei: str) -> list[SidecarRecord]:
        """Give a device's partial files that no session of this process receives."""
        return [r for r in self.sidecars(imei) if r["upload"] not in self._active and is_part(self.part(r))]

    def all_but(self, uploads: Container[str]) -> list[SidecarRecord]:
        """Give the partial files of all devices, but not of these uploads."""
        # by its name first: thousands of uploads may be under way
        paths = [path for path in sorted(self.folder.glob("*/*.json")) if path.stem not in uploads]
        found = [record for path in paths if (record := read_sidecar(path))]
        return [record for record in found if os.path.exists(self.part(record))]

    def surplus(self, imei: str, most: int) -> list[SidecarRecord]:
        """Give the oldest partial files of a device beyond `most`; those being received do not count."""
        waiting = [r for r in self.sidecars(imei) if r["upload"] not in self._active]
        waiting.sort(key=lambda record: when(record["updated_at"]))
        return waiting[: max(0, len(waiting) - most)]

    def fitting(self, imei: str, offer: Offer, now: datetime) -> list[SidecarRecord]:
        """Give a device's waiting partial files that can be of the file that is offered."""
        return [record for record in self.waiting(imei) if self.fits(record, offer, now)]

    def fits(self, record: SidecarRecord, offer: Offer, now: datetime) -> bool:
        """Say whether a partial file can be of the file that is offered."""
        if (record["identifier"], record["count"]) != (offer.identifier, offer.count):
            return False
        timestamp = offered_time(offer)
        if timestamp or camera_time(record):
            return timestamp == camera_time(record)
        return not self.is_too_old(record, now)

    def is_too_old(self, record: SidecarRecord, now: datetime) -> bool:
        """Say whether a partial file without a time can be taken for one that is offered now no more."""
        # a time to come means that the clock was moved: then nobody knows how old it is
        return abs(now - when(record["updated_at"])) > self._untimed

    def remove(self, record: SidecarRecord) -> None:
        """Remove a partial file and its sidecar."""
        part = self.part(record)
        self._files.close(str(part))
        for suffix in (".part", ".json"):
            part.with_suffix(suffix).unlink(missing_ok=True)
