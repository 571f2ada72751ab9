"""Two receivers with a spool each and one shared store: a device may come back to either and go on."""

import dataclasses
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import gevent
import pytest
import s3_proxy
import s3_server
from camera_model import CameraModel, LineDropped, kermit
from conftest import wait_until
from receiver_under_test import IMEI, QUICK, Notes, Running

from provisioning.models import utcnow
from receiver.backend import lease_client, reporter
from receiver.net.settings import Settings
from receiver.spool.cleanup import Cleaner
from receiver.spool.file_transfer import Transfer
from receiver.spool.spool import Caps, Spool
from receiver.spool.upload_context import UploadContext
from receiver.store.local_folder import LocalFolder
from receiver.store.s3 import S3Bucket
from receiver.wire.actions import Offer

DATA = random.Random(1).randbytes(200_000)
SETTINGS = Settings(dataclasses.replace(QUICK, progress=30.0, answer=20.0))
Start = Callable[[str], Running]


class WithBucket(Running):
    """A receiver with a spool of its own and a bucket that it shares."""

    def __init__(self, folder: Path, bucket: str, notes: Notes) -> None:
        self.bucket = bucket
        super().__init__(folder, SETTINGS, notes=notes)

    def media(self) -> S3Bucket:
        return S3Bucket(self.bucket, "fleet")


def camera(data: bytes = DATA, **faults: Any) -> CameraModel:
    return CameraModel(files={"%videof": data}, **faults)


@pytest.fixture
def store(bucket: str) -> S3Bucket:
    return S3Bucket(bucket, "fleet")


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def start(tmp_path: Path, bucket: str, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setattr(reporter, "LEFT_SECONDS", 1.0)
    monkeypatch.setattr(reporter, "AWAY_SECONDS", 0.3)
    monkeypatch.setattr(lease_client, "ANSWER_SECONDS", 4.0)
    running: list[Running] = []

    def start(name: str) -> Running:
        running.append(WithBucket(tmp_path / name, bucket, notes))
        return running[-1]

    yield start
    for receiver in running:
        receiver.stop()


def files(store: S3Bucket) -> list[bytes]:
    """All finished originals."""
    keys = [e.key for e in store.entries("") if not e.key.startswith(("partial/", "pending/"))]
    return [store.read(key, 0, 10**8) or b"" for key in keys]


def keys(store: S3Bucket, prefix: str) -> list[str]:
    return [entry.key for entry in store.entries(prefix)]


def partial_here(folder: Path) -> list[Path]:
    return sorted((folder / "spool" / "partial").rglob("*.part"))


def started(port: int, packets: int, data: bytes = DATA) -> socket.socket:
    """Open a line, send the first packets of a video, and say nothing more."""
    model = camera(data)
    model.line = line = socket.create_connection(("127.0.0.1", port), timeout=20)
    model._init()
    model._frame()
    model._metadata("%videof")
    model._frame()
    model._start("%videof")
    model._frame()
    frames, chain = bytes.fromhex("0003 0004 00000001"), 0
    for payload in model._packets("%videof")[:packets]:
        chain = kermit(payload, chain)
        frames += b"\x00\x04" + (len(payload) + 2).to_bytes(2, "big") + payload + chain.to_bytes(2, "big")
    line.sendall(frames)
    return line


def test_a_device_comes_back_to_another_receiver_and_goes_on(
    start: Start, store: S3Bucket, notes: Notes
) -> None:
    one, two = start("one"), start("two")
    device = camera(drop_at=150)
    with pytest.raises(LineDropped):
        device.run(one.port)
    wait_until(lambda: keys(store, "partial/"))
    wait_until(lambda: not notes.leases)
    assert partial_here(one.folder) == []
    device.run(two.port)
    assert device.resumed_at == [1, 150]
    assert files(store) == [DATA]
    assert keys(store, "partial/") == []
    wait_until(lambda: len(notes.stored_files) == 1 and not keys(store, "pending/"))


def test_a_file_goes_on_over_many_turns(start: Start, store: S3Bucket) -> None:
    receivers = [start("one"), start("two")]
    device = camera()
    for turn, packet in enumerate((20, 60, 100, 140)):
        device.drop_at = packet
        with pytest.raises(LineDropped):
            device.run(receivers[turn % 2].port)
    device.run(receivers[0].port)
    assert device.resumed_at == [1, 20, 60, 100, 140]
    assert files(store) == [DATA]
    assert keys(store, "partial/") == []


def test_a_receiver_whose_line_still_looks_open_gives_the_file_to_the_newer_session(
    start: Start, store: S3Bucket, notes: Notes
) -> None:
    one, two = start("one"), start("two")
    with started(one.port, 90):
        wait_until(lambda: any(r["received_packets"] == 90 for r in notes.partial.values()))
        device = camera()
        device.run(two.port, timeout=30)
    assert device.resumed_at == [91]
    assert files(store) == [DATA]
    wait_until(lambda: "handed_over" in notes.codes)


def test_a_receiver_that_does_not_answer_is_passed_over(
    start: Start, store: S3Bucket, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes.leases[IMEI, "%videof"] = ("lost", "a machine that is gone")
    device = camera()
    device.run(start("two").port, timeout=30)
    assert device.acknowledged == ["%videof"]
    assert notes.waited_for == {"lost"}
    assert files(store) == [DATA]


def test_one_that_was_passed_over_can_not_store_the_file_any_more(
    start: Start, store: S3Bucket, notes: Notes
) -> None:
    one = start("one")
    with started(one.port, 195) as line:  # all but the last packet
        wait_until(lambda: any(r["received_packets"] == 195 for r in notes.partial.values()))
        notes.leases[IMEI, "%videof"] = ("newer", "another machine")
        last = DATA[195 * 1024 :]
        chain = kermit(DATA).to_bytes(2, "big")
        line.sendall(b"\x00\x04" + (len(last) + 2).to_bytes(2, "big") + last + chain)
        assert line.recv(64) in (b"", b"\0\0\0\0")
    wait_until(lambda: "handed_over" in notes.codes)
    assert files(store) == []


def test_a_killed_receivers_partial_file_is_shared_when_it_comes_back(
    start: Start, store: S3Bucket, tmp_path: Path
) -> None:
    (killed,) = leave_killed(tmp_path / "one", store)
    two = start("two")
    device = camera(drop_at=60)
    with pytest.raises(LineDropped):
        device.run(two.port)  # it begins anew: the other machine is off
    wait_until(lambda: keys(store, "partial/"))
    start("one")
    wait_until(lambda: not killed.exists())
    device.run(two.port)
    assert device.resumed_at == [1, 101]
    assert files(store) == [DATA]
    assert keys(store, "partial/") == []


def leave_killed(folder: Path, store: S3Bucket, packets: int = 100, stamp: int = 1624960616000) -> list[Path]:
    """Leave in a spool what a receiver has in hand at the moment of its kill -9."""
    offer = Offer("%videof", False, 196, metadata(stamp))
    transfer = Transfer.begin(
        Spool(folder / "spool", store, Caps()), UploadContext(IMEI, "known", "a" * 32, utcnow()), offer
    )
    transfer.write(0, DATA[: packets * 1024], utcnow())
    transfer.flush()
    return partial_here(folder)


def metadata(stamp: int) -> Any:
    from receiver.wire.protocol import Metadata

    return Metadata(1, 0x10, stamp, 0, 5)


def test_a_killed_receivers_partial_file_raises_no_finished_file_from_the_dead(
    start: Start, store: S3Bucket, tmp_path: Path, notes: Notes
) -> None:
    (killed,) = leave_killed(tmp_path / "one", store)
    device = camera()
    device.run(start("two").port)
    wait_until(lambda: notes.stored_files)
    start("one")
    wait_until(lambda: notes.thrown_away == [killed.stem])
    assert not killed.exists()
    assert keys(store, "partial/") == []
    assert files(store) == [DATA]


def test_what_a_lost_machine_had_stored_is_told_by_another(
    start: Start, store: S3Bucket, notes: Notes
) -> None:
    one = start("one")
    notes.away = True
    device = camera()
    device.run(one.port)
    assert device.acknowledged == ["%videof"]
    one.stop()  # for good: nobody ever sees its disk again
    notes.away = False
    notes.stored_files.clear()
    start("two")
    (record,) = wait_until(lambda: notes.stored_files, 30).values()
    assert store.read(record["path"], 0, 10**8) == DATA
    wait_until(lambda: not keys(store, "pending/"))


def test_news_of_a_file_that_was_never_put_tells_nothing(start: Start, store: S3Bucket, notes: Notes) -> None:
    record = {
        "imei": IMEI, "upload": "b" * 32, "path": "2026/11/25/00/x.h265", "size": 10, "identifier": "%videof",
        "count": 1, "state": "stored", "updated_at": "2026-11-25T00:00:00.000Z", "file_type": "video",
        "source": "front",
    }  # fmt: skip
    put = record | {"upload": "c" * 32, "path": "2026/11/25/00/y.h265"}
    store.write(str(put["path"]), b"x" * 10)
    for report in (record, put):
        store.write(f"pending/{IMEI}/{report['upload']}.json", json.dumps(report).encode())
    start("one")
    wait_until(lambda: notes.stored_files)
    # it may still be on its way
    wait_until(lambda: keys(store, "pending/") == [f"pending/{IMEI}/{'b' * 32}.json"])
    assert set(notes.stored_files) == {"c" * 32}


def test_a_file_stored_while_the_database_was_away_is_known_to_another_receiver(
    start: Start, store: S3Bucket, notes: Notes
) -> None:
    one, two = start("one"), start("two")
    notes.away = True
    camera().run(one.port)
    again = camera()
    again.run(two.port, timeout=30)
    assert again.resumed_at == [196]
    assert again.acknowledged == ["%videof"]
    assert files(store) == [DATA]
    notes.away = False
    wait_until(lambda: len(notes.stored_files) == 1)


def test_without_a_time_nothing_is_kept_that_could_be_taken_for_another_file(
    start: Start, store: S3Bucket
) -> None:
    one, two = start("one"), start("two")
    device = camera(metadata_version=0, drop_at=50, restart_crc=False)
    with pytest.raises(LineDropped):
        device.run(one.port)
    wait_until(lambda: keys(store, "partial/"))
    device.drop_at = 100
    with pytest.raises(LineDropped):
        device.run(two.port)
    device.run(one.port)
    assert device.resumed_at == [1, 50, 100]
    assert files(store) == [DATA]
    assert keys(store, "partial/") == []


def test_another_file_is_never_spliced_onto_what_another_receiver_left(start: Start, store: S3Bucket) -> None:
    one, two = start("one"), start("two")
    with pytest.raises(LineDropped):
        camera(drop_at=50, metadata_version=0).run(one.port)
    wait_until(lambda: keys(store, "partial/"))
    other = camera(DATA[::-1], metadata_version=0)
    other.run(two.port)
    assert other.resumed_at == [50, 1, 1]
    assert files(store) == [DATA[::-1]]
    assert keys(store, "partial/") == []


def test_a_sidecar_without_all_its_bytes_is_not_there(start: Start, store: S3Bucket) -> None:
    one, two = start("one"), start("two")
    device = camera(drop_at=50)
    with pytest.raises(LineDropped):
        device.run(one.port)
    (part,) = wait_until(lambda: [k for k in keys(store, "partial/") if k.endswith(".part")])
    wait_until(lambda: [k for k in keys(store, "partial/") if k.endswith(".json")])
    store.write(part, b"torn")
    device.run(two.port)
    assert device.resumed_at == [1, 1]
    assert files(store) == [DATA]


@pytest.mark.long
def test_while_the_store_is_away_nothing_is_acknowledged_and_what_came_is_shared_afterwards(
    tmp_path: Path,
    bucket: str,
    s3: s3_server.Server,
    notes: Notes,
    store: S3Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reporter, "LEFT_SECONDS", 1.0)
    monkeypatch.setattr(reporter, "AWAY_SECONDS", 0.3)
    monkeypatch.setattr("receiver.store.s3.SILENCE_SECONDS", 0.5)
    with s3_proxy.between(s3.ports["s3"]) as proxy, s3_server.reachable(s3_server.environment(proxy.url)):
        one = WithBucket(tmp_path / "one", bucket, notes)
        two = WithBucket(tmp_path / "two", bucket, notes)
        proxy.refuse = True
        device = camera()
        device.run(one.port, timeout=60)
        assert device.acknowledged == []
        wait_until(lambda: "store_away" in notes.codes)
        proxy.refuse = False
        wait_until(lambda: keys(store, "partial/"))
        wait_until(lambda: not partial_here(one.folder))
        device.run(two.port)
        assert device.resumed_at == [1, 196]
        assert files(store) == [DATA]
        one.stop()
        two.stop()


def test_an_upload_is_given_up_with_the_last_part_that_was_left_of_it(
    store: S3Bucket, tmp_path: Path
) -> None:
    hours = [0.0]
    janitor = Cleaner(spool_of(store, tmp_path), lambda: hours[0] * 3600)
    store.write(f"partial/{IMEI}/{'a' * 32}.{'b' * 32}.part", b"x")
    (first,) = store.entries("partial/")
    began = first.modified  # by the store, which may have taken its time
    time.sleep(2.2)  # the store tells whole seconds
    store.write(f"partial/{IMEI}/{'a' * 32}.{'c' * 32}.part", b"x")

    def sweep(days: timedelta) -> list[str]:
        hours[0] += 1
        return janitor.sweep(began + days).gone

    assert sweep(timedelta(days=13)) == []
    first_only = timedelta(days=14, seconds=1)
    assert [sweep(first_only), sweep(first_only)] == [[], []]
    assert keys(store, "partial/") == [f"partial/{IMEI}/{'a' * 32}.{'c' * 32}.part"]
    assert [sweep(timedelta(days=15)), sweep(timedelta(days=15))] == [[], ["a" * 32]]
    assert keys(store, "partial/") == []


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_whole_file_that_was_killed_before_it_was_put_is_put_at_the_next_start(
    kind: str, store: S3Bucket, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "spool", store if kind == "bucket" else LocalFolder(tmp_path / "media"), Caps())
    transfer = sealed(spool)
    (record,) = Spool(tmp_path / "spool", spool.media, Caps()).pending.waiting(utcnow())
    assert record["upload"] == transfer.record["upload"]
    assert spool.media.read(record["path"], 0, 10**6) == DATA
    assert not Path(transfer.file.part).exists()


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_sidecar_whose_file_is_neither_here_nor_there_tells_nothing(
    kind: str, store: S3Bucket, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "spool", store if kind == "bucket" else LocalFolder(tmp_path / "media"), Caps())
    Path(sealed(spool).file.part).unlink()
    assert Spool(tmp_path / "spool", spool.media, Caps()).pending.waiting(utcnow()) == []


def test_a_whole_file_that_waits_to_be_put_is_not_shared_as_a_part(store: S3Bucket, tmp_path: Path) -> None:
    spool = spool_of(store, tmp_path)
    transfer = sealed(spool)
    assert spool.unshared() == []
    assert spool.share(transfer.record, utcnow()) is None
    assert Path(transfer.file.part).exists()


def sealed(spool: Spool) -> Transfer:
    """Leave a whole file as a kill -9 between its sidecar and its putting does."""
    offer = Offer("%videof", False, 196, metadata(1624960616000))
    transfer = Transfer.begin(spool, UploadContext(IMEI, "known", "a" * 32, utcnow()), offer)
    transfer.write(0, DATA, utcnow())
    transfer.flush()
    assert spool.group_commit.seal([transfer], utcnow()) == [None]
    return transfer


def spool_of(store: S3Bucket, tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", store, Caps())


@pytest.mark.parametrize("left_by", ["its session", "a killed process"])
def test_a_device_that_comes_back_while_its_part_goes_to_a_slow_store_goes_on_at_once(
    start: Start, notes: Notes, monkeypatch: pytest.MonkeyPatch, left_by: str
) -> None:
    put, under_way = S3Bucket.put, threading.Event()

    def slow(self: S3Bucket, source: str | Path, key: str) -> None:
        if key.startswith("partial/"):
            under_way.set()
            gevent.sleep(60)
        put(self, source, key)

    if left_by == "a killed process":
        # killed before it was shared
        monkeypatch.setattr(lease_client.LeaseClient, "leave", lambda self, record: None)
        monkeypatch.setattr(reporter, "LEFT_SECONDS", 0.2)
    monkeypatch.setattr(S3Bucket, "put", slow)
    running, device = start("one"), camera(drop_at=150)
    with pytest.raises(LineDropped):
        device.run(running.port)
    assert under_way.wait(10)
    device.run(running.port)
    assert (device.resumed_at, device.acknowledged) == ([1, 150], ["%videof"])
    assert "busy" not in notes.codes
