"""Files that a camera cannot send: the files behind them come all the same."""

import dataclasses
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from camera_model import CameraModel
from conftest import wait_until
from receiver_under_test import IMEI, QUICK, Running, content, init
from test_floods import METADATA, SYNC, data, frame

from receiver.net.settings import Settings
from receiver.spool import failed_files
from receiver.spool.failed_files import KEPT_SECONDS, FailedFiles

START = frame(1, b"\0\0\0\4\0\0")
BOTH = init(0x4C)
NAMES = ("%photof", "%photor")
ENDS = {
    "the camera cannot read it": frame(5, b"\0\0\0\x11"),
    "the camera does not answer": b"",
    "the camera does not go on": START,
    "its CRC is always wrong": START + (SYNC + data(bytes(1024), 1)) * 31,
    "its frames are too long": START + SYNC + frame(4, bytes(1100)),
    "it has another size each time": START + frame(1, b"\0\0\0\5\0\0"),
}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    receiver = Running(tmp_path, Settings(dataclasses.replace(QUICK, answer=0.5)))
    yield receiver
    receiver.stop()


@pytest.mark.parametrize("end", ENDS)
def test_a_file_that_fails_is_asked_for_last_by_the_next_session(running: Running, end: str) -> None:
    running.raw(BOTH + METADATA + ENDS[end])
    camera = CameraModel(files={"%photof": content(3000), "%photor": content(3000, 2)})
    camera.run(running.port)
    assert camera.acknowledged == ["%photor", "%photof"]


def test_a_file_whose_line_broke_keeps_its_place(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=5) as line:
        line.sendall(BOTH + METADATA + START + SYNC + data(bytes(1024)))
        wait_until(lambda: [c for c in running.server.connections if c.session.received])
    wait_until(lambda: running.notes.codes == ["lost"])
    camera = CameraModel(files={"%photof": content(3000), "%photor": content(3000, 2)})
    camera.run(running.port)
    assert camera.acknowledged == ["%photof", "%photor"]


def test_a_file_beyond_the_size_limit_keeps_none_away(running: Running) -> None:
    files = {"%photof": content(1001 * 1024), "%photor": content(3000)}  # the limit is 1000 KiB
    camera = CameraModel(files=files)
    camera.run(running.port)
    assert camera.acknowledged == ["%photor"]
    wait_until(lambda: running.notes.codes == ["too_large"])


def test_a_file_that_came_after_all_has_its_place_again(running: Running) -> None:
    running.raw(BOTH + METADATA + ENDS["the camera cannot read it"])
    CameraModel(files={"%photof": content(3000)}).run(running.port)
    camera = CameraModel(
        files={"%photof": content(3000, 3), "%photor": content(3000, 2)},
        timestamps={"%photof": 1_795_600_000_000},
    )
    camera.run(running.port)
    assert camera.acknowledged == ["%photof", "%photor"]


def test_failures_are_forgotten_in_time() -> None:
    memory = FailedFiles()
    memory.note(IMEI, "%photof", 5.0)
    assert memory.of(IMEI, NAMES, 5.0 + KEPT_SECONDS) == {"%photof"}
    assert memory.of(IMEI, NAMES, 5.1 + KEPT_SECONDS) == frozenset()


def test_those_that_failed_longest_ago_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failed_files, "MOST", 2)
    memory = FailedFiles()
    for now, imei in enumerate("abac"):
        memory.note(imei, "%photof", now)
    assert [imei for imei in "abc" if memory.of(imei, NAMES, 4.0)] == ["a", "c"]
