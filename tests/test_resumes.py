"""A file that did not come in one piece: dropped lines, what is held and what is offered again."""

import contextlib
import threading
from pathlib import Path
from typing import Any

import pytest
import receiver_under_test
from camera_model import CameraModel, LineDropped
from conftest import wait_until
from receiver_under_test import QUICK, UNKNOWN, Running, content

from receiver.net.settings import Settings
from receiver.spool import file_transfer
from receiver.wire import protocol

running = receiver_under_test.running  # the same fixture


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
