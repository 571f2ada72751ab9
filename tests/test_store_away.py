"""The object store is away, slow, or loses its answers: no acknowledgement, no double, and service after that."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import faulty_s3
import pytest
import s3_server
from camera_model import CameraModel
from conftest import wait_until
from faulty_s3 import FaultyS3
from receiver_under_test import QUICK, Running, content

from receiver.net.settings import Settings
from receiver.store import s3
from receiver.store.media_store import Media
from receiver.store.s3 import S3Bucket

SIZE = 200_000
LAST = SIZE // 1024 + 1  # the number of the last packet


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """A store that fails on request; the receiver waits for its answers less long than in production."""
    monkeypatch.setattr(s3, "CONNECT_SECONDS", 1)
    monkeypatch.setattr(s3, "SILENCE_SECONDS", 0.5)
    with faulty_s3.running() as server, s3_server.reachable(s3_server.environment(server.url)):
        yield server


class RunningWithBucket(Running):
    def media(self) -> Media:
        return S3Bucket("media", "fleet")


@pytest.fixture
def running(tmp_path: Path, store: FaultyS3) -> Iterator[Running]:
    receiver = RunningWithBucket(tmp_path, Settings(QUICK))
    yield receiver
    receiver.stop()


@pytest.fixture
def camera() -> CameraModel:
    return CameraModel(files={"%videof": content(SIZE)})


def offer(camera: CameraModel, running: Running) -> None:
    ended = len(running.notes.codes)
    with contextlib.suppress(OSError):
        camera.run(running.port, timeout=60)
    wait_until(lambda: len(running.notes.codes) > ended, seconds=60)


def packets_held(running: Running) -> int:
    return sum(p.stat().st_size for p in (running.folder / "spool" / "partial").rglob("*.part"))


FAULTS = ["error", "away", "stall", "lost"]


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_a_store_that_does_not_answer_gets_no_camera_acknowledged_and_serves_it_later(
    running: Running, store: FaultyS3, camera: CameraModel, fault: str
) -> None:
    store.fail(fault)
    for _ in range(2):
        offer(camera, running)
    assert camera.acknowledged == []
    assert set(running.notes.codes) == {"store_away"}
    assert packets_held(running) == SIZE, "the checked bytes stay"
    assert running.notes.stored_files == {}
    store.fail(None)
    offer(camera, running)
    assert camera.acknowledged == ["%videof"]
    assert list(store.files().values()) == [content(SIZE)], "stored once, byte for byte"
    assert camera.resumed_at == [1, LAST, LAST]
    wait_until(lambda: len(running.notes.stored_files) == 1)


@pytest.mark.parametrize("fault", FAULTS)
def test_one_answer_that_fails_is_asked_for_again_and_makes_no_double(
    running: Running, store: FaultyS3, camera: CameraModel, fault: str
) -> None:
    wait_until(lambda: store.requests)
    store.fail(fault, times=1)
    offer(camera, running)
    assert camera.acknowledged == ["%videof"]
    assert list(store.files().values()) == [content(SIZE)]


def test_a_stored_file_whose_end_cannot_be_read_is_taken_as_a_new_one_whole(
    running: Running, store: FaultyS3, camera: CameraModel
) -> None:
    offer(camera, running)
    wait_until(lambda: running.notes.stored_files)
    camera.files["%videof"] = content(SIZE)
    store.fail("short")
    offer(camera, running)
    # the product keeps one of both: same device, file, time and SHA-256
    assert set(store.files().values()) == {content(SIZE)}


@pytest.mark.parametrize("fault", ["error", "away", "lost"])
def test_a_stored_file_that_is_offered_again_while_the_store_fails_is_not_taken_for_another(
    running: Running, store: FaultyS3, camera: CameraModel, fault: str
) -> None:
    offer(camera, running)
    wait_until(lambda: running.notes.stored_files)
    camera.files["%videof"] = content(SIZE)  # the acknowledgement was lost
    store.fail(fault)
    offer(camera, running)
    assert camera.acknowledged == ["%videof"]
    store.fail(None)
    offer(camera, running)
    assert camera.acknowledged == ["%videof", "%videof"]
    assert set(store.files().values()) == {content(SIZE)}


def test_readiness_says_that_the_store_is_away(running: Running, store: FaultyS3) -> None:
    assert running.store.ready() is None
    store.fail("away")
    assert "object store" in (running.store.ready() or "")
    store.fail(None)
    assert running.store.ready() is None
