"""The transfer of one file in one session: writing, comparing, resuming, and completing it.

The connection calls it; what blocks may run in a thread, after flush(). How many are made safe at once, and where
they go then, `group_commit` says.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from receiver.endings import Reason
from receiver.spool.file_identity import camera_time
from receiver.spool.partial_file import PartialFile
from receiver.spool.pending_folder import PendingFolder
from receiver.spool.sidecar import SidecarRecord, StoredFile
from receiver.spool.upload_context import UploadContext, record_of
from receiver.store.durability import FileSystem, OpenFiles, StorageError, new_id, stamp
from receiver.store.keys import describe, quarantined
from receiver.store.media_store import Media, MediaError
from receiver.wire import protocol
from receiver.wire.actions import Offer
from receiver.wire.protocol import PACKET

BUFFER = 4 * 1024  # small pieces are gathered up to this size, in memory, for each slow device
SAFE_SECONDS = 30.0  # between fsyncs of a partial file: what a power cut may cost when it is resumed
COMPARED_AT_ONCE = 1024 * 1024  # bytes of a stored file in memory while it is compared
MUCH = 1024 * 1024  # bytes; more than that is not read while other connections wait


class TransferHost(Protocol):
    """What a transfer needs of the spool that it writes into."""

    partials: str
    active: set[str]
    boot: str
    files: OpenFiles
    media: Media
    pending: PendingFolder
    disk: FileSystem
    aside: Callable[..., Any]

    def begin(self, asker: UploadContext, offer: Offer) -> "Transfer":
        """Begin a file from its first byte. Raises StorageError."""

    def discard(self, record: SidecarRecord) -> None:
        """Give up a partial file."""


class Transfer:
    """One file that one session receives."""

    __slots__ = (
        "_buffer",
        "_compare_until",
        "_context",
        "_losses",
        "_offer",
        "_safe_at",
        "_unproven",
        "chain",
        "file",
        "received",
        "store",
        "stored_before",
    )

    def __init__(
        self, store: TransferHost, record: SidecarRecord, asker: UploadContext, offer: Offer
    ) -> None:
        self.store, self.file = store, PartialFile(store.partials, record)
        self.received = 0  # bytes held, from the beginning
        self.chain = 0  # their CRC
        self._context, self._offer = asker, offer
        self.stored_before = False  # a stored file that is offered again: compare, do not write
        self._compare_until = 0  # what is held up to here is compared as it comes again
        self._unproven = False  # nothing has shown yet that what is held is of the file that is offered
        self._buffer = b""  # the last bytes of those held, not yet written
        self._safe_at = asker.now
        self._losses = store.disk.losses
        store.active.add(record["upload"])

    @property
    def record(self) -> SidecarRecord:
        """What its sidecar says."""
        return self.file.record

    # how a transfer comes to be

    @classmethod
    def begin(cls, store: TransferHost, asker: UploadContext, offer: Offer) -> "Transfer":
        """Begin a file from its first byte."""
        upload = new_id(asker.now)
        path = f"{asker.now:%Y/%m/%d/%H}/{asker.imei}_{upload}.{describe(offer)[2]}"
        if asker.admission == "quarantine":
            path = quarantined(asker.imei, path)
        record = record_of(asker, offer, StoredFile(upload, path, 0), store.boot)
        transfer = cls(store, record, asker, offer)
        try:
            transfer.file.create(store.files)
        except OSError as error:
            transfer.leave()  # the camera comes again and again: a full disk must not fill with empty files
            raise StorageError(Reason.NOT_KEPT, cause=error.strerror or str(error)) from error
        return transfer

    @classmethod
    def resume(
        cls, store: TransferHost, record: SidecarRecord, asker: UploadContext, offer: Offer
    ) -> "Transfer":
        """Go on with a partial file; where no time proves that it is the same, the device's next CRC has to."""
        record = record | {"session": asker.session, "updated_at": stamp(asker.now), "state": "receiving"}
        record["address"] = asker.address
        transfer = cls(store, record, asker, offer)
        try:
            held = transfer.file.cut(offer.size, store.boot)
            transfer._unproven = bool(held) and not camera_time(record)
            transfer._stand_at(held)
            transfer.file.note_resumed(held, store.boot)
        except BaseException as error:
            transfer._release()
            if isinstance(error, OSError):
                raise StorageError(Reason.PARTIAL_UNREADABLE, cause=error.strerror or str(error)) from error
            raise
        return transfer

    @classmethod
    def compare_stored(
        cls, store: TransferHost, stored: StoredFile, asker: UploadContext, offer: Offer
    ) -> "Transfer":
        """Ask only for the end of a stored file, to be sure that it is the same. Raises MediaError."""
        transfer = cls(store, record_of(asker, offer, stored, store.boot), asker, offer)
        transfer.stored_before = True
        transfer._compare_until = stored.size
        begin = (stored.size - 1) // PACKET * PACKET
        try:
            transfer.chain = transfer._chain_before(begin)
        except BaseException:
            transfer._release()
            raise
        transfer.received = begin
        return transfer

    def _stand_at(self, offset: int) -> None:
        """Stand behind so many bytes; their CRC is made anew from the bytes themselves."""
        aside = offset > MUCH
        self.chain = self.store.aside(self.file.chain, offset) if aside else self.file.chain(offset)
        self.received = offset

    # taking bytes

    def write(self, offset: int, payload: bytes, now: datetime, chain: int | None = None) -> bool:
        """Take checked bytes; False when they differ from those held: then the file begins again.

        `chain`: the CRC of all bytes up to their end, where the device's own is that one. Raises StorageError.
        """
        assert offset == self.received
        if self._unproven and chain is None:
            self._compare_all()
            return False
        self._unproven = False
        known = max(0, min(len(payload), self._compare_until - offset))
        if self.stored_before and not self._fits_stored(offset + len(payload)):
            self._start_again(now)
            return False
        if known and self._held(offset, known) != payload[:known]:
            self._start_again(now)
            return False
        self.received += len(payload)
        self.chain = protocol.crc(payload, self.chain) if chain is None else chain
        if new := payload[known:] if known else payload:
            if len(self._buffer) + len(new) >= BUFFER:
                self.flush(new)
            else:
                self._buffer += new
        return True

    def _compare_all(self) -> None:
        """Stand at the first byte: the device's CRC does not go on from what is held, so all of it is compared."""
        self._compare_until = max(self._compare_until, self.received)
        self.received, self.chain, self._unproven = 0, 0, False

    def _fits_stored(self, end: int) -> bool:
        """Say whether a stored file can have bytes that end here: its last packet must have its length."""
        size = self.record["size"]
        return bool(
            end == size or (end < size and (self._offer.by_path or end <= (size - 1) // PACKET * PACKET))
        )

    def wants_safety(self, now: datetime) -> bool:
        """Say whether it is time for `make_safe`."""
        # abs: when the clock is moved back, one fsync too many
        return abs((now - self._safe_at).total_seconds()) >= SAFE_SECONDS and not self.stored_before

    def go_back(self, offset: int) -> None:
        """Stand at an earlier byte: what is held from there on is compared as it comes again."""
        self._compare_until = max(self._compare_until, self.received)
        if self.stored_before:
            try:
                self.chain = self._chain_before(offset)
            except MediaError as error:
                raise StorageError(Reason.STORE_AWAY, cause=str(error)) from error
            self.received = offset
        else:
            self.flush()
            self._stand_at(offset)
            self._unproven = self._unproven and offset > 0

    def _chain_before(self, end: int) -> int:
        """Give the CRC of a stored file's bytes up to `end`. Raises MediaError."""
        # a shared store is reached over sockets, which wait without blocking
        aside = end > MUCH and not self.store.media.shared
        return self.store.aside(self._stored_chain, end) if aside else self._stored_chain(end)

    def _stored_chain(self, end: int) -> int:
        """Read in pieces: memory is bounded."""
        chain = 0
        for at in range(0, end, COMPARED_AT_ONCE):
            count = min(COMPARED_AT_ONCE, end - at)
            chain = protocol.crc(self.store.media.read(self.record["path"], at, count) or b"", chain)
        return chain

    def _held(self, offset: int, count: int) -> bytes:
        if self.stored_before:
            try:
                return self.store.media.read(self.record["path"], offset, count) or b""
            except MediaError as error:
                raise StorageError(Reason.STORE_AWAY, cause=str(error)) from error
        return self.file.read(offset, count)

    def _start_again(self, now: datetime) -> None:
        """It is another file: from the first byte. A partial is given up, a stored file stays as it is."""
        old, offer = self.record, self._offer
        asker = replace(self._context, now=now)
        self.store.active.discard(old["upload"])
        self._compare_until, self.received, self.chain, self._buffer = 0, 0, 0, b""
        if not self.stored_before:
            self.store.discard(old)
        fresh = self.store.begin(asker, offer)
        self.file, self._context = fresh.file, asker
        self.stored_before = False

    def flush(self, more: bytes = b"") -> None:
        """Write what was gathered. Raises StorageError."""
        data = self._buffer + more if self._buffer else more
        if not data:
            return
        try:
            self.store.files.write(self.file.part, data, self.received - len(data))
        except OSError as error:
            self.received -= len(data)  # never more than is there
            self._buffer = b""
            raise StorageError(Reason.NOT_WRITTEN, cause=error.strerror or str(error)) from error
        self._buffer = b""

    # how it ends; what blocks may run in a thread, after flush(): see `group_commit`

    def progress(self) -> SidecarRecord | None:
        """Give the record as it is now, None for a stored file that is compared."""
        if self.stored_before:
            return None
        return self.record | {"received_packets": self.received // PACKET, "size": self.received}

    def write_held(self, now: datetime) -> tuple[int, ...]:
        """Begin to write the bytes held and a new sidecar to disk; give the descriptors to fsync. Raises OSError."""
        self._safe_at = now
        if self.stored_before or not self.held:
            return ()
        self._heed_losses()
        return self.file.write_held(self.held, now)

    def be_held(self, now: datetime) -> None:
        """Put the new sidecar in the old one's place, once its bytes and the file's are on disk. Raises OSError."""
        if not self.stored_before and self.held:
            self.file.be_held(self.held, now)

    def left_behind(self) -> None:
        """Be a partial file that waits for its device from now on."""
        if not self.stored_before:
            self.record["state"] = "partial"

    def distrust(self) -> None:
        """Trust the bytes only as far as they were safe before: after a failed fsync the next one proves nothing."""
        if not self.stored_before:
            self.file.distrust()

    def _heed_losses(self) -> None:
        """Trust nothing that was written since the disk lost bytes, of whichever file."""
        if self._losses != self.store.disk.losses:
            self.file.distrust()

    def write_whole(self, now: datetime) -> tuple[int, ...]:
        """Begin to write the whole file and its sidecar to disk; give the descriptors to fsync. Raises OSError."""
        if self.stored_before:
            return ()
        self._heed_losses()
        return self.file.write_whole(self.held, self.received, self.chain, now)

    def hand_in(self) -> None:
        """Move the sidecar among those that wait for the product, under the name by which the file is known again."""
        if not self.stored_before:
            self.file.hand_in(self.store.pending)

    def take_back(self) -> None:
        """Be a partial file again: it could not be stored."""
        if not self.stored_before:
            self.file.take_back(self.store.pending)

    def committed(self) -> SidecarRecord | None:
        """Give the record of the file that was made safe, None if it was stored before or nothing came of it."""
        return None if self.stored_before or not self.held else self.record

    @property
    def held(self) -> int:
        """How many bytes of the file are on disk or in the buffer, those too that are still to be compared."""
        return max(self.received, self._compare_until)

    def leave(self) -> None:
        """Release the file; if no byte came, remove its empty files."""
        self._release()
        if not self.stored_before and not self.held:
            self.file.remove()

    def _release(self) -> None:
        self.store.files.close(self.file.part)
        self.store.active.discard(self.record["upload"])
