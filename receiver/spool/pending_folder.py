"""The folder of sidecars of stored files that wait until the product has them.

A sidecar moves here when its file is sealed, before the file goes into the media store. What a killed process left
between the two is finished here.
"""

import os
from collections.abc import Callable, Container, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from receiver.spool.file_identity import camera_time, is_of, offered_time, sameness
from receiver.spool.partial_folder import PartialFolder
from receiver.spool.shared_partials import place, places
from receiver.spool.sidecar import SidecarRecord, StoredFile
from receiver.spool.sidecar_files import read_sidecar
from receiver.store.durability import digest_of, is_part, when
from receiver.store.media_store import Media, MediaError, is_away
from receiver.wire.actions import Offer

log = structlog.get_logger("receiver")
READ_AT_ONCE = 200  # sidecars, between looks at what is found
CLOCK_MOVED = timedelta(minutes=10)  # no file is stored so long after now


def _waits_since(record: SidecarRecord, before: datetime) -> bool:
    """Say whether a stored file waits since `before`; one of a time to come does: the clock was moved."""
    waited = before - when(record["received_at"] or record["updated_at"])
    return waited >= timedelta(0) or waited < -CLOCK_MOVED


class PendingFolder:
    """The stored files of one machine on their way to the product.

    `active`: uploads that this process writes at this moment. `beside`: how disk work is done where the media store
    is shared.
    """

    def __init__(
        self,
        folder: Path,
        media: Media,
        partial: PartialFolder,
        active: Container[str],
        beside: Callable[..., Any],
    ) -> None:
        self.folder, self._media, self._partial = folder, media, partial
        self._active, self._beside = active, beside
        self._reported: set[str] = set()  # uploads that the product has, whose sidecars could not be moved

    def like(self, imei: str, offer: Offer) -> StoredFile | None:
        """Find a stored file that the product may not have yet, by the name that it must have."""
        if not (timestamp := offered_time(offer)):
            return None
        same = sameness(offer.identifier, offer.count, timestamp)
        record = read_sidecar(self.folder / f"{imei}_{same}.json")
        return StoredFile.of(record) if record is not None and is_of(record, offer) else None

    def waiting(
        self,
        before: datetime,
        but: Container[str] = (),
        most: int = 500,
        failed: Callable[[SidecarRecord, Exception], object] = lambda record, error: None,
    ) -> list[SidecarRecord]:
        """Give the sidecars of stored files that wait for the product since `before`, but not of these uploads.

        Those of processes that live are handed over by themselves; what is this old was left. A file that cannot be
        handled is given to `failed` and passed over. Raises MediaError where the store is away for all of them.
        """
        names = self._beside(lambda: sorted(os.listdir(self.folder)))
        records: list[SidecarRecord] = []
        for at in range(0, len(names), READ_AT_ONCE):
            for record in self._beside(self._read, names[at : at + READ_AT_ONCE], before, but):
                if len(records) == most:
                    return records
                try:
                    if record["upload"] in self._reported:
                        self.delivered([record])
                    elif self._finish(record):
                        records.append(record)
                except (OSError, MediaError) as error:
                    if is_away(self._media, error):
                        raise
                    failed(record, error)
        return records

    def _read(self, names: Sequence[str], before: datetime, but: Container[str]) -> list[SidecarRecord]:
        """Read those sidecars that are to be looked at."""
        records = []
        for name in names:
            # one that cannot be read was torn by a power cut: not acknowledged, the partial file is still there
            record = read_sidecar(self.folder / name) if name.endswith(".json") else None
            if record is None or record["upload"] in but or record["upload"] in self._active:
                continue
            if _waits_since(record, before):
                records.append(record | {"pending": name})
        return records

    def _finish(self, record: SidecarRecord) -> bool:
        """Finish what a commit began, if it was killed between sidecar and store; say whether the file is stored."""
        part = self._partial.part(record)
        if is_part(part):
            if self._beside(digest_of, part) != record["sha256"]:
                # a power cut before the bytes were safe: never acknowledged, still a partial file
                log.warning("not stored before the power cut", imei=record["imei"], upload=record["upload"])
                self._give_back(record)
                return False
            self._media.put(part, record["path"])
            # where a power cut left both names of one file, renaming does nothing
            part.unlink(missing_ok=True)
            part.with_suffix(".json").unlink(missing_ok=True)
        return self._place(record) is not None

    def _give_back(self, record: SidecarRecord) -> None:
        waiting, sidecar = self.path(record), self._partial.part(record).with_suffix(".json")
        if sidecar.exists():
            waiting.unlink(missing_ok=True)
        else:
            waiting.replace(sidecar)

    def has_file(self, record: SidecarRecord) -> bool:
        """Say whether the file of a sidecar exists, in the spool or stored. Raises MediaError."""
        return is_part(self._partial.part(record)) or self._place(record) is not None

    def _place(self, record: SidecarRecord) -> str | None:
        """Give where a file is in the media store: put there, or moved by the product. Raises MediaError."""
        return place(self._media, record["imei"], record["path"], record["size"])

    def delivered(self, records: Iterable[SidecarRecord]) -> None:
        """Take that the product has these files: their sidecars go beside them, or are done with.

        What cannot be moved now (disk full) stays, and is moved later without telling the product again.
        """
        beside: list[SidecarRecord] = []
        for record in records:
            try:
                path = next(
                    (
                        key
                        for key in places(record["imei"], record["path"])
                        if self._media.path(key) is not None
                    ),
                    None,
                )
                if path is None:  # the store is no folder
                    self.path(record).unlink(missing_ok=True)
                else:
                    beside.append(record | {"path": path})
            except (OSError, MediaError):
                self._reported.add(record["upload"])
        problems = self._media.put_all([(self.path(r), f"{r['path']}.json") for r in beside])
        for record, problem in zip(beside, problems, strict=True):
            if problem is None:
                self._reported.discard(record["upload"])
            else:
                self._reported.add(record["upload"])

    def path(self, record: SidecarRecord) -> Path:
        """Give where the sidecar of a stored file waits for the product."""
        # one that another machine left may name none, or a place outside
        name = record.get("pending") or f"{record['imei']}_{record['upload']}.json"
        return self.folder / Path(str(name)).name

    def name_of(self, record: SidecarRecord) -> str:
        """Give the name that a sidecar gets here: where it can, one by which the file is known again."""
        own = f"{record['imei']}_{record['upload']}.json"
        if moment := camera_time(record):
            same = f"{record['imei']}_{sameness(record['identifier'], record['count'], moment)}.json"
            other = read_sidecar(self.folder / same)
            if other is None or other["upload"] == record["upload"]:
                return same  # else another file of the same time and size waits
        return own

    def holds(self, record: SidecarRecord) -> bool:
        """Say whether a file is whole and waits in the spool to be put into the store: `waiting` does that."""
        names = [f"{record['imei']}_{record['upload']}.json"]
        if moment := camera_time(record):
            names.append(f"{record['imei']}_{sameness(record['identifier'], record['count'], moment)}.json")
        waiting = [read_sidecar(self.folder / name) for name in names]
        return any(found is not None and found["upload"] == record["upload"] for found in waiting)
