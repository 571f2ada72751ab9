"""The receiver over real sockets, with a product that only takes notes."""

import contextlib
import dataclasses
import random
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gevent
import pytest
from camera_model import CameraModel, LineDropped
from conftest import wait_until
from gevent.server import StreamServer

from provisioning.models import utcnow
from receiver.backend import known_devices
from receiver.backend.port import Admission, SessionFacts
from receiver.net.proxy_tls import Preamble
from receiver.net.server import Server
from receiver.net.settings import Settings
from receiver.spool import file_transfer
from receiver.spool.sidecar import SidecarRecord, StoredFile
from receiver.spool.spool import Caps, Spool
from receiver.store.local_folder import LocalFolder
from receiver.store.media_store import Media
from receiver.wire import protocol
from receiver.wire.actions import Offer
from receiver.wire.session_limits import SessionLimits

IMEI = "352094082736916"
UNKNOWN = "356307042441013"


class Notes:
    """A product that knows one device and notes what is reported to it; `away` makes every call fail."""

    def __init__(self) -> None:
        self.stored_files: dict[str, dict[str, Any]] = {}
        self.seen: dict[str, SessionFacts] = {}
        self.leases: dict[tuple[str, str], tuple[str, str]] = {}
        self.waited_for: set[str] = set()
        self.thrown_away: list[str] = []
        self.partial: dict[str, dict[str, Any]] = {}
        self.away = False
        self.known = {IMEI}
        self.before = (0, 0)  # files and bytes that a device sent today

    def _reach(self) -> None:
        if self.away:
            raise ConnectionError("the database is away")

    def admit(self, imei: str) -> Admission:
        self._reach()
        return Admission.KNOWN if imei in self.known else Admission.UNKNOWN

    def recall(self, imei: str, offer: Offer) -> StoredFile | None:
        self._reach()
        stamp = offer.metadata.timestamp if offer.metadata else 0
        for record in self.stored_files.values():
            same = (record["imei"], record["identifier"], record["count"]) == (
                imei,
                offer.identifier,
                offer.count,
            )
            if same and record["metadata"] and record["metadata"]["timestamp"] == stamp:
                return StoredFile.of(record)
        return None

    def sent_today(self, imei: str) -> tuple[int, int]:
        self._reach()
        return self.before

    def sessions(self, facts: Sequence[SessionFacts]) -> None:
        self._reach()
        for fact in facts:
            self.seen[fact.id] = dataclasses.replace(fact)

    def progress(self, records: Sequence[SidecarRecord]) -> None:
        self._reach()
        self.partial.update({record["upload"]: record for record in records})

    def stored(self, records: Sequence[SidecarRecord]) -> list[SidecarRecord]:
        self._reach()
        self.stored_files.update({record["upload"]: record for record in records})
        return list(records)

    def watched(self) -> set[str]:
        self._reach()
        return {IMEI}

    def expired(self, idents: Sequence[str]) -> None:
        self._reach()

    def superseded(self, idents: Sequence[str]) -> None:
        self._reach()
        self.thrown_away += idents

    def lease(self, imei: str, identifier: str, token: str, machine: str, force: bool) -> bool:
        self._reach()
        held = self.leases.get((imei, identifier))
        if held and held[1] != machine and not force:
            self.waited_for.add(held[0])
            return False
        self.leases[imei, identifier] = (token, machine)
        return True

    def holds(self, token: str) -> bool:
        self._reach()
        return token in {held for held, _ in self.leases.values()}

    def wanted(self) -> set[str]:
        self._reach()
        return self.waited_for

    def release(self, tokens: Sequence[str]) -> None:
        self._reach()
        self.leases = {key: held for key, held in self.leases.items() if held[0] not in tokens}

    @property
    def codes(self) -> list[str | None]:
        return [facts.code for facts in self.seen.values() if facts.ended_at]


class Running:
    """A receiver in a thread of its own (gevent runs there, cameras run in ours)."""

    def __init__(
        self, folder: Path, settings: Settings, front: Preamble | None = None, notes: Notes | None = None
    ) -> None:
        self.notes, self.folder, self.settings, self.preamble = notes or Notes(), folder, settings, front
        self.ready, self._stop = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.ready.wait(10)

    def _run(self) -> None:
        self.store = Spool(self.folder / "spool", self.media(), Caps(files_per_device=2))
        self.server = Server(self.settings, self.store, self.notes, utcnow, self.preamble)
        listener = StreamServer(("127.0.0.1", 0), lambda s, a: self.server.serve(s, f"{a[0]}:{a[1]}"))
        listener.start()
        self.server.start()
        self.port = listener.server_port
        self.ready.set()
        while not self._stop.is_set():
            gevent.sleep(0.01)
        listener.stop()
        gevent.get_hub().destroy()

    def media(self) -> Media:
        return LocalFolder(self.folder / "media")

    def stop(self) -> None:
        self._stop.set()
        self.thread.join(10)

    def files(self) -> list[bytes]:
        return [p.read_bytes() for p in (self.folder / "media").rglob("*") if p.suffix in (".jpg", ".h265")]

    def raw(self, data: bytes, wait: float = 5.0) -> bytes:
        """Send bytes, give what comes back until the receiver closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as line:
            line.sendall(data)
            answer = b""
            try:
                while piece := line.recv(4096):
                    answer += piece
            except ConnectionResetError:
                pass
            return answer


QUICK = SessionLimits(metadata=0.3, init=0.6, answer=2.0, max_size=1000 * 1024)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    receiver = Running(tmp_path, Settings(QUICK))
    yield receiver
    receiver.stop()


def content(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize("size", [1, 1023, 1024, 1025, 50_000])
@pytest.mark.parametrize("version", [0, 1, 2, 3, 4])
def test_a_photo_is_stored_byte_for_byte_and_acknowledged(running: Running, size: int, version: int) -> None:
    camera = CameraModel(files={"%photof": content(size)}, metadata_version=version)
    camera.run(running.port)
    assert running.files() == [content(size)]
    assert camera.acknowledged == ["%photof"]
    wait_until(lambda: running.notes.stored_files)


def test_several_files_come_in_one_session_in_the_configured_order(running: Running) -> None:
    files = {
        name: content(3000, seed) for seed, name in enumerate(("%videor", "%photor", "%videof", "%photof"))
    }
    camera = CameraModel(files=dict(files))
    camera.run(running.port)
    assert camera.acknowledged == ["%photof", "%photor", "%videof", "%videor"]
    assert sorted(running.files()) == sorted(files.values())


def test_a_slow_line_is_not_read_for_each_packet_and_its_end_is(running: Running) -> None:
    camera = CameraModel(files={"%photof": content(40_000)}, pause=0.12)
    camera.run(running.port)
    assert camera.acknowledged == ["%photof"]
    assert running.files() == [content(40_000)]
    assert running.server.reads < 30  # of 40 packets and the words before them


@pytest.mark.parametrize("restart", [True, False])
def test_a_corrupt_packet_is_asked_for_once_more_with_either_crc_base(
    running: Running, restart: bool
) -> None:
    camera = CameraModel(files={"%videof": content(40_000)}, corrupt={7}, restart_crc=restart)
    camera.run(running.port)
    assert camera.resumed_at == [1, 7]
    assert running.files() == [content(40_000)]


@pytest.mark.parametrize("restart", [True, False])
def test_a_dropped_line_goes_on_at_the_first_packet_not_safe(running: Running, restart: bool) -> None:
    camera = CameraModel(files={"%videof": content(40_000)}, drop_at=20, restart_crc=restart)
    with pytest.raises(LineDropped):
        camera.run(running.port)
    camera.run(running.port)
    assert camera.resumed_at == [1, 20]
    assert running.files() == [content(40_000)]


def test_a_partial_file_survives_a_restart_of_the_receiver(tmp_path: Path) -> None:
    camera = CameraModel(files={"%videof": content(200_000)}, drop_at=150)
    first = Running(tmp_path, Settings(QUICK))
    with pytest.raises(LineDropped):
        camera.run(first.port)
    wait_until(lambda: first.notes.codes)
    first.stop()
    second = Running(tmp_path, Settings(QUICK))
    camera.run(second.port)
    assert camera.resumed_at == [1, 150]
    assert second.files() == [content(200_000)]
    second.stop()


def test_a_file_that_the_disk_changed_is_not_acknowledged_and_comes_again(running: Running) -> None:
    camera = CameraModel(files={"%photof": content(40_000)}, pause=0.03)
    thread = threading.Thread(target=camera.run, args=(running.port,))
    thread.start()
    partial = running.folder / "spool" / "partial"
    part = wait_until(lambda: next((p for p in partial.glob("*/*.part") if p.stat().st_size > 8192), None))
    with part.open("r+b") as file:
        file.write(bytes(100))
    thread.join(10)
    assert camera.acknowledged == []
    assert running.files() == []
    wait_until(lambda: running.notes.codes == ["disk"])
    camera.pause = 0.0
    camera.run(running.port)
    assert camera.resumed_at == [1, 1]
    assert running.files() == [content(40_000)]


@pytest.mark.parametrize("was_stored", [False, True])
def test_others_are_served_while_much_of_a_held_file_is_read(
    running: Running, monkeypatch: pytest.MonkeyPatch, was_stored: bool
) -> None:
    camera = CameraModel(files={"%videof": content(150_000)}, drop_at=None if was_stored else 120)
    with contextlib.nullcontext() if was_stored else pytest.raises(LineDropped):
        camera.run(running.port)
    reading, served, crc, in_time = threading.Event(), threading.Event(), protocol.crc, []

    def slow_crc(data: bytes, chain: int = 0) -> int:
        if len(data) > 100_000:
            reading.set()
            in_time.append(served.wait(5))
        return crc(data, chain)

    monkeypatch.setattr(file_transfer, "MUCH", 100_000)
    monkeypatch.setattr(protocol, "crc", slow_crc)
    again = CameraModel(files={"%videof": content(150_000)})
    thread = threading.Thread(target=again.run, args=(running.port,))
    thread.start()
    assert reading.wait(5)
    running.notes.known.add(UNKNOWN)
    other = CameraModel(imei=UNKNOWN, files={"%photof": content(3000, 2)})
    other.run(running.port)
    served.set()
    thread.join(10)
    assert in_time
    assert all(in_time)
    assert again.resumed_at == [147 if was_stored else 120]
    assert sorted(running.files()) == sorted([content(150_000), content(3000, 2)])


def test_another_file_of_the_same_size_is_never_spliced(running: Running) -> None:
    camera = CameraModel(files={"%videof": content(40_000)}, drop_at=20)
    with pytest.raises(LineDropped):
        camera.run(running.port)
    other = CameraModel(files={"%videof": content(40_000, 2)}, timestamps={"%videof": 1624960999000})
    other.run(running.port)
    assert other.resumed_at == [1]
    assert running.files() == [content(40_000, 2)]


UNTIMED = {"metadata_version": 0}


def left_at(running: Running, drop_at: int, seed: int = 1, **given: Any) -> CameraModel:
    """A camera without a time whose line breaks at a packet."""
    camera = CameraModel(files={"%videof": content(40_000, seed)}, drop_at=drop_at, **UNTIMED, **given)
    with pytest.raises(LineDropped):
        camera.run(running.port)
    return camera


def test_without_a_time_a_crc_that_goes_on_proves_what_is_held(running: Running) -> None:
    left_at(running, 20)
    assert left_at(running, 30, restart_crc=False).resumed_at == [20]
    same = CameraModel(files={"%videof": content(40_000)}, restart_crc=False, **UNTIMED)
    same.run(running.port)
    assert same.resumed_at == [30]
    assert running.files() == [content(40_000)]


def test_without_a_time_a_crc_that_begins_anew_proves_nothing_and_all_is_compared(running: Running) -> None:
    left_at(running, 20)
    same = CameraModel(files={"%videof": content(40_000)}, **UNTIMED)
    same.run(running.port)
    assert same.resumed_at == [20, 1]
    assert running.files() == [content(40_000)]
    wait_until(lambda: [record["resumes"] for record in running.notes.stored_files.values()] == [1])


@pytest.mark.parametrize("restart_crc", [True, False], ids=["anew", "on"])
def test_without_a_time_another_file_is_taken_from_its_first_packet(
    running: Running, restart_crc: bool
) -> None:
    left_at(running, 20)
    other = CameraModel(files={"%videof": content(40_000, 2)}, restart_crc=restart_crc, **UNTIMED)
    other.run(running.port)
    assert other.resumed_at == [20, 1, 1]
    assert running.files() == [content(40_000, 2)]


def test_a_stored_file_offered_again_is_acknowledged_and_not_stored_twice(running: Running) -> None:
    for _ in range(2):
        camera = CameraModel(files={"%photof": content(5000)})
        camera.run(running.port)
        assert camera.acknowledged == ["%photof"]
    assert camera.resumed_at == [5]
    assert running.files() == [content(5000)]


def test_a_different_file_with_the_same_count_and_timestamp_is_taken_from_the_beginning(
    running: Running,
) -> None:
    CameraModel(files={"%photof": content(5000)}).run(running.port)
    camera = CameraModel(files={"%photof": content(5000, 2)})
    camera.run(running.port)
    assert camera.resumed_at == [5, 1]
    assert sorted(running.files()) == sorted([content(5000), content(5000, 2)])


def test_an_unknown_device_is_refused_with_close_and_seen(running: Running) -> None:
    camera = CameraModel(imei=UNKNOWN, files={"%photof": content(5000)})
    camera.run(running.port)
    assert camera.received == [b"\0\0"]
    wait_until(lambda: running.notes.codes == ["unknown_device"])
    assert running.files() == []


def test_an_unknown_device_is_quarantined_up_to_the_caps(tmp_path: Path) -> None:
    running = Running(tmp_path, Settings(QUICK, quarantine_unknown=True))
    for number in range(3):
        camera = CameraModel(
            imei=UNKNOWN,
            files={"%photof": content(5000, number)},
            timestamps={"%photof": 1624960616000 + number},
        )
        camera.run(running.port)
    assert len(running.files()) == 2
    wait_until(lambda: "quarantine_full" in running.notes.codes)
    assert all("quarantine" in r["path"] for r in running.notes.stored_files.values())
    running.stop()


def test_while_the_database_is_away_files_are_kept_and_told_later(running: Running) -> None:
    running.notes.away = True
    camera = CameraModel(files={"%photof": content(5000)})
    camera.run(running.port)
    assert camera.acknowledged == ["%photof"]
    running.notes.away = False
    record = next(iter(wait_until(lambda: running.notes.stored_files).values()))
    assert record["admission"] == "quarantine"


def send_photos(running: Running, *numbers: int) -> list[str]:
    """Offer photos, one after the other; give those that were acknowledged."""
    acknowledged = []
    for number in numbers:
        camera = CameraModel(
            files={"%photof": content(3000, number)},
            timestamps={"%photof": 1_795_600_000_000 + 1000 * number},
        )
        camera.run(running.port)
        acknowledged += camera.acknowledged
    return acknowledged


def test_a_device_that_was_known_has_no_caps_while_the_database_is_away(running: Running) -> None:
    send_photos(running, 1)
    running.notes.away = True
    assert len(send_photos(running, *range(2, 8))) == 6
    running.notes.away = False
    wait_until(lambda: len(running.notes.stored_files) == 7)
    assert {record["admission"] for record in running.notes.stored_files.values()} == {"known"}


def test_a_device_that_was_deleted_before_the_database_went_away_is_a_stranger(running: Running) -> None:
    send_photos(running, 1)
    running.notes.known.clear()
    send_photos(running, 1)
    running.notes.away = True
    assert len(send_photos(running, *range(2, 7))) == 2


def test_a_device_that_is_asked_about_is_never_taken_for_known_by_memory(running: Running) -> None:
    send_photos(running, 1)
    running.notes.known.clear()
    send_photos(running, 1, 2)
    wait_until(lambda: running.notes.codes.count("unknown_device") == 2)


def test_those_heard_of_longest_ago_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_devices, "MOST", 3)
    memory = known_devices.KnownDevices()
    for now, imei in enumerate("abcad"):
        memory.note(imei, True, now)
    assert [imei for imei in "abcd" if memory.has(imei, 5)] == ["a", "c", "d"]


def test_a_device_is_forgotten_after_a_week_and_when_it_is_unknown() -> None:
    memory = known_devices.KnownDevices()
    memory.note("a", True, 0)
    memory.note("b", True, 0)
    memory.note("b", False, 1)
    assert (memory.has("a", known_devices.KEPT_SECONDS), memory.has("b", 2)) == (True, False)
    assert not memory.has("a", known_devices.KEPT_SECONDS + 1)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "not_a_camera"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 20, "not_a_camera"),
        (b"\x00\x04\xff\xff" + b"x" * 100, "bad_length"),
        (b"\x00\x77\x00\x01x", "unknown_command"),
        (b"\x00\x01\x00\x06\x00\x00\x00\x05\x00\x00", "out_of_order"),
        (b"\x00\x00\x00\x05" + b"\xff" * 12, "bad_imei"),
        (b"", "timeout"),
        (b"\x00\x00\x00", "timeout"),
    ],
)
def test_nonsense_is_closed_with_a_stored_reason(running: Running, data: bytes, code: str) -> None:
    running.raw(data)
    wait_until(lambda: running.notes.codes == [code])


@pytest.mark.parametrize("first", ["000f", "ffff000f", "003dcafe0105000f"])
def test_a_tracker_that_sends_its_own_data_is_told_by_its_imei(running: Running, first: str) -> None:
    running.raw(bytes.fromhex(first) + IMEI.encode())
    (facts,) = wait_until(lambda: list(running.notes.seen.values()))
    assert (facts.code, facts.imei) == ("tracker_data", IMEI)


def drip(running: Running, data: bytes) -> None:
    """Send byte by byte, ten a second, until the receiver closes; that it never does is a failure."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=0.1) as line:
        for byte in data:
            try:
                line.sendall(bytes([byte]))
                if line.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except OSError:
                return
    raise AssertionError("the line was held beyond its deadline")


def init(bits: int = 0x44, imei: str = IMEI) -> bytes:
    return b"\0\0\0\x05" + int(imei).to_bytes(8, "big") + bytes([bits, 0, 4, 0])


def test_no_file_bits_get_a_close(running: Running) -> None:
    assert running.raw(init(0x40)) == b"\0\0\0\0"


def test_a_start_of_zero_packets_is_answered_and_not_asked_again(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as line:
        line.sendall(init())
        assert line.recv(64)[:2] == b"\x00\x0a"
        assert line.recv(64)[:2] == b"\x00\x08"
        line.sendall(bytes.fromhex("0001 0006 00000000 0000"))
        assert line.recv(64) == b"\x00\x09"
        line.sendall(init())
        assert line.recv(64) == b"\0\0\0\0"


def test_a_start_beyond_the_size_cap_is_never_resumed(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as line:
        line.sendall(init())
        line.recv(64), line.recv(64)
        line.sendall(bytes.fromhex("0001 0006 7fffffff 0000"))
        assert line.recv(64) == b"\x00\x09"
        line.sendall(init())
        assert line.recv(64) == b"\0\0\0\0"
    wait_until(lambda: running.notes.codes == ["too_large"])


def test_a_repeated_start_is_answered_again_once_its_sync_came(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as line:
        line.sendall(init())
        line.recv(64), line.recv(64)
        start, resume = bytes.fromhex("0001 0006 00000002 0000"), bytes.fromhex("0002 0004 00000001")
        for _ in range(2):
            line.sendall(start + start)
            assert line.recv(64) == resume
            line.sendall(bytes.fromhex("0003 0004 00000001"))


def test_a_newer_connection_takes_over_at_its_start(running: Running) -> None:
    data = content(40_000)
    old = socket.create_connection(("127.0.0.1", running.port), timeout=5)
    camera = CameraModel(files={"%photof": data}, drop_at=None)
    camera.line = old
    camera._init()
    assert camera._frame()
    camera._metadata("%photof")
    assert camera._frame()
    camera._start("%photof")
    assert camera._frame()
    packets = camera._packets("%photof")[:10]
    frames, chain = b"", 0
    from camera_model import kermit

    for payload in packets:
        chain = kermit(payload, chain)
        frames += b"\x00\x04\x04\x02" + payload + chain.to_bytes(2, "big")
    old.sendall(bytes.fromhex("0003 0004 00000001") + frames)
    wait_until(lambda: running.notes.partial)
    newer = CameraModel(files={"%photof": data})
    newer.run(running.port)
    assert newer.resumed_at == [11]
    assert running.files() == [data]
    wait_until(lambda: "taken_over" in running.notes.codes)
    old.close()


def test_one_silent_peer_does_not_hold_up_another(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", running.port)) as silent:
        silent.sendall(b"\x00")
        started = time.monotonic()
        CameraModel(files={"%photof": content(2000)}).run(running.port)
        assert running.files() == [content(2000)]
        assert time.monotonic() - started < 5
