"""File operations that survive a power cut: fsync, atomic replacement, free space, open descriptors."""

import contextlib
import ctypes
import hashlib
import os
import re
import resource
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from receiver.endings import EndingError
from receiver.ids import Ids

LEAST_FREE = 16 * 2**20  # bytes: a long video and its neighbours
LEAST_INODES = 64
READ_AT_ONCE = 128 * 1024  # bytes, for a hash
# descriptors kept for files that are being written; others are opened for each piece
OPEN_FILES_LEAST = 512
OPEN_FILES_SHARE = 4  # one of so many that the process may have: the others are for its connections


class StorageError(EndingError):
    """The file cannot be kept now; nothing was acknowledged."""


def sync_folder(folder: Path) -> None:
    """Make a folder's entries survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder whose entry survives a power cut."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        folder.mkdir(0o700)
    except FileExistsError:
        return
    sync_folder(folder.parent)


def lacks_room(folder: Path, name: str) -> str | None:
    """Say why no file can be taken into a folder, None if some can."""
    try:
        facts = os.statvfs(folder)
    except OSError as error:
        return f"the {name} cannot be reached: {error.strerror}"
    if not os.access(folder, os.W_OK):
        return f"the {name} cannot be written"
    if (free := facts.f_bavail * facts.f_frsize) < LEAST_FREE:
        return f"the {name} is full: {free // 2**20} MiB left"
    if facts.f_files and facts.f_favail < LEAST_INODES:  # some file systems do not count them
        return f"the {name} is full: {facts.f_favail} inodes left"
    return None


@contextlib.contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Give a name to write under; what came whole gets its own name at the end, and what did not is removed."""
    part = target.with_name(f"{target.name}.tmp")
    try:
        yield part
        if part.exists():
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)


_ids = Ids()


def new_id(now: datetime) -> str:
    """Make an id: 32 lower-case hex characters that sort by time, each greater than this process's last one."""
    return _ids.make(int(now.timestamp() * 1000))


def boot_id() -> str:
    """Name the present boot: bytes written under another boot are safe only as far as they were fsynced."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return os.urandom(16).hex()  # each start may have followed a power cut


_libc = ctypes.CDLL(None, use_errno=True)
WRITE_OUT = 2  # SYNC_FILE_RANGE_WRITE


def write_out(descriptor: int) -> None:
    """Have the kernel begin to write a file's bytes: the fsyncs of many files then wait together.

    Only a hint (Linux): what makes the bytes safe is the fsync that follows.
    """
    if hasattr(_libc, "sync_file_range"):
        _libc.sync_file_range(descriptor, ctypes.c_int64(0), ctypes.c_int64(0), ctypes.c_uint(WRITE_OUT))


def _tells_of_losses() -> bool:
    """Say whether syncfs gives errors: Linux does since 5.8, and before that it says that all is well."""
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return hasattr(_libc, "syncfs") and version is not None and (int(version[1]), int(version[2])) >= (5, 8)


class FileSystem:
    """All files beside a folder, made safe at once: one wait for the disk instead of one for each file.

    Also waits for what others write there: only worth it for several files.
    """

    can_sync = _tells_of_losses()

    def __init__(self, folder: Path) -> None:
        self.losses = 0  # how often the disk lost bytes, of whichever file
        # kept open: the kernel reports each loss since it was opened
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def sync(self) -> None:
        """Make all that was written survive a power cut. Raises OSError if bytes of any file were lost."""
        if _libc.syncfs(self._descriptor):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))


def is_part(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def stamp(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def digest_of(path: Path) -> str:
    """Give the SHA-256 of a file, in hex. Blocks."""
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        for piece in pieces(file.fileno()):
            hashed.update(piece)
    return hashed.hexdigest()


def pieces(descriptor: int) -> Iterator[bytes]:
    """Give an open file's bytes from the first to the last."""
    at = 0
    while piece := os.pread(descriptor, READ_AT_ONCE, at):
        yield piece
        at += len(piece)


class OpenFiles:
    """Descriptors of files that are being written: the busiest stay open, up to a number."""

    def __init__(self, most: int | None = None) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = max(OPEN_FILES_LEAST, soft // OPEN_FILES_SHARE) if most is None else most
        self._open: dict[str, int] = {}

    def write(self, path: str, data: bytes | bytearray, offset: int) -> None:
        """Write bytes at a place; only the first ones make the file. Raises OSError."""
        descriptor = self._open.pop(path, None)
        if descriptor is None:
            if len(self._open) >= self._most:
                self.close(next(iter(self._open)))
            # a file that was removed meanwhile must not come back with a hole in the place of what was there
            make = 0 if offset else os.O_CREAT
            descriptor = os.open(path, os.O_RDWR | make | os.O_CLOEXEC, 0o600)
        self._open[path] = descriptor  # last in the order: used last
        view = memoryview(data)
        while view:
            done = os.pwrite(descriptor, view, offset)
            view, offset = view[done:], offset + done

    def close(self, path: str) -> None:
        """Close a file, if it is open."""
        if (descriptor := self._open.pop(path, None)) is not None:
            os.close(descriptor)
