"""Power cuts at every moment of a file's life, in a model of the disk: what was acknowledged is there, byte for byte.

Scripts drive storage on real files while `power_cut` records; then every disk that may be left is made, a receiver
starts on it, hands over what waits, is offered all files again and must end with each of them stored whole.
"""

import errno
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import power_cut
import pytest
from conftest import examples
from driver import commit, make_safe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.spool import group_commit
from receiver.spool.file_transfer import Transfer
from receiver.spool.sidecar import SidecarRecord, StoredFile
from receiver.spool.spool import Caps, Spool
from receiver.spool.upload_context import UploadContext
from receiver.store.durability import FileSystem, StorageError
from receiver.store.keys import adopted
from receiver.store.local_folder import LocalFolder
from receiver.wire.actions import Offer
from receiver.wire.protocol import PACKET, Metadata

IMEI, OTHER = "352094082736916", "356307042441013"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
MODELS = ("journal", "loose")


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


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder in memory: states are many, and the model knows what an fsync is worth."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


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


def record_script(script: Script, root: Path, *, separate: bool = False) -> power_cut.Log:
    """Run a script on an empty folder; give what it asked of the file system."""
    root.mkdir()
    with power_cut.recording(root, separate=separate) as log:
        receiver = Receiver(root, log)
        script(receiver)
    return log


def check(log: power_cut.Log, at: int, tree: power_cut.Tree, root: Path, admission: str = "known") -> None:
    """Start on what a power cut left, and hold the promises."""
    power_cut.make(tree, root)
    marks = log.marked(at)
    known = [dict(what) for kind, what in marks if kind == "registered"]
    receiver = Receiver(root, boot="second", admission=admission, registered=known)
    receiver.recover()
    for record in receiver.registered:
        name = next(n for n, (offer, _) in FILES.items() if offer.identifier == record["identifier"])
        assert receiver.stored(record) == FILES[name][1], f"{name} is registered with other bytes"
        # half way out of quarantine the file may have both names, and its sidecar lies beside one of them
        keys = (record["path"], adopted(record["imei"], record["path"]))
        places = (receiver.place(record), *(root / "media" / key for key in keys))
        beside = [Path(f"{path}.json").is_file() for path in places]
        assert any(beside), f"{name} has no sidecar beside it"
    acknowledged = {what for kind, what in marks if kind == "acknowledged"}
    kept = {record["identifier"] for record in receiver.registered}
    assert {FILES[name][0].identifier for name in acknowledged} <= kept, "an acknowledged file is not kept"
    for name, (_, data) in FILES.items():
        receiver.offer(name)
        assert receiver.transfer is not None
        if not receiver.transfer.stored_before:
            held = Path(receiver.transfer.file.part).read_bytes()
            assert data.startswith(held) or name == "timeless", f"{name} is resumed on other bytes"
        receiver.commit()
    receiver.deliver()
    for name, (offer, data) in FILES.items():
        kept = [receiver.stored(r) for r in receiver.registered if r["identifier"] == offer.identifier]
        # one that was stored but never acknowledged comes again; without a time nothing proves that it is the same
        expected = kept[:1] if offer.metadata is None and len(kept) == 2 else []
        assert kept == [data, *expected], f"{name} is stored once, whole"


def states(log: power_cut.Log, most: int) -> Iterator[tuple[int, str, power_cut.Tree]]:
    """Give what can be left after each moment of a script: at most so many states by each model, each state once."""
    seen: set[int] = set()
    for at in range(len(log.operations) + 1):
        for model in MODELS:
            for pick in power_cut.every(most):
                tree = power_cut.left(log, at, model, pick)
                known = hash((len(log.marked(at)), *sorted(tree.items())))
                if known not in seen:
                    seen.add(known)
                    yield at, model, tree


def hold(log: power_cut.Log, disk: Path, most: int, admission: str = "known") -> int:
    """Check all that can be left of a script; give how many disks were tried."""
    tried = 0
    for at, model, tree in states(log, most):
        root = disk / f"{tried}"
        try:
            check(log, at, tree, root, admission)
        except BaseException as error:
            before = log.operations[max(0, at - 3) : at]
            error.add_note(f"cut after {at} of {len(log.operations)} by the model {model}: {before}")
            error.add_note(f"left: { {k: v and len(v[1]) for k, v in tree.items()} }")
            raise
        shutil.rmtree(root)
        tried += 1
    return tried


@pytest.fixture(params=[group_commit.TOGETHER, 1], ids=["each alone", "all at once"])
def synced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are synced one by one, as few are, or with their file system, as many are."""
    monkeypatch.setattr(group_commit, "TOGETHER", request.param)


@pytest.mark.cases
@pytest.mark.usefixtures("synced")
@pytest.mark.parametrize("separate", [False, True], ids=["one file system", "spool and media apart"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_after_a_power_cut_every_file_is_stored_once_and_whole(
    script: Script, separate: bool, disk: Path
) -> None:
    log = record_script(script, disk / "script", separate=separate)
    tried = hold(
        log, disk, most=examples(8), admission="quarantine" if "quarantine" in script.__name__ else "known"
    )
    assert tried > 10


@pytest.mark.cases
def test_one_file_from_offer_to_product_is_held_in_every_state_that_can_be_left(disk: Path) -> None:
    log = record_script(whole, disk / "script")
    assert hold(log, disk, most=examples(150)) > 100


STEPS = st.one_of(
    st.tuples(st.just("offer"), st.sampled_from(sorted(FILES))),
    st.tuples(st.sampled_from(["packets", "back"]), st.integers(1, 4)),
    st.tuples(st.sampled_from(["safe", "leave", "commit", "deliver", "restart", "recover"]), st.none()),
)


@pytest.mark.long
@settings(
    max_examples=examples(10), derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(steps=st.lists(STEPS, min_size=4, max_size=14), separate=st.booleans(), seed=st.integers(0, 2**32))
def test_any_life_of_files_survives_any_power_cut(
    steps: list[tuple[str, str | int | None]], separate: bool, seed: int, disk: Path
) -> None:
    def script(receiver: Receiver) -> None:
        receiver.offer("photo")
        for name, argument in steps:
            getattr(receiver, name)(*([] if argument is None else [argument]))

    shutil.rmtree(disk / "script", ignore_errors=True)
    log = record_script(script, disk / "script", separate=separate)
    chance = random.Random(seed)
    for number in range(24):
        at = chance.randint(0, len(log.operations))
        tree = power_cut.left(log, at, MODELS[number % 2], chance.randrange)
        try:
            check(log, at, tree, disk / "left")
        except BaseException as error:
            error.add_note(f"cut after {at}: {log.operations[max(0, at - 4) : at]}")
            raise
        finally:
            shutil.rmtree(disk / "left")


@pytest.mark.parametrize("ending", ["commit", "safe"])
def test_after_a_failed_fsync_bytes_are_believed_only_as_far_as_they_were_safe(
    ending: str, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver(disk)
    receiver.offer("photo")
    receiver.packets(1)
    receiver.safe()
    receiver.packets(2)
    real = os.fsync

    def broken(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".part"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StorageError):
        getattr(receiver, ending)()
    # the kernel tells of a lost page once: the next fsync says that all is well
    monkeypatch.setattr(os, "fsync", real)
    with pytest.raises(StorageError):
        receiver.leave()
    _next_session_brings_it_whole(receiver)


def test_after_a_failed_sync_of_all_no_file_in_hand_is_believed(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver(disk)
    receiver.offer("photo")
    receiver.packets(1)
    receiver.safe()
    receiver.packets(1)
    other = receiver.store.open(UploadContext(OTHER, "known", "6" * 32, NOW), *FILES["video"][:1])
    other.write(0, FILES["video"][1][:PACKET], NOW)
    other.flush()

    def broken(_: FileSystem) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(group_commit, "TOGETHER", 1)
        patch.setattr(FileSystem, "sync", broken)
        with pytest.raises(StorageError):
            make_safe(other, NOW)
    # whose bytes were lost is reported once, and of nobody
    with pytest.raises(StorageError):
        receiver.safe()
    _next_session_brings_it_whole(receiver)


def _next_session_brings_it_whole(receiver: Receiver) -> None:
    """Hold that the photo goes on behind its safe packet in the next session, and is stored as the camera has it."""
    assert receiver.transfer is not None
    receiver.transfer.leave()
    receiver.transfer = None
    receiver.offer("photo")
    assert receiver.transfer.received == PACKET
    receiver.commit()
    receiver.deliver()
    assert [receiver.stored(record) for record in receiver.registered] == [FILES["photo"][1]]
