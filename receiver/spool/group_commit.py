"""Makes the files of many sessions safe at once: their fsyncs wait together, and whole files go into the media store.

A file is acknowledged only after commit() has returned: its bytes are safe under their key, and so is its sidecar.
"""

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from receiver.endings import Reason
from receiver.spool.file_transfer import Transfer
from receiver.spool.shared_partials import SharedPartials
from receiver.store.durability import FileSystem, StorageError, sync_folder
from receiver.store.media_store import Media, MediaError

TOGETHER = 8  # files from which on the whole file system is synced once instead of each of them


def _not_stored(error: OSError) -> StorageError:
    return StorageError(Reason.NOT_STORED, cause=error.strerror or str(error))


class GroupCommit:
    """The way of files from the sessions of one process to the disk and into the media store."""

    def __init__(
        self, spool: Path, disk: FileSystem, media: Media, shared_partials: SharedPartials | None
    ) -> None:
        self._spool, self._disk, self._media = spool, disk, media
        self._shared_partials = shared_partials

    def commit(self, transfers: Sequence[Transfer], now: datetime) -> list[StorageError | None]:
        """Make whole files safe in the media store, many at once; give for each why it could not be, or None.

        Blocks. What failed is still a partial file and must not be acknowledged.
        """
        problems = self.seal(transfers, now)
        sealed = [number for number, problem in enumerate(problems) if problem is None]
        for number, problem in zip(sealed, self.place([transfers[n] for n in sealed]), strict=True):
            problems[number] = problem
        return problems

    def seal(self, transfers: Sequence[Transfer], now: datetime) -> list[StorageError | None]:
        """Make the bytes of whole files and their sidecars survive a power cut, in the spool. Blocks."""
        problems = self._in_step(transfers, lambda t: t.write_whole(now), Transfer.hand_in)
        try:
            sync_folder(self._spool / "pending")
        except OSError as error:
            problems = [problem or _not_stored(error) for problem in problems]
        self._take_back(transfers, problems)
        return problems

    def make_safe(self, transfers: Sequence[Transfer], now: datetime) -> list[StorageError | None]:
        """Make the bytes held of partial files survive a power cut, many at once. Blocks."""
        problems = self._in_step(transfers, lambda t: t.write_held(now), lambda t: t.be_held(now))
        new = [n for n, t in enumerate(transfers) if not (problems[n] or t.file.named or t.stored_before)]
        try:
            for folder in dict.fromkeys(Path(transfers[n].file.part).parent for n in new):
                sync_folder(folder)
            if new:
                sync_folder(self._spool / "partial")
        except OSError as error:
            for n in new:
                problems[n] = _not_stored(error)
        for n in new:
            transfers[n].file.named = problems[n] is None
        return problems

    def _in_step(
        self,
        transfers: Sequence[Transfer],
        begin: Callable[[Transfer], tuple[int, ...]],
        finish: Callable[[Transfer], None],
    ) -> list[StorageError | None]:
        """Begin all, then wait until what each wrote is on disk, and finish it: the fsyncs of many wait together."""
        problems: list[StorageError | None] = [None] * len(transfers)
        written: list[tuple[int, tuple[int, ...]]] = []
        for number, transfer in enumerate(transfers):
            try:
                written.append((number, begin(transfer)))
            except OSError as error:
                problems[number] = _not_stored(error)
        together = len(written) >= TOGETHER and self._disk.can_sync
        lost = self._sync_all() if together else None
        for number, descriptors in written:
            try:
                if not together:
                    transfers[number].file.fsync(descriptors)
                elif lost is not None:
                    transfers[number].distrust()
                    raise lost
                finish(transfers[number])
            except OSError as error:
                problems[number] = _not_stored(error)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
        return problems

    def _sync_all(self) -> OSError | None:
        """Wait until all that was written is on disk; give why it is not."""
        try:
            self._disk.sync()
        except OSError as error:
            # nobody says whose bytes: no file that is being written now is to be believed
            self._disk.losses += 1
            return error
        return None

    def place(self, transfers: Sequence[Transfer]) -> list[StorageError | None]:
        """Put sealed files into the media store."""
        new = [t for t in transfers if not t.stored_before]
        try:
            for transfer in new if self._shared_partials is not None else ():
                self._shared_partials.announce(transfer.record)  # type: ignore[union-attr]
            outcomes = self._media.put_all([(t.file.part, t.record["path"]) for t in new])
        except MediaError as error:
            outcomes = [error] * len(new)
        answers = iter(outcomes)
        problems: list[StorageError | None] = []
        for transfer in transfers:
            problem = None if transfer.stored_before else next(answers)
            problems.append(StorageError(Reason.STORE_AWAY, cause=str(problem)) if problem else None)
            if (
                self._shared_partials is not None
                and not problem
                and (left := transfer.record.pop("left", None))
            ):
                self._shared_partials.forget(left)
        self._take_back(transfers, problems)
        return problems

    def _take_back(self, transfers: Sequence[Transfer], problems: Sequence[StorageError | None]) -> None:
        for transfer, problem in zip(transfers, problems, strict=True):
            if problem is not None:
                transfer.take_back()
