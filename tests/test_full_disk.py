"""The disk is full: small file systems of their own (tmpfs) for spool and media, with and without free inodes.

Mounting needs root, or sudo without a password; `make test` needs that for Debian's packages too.
"""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from camera_model import CameraModel
from conftest import wait_until
from receiver_under_test import QUICK, Running, content

from receiver.net.settings import Settings
from receiver.store.durability import LEAST_FREE, lacks_room

SIZE = 300_000  # bytes of the camera's file
TRIES = 3
ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir(parents=True)
    given = f"{options},uid={os.geteuid()},gid={os.getegid()}"
    subprocess.run([*ROOT, "mount", "-t", "tmpfs", "-o", given, "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*ROOT, "umount", "--lazy", str(folder)], check=True)


class Disk:
    """One of both file systems, which a test fills and frees."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.filler = folder, folder / "filler"

    def fill(self, leave: int = 0) -> None:
        """Leave only so many bytes free."""
        facts = os.statvfs(self.folder)
        self.filler.write_bytes(bytes(max(0, facts.f_bavail * facts.f_frsize - leave)))

    def fill_inodes(self, leave: int = 0) -> None:
        """Leave only so many files that can be made."""
        self.filler.mkdir()
        for number in range(os.statvfs(self.folder).f_favail - leave):
            (self.filler / f"{number}").touch()

    def free(self) -> None:
        """Give the room back."""
        if self.filler.is_dir():
            for path in self.filler.iterdir():
                path.unlink()
            self.filler.rmdir()
        else:
            self.filler.unlink()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Two small file systems, so that storing a file is a copy between them."""
    options = f"size={LEAST_FREE + 4 * 2**20},nr_inodes=300"
    with mounted(tmp_path / "spool", options), mounted(tmp_path / "media", options):
        yield tmp_path


@pytest.fixture
def running(folder: Path) -> Iterator[Running]:
    receiver = Running(folder, Settings(QUICK))
    wait_until(lambda: (folder / "spool" / "quarantine.bytes").exists())  # its first sweep is over
    yield receiver
    receiver.stop()


@pytest.fixture
def camera() -> CameraModel:
    return CameraModel(files={"%videof": content(SIZE)})


def offer(camera: CameraModel, running: Running) -> None:
    with contextlib.suppress(OSError):  # it may still write when the receiver closes
        camera.run(running.port)


def offer_in_vain(camera: CameraModel, running: Running, code: str) -> None:
    """The camera comes back some times: it is not acknowledged, told why it ended, and leaves no more each time."""
    left: list[int] = []
    for _ in range(TRIES):
        ended = len(running.notes.codes)
        offer(camera, running)
        wait_until(lambda n=ended: len(running.notes.codes) > n)
        left.append(sum(1 for path in (running.folder / "spool").rglob("*") if path.is_file()))
    assert camera.acknowledged == []
    assert set(running.notes.codes) == {code}
    assert left[1:] == left[1:2] * (TRIES - 1), "each try leaves more in the spool"
    assert running.files() == []
    assert [p for p in (running.folder / "media").rglob("*.tmp") if p.is_file()] == []


def goes_on(camera: CameraModel, running: Running) -> None:
    """With room again, the same camera's file is stored and acknowledged, once."""
    offer(camera, running)
    assert running.files() == [content(SIZE)]
    assert camera.acknowledged == ["%videof"]
    wait_until(lambda: running.notes.stored_files)
    assert len(running.notes.stored_files) == 1


@pytest.mark.parametrize(
    ("where", "full", "leave", "code"),
    [
        ("spool", Disk.fill, 0, "disk"),
        ("spool", Disk.fill_inodes, 0, "disk"),
        ("media", Disk.fill_inodes, 0, "store_away"),
        ("media", Disk.fill_inodes, 1, "store_away"),
        ("media", Disk.fill_inodes, 3, "store_away"),
    ],
)
def test_nothing_is_acknowledged_without_room_and_with_room_again_all_is(
    running: Running,
    camera: CameraModel,
    where: str,
    full: Callable[[Disk, int], None],
    leave: int,
    code: str,
) -> None:
    disk = Disk(running.folder / where)
    full(disk, leave)
    offer_in_vain(camera, running, code)
    disk.free()
    goes_on(camera, running)


@pytest.mark.parametrize("leave", [8192, 100_000, 240_000])
def test_a_spool_that_fills_while_a_file_comes_keeps_what_came(
    running: Running, camera: CameraModel, leave: int
) -> None:
    disk = Disk(running.folder / "spool")
    disk.fill(leave)
    offer_in_vain(camera, running, "disk")
    disk.free()
    goes_on(camera, running)
    assert camera.resumed_at[-1] >= (leave - 32_768) // 1024


@pytest.mark.parametrize("leave", range(SIZE // 4096 * 4096, SIZE // 4096 * 4096 + 5 * 4096, 4096))
def test_a_spool_that_is_full_at_the_end_of_a_file(running: Running, camera: CameraModel, leave: int) -> None:
    disk = Disk(running.folder / "spool")
    disk.fill(leave)
    offer(camera, running)
    held = len(running.files()) == 1
    assert camera.acknowledged == (["%videof"] if held else [])
    disk.free()
    if not held:
        goes_on(camera, running)
    assert running.files() == [content(SIZE)]


@pytest.mark.parametrize("leave", [0, 100_000, 290_000])
def test_a_media_folder_that_is_full_has_no_half_file_and_the_bytes_wait_in_the_spool(
    running: Running, camera: CameraModel, leave: int
) -> None:
    disk = Disk(running.folder / "media")
    disk.fill(leave)
    offer_in_vain(camera, running, "store_away")
    disk.free()
    goes_on(camera, running)
    assert camera.resumed_at[-1] == SIZE // 1024 + 1  # the last packet is taken again, nothing else


@pytest.mark.parametrize("leave", [1, 2, 3, 4])
def test_a_spool_with_a_few_inodes_left(running: Running, camera: CameraModel, leave: int) -> None:
    disk = Disk(running.folder / "spool")
    disk.fill_inodes(leave)
    for _ in range(TRIES):
        offer(camera, running)
    acknowledged = list(camera.acknowledged)
    assert len(running.files()) == len(acknowledged)
    disk.free()
    if not acknowledged:
        goes_on(camera, running)
    assert running.files() == [content(SIZE)]


def test_a_sidecar_that_finds_no_room_beside_its_file_goes_there_later(
    running: Running, camera: CameraModel
) -> None:
    disk = Disk(running.folder / "media")
    running.notes.away = True
    offer(camera, running)
    disk.fill()
    running.notes.away = False
    wait_until(lambda: running.notes.stored_files)
    (record,) = running.notes.stored_files.values()
    beside = running.folder / "media" / (record["path"] + ".json")
    wait_until(lambda: record["upload"] in running.store.pending._reported)
    assert not beside.exists()
    disk.free()
    assert running.store.pending.waiting(running.server.now()) == []
    assert beside.is_file()


@pytest.mark.parametrize("where", ["spool", "media"])
def test_readiness_says_which_file_system_is_full_and_that_it_has_room_again(
    running: Running, where: str
) -> None:
    disk = Disk(running.folder / where)
    assert running.store.ready() is None
    disk.fill(LEAST_FREE - 1)
    assert where in (running.store.ready() or "")
    assert "15 MiB left" in (running.store.ready() or "")
    disk.free()
    disk.fill_inodes(10)
    assert "10 inodes left" in (running.store.ready() or "")
    disk.free()
    assert running.store.ready() is None


def test_a_folder_that_is_gone_has_no_room(tmp_path: Path) -> None:
    assert "cannot be reached" in (lacks_room(tmp_path / "gone", "spool") or "")
