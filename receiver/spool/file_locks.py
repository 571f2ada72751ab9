"""Locks files between the processes of one machine. The lock of a dead process is free.

POSIX record locks: one descriptor a process, one locked byte a file, however many devices; and one datagram
socket a process, by which a newer connection's process asks the older one to give way. Across machines the
product's leases do the same.
"""

import errno
import fcntl
import os
import socket
import struct
from pathlib import Path

LOCK = struct.Struct("@hhqqi")  # struct flock: type, whence, start, length, pid
SHARDS = 64  # lock files: the kernel walks a list of one file's locks
SLOTS = {"%photof": 0, "%photor": 1, "%videof": 2, "%videor": 3}
PATH_SLOT = 4  # one path at a time: the device offers them one by one


class FileLocks:
    """The claims of this process; make it after fork."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._files: dict[int, int] = {}  # kept open: closing one would drop its locks
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._remove_stale(folder)
        self.socket.bind(self._address(os.getpid()))
        self.socket.setblocking(False)

    def take(self, imei: str, identifier: str) -> bool:
        """Claim a file of a device for this process; False if another process has it."""
        try:
            fcntl.lockf(self._file(imei), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(imei, identifier))
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
        return True

    def release(self, imei: str, identifier: str) -> None:
        """Give a claim back."""
        fcntl.lockf(self._file(imei), fcntl.LOCK_UN, 1, _place(imei, identifier))

    def ask(self, imei: str, identifier: str) -> None:
        """Ask the process that has the claim to give way."""
        wanted = LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _place(imei, identifier), 1, 0)
        kind, _, _, _, holder = LOCK.unpack(fcntl.fcntl(self._file(imei), fcntl.F_GETLK, wanted))
        if kind != fcntl.F_UNLCK and holder > 0:
            try:
                self.socket.sendto(f"{imei} {identifier}".encode(), self._address(holder))
            except OSError:
                pass  # it ended meanwhile, or does not listen: the next try sees

    def asked(self) -> tuple[str, str]:
        """Give what another process asks for, once the socket is readable: the IMEI and the identifier."""
        imei, _, identifier = self.socket.recv(512).decode("ascii", "replace").partition(" ")
        return imei, identifier

    def _file(self, imei: str) -> int:
        shard = int(imei) % SHARDS
        if shard not in self._files:
            self._files[shard] = os.open(
                f"{shard:02d}.lock", os.O_RDWR | os.O_CREAT, 0o600, dir_fd=self._folder
            )
        return self._files[shard]

    def _address(self, pid: int) -> str:
        # through the open folder: a socket's path may have 107 bytes only
        return f"/proc/self/fd/{self._folder}/{pid}.sock"

    def _remove_stale(self, folder: Path) -> None:
        for path in folder.glob("*.sock"):
            if path.stem == str(os.getpid()) or not Path("/proc", path.stem).exists():
                path.unlink(missing_ok=True)


def _place(imei: str, identifier: str) -> int:
    return int(imei) * 8 + SLOTS.get(identifier, PATH_SLOT)
