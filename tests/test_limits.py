"""What one hostile peer can cost the others: connections, memory, time, log lines."""

import dataclasses
import gc
import os
import resource
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from unittest.mock import Mock

import pytest
import structlog
from camera_model import CameraModel, kermit
from conftest import ROOT, wait_until
from driver import BEGAN, Line, Machine, make_safe
from test_server import IMEI, QUICK, UNKNOWN, Notes, Running, content, drip, init

from receiver.backend.lease_client import LeaseClient
from receiver.backend.log_quota import PEERS, LogQuota
from receiver.net.connection_limits import ConnectionLimits
from receiver.net.daily_limits import DailyLimits
from receiver.net.guess_limits import ADDRESSES, IMEIS, IMEIS_OF_AN_ADDRESS, GuessLimits
from receiver.net.settings import Settings
from receiver.spool.spool import Caps, Spool
from receiver.spool.upload_context import UploadContext
from receiver.store.durability import OpenFiles, StorageError
from receiver.store.local_folder import LocalFolder
from receiver.store.media_store import MediaError
from receiver.wire import protocol
from receiver.wire.actions import Offer
from receiver.wire.frame_reader import PATH_DATA_MAX
from receiver.wire.session_limits import SessionLimits


class Peer:
    def __init__(self, transfer: object = None) -> None:
        self.ending: object = None
        self.transfer = transfer


# who is connected


def test_beyond_the_limit_those_without_init_go_oldest_first_each_once() -> None:
    open_connections: ConnectionLimits[Peer] = ConnectionLimits(3, 2, 0)
    first, second, third, fourth, fifth = (Peer() for _ in range(5))
    for newcomer in (first, second, third):
        open_connections.enter(newcomer, "a")
        assert open_connections.surplus(newcomer) is None
    open_connections.arrived(first, IMEI)
    open_connections.enter(fourth, "a")
    assert open_connections.surplus(fourth) is second
    open_connections.enter(fifth, "a")
    assert open_connections.surplus(fifth) is third


def test_beyond_the_limit_a_newcomer_goes_where_all_others_have_sent_their_init() -> None:
    open_connections: ConnectionLimits[Peer] = ConnectionLimits(1, 2, 0)
    old, new = Peer(), Peer()
    open_connections.enter(old, "a")
    open_connections.arrived(old, IMEI)
    open_connections.enter(new, "a")
    assert open_connections.surplus(new) is new


def test_a_device_keeps_its_newest_connections_and_idle_ones_go_first() -> None:
    open_connections: ConnectionLimits[Peer] = ConnectionLimits(100, 2, 0)
    busy, idle, newest = Peer(transfer=object()), Peer(), Peer()
    assert open_connections.arrived(busy, IMEI) == open_connections.arrived(idle, IMEI) == []
    assert open_connections.arrived(newest, IMEI) == [idle]


def test_a_connection_that_is_ending_already_is_not_ended_in_place_of_another() -> None:
    open_connections: ConnectionLimits[Peer] = ConnectionLimits(100, 2, 0)
    first, second, third, fourth = (Peer() for _ in range(4))
    open_connections.arrived(first, IMEI)
    open_connections.arrived(second, IMEI)
    (gone,) = open_connections.arrived(third, IMEI)
    gone.ending = "crowded"
    assert open_connections.arrived(fourth, IMEI) == [second]


def test_addresses_are_counted_up_and_down_and_forgotten() -> None:
    open_connections: ConnectionLimits[Peer] = ConnectionLimits(100, 2, 1)
    first, second = Peer(), Peer()
    assert open_connections.enter(first, "a")
    assert not open_connections.enter(second, "a")
    open_connections.left(second, None)
    assert open_connections.comes_from(first, "b")
    assert open_connections.enter(second, "a")
    open_connections.left(first, None)
    open_connections.left(second, None)
    assert (
        open_connections.everyone,
        open_connections._hosts,
        open_connections._addresses,
        open_connections._waiting,
    ) == ({}, {}, {}, {})


def test_a_quota_names_those_whose_lines_were_left_out_and_forgets_them() -> None:
    quota = LogQuota(2)
    assert [quota.allows("a") for _ in range(4)] == [True, True, False, False]
    assert quota.allows("b")
    assert quota.turn() == {"a": 2}
    assert quota.allows("a")
    assert quota.turn() == {}


def test_a_quota_does_not_grow_with_the_number_of_peers() -> None:
    quota = LogQuota(2)
    for number in range(PEERS + 1000):
        quota.allows(str(number))
    assert len(quota._counts) == PEERS + 1
    assert quota.turn() == {"others": 998}


# what a known device may send in a day


def test_what_a_device_sent_today_is_counted_from_what_it_had_sent_before() -> None:
    daily, before = DailyLimits(3, 1000), Mock(return_value=(1, 100))
    assert daily.allows(IMEI, 900, BEGAN, before)
    assert not daily.allows(IMEI, 901, BEGAN, before)
    daily.add(IMEI, 1, BEGAN)
    daily.add(IMEI, 1, BEGAN)
    assert not daily.allows(IMEI, 0, BEGAN, before)
    assert daily.allows(IMEI, 0, BEGAN + timedelta(days=1), before)


def test_what_a_device_sent_is_asked_again_after_each_sixty_fourth_of_its_limit() -> None:
    daily, before = DailyLimits(6400, 0), Mock(return_value=(0, 0))
    for _ in range(1000):
        assert daily.allows(IMEI, 0, BEGAN, before)
        daily.add(IMEI, 1, BEGAN)
    assert before.call_count == 10


@pytest.mark.parametrize("processes", [1, 2, 8])
@pytest.mark.parametrize("limits", [(1280, 0), (0, 1280 * 100)])
def test_a_device_that_goes_from_process_to_process_gets_a_sixty_fourth_more_of_each(
    processes: int, limits: tuple[int, int]
) -> None:
    taken: list[int] = []
    receiving, random = [DailyLimits(*limits) for _ in range(processes)], Random(processes)
    for _ in range(5000):
        process = random.choice(receiving)
        if process.allows(IMEI, 100, BEGAN, lambda: (len(taken), sum(taken))):
            process.add(IMEI, 100, BEGAN)
            taken.append(100)
    assert 1280 <= len(taken) <= 1280 + (processes - 1) * 20


def test_while_nobody_can_be_asked_a_process_goes_by_its_own_count() -> None:
    daily, away, there = DailyLimits(3, 0), Mock(return_value=None), Mock(return_value=(2, 0))
    assert [_sends(daily, away) for _ in range(4)] == [True, True, True, False]
    daily = DailyLimits(3, 0)
    assert [_sends(daily, ask) for ask in (away, there, there)] == [True, True, False]


def _sends(daily: DailyLimits, ask: Mock) -> bool:
    if allowed := daily.allows(IMEI, 0, BEGAN, ask):
        daily.add(IMEI, 1, BEGAN)
    return allowed


@pytest.mark.parametrize("limit", [{"files_per_day": 2}, {"bytes_per_day": 7 * 1024}])
def test_beyond_a_days_limit_the_session_ends_with_close_and_the_camera_keeps_its_file(
    tmp_path: Path, receivers: list[Running], limit: dict[str, int]
) -> None:
    receivers.append(running := receiver(tmp_path, **limit))
    camera = CameraModel(files={name: content(3000, n) for n, name in enumerate(SessionLimits().order)})
    camera.run(running.port)
    wait_until(lambda: running.notes.codes == ["day_full"])
    assert camera.acknowledged == ["%photof", "%photor"]
    assert camera.received[-1] == b"\0\0"


class Counting(Notes):
    """A product of several receivers that counts what they reported."""

    def sent_today(self, imei: str) -> tuple[int, int]:
        return len(self.stored_files), 0


def test_what_a_device_sent_to_another_receiver_counts(tmp_path: Path, receivers: list[Running]) -> None:
    notes = Counting()
    for name in "ab":
        receivers.append(Running(tmp_path / name, Settings(limits=SLOW, files_per_day=3), notes=notes))
    for number in range(3):
        CameraModel(files={"%photof": content(100, number)}).run(receivers[number % 2].port)
        wait_until(lambda report=number + 1: len(notes.stored_files) == report)
    CameraModel(files={"%photof": content(100, 3)}).run(receivers[1].port)
    wait_until(lambda: "day_full" in notes.codes)
    assert [len(running.files()) for running in receivers] == [2, 1]


def test_a_device_fills_no_disk_while_the_database_is_away(tmp_path: Path, receivers: list[Running]) -> None:
    receivers.append(running := receiver(tmp_path, files_per_day=2))
    for number in range(3):
        CameraModel(files={"%photof": content(100, number)}).run(running.port)
        running.notes.away = True
    assert sorted(running.files()) == sorted([content(100, 0), content(100, 1)])


def test_what_a_device_sent_before_a_restart_counts(tmp_path: Path, receivers: list[Running]) -> None:
    receivers.append(running := receiver(tmp_path, files_per_day=2))
    running.notes.before = (2, 5000)
    CameraModel(files={"%photof": content(100)}).run(running.port)
    wait_until(lambda: running.notes.codes == ["day_full"])
    assert running.files() == []


# who tries IMEIs


def test_an_address_that_tries_many_unknown_imeis_waits_longer_each_time() -> None:
    guesses = GuessLimits(free=2)
    assert [guesses.delay("a", str(n), 0.0) for n in range(5)] == [0.0, 0.0, 0.5, 1.0, 2.0]
    assert max(guesses.delay("a", str(n), 0.0) for n in range(5, 50)) == 30.0
    assert guesses.delay("b", "7", 0.0) == 0.0
    assert guesses.delay("a", "99", 4000.0) == 0.0


def test_an_unknown_device_that_returns_is_one_imei_and_does_not_wait_again() -> None:
    guesses = GuessLimits(free=2)
    fleet = [str(number) for number in range(8)]  # behind one address, none of them added yet
    assert [guesses.delay("a", imei, 0.0) for imei in fleet] == [0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
    for minute in range(1, 100):
        assert [guesses.delay("a", imei, 60.0 * minute) for imei in fleet] == [0.0] * 8
    assert guesses.delay("a", "another", 6000.0) == 30.0


def test_an_imei_that_is_tried_again_before_its_refusal_waits_for_the_rest_of_it() -> None:
    guesses = GuessLimits(free=0)
    assert [guesses.delay("a", str(number), 0.0) for number in range(4)] == [0.5, 1.0, 2.0, 4.0]
    assert guesses.delay("a", "3", 1.0) == 3.0
    assert guesses.delay("a", "3", 5.0) == 0.0


def test_of_an_address_only_the_imeis_that_it_tried_last_are_remembered() -> None:
    guesses = GuessLimits(free=0)
    guesses.delay("a", "first", 0.0)
    for number in range(IMEIS_OF_AN_ADDRESS):
        guesses.delay("a", str(number), 0.0)
    assert guesses.delay("a", "0", 100.0) == 0.0
    assert guesses.delay("a", "first", 100.0) == 30.0


def test_the_addresses_and_imeis_that_are_remembered_are_bounded() -> None:
    guesses = GuessLimits()
    for number in range(ADDRESSES + 100):
        guesses.delay(str(number), IMEI, 0.0)
    assert len(guesses._tries) == ADDRESSES
    for number in range(IMEIS // 50 + 1):
        for imei in range(50):
            guesses.delay(f"many {number}", str(imei), 0.0)
    assert sum(len(tries.due) for tries in guesses._tries.values()) <= IMEIS
    assert guesses.delay("0", "another", 0.0) == 0.0  # forgotten: it tried longest ago


def test_a_guess_waits_without_a_place_while_a_known_device_of_its_address_is_served(
    tmp_path: Path, receivers: list[Running]
) -> None:
    receivers.append(running := receiver(tmp_path, max_connections=1))
    running.server.guess_limits.delay = lambda *given: 1000.0  # type: ignore[method-assign]
    with socket.create_connection(("127.0.0.1", running.port)) as line:
        line.sendall(init(imei=UNKNOWN))
        wait_until(lambda: running.server.guess_limits._waiting)
        camera = CameraModel(files={"%photof": content(2000)})
        camera.run(running.port)
        assert camera.acknowledged == ["%photof"]
        running.server.guess_limits.release()
        assert line.recv(10) == bytes(4)


LIMITS = {
    "RECEIVER_FILE_ORDER": "rear_video,front_video,rear_photo,front_photo", "RECEIVER_MAX_FILE_MIB": "3",
    "RECEIVER_BAD_PACKETS": "4", "RECEIVER_BAD_SECONDS": "5", "RECEIVER_INIT_TIMEOUT": "7",
    "RECEIVER_METADATA_TIMEOUT": "8", "RECEIVER_ANSWER_TIMEOUT": "9", "RECEIVER_PROGRESS_TIMEOUT": "11",
    "RECEIVER_GO_BACKS": "6", "RECEIVER_FILES_PER_SESSION": "12", "RECEIVER_UNKNOWN_DEVICES": "quarantine",
    "RECEIVER_MAX_CONNECTIONS": "13", "RECEIVER_MAX_CONNECTIONS_PER_DEVICE": "14",
    "RECEIVER_MAX_CONNECTIONS_PER_ADDRESS": "15", "RECEIVER_MIN_BYTES_PER_MINUTE": "16",
    "RECEIVER_LINES_PER_MINUTE": "17", "RECEIVER_FILES_PER_DAY": "18", "RECEIVER_MIB_PER_DAY": "19",
}  # fmt: skip
SET = Settings(
    SessionLimits(("%videor", "%videof", "%photor", "%photof"), 3 * 2**20, 4, 5.0, 7.0, 8.0, 9.0, 11.0, 6, 12),
    True, 13, 14, 15, 16, 17, 18, 19 * 2**20,
)  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(
    ("environment", "expected"), [({}, Settings(SessionLimits())), (LIMITS, SET)], ids=["defaults", "all set"]
)
def test_every_limit_comes_from_the_environment(environment: dict[str, str], expected: Settings) -> None:
    # in a process of its own: the entry point patches the standard library for gevent
    shown = subprocess.run(
        [sys.executable, "-c", "from receiver.__main__ import *; print(settings(load()))"],
        cwd=ROOT, env=os.environ | environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert shown.stdout.strip().replace(".0,", ",") == str(expected).replace(".0,", ",")
    if environment:
        for found, default in ((expected, Settings(SessionLimits())), (expected.limits, SessionLimits())):
            for field in dataclasses.fields(found):
                assert getattr(found, field.name) != getattr(default, field.name), field.name


# over real sockets


def connect(running: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.port), timeout=10)


def ended(line: socket.socket) -> bool:
    try:
        while line.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


SLOW = dataclasses.replace(QUICK, init=30.0)


def receiver(folder: Path, **settings: object) -> Running:
    return Running(folder, Settings(**{"limits": SLOW} | settings))  # type: ignore[arg-type]


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[list[Running]]:
    started: list[Running] = []
    yield started
    for running in started:
        running.stop()


def test_silent_peers_make_room_for_a_camera(tmp_path: Path, receivers: list[Running]) -> None:
    receivers.append(running := receiver(tmp_path, max_connections=5))
    silent = [connect(running) for _ in range(5)]
    wait_until(lambda: len(running.server.connections) == 5)
    CameraModel(files={"%photof": content(2000)}).run(running.port)
    assert running.files() == [content(2000)]
    assert ended(silent[0])
    assert "crowded" in wait_until(lambda: running.notes.codes)


def test_a_third_connection_of_a_device_ends_its_oldest_idle_one(
    tmp_path: Path, receivers: list[Running]
) -> None:
    receivers.append(running := receiver(tmp_path, limits=dataclasses.replace(SLOW, metadata=20.0)))
    lines = []
    for _ in range(3):
        lines.append(connect(running))
        lines[-1].sendall(init())
        assert lines[-1].recv(64)
    assert ended(lines[0])
    wait_until(lambda: len(running.server.connections) == 2)


def test_an_address_may_be_limited(tmp_path: Path, receivers: list[Running]) -> None:
    receivers.append(running := receiver(tmp_path, max_per_address=2))
    lines = [connect(running) for _ in range(3)]
    assert ended(lines[2])
    lines[0].close()
    wait_until(lambda: len(running.server.connections) == 1)
    CameraModel(files={"%photof": content(2000)}).run(running.port)
    assert running.files() == [content(2000)]


def test_bytes_before_the_init_do_not_put_off_its_deadline(tmp_path: Path, receivers: list[Running]) -> None:
    receivers.append(running := Running(tmp_path, Settings(QUICK)))
    drip(running, bytes(300))
    wait_until(lambda: running.notes.codes == ["timeout"])


def test_a_device_that_never_reads_is_closed(tmp_path: Path, receivers: list[Running]) -> None:
    limits = dataclasses.replace(QUICK, answer=1.0, bad_packets=10**9)
    receivers.append(running := receiver(tmp_path, limits=limits))
    start, sync = bytes.fromhex("0001 0006 00000002 0000"), bytes.fromhex("0003 0004 00000002")
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        line.settimeout(0.2)
        line.connect(("127.0.0.1", running.port))
        line.sendall(init() + METADATA + start)

        def push() -> bool:
            try:
                line.send(sync * 3000)  # beyond what is held: each is answered
            except TimeoutError:
                pass
            except OSError:
                return True
            return bool(running.notes.codes)

        wait_until(push, seconds=60)
    assert wait_until(lambda: running.notes.codes) == ["timeout"]


def test_a_line_that_trickles_is_closed(tmp_path: Path, receivers: list[Running], monkeypatch) -> None:  # type: ignore[no-untyped-def]
    receivers.append(running := receiver(tmp_path, min_bytes_per_minute=5000))
    with connect(running) as line:
        line.sendall(init())
        assert line.recv(64)
        assert line.recv(64)
        line.sendall(bytes.fromhex("0001 0006 00000100 0000"))
        assert line.recv(64)
        line.sendall(bytes.fromhex("0003 0004 00000001"))
        packet = bytes(1024)
        frame = protocol.FULL_HEADER + packet + kermit(packet).to_bytes(2, "big")
        line.sendall(frame)
        wait_until(lambda: [c for c in running.server.connections if c.session.received == 1024])
        (held,) = running.server.connections
        held._minute -= 61  # a minute passes
        line.sendall(frame)
        assert ended(line)
    assert wait_until(lambda: running.notes.codes) == ["too_slow"]


def test_a_peer_that_floods_with_nonsense_fills_neither_log_nor_database(
    tmp_path: Path, receivers: list[Running]
) -> None:
    with structlog.testing.capture_logs() as lines:
        receivers.append(running := receiver(tmp_path, lines_per_minute=5))
        for _ in range(50):
            running.raw(b"GET / HTTP/1.1\r\n\r\n")
        CameraModel(files={"%photof": content(2000)}).run(running.port)
        wait_until(lambda: "done" in running.notes.codes)
        assert running.notes.codes.count("not_a_camera") == 5
        assert [line["event"] for line in lines].count("session ended") == 6
        assert running.server.log_quota.turn() == {"127.0.0.1": 45}


def test_a_refused_device_that_comes_back_all_the_time_is_told_a_few_times(
    tmp_path: Path, receivers: list[Running]
) -> None:
    receivers.append(running := receiver(tmp_path, lines_per_minute=3))
    for _ in range(20):
        CameraModel(imei=UNKNOWN, files={"%photof": content(100)}).run(running.port)
    CameraModel(files={"%photof": content(100)}).run(running.port)
    wait_until(lambda: "done" in running.notes.codes)
    assert running.notes.codes == ["unknown_device"] * 3 + ["done"]


def test_strangers_partial_files_count_against_what_all_strangers_may_send(tmp_path: Path) -> None:
    store = Spool(tmp_path / "spool", LocalFolder(tmp_path / "media"), Caps(bytes_in_all=100 * 1024))
    kept = 0
    for number in range(20):
        now = BEGAN + timedelta(minutes=number)
        asker = UploadContext(f"{number:015d}", "quarantine", "f" * 32, now)
        if kept == 3:
            with pytest.raises(StorageError, match="in all"):
                store.open(asker, Offer("%photof", False, 30, None))
            continue
        transfer = store.open(asker, Offer("%photof", False, 30, None))
        transfer.write(0, bytes(29 * 1024), now)
        transfer.flush()
        transfer.left_behind()
        make_safe(transfer, now)
        transfer.leave()
        kept += 1
    assert kept == 3


def test_while_the_database_is_away_leases_write_no_more_than_one_may(tmp_path: Path) -> None:
    notes, media = Notes(), LocalFolder(tmp_path / "media")
    media.shared = True
    notes.away = True
    store = Spool(tmp_path / "spool", media, Caps())
    handover = LeaseClient(store, notes, lambda: BEGAN, LogQuota(3).allows)
    with structlog.testing.capture_logs() as lines:
        for number in range(10):
            handover.take(f"{number:015d}", "%photof", lambda: False)
    assert len(lines) == 3


@pytest.mark.parametrize(("allowed", "kept"), [(1024, 512), (2200, 550)])
def test_a_quarter_of_the_descriptors_a_process_may_have_is_kept_for_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int, kept: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (allowed, allowed))
    files, before = OpenFiles(), len(os.listdir("/proc/self/fd"))
    paths = [str(tmp_path / str(number)) for number in range(600)]
    for path in paths:
        files.write(path, b"x", 0)
    assert len(os.listdir("/proc/self/fd")) - before == kept
    for path in paths:
        files.close(path)


# memory: what a peer can make us hold in every state, without sockets

INIT = init()
START = bytes.fromhex("0001 0006 0000ffff 0000")
SYNC = bytes.fromhex("0003 0004 00000001")
PATH_INIT = bytes.fromhex("0000 0006 0001403a4abaa314 06000400")


def paths() -> Iterator[bytes]:
    """Offer another path each time, and no data."""
    for number in range(100_000):
        name = b"x" * 240 + f"{number:08d}".encode()
        yield PATH_INIT + protocol.HEADER.pack(0x0D, len(name)) + name
        yield protocol.HEADER.pack(0x0B, 2) + b"{}" + bytes.fromhex("0001 0006 00000000 0000")


def same_start() -> Iterator[bytes]:
    yield INIT
    yield METADATA
    for _ in range(4000):
        yield START * 100


def back_and_forth() -> Iterator[bytes]:
    """Go back to the first packet after each good one."""
    yield INIT
    yield METADATA
    yield START + SYNC
    packet = bytes(1024)
    frame = protocol.FULL_HEADER + packet + kermit(packet).to_bytes(2, "big")
    for _ in range(4000):
        yield frame + SYNC


def many_files() -> Iterator[bytes]:
    """Send one small file after the other, never at an end."""
    for number in range(3000):
        stamp = (1_795_500_000_000 + number).to_bytes(8, "big")
        yield INIT + b"\0\x0b\0\x0d\1\4" + stamp + bytes(3)
        yield bytes.fromhex("0001 0006 00000001 0000") + SYNC
        yield b"\0\4\0\3x" + kermit(b"x").to_bytes(2, "big")


def late_metadata() -> Iterator[bytes]:
    yield INIT
    for _ in range(4000):
        yield METADATA * 100


def unfinished_frames() -> Iterator[bytes]:
    yield PATH_INIT
    yield b"\0\x0e\x40\x06"
    for _ in range(16_000):
        yield b"x"


METADATA = bytes.fromhex("000b000d01040000017a57334640000000")


@pytest.mark.parametrize(
    "stream",
    [paths, same_start, back_and_forth, many_files, late_metadata, unfinished_frames],
    ids=lambda s: s.__name__,
)
def test_whatever_a_peer_sends_it_makes_us_hold_little(stream, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    machine = Machine(tmp_path)
    line = Line(machine, dataclasses.replace(SessionLimits(), offers=200))
    for _ in range(20):  # what is loaded once
        next(iter(stream()))
    gc.collect()  # garbage of other tests may warn while it is cleared, and whole source files are read for that
    tracemalloc.start()
    try:
        for piece in stream():
            line.feed(piece)
            if line.closed is not None:
                break
            assert len(line.reader._left) <= PATH_DATA_MAX + 10
            assert line.transfer is None or len(line.transfer._buffer) <= 4096
        machine.stored.clear()  # the test's own notes
        held, _ = tracemalloc.get_traced_memory()
        by = tracemalloc.take_snapshot().statistics("filename")[:5] if held > 500_000 else []
    finally:
        tracemalloc.stop()
    assert held < 500_000, by
    assert line.closed is not None or stream in (late_metadata, unfinished_frames)


class Away(LocalFolder):
    """A media folder that may be away, and counts what it gives at once."""

    away = False
    most = 0

    def read(self, key: str, offset: int, count: int) -> bytes | None:
        if self.away:
            raise MediaError("the store is away")
        found = super().read(key, offset, count)
        self.most = max(self.most, len(found or b""))
        return found


@pytest.fixture
def offered_again(tmp_path: Path) -> tuple[Line, Away]:
    """A line on which a stored file of 3 MiB is offered again, after its START."""
    machine, packets = Machine(tmp_path), 3072
    machine.store = Spool(tmp_path / "spool", store := Away(tmp_path / "media"), Caps())
    data, chain, frames = content(packets * 1024), 0, b""
    for at in range(0, len(data), 1024):
        chain = protocol.crc(data[at : at + 1024], chain)
        frames += protocol.FULL_HEADER + data[at : at + 1024] + chain.to_bytes(2, "big")
    start = bytes.fromhex("0001 0006") + packets.to_bytes(4, "big") + b"\0\0"
    line = Line(machine)
    for piece in (INIT, METADATA, start, SYNC, frames):
        line.feed(piece)
    assert machine.files() == [data]
    line = Line(machine)
    for piece in (INIT, METADATA, start):
        line.feed(piece)
    assert line.transfer is not None
    assert line.transfer.stored_before
    return line, store


def test_a_stored_file_that_is_offered_again_is_compared_in_pieces(offered_again: tuple[Line, Away]) -> None:
    line, store = offered_again
    line.feed(SYNC)  # it goes back to its first packet
    assert 0 < store.most <= 1024 * 1024


@pytest.mark.parametrize("place", ["back", "forward"])
def test_a_store_that_goes_away_while_a_file_is_compared_ends_the_session_with_its_reason(
    offered_again: tuple[Line, Away], place: str
) -> None:
    line, store = offered_again
    store.away = True
    last = content(3072 * 1024)[-1024:]
    if place == "back":
        line.feed(bytes.fromhex("0003 0004 00000800"))
    else:
        line.feed(bytes.fromhex("0003 0004 00000c00"))
        line.feed(protocol.FULL_HEADER + last + protocol.crc(last).to_bytes(2, "big"))
    assert line.closed is not None
    assert line.closed.code == "store_away"
