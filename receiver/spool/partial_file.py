"""One partial file as it lies on this machine: its bytes, its sidecar, and how both survive a power cut.

Its transfer says how many bytes of it are held; which of them are trusted after a power cut is said by its sidecar.
Whatever blocks may run in a thread. Called by `file_transfer`.
"""

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterable
from datetime import datetime

from receiver.endings import Reason
from receiver.spool.pending_folder import PendingFolder
from receiver.spool.sidecar import SidecarRecord
from receiver.spool.sidecar_files import overwrite, replace
from receiver.store.durability import OpenFiles, StorageError, pieces, stamp, write_out
from receiver.wire import protocol
from receiver.wire.protocol import PACKET

READ_AT_ONCE = 1024 * 1024  # bytes in memory while the CRC of those held is made anew


class PartialFile:
    """The bytes of one file and the record of its sidecar. Every method may raise OSError."""

    __slots__ = ("named", "part", "record", "sidecar")

    def __init__(self, folder: str, record: SidecarRecord) -> None:
        self.record = record
        self.part = f"{folder}/{record['imei']}/{record['upload']}.part"
        self.sidecar = f"{self.part[:-5]}.json"
        # the names of both survive a power cut: later sidecars need no fsync of the folder, since what a power cut
        # may then bring back is the one before, which promises less
        self.named = False

    def create(self, files: OpenFiles) -> None:
        """Create both files, empty."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(os.path.dirname(self.part))
        files.write(self.part, b"", 0)
        # not fsynced: nothing is promised yet
        os.close(overwrite(self.sidecar, self.record))

    def remove(self) -> None:
        """Remove both files, as far as they can be."""
        for path in (self.part, self.sidecar):
            with contextlib.suppress(OSError):
                os.unlink(path)

    # where it goes on

    def cut(self, size: int, boot: str) -> int:
        """Cut it to the bytes that an offered file of `size` bytes at most goes on from; give how many they are."""
        held = os.stat(self.part).st_size
        if self.record["boot"] != boot:
            held = min(held, self.record["safe"])
        # whole packets only; the last one may be short and is always taken again
        held = max(0, min(held, size - 1) // PACKET * PACKET)
        os.truncate(self.part, held)
        return held

    def note_resumed(self, held: int, boot: str) -> None:
        """Write down that it goes on from there."""
        record = self.record
        record["resumes"] += 1
        record["boot"] = boot
        shorter = held // PACKET < record["safe"] // PACKET
        # else bytes that come now could be taken for those that were safe
        record["safe"] = min(record["safe"], held)
        replace(self.sidecar, record, safe=shorter)

    def chain(self, left: int) -> int:
        """Give the CRC of so many bytes that are held. Blocks."""
        chain = 0
        with open(self.part, "rb") as file:
            while left:
                piece = file.read(min(left, READ_AT_ONCE))
                if not piece:
                    raise StorageError(Reason.PARTIAL_LOST)
                chain = protocol.crc(piece, chain)
                left -= len(piece)
        return chain

    def read(self, offset: int, count: int) -> bytes:
        """Give some of the bytes that are held."""
        with open(self.part, "rb") as file:
            file.seek(offset)
            return file.read(count)

    # how its bytes become safe

    def write_held(self, held: int, now: datetime) -> tuple[int, ...]:
        """Begin to write the bytes held and a new sidecar to disk; give the descriptors to fsync."""
        part = self._write_part(held)
        try:
            sidecar = self._write_beside(self._as_held(held, now))
        except BaseException:
            os.close(part)
            raise
        write_out(sidecar)
        return part, sidecar

    def _as_held(self, held: int, now: datetime) -> SidecarRecord:
        return self.record | {
            "safe": held,
            "updated_at": stamp(now),
            "received_packets": held // PACKET,
            "size": held,
        }

    def _write_beside(self, record: SidecarRecord) -> int:
        try:
            return overwrite(f"{self.sidecar}.tmp", record)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(f"{self.sidecar}.tmp")  # a full disk must not fill with what cannot be read
            raise

    def be_held(self, held: int, now: datetime) -> None:
        """Put the new sidecar in the old one's place, once its bytes and the file's are on disk."""
        os.replace(f"{self.sidecar}.tmp", self.sidecar)
        self.record = self._as_held(held, now)

    def fsync(self, descriptors: Iterable[int]) -> None:
        """Wait until all that was written out is on disk."""
        try:
            for descriptor in descriptors:
                os.fsync(descriptor)
        except OSError:
            self.distrust()
            raise

    def distrust(self) -> None:
        """Trust the bytes only as far as they were safe before: after a failed fsync the next one proves nothing."""
        self.record["boot"] = ""
        with contextlib.suppress(OSError):
            replace(self.sidecar, self.record, safe=False)

    def _write_part(self, held: int) -> int:
        """Begin to write the bytes held to disk; give the file's descriptor."""
        if not self.record["boot"]:
            raise OSError(errno.EIO, "an earlier fsync failed")
        part = os.open(self.part, os.O_RDWR | os.O_CLOEXEC)
        try:
            if held < os.fstat(part).st_size:
                os.ftruncate(part, held)  # a piece of what could not be written whole
        except BaseException:
            os.close(part)
            raise
        write_out(part)
        return part

    # how it becomes a stored file

    def write_whole(self, held: int, received: int, chain: int, now: datetime) -> tuple[int, ...]:
        """Begin to write the whole file and its sidecar to disk; give the descriptors to fsync.

        `received`, `chain`: how many bytes came, and their CRC: what is read back must have them.
        """
        part = self._write_part(held)
        try:
            self.record |= {
                "state": "stored",
                "sha256": self._read_back(part, received, chain),
                "size": received,
                "received_at": stamp(now),
                "received_packets": self.record["packets"],
                "updated_at": stamp(now),
            }
            sidecar = self._overwrite_sidecar()
        except BaseException:
            os.close(part)
            raise
        write_out(sidecar)
        return part, sidecar

    def _read_back(self, part: int, received: int, came: int) -> str:
        """Give the file's SHA-256, while the disk writes it. Raises OSError where it is not what came."""
        hashed, chain, size = hashlib.sha256(), 0, 0
        for piece in pieces(part):
            hashed.update(piece)
            chain, size = protocol.crc(piece, chain), size + len(piece)
        if (size, chain) != (received, came):
            self.record["safe"] = 0  # it comes again from its first byte
            self.distrust()
            raise OSError(errno.EIO, "what was written is not what came")
        return hashed.hexdigest()

    def _overwrite_sidecar(self) -> int:
        """In place: a file less to make and to remove; torn by a power cut it costs a partial file, nothing more."""
        try:
            return overwrite(self.sidecar, self.record)
        except OSError:
            # the disk is full: be what it was before, which is shorter
            with contextlib.suppress(OSError):
                os.close(overwrite(self.sidecar, self.record | {"state": "receiving", "sha256": None}))
            raise

    def hand_in(self, pending: PendingFolder) -> None:
        """Move the sidecar among those that wait for the product."""
        self.record["pending"] = pending.name_of(self.record)
        os.rename(self.sidecar, pending.path(self.record))

    def take_back(self, pending: PendingFolder) -> None:
        """Be a partial file again: it could not be stored."""
        if name := self.record.pop("pending", None):
            with contextlib.suppress(FileNotFoundError):
                os.rename(pending.folder / name, self.sidecar)
        self.record |= {"state": "receiving", "sha256": None, "received_at": None}
