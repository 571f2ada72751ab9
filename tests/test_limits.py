"""What one hostile peer can cost the others: connections, memory, time, log lines."""

import dataclasses
import os
import resource
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import receiver_under_test
import structlog
from camera_model import CameraModel, kermit
from conftest import ROOT, wait_until
from driver import BEGAN, make_safe
from receiver_under_test import (
    IMEI,
    METADATA,
    QUICK,
    SLOW,
    UNKNOWN,
    Notes,
    Running,
    connect,
    content,
    drip,
    ended,
    init,
    receiver,
)

from receiver.backend.lease_client import LeaseClient
from receiver.backend.log_quota import PEERS, LogQuota
from receiver.net.connection_limits import ConnectionLimits
from receiver.net.settings import Settings
from receiver.spool.spool import Caps, Spool
from receiver.spool.upload_context import UploadContext
from receiver.store.durability import OpenFiles, StorageError
from receiver.store.local_folder import LocalFolder
from receiver.wire import protocol
from receiver.wire.actions import Offer
from receiver.wire.session_limits import SessionLimits

receivers = receiver_under_test.receivers  # the same fixture


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
