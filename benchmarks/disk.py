"""A fresh ext4 with a journal in an image file, so that no earlier run's files colour the next.

Needs root and loop devices; without them the benchmarks use a temporary folder, and the results say so. (Measured:
on ext4 without a journal every new file searches past the inodes that were deleted in the last minutes, so that a
run pays for the one before.)
"""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

SIZE_MIB = 4096


@contextlib.contextmanager
def fresh() -> Iterator[tuple[Path, str]]:
    """Give an empty folder to work in, and what it lies on; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="dualcam-bench-") as name:
        folder, image = Path(name) / "disk", Path(name) / "image"
        folder.mkdir()
        if not _mount(image, folder):
            yield folder, _file_system(folder)
            return
        try:
            yield folder, "ext4 with journal, in an image file on " + _file_system(Path(name))
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def _mount(image: Path, folder: Path) -> bool:
    """Mount a new image; its blocks are there already, and no cache lies between it and the disk, as for a disk."""
    if os.geteuid():
        return False
    with image.open("wb") as file:
        for _ in range(SIZE_MIB):
            file.write(bytes(2**20))
        os.fsync(file.fileno())
    looped = subprocess.run(
        ["losetup", "--find", "--show", "--direct-io=on", image], capture_output=True, text=True
    )
    if looped.returncode:
        image.unlink()
        return False
    device = looped.stdout.strip()
    try:
        for command in (["mkfs.ext4", "-q", device], ["mount", device, folder]):
            if subprocess.run(command, capture_output=True).returncode:
                image.unlink()
                return False
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)  # it goes when nothing uses it any more
    folder.chmod(0o755)  # PostgreSQL runs as another user
    return True


def _file_system(folder: Path) -> str:
    answer = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True)
    return answer.stdout.strip() or "unknown"
