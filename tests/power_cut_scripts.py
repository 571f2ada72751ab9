"""Lives of files as scripts: a receiver's storage is driven on real files, as connections would drive it.

`test_power_cut` records what each script asks of the file system, and cuts the power at every moment of it.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import power_cut
from driver import commit, make_safe

from receiver.spool.file_transfer import Transfer
from receiver.spool.sidecar import SidecarRecord, StoredFile
from receiver.spool.spool import Caps, Spool
from receiver.spool.upload_context import UploadContext
from receiver.store.keys import adopted
from receiver.store.local_folder import LocalFolder
from receiver.wire.actions import Offer
from receiver.wire.protocol import PACKET, Metadata

IMEI, OTHER = "352094082736916", "356307042441013"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def offered(identifier: str, size: int, timestamp: int, *, by_path: bool = False) -> tuple[Offer, bytes]:
    """A file of the camera: how it is offered, and its bytes."""
    data = random.Random(f"{identifier} {timestamp}").randbytes(size)
    count = size if by_path else -(-size // PACKET)
    metadata = Metadata(1, 4, timestamp, 0, 0) if timestamp else None
    return Offer(identifier, by_path, count, metadata), data


FILES = {
    "photo": offered("%photof", 3 * PACKET + 100, 1_795_600_000_000),
    "video": offered("%videor", 6 * PACKET, 1_795_600_001_000),
    "timeless": offered("%photor", 4 * PACKET + 9, 0),
    "path": offered("dualcam_front/1.jpg", 2 * PACKET + 700, 1_795_600_002_000, by_path=True),
}


@dataclass
class Receiver:
    """Storage as a receiver drives it; what the product knows outlives everything."""

    root: Path
    log: power_cut.Log | None = None
    boot: str = "first"
    admission: str = "known"
    registered: list[SidecarRecord] = field(default_factory=list)
    transfer: Transfer | None = None
    name: str = ""
    waiting: list[SidecarRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Killed and started again; a transfer in hand is forgotten."""
        self.transfer = None
        self.store = Spool(self.root / "spool", LocalFolder(self.root / "media"), Caps())
        self.store.boot = self.boot

    def offer(self, name: str, at: datetime = NOW) -> None:
        """A session opens a file."""
        self.leave()
        offer, _ = FILES[name]
        asker = UploadContext(IMEI, self.admission, "5" * 32, at)
        self.name, self.transfer = name, self.store.open(asker, offer, self._recall(offer))

    def _recall(self, offer: Offer) -> StoredFile | None:
        if offer.metadata is None:
            return None
        asked = (offer.identifier, offer.count)
        same = (r for r in self.registered if (r["identifier"], r["count"]) == asked)
        return next((StoredFile.of(r) for r in same), None)

    def packets(self, most: int = 1000) -> None:
        """The device sends on from where we stand; a file that differs begins again."""
        data = FILES[self.name][1]
        while self.transfer and most and self.transfer.received < len(data):
            begin = self.transfer.received
            self.transfer.write(begin, data[begin : begin + PACKET], NOW)
            most -= 1

    def back(self, packets: int = 1) -> None:
        """A corrupt packet has us ask from an earlier one again."""
        if self.transfer:
            at = max(0, -(-self.transfer.received // PACKET) - packets) * PACKET
            self.transfer.go_back(at)

    def safe(self) -> None:
        """The half minute is over."""
        if self.transfer:
            self.transfer.flush()
            make_safe(self.transfer, NOW)

    def leave(self) -> None:
        """The session ends."""
        if self.transfer:
            self.transfer.flush()
            self.transfer.left_behind()
            make_safe(self.transfer, NOW)
            self.transfer.leave()
            self.transfer = None

    def commit(self) -> None:
        """The device sends the rest, and the file is acknowledged."""
        self.packets()
        if self.transfer is None:
            return
        self.transfer.flush()
        record = commit(self.transfer, NOW)
        self.transfer.leave()
        self.transfer = None
        if record is not None:
            self.waiting.append(dict(record))
        if self.log is not None:
            self.log.mark(("acknowledged", self.name))

    def deliver(self) -> None:
        """The product takes what waits."""
        taken, self.waiting = self.waiting, []
        self._register(taken)
        self.store.pending.delivered(taken)

    def recover(self) -> None:
        """What a receiver does when it starts."""
        records = self.store.pending.waiting(NOW + timedelta(days=1))
        self._register(records)
        self.store.pending.delivered(records)

    def _register(self, records: list[SidecarRecord]) -> None:
        """The product counts each upload once."""
        known = {record["upload"] for record in self.registered}
        for record in records:
            if record["upload"] not in known:
                self.registered.append(record)
                if self.log is not None:
                    self.log.mark(("registered", dict(record)))

    def place(self, record: SidecarRecord) -> Path:
        """Where a stored file lies: adoption may have moved it."""
        put = self.root / "media" / record["path"]
        return put if put.exists() else self.root / "media" / adopted(IMEI, record["path"])

    def stored(self, record: SidecarRecord) -> bytes:
        return self.place(record).read_bytes()


Script = Callable[[Receiver], None]


def whole(r: Receiver) -> None:
    r.offer("photo")
    r.commit()
    r.deliver()


def safe_and_resumed(r: Receiver) -> None:
    r.offer("photo")
    r.packets(2)
    r.leave()
    r.offer("photo")
    r.packets(1)
    r.leave()
    r.offer("photo")
    r.commit()


def gone_back(r: Receiver) -> None:
    r.offer("video")
    r.packets(5)
    r.safe()
    r.back(3)
    r.safe()
    r.packets(1)
    r.leave()
    r.offer("video")
    r.packets(1)


def killed_on_the_way(r: Receiver) -> None:
    r.offer("video")
    r.packets(4)
    assert r.transfer is not None
    r.transfer.flush()
    r.restart()
    r.offer("video")
    r.packets(1)
    r.leave()


def killed_while_cutting(r: Receiver) -> None:
    """The file is shorter than its sidecar says is safe, and grows again."""
    r.offer("video")
    r.packets(5)
    r.safe()
    r.back(3)
    assert r.transfer is not None
    for descriptor in r.transfer.write_held(NOW):
        os.close(descriptor)
    r.restart()
    r.offer("video")
    r.packets(2)
    r.transfer.flush()


def without_a_time(r: Receiver) -> None:
    r.offer("timeless")
    r.packets(3)
    r.leave()
    r.offer("timeless")
    r.packets(2)
    r.commit()


def by_path(r: Receiver) -> None:
    r.offer("path")
    r.packets(2)
    r.leave()
    r.offer("path")
    r.commit()
    r.deliver()


def another_file_in_its_place(r: Receiver) -> None:
    r.offer("timeless")
    r.packets(3)
    r.leave()
    held = FILES["timeless"]
    try:
        FILES["timeless"] = (held[0], bytes(reversed(held[1])))
        r.offer("timeless")
        r.packets(2)
        r.leave()
    finally:
        FILES["timeless"] = held


def two_files(r: Receiver) -> None:
    r.offer("photo")
    r.commit()
    r.offer("path")
    r.commit()
    r.deliver()
    r.offer("photo")
    r.commit()


def quarantined(r: Receiver) -> None:
    r.admission = "quarantine"
    r.offer("photo")
    r.commit()
    r.deliver()


def taken_out_of_quarantine(r: Receiver) -> None:
    """The device was added: as the product adopts its files, before it notes that in the database."""
    quarantined(r)
    (record,) = r.registered
    path = adopted(IMEI, record["path"])
    r.store.media.move(record["path"], path)
    r.store.media.move(f"{record['path']}.json", f"{path}.json")


def discarded(r: Receiver) -> None:
    r.offer("video")
    r.packets(3)
    r.leave()
    record = r.store.partial.waiting(IMEI)[0]
    r.store.discard(record)
    r.offer("video")
    r.packets(1)
    r.leave()


SCRIPTS = (
    whole, safe_and_resumed, gone_back, killed_on_the_way, killed_while_cutting, without_a_time, by_path,
    another_file_in_its_place, two_files, quarantined, taken_out_of_quarantine, discarded,
)  # fmt: skip
