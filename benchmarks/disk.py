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
    if os.geteuid():
        return False
    with image.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, SIZE_MIB * 2**20)
    for command in (["mkfs.ext4", "-q", "-F", image], ["mount", "-o", "loop", image, folder]):
        if subprocess.run(command, capture_output=True).returncode:
            image.unlink()
            return False
    folder.chmod(0o755)  # PostgreSQL runs as another user
    return True


def _file_system(folder: Path) -> str:
    told = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True)
    return told.stdout.strip() or "unknown"
