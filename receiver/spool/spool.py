"""The spool: how a file is opened, and partial files that go to other machines. No sockets, no database.

Layout: `<spool>/partial/<imei>/<upload>.part` with its `.json` while a file comes; then the media store, with the
sidecar in `<spool>/pending/` until the product has it: see `partial_folder`, `group_commit` and `pending_folder`.
Through a shared media store the receivers of several machines hand on partial files and news of stored ones: see
`shared_partials`.
"""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from datetime import datetime
from pathlib import Path
from typing import Any

from receiver.endings import Reason
from receiver.spool.file_identity import camera_time
from receiver.spool.file_transfer import Transfer
from receiver.spool.group_commit import GroupCommit
from receiver.spool.partial_folder import PartialFolder
from receiver.spool.pending_folder import PendingFolder
from receiver.spool.quarantine_budget import QuarantineBudget, counted
from receiver.spool.shared_partials import LeftPartial, SharedPartials, place
from receiver.spool.sidecar import SidecarRecord, StoredFile, announced
from receiver.spool.sidecar_files import read_sidecar, replace
from receiver.spool.upload_context import UploadContext
from receiver.store.durability import (
    FileSystem,
    OpenFiles,
    StorageError,
    boot_id,
    lacks_room,
    make_folder,
    stamp,
)
from receiver.store.media_store import Media, MediaError
from receiver.wire.actions import Offer
from receiver.wire.protocol import PACKET

PARTIALS_KEPT = 8  # of a device: one for each identifier, and some by path; then the oldest goes
GIVEN_UP_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits of quarantined files, and how long partial files are kept."""

    files_per_device: int = 20
    bytes_per_device: int = 64 * 2**20
    bytes_in_all: int = 1024 * 2**20
    quarantine_days: int = 14
    partial_days: int = 14
    hours_without_metadata: float = 1.0


class Spool:
    """The spool of one machine, which its worker processes share, and the media store behind it."""

    def __init__(self, spool: Path, media: Media, caps: Caps) -> None:
        self.spool, self.media, self.caps = spool, media, caps
        self.partials = str(spool / "partial")
        self.shared_partials = SharedPartials(media) if media.shared else None  # with other machines
        self.boot = boot_id()
        self.files = OpenFiles()
        # how blocking calls are made; a process that serves other connections meanwhile sets another way
        self.aside: Callable[..., Any] = lambda work, *given: work(*given)
        self.active: set[str] = set()  # uploads that this process writes at this moment
        self.quarantine = QuarantineBudget(spool, media)
        # uploads of partial files that were discarded; they are reported soon
        self.given_up: deque[str] = deque(maxlen=GIVEN_UP_KEPT)
        for folder in (spool / "partial", spool / "pending", spool / "claims"):
            make_folder(folder)
        self.disk = FileSystem(spool)
        self.partial = PartialFolder(spool / "partial", self.files, self.active, caps.hours_without_metadata)
        self.pending = PendingFolder(spool / "pending", media, self.partial, self.active, self.beside)
        self.group_commit = GroupCommit(spool, self.disk, media, self.shared_partials)

    def open(self, asker: UploadContext, offer: Offer, stored_before: StoredFile | None = None) -> "Transfer":
        """Find the partial or stored file that this is, or begin a new one.

        `stored_before`: a stored file with the same identifier, count and timestamp, as the product knows it.
        Raises StorageError: caps, disk full.
        """
        stored = stored_before or self.pending.like(asker.imei, offer)
        try:
            if stored and (path := place(self.media, asker.imei, stored.path, stored.size)):
                return Transfer.compare_stored(self, replace_fields(stored, path=path), asker, offer)
            left = self._fetch_left(asker, offer)
        except MediaError:
            left = []  # the store is away: take the file, and acknowledge nothing before it is back
        found = self.partial.fitting(asker.imei, offer, asker.now)
        for foreign in [r for r in found if not asker.goes_on_with(r)]:
            self.discard(foreign)  # begun from outside of the networks that devices come from since
            found.remove(foreign)
        if found:
            # several only after receivers that did not know of each other; the longest has the most in it
            *others, longest = sorted(found, key=lambda r: self.partial.part(r).stat().st_size)
            for other in others:
                self.discard(other)
            return Transfer.resume(self, longest | {"left": left} if left else longest, asker, offer)
        return self.begin(asker, offer)

    def begin(self, asker: UploadContext, offer: Offer) -> "Transfer":
        """Begin a file from its first byte, within what its device may send. Raises StorageError."""
        if asker.admission == "quarantine":
            try:
                self._check_caps(asker, offer.size)
            except MediaError as error:
                raise StorageError(Reason.STORE_AWAY, cause=str(error)) from error
        for record in self.partial.surplus(asker.imei, PARTIALS_KEPT - 1):
            self.discard(record)
        return Transfer.begin(self, asker, offer)

    def ready(self) -> str | None:
        """Give None if files can be taken now, else why not."""
        return lacks_room(self.spool, "spool") or self.media.ready()

    def _check_caps(self, asker: UploadContext, more: int) -> None:
        """Hold an unknown device to what it may send. Lists its own files, of which there are few: they are capped."""
        kept = self.media.entries(f"quarantine/{asker.imei}/")
        own = [counted(e.size) for e in kept if not e.key.endswith(".json")]
        own += [counted(announced(r)) for r in self.partial.sidecars(asker.imei)]
        if len(own) >= self.caps.files_per_device or sum(own) + counted(more) > self.caps.bytes_per_device:
            raise StorageError(Reason.DEVICE_QUARANTINE_FULL)
        if not self.quarantine.takes(more, self.caps.bytes_in_all, asker.now, self.aside):
            raise StorageError(Reason.QUARANTINE_FULL)

    def beside(self, work: Callable[..., Any], *given: Any) -> Any:
        """Do disk work aside where the media store is shared: its calls wait on the hub, and so does the caller.

        The caller of a folder's is in a thread already.
        """
        return self.aside(work, *given) if self.media.shared else work(*given)

    # partial files that other machines may go on with

    def _fetch_left(self, asker: UploadContext, offer: Offer) -> list[str]:
        """Bring the longest that other sessions left of this file, if it is longer than what is here.

        Gives the names of all of it, which go once the file is stored. Raises MediaError.
        """
        if self.shared_partials is None:
            return []
        left = [
            f for f in self.shared_partials.left(asker.imei) if self.partial.fits(f.record, offer, asker.now)
        ]
        if foreign := [f for f in left if not asker.goes_on_with(f.record)]:
            self.shared_partials.forget([key for f in foreign for key in f.keys])
            left = [f for f in left if f not in foreign]
        if not left:
            return []
        here = [
            self.partial.part(r).stat().st_size for r in self.partial.fitting(asker.imei, offer, asker.now)
        ]
        longest = max(left, key=lambda f: f.record["size"])
        if longest.record["size"] > max(here, default=0):
            self._fetch(longest)
        names = [key for f in left for key in f.keys]
        if not camera_time(longest.record):
            # nothing but its time says that it is this file: it must not outlive it
            self.shared_partials.forget(names)
            return []
        return names

    def _fetch(self, left: LeftPartial) -> None:
        assert self.shared_partials is not None
        part = self.partial.part(left.record)
        if self.shared_partials.fetch(left, part):
            replace(str(part.with_suffix(".json")), left.record, safe=False)

    def unshared(self) -> list[SidecarRecord]:
        """Give the partial files that lie only on this machine and that no session here receives."""
        return list(self.aside(self.partial.all_but, frozenset(self.active)))

    def share(self, record: SidecarRecord, now: datetime) -> SidecarRecord | None:
        """Make a partial file that nobody writes reachable for every receiver; give its record.

        None: it is not here any more, nothing has come of it, or it is whole and waits to be stored. It may have
        been left by a process that was killed: what counts are its bytes. Raises MediaError.
        """
        record = read_sidecar(self.partial.part(record).with_suffix(".json")) or record
        part = self.partial.part(record)
        if self.shared_partials is None or not part.exists() or self.pending.holds(record):
            return None
        held = part.stat().st_size
        held = min(held, record["safe"]) if record["boot"] != self.boot else held
        if not held:
            self.discard(record)
            return None
        os.truncate(part, held)
        if record["state"] != "partial" or record["size"] != held:
            changes = {"received_packets": held // PACKET, "size": held, "safe": held, "boot": self.boot}
            record |= changes | {
                "state": "partial",
                "updated_at": stamp(now),
                "sha256": None,
                "received_at": None,
            }
            replace(str(part.with_suffix(".json")), record, safe=False)
        self.given_up.extend(self.shared_partials.leave(record, part, PARTIALS_KEPT))
        self.partial.remove(record)
        return record

    def discard(self, record: SidecarRecord) -> None:
        """Discard a partial file, and what it was continued from; it is reported."""
        self.given_up.append(record["upload"])
        if self.shared_partials is not None and (left := record.get("left")):
            self.shared_partials.forget(left)
        self.partial.remove(record)
