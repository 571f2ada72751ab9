"""The receiver over real sockets, with a product that only takes notes."""

import socket
import time
from pathlib import Path

import pytest
import receiver_under_test
from camera_model import CameraModel
from conftest import wait_until
from receiver_under_test import IMEI, QUICK, UNKNOWN, Running, content, init

from receiver.backend import known_devices
from receiver.net.settings import Settings

running = receiver_under_test.running  # the same fixture


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
