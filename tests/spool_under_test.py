"""A spool with its media store and its cleanup, on real files, with two clocks that a test holds."""

import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from driver import BEGAN, commit, make_safe
from receiver_under_test import Notes

from receiver.backend.lease_client import LeaseClient
from receiver.backend.log_quota import LogQuota
from receiver.spool.cleanup import Cleaner, CleanupResult
from receiver.spool.file_transfer import Transfer
from receiver.spool.sidecar import SidecarRecord, StoredFile
from receiver.spool.spool import Caps, Spool
from receiver.spool.upload_context import UploadContext
from receiver.store.local_folder import LocalFolder
from receiver.store.media_store import MediaError
from receiver.wire.actions import Offer
from receiver.wire.protocol import PACKET, Metadata

IMEI = "352094082736916"
OTHER = "356307042441013"
SESSION = "5" * 32
DATA = bytes(range(256)) * 16  # four packets
YEAR = timedelta(days=365)
HOUR = timedelta(hours=1)


def offer(timestamp: int = 1_795_600_000_000, identifier: str = "%photof", packets: int = 4) -> Offer:
    return Offer(identifier, False, packets, Metadata(1, 4, timestamp, 0, 0) if timestamp else None)


@dataclass
class SpoolUnderTest:
    """A spool with a receiver's storage and janitor; two clocks that a test holds."""

    folder: Path
    now: datetime = BEGAN
    steady: float = 0.0
    caps: Caps = field(default_factory=Caps)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.store = Spool(self.folder / "spool", LocalFolder(self.folder / "media"), self.caps)
        self.cleaner = Cleaner(self.store, lambda: self.steady)

    def open(self, wanted: Offer, imei: str = IMEI, admission: str = "known") -> Transfer:
        return self.store.open(UploadContext(imei, admission, SESSION, self.now), wanted)

    def leave_partial(self, packets: int = 2, **given: Any) -> Path:
        """A session takes some packets and ends; the files carry the clock's time."""
        transfer = self.open(given.pop("offer", offer()), **given)
        for number in range(transfer.received // PACKET, packets):
            transfer.write(number * PACKET, DATA[number * PACKET :][:PACKET], self.now)
        transfer.flush()
        transfer.left_behind()
        make_safe(transfer, self.now)
        transfer.leave()
        self.touch(Path(transfer.file.part), Path(transfer.file.sidecar))
        return Path(transfer.file.part)

    def store_whole(self, wanted: Offer | None = None, **given: Any) -> SidecarRecord:
        transfer = self.open(wanted or offer(), **given)
        transfer.write(0, DATA, self.now)
        transfer.flush()
        record = commit(transfer, self.now)
        transfer.leave()
        assert record is not None
        if path := self.store.media.path(record["path"]):
            self.touch(path)
        return record

    def touch(self, *paths: Path) -> None:
        for path in paths:
            os.utime(path, (self.now.timestamp(), self.now.timestamp()))

    def sweep(self, hours: int = 2) -> CleanupResult:
        """Sweep every hour for some hours of both clocks; give all that was done."""
        swept = CleanupResult()
        for _ in range(hours):
            found = self.cleaner.sweep(self.now)
            swept.gone.extend(found.gone)
            swept.odd.extend(found.odd)
            swept.away = found.away
            self.now += HOUR
            self.steady += 3600
        return swept


def quarantined(spool: SpoolUnderTest, number: int, imei: str = OTHER) -> SidecarRecord:
    return spool.store_whole(offer(1_795_600_000_000 + number), imei=imei, admission="quarantine")


class Stuck(LocalFolder):
    """A media folder in which one file can be neither looked at nor removed."""

    stuck = ""

    def size(self, key: str) -> int | None:
        return super().size(self._checked(key))

    def path(self, key: str) -> Path | None:
        return super().path(self._checked(key))

    def delete(self, *keys: str) -> None:
        super().delete(*[self._checked(key) for key in keys])

    def _checked(self, key: str) -> str:
        if key == self.stuck:
            raise MediaError("Input/output error")
        return key


class Shared(Stuck):
    """The same as a store that several machines share."""

    shared = True

    def read(self, key: str, begin: int, count: int) -> bytes | None:
        return super().read(self._checked(key), begin, count)


class Asked(Notes):
    """A product to which a file that is asked for is stored, or none."""

    stored_before: StoredFile | None = None

    def recall(self, imei: str, offer: Offer) -> StoredFile | None:
        return self.stored_before


def leave_rest(spool: SpoolUnderTest) -> list[str]:
    """Share what nobody goes on with, once; give what was shared."""
    answer: list[str] = []
    handover = LeaseClient(spool.store, Asked(), lambda: spool.now, LogQuota(0).allows)
    for _ in range(2):
        handover.leave_rest(
            lambda *file: True, lambda *file: None, lambda record: answer.append(record["identifier"])
        )
    return answer


def leave(transfer: Transfer, now: datetime) -> None:
    """The line breaks."""
    transfer.flush()
    transfer.left_behind()
    make_safe(transfer, now)
    transfer.leave()


def partials(spool: SpoolUnderTest) -> list[Path]:
    return sorted((spool.folder / "spool" / "partial").rglob("*.*"))


@pytest.fixture
def spool(tmp_path: Path) -> SpoolUnderTest:
    return SpoolUnderTest(tmp_path)
