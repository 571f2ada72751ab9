"""The spool: partial files, sidecars, commits. It keeps the bytes of cameras safe. No sockets, no database.

Layout: `<spool>/partial/<imei>/<upload>.part` with its `.json` while a file comes; then the media store, with the
sidecar in `<spool>/pending/` until the product has it. A file is acknowledged only after commit() has returned:
its bytes are safe under their key, and so is its sidecar. Through a shared media store the receivers of several
machines hand on partial files and news of stored ones: see `shared_partials`.
"""

import os
from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from receiver.spool.file_transfer import Transfer, UploadContext
from receiver.spool.quarantine_budget import QuarantineBudget, counted
from receiver.spool.shared_partials import LeftPartial, SharedPartials, place, places
from receiver.spool.sidecar import SidecarRecord, StoredFile, announced
from receiver.spool.sidecar_files import camera_time, read_sidecar, replace
from receiver.store.durability import (
    FileSystem,
    OpenFiles,
    StorageError,
    boot_id,
    digest_of,
    is_part,
    lacks_room,
    make_folder,
    sameness,
    stamp,
    sync_folder,
    when,
)
from receiver.store.media_store import Media, MediaError, is_away
from receiver.wire.actions import Offer
from receiver.wire.protocol import PACKET

log = structlog.get_logger("receiver")
PARTIALS_KEPT = 8  # of a device: one for each identifier, and some by path; then the oldest goes
GIVEN_UP_KEPT = 10_000
TOGETHER = 8  # files from which on the whole file system is synced once instead of each of them
READ_AT_ONCE = 200  # sidecars, between looks at what is found
CLOCK_MOVED = timedelta(minutes=10)  # no file is stored so long after now


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits of quarantined files, and how long partial files are kept."""

    files_per_device: int = 20
    bytes_per_device: int = 64 * 2**20
    bytes_in_all: int = 1024 * 2**20
    quarantine_days: int = 14
    partial_days: int = 14
    hours_without_metadata: float = 1.0


def _not_stored(error: OSError) -> StorageError:
    return StorageError("disk", f"The file cannot be stored: {error.strerror}.")


def _waits_since(record: SidecarRecord, before: datetime) -> bool:
    """Say whether a stored file waits since `before`; one of a time to come does: the clock was moved."""
    waited = before - when(record["received_at"] or record["updated_at"])
    return waited >= timedelta(0) or waited < -CLOCK_MOVED


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
        self.losses = 0  # how often the disk lost bytes, of whichever file
        self.active: set[str] = set()  # uploads that this process writes at this moment
        self.quarantine = QuarantineBudget(spool, media)
        # uploads of partial files that were discarded; they are reported soon
        self.given_up: deque[str] = deque(maxlen=GIVEN_UP_KEPT)
        self._reported: set[str] = set()  # uploads that the product has, whose sidecars could not be moved
        for folder in (spool / "partial", spool / "pending", spool / "claims"):
            make_folder(folder)
        self.disk = FileSystem(spool)

    def open(self, asker: UploadContext, offer: Offer, stored_before: StoredFile | None = None) -> "Transfer":
        """Find the partial or stored file that this is, or begin a new one.

        `stored_before`: a stored file with the same identifier, count and timestamp, as the product knows it.
        Raises StorageError: caps, disk full.
        """
        stored = stored_before or self._pending_like(asker.imei, offer)
        try:
            if stored and (path := place(self.media, asker.imei, stored.path, stored.size)):
                return Transfer.compare_stored(self, replace_fields(stored, path=path), asker, offer)
            left = self._fetch_left(asker, offer)
        except MediaError:
            left = []  # the store is away: take the file, and acknowledge nothing before it is back
        found = [r for r in self._partials_of(asker.imei) if self._same(r, offer, asker.now)]
        for foreign in [r for r in found if not asker.goes_on_with(r)]:
            self.discard(foreign)  # begun from outside of the networks that devices come from since
            found.remove(foreign)
        if found:
            # several only after receivers that did not know of each other; the longest has the most in it
            *others, longest = sorted(found, key=lambda r: self._part(r).stat().st_size)
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
                raise StorageError("store_away", str(error)) from error
        self._make_room(asker.imei)
        return Transfer.begin(self, asker, offer)

    def _make_room(self, imei: str) -> None:
        """Remove the oldest partial files of a device that has too many; those being received stay."""
        waiting = [r for r in self._sidecars(imei) if r["upload"] not in self.active]
        waiting.sort(key=lambda record: when(record["updated_at"]))
        for record in waiting[: max(0, len(waiting) - PARTIALS_KEPT + 1)]:
            self.discard(record)

    def ready(self) -> str | None:
        """Give None if files can be taken now, else why not."""
        return lacks_room(self.spool, "spool") or self.media.ready()

    def _partials_of(self, imei: str) -> list[SidecarRecord]:
        """Give a device's partial files that no session of this process receives."""
        return [r for r in self._sidecars(imei) if r["upload"] not in self.active and is_part(self._part(r))]

    def _sidecars(self, imei: str) -> list[SidecarRecord]:
        folder = self.spool / "partial" / imei
        try:
            names = os.listdir(folder)
        except OSError:
            return []  # there is none, or nothing there can be used: then `begin` says why
        records = [(name, read_sidecar(folder / name)) for name in names if name.endswith(".json")]
        return [r for name, r in records if r and (r["imei"], f"{r['upload']}.json") == (imei, name)]

    def _same(self, record: SidecarRecord, offer: Offer, now: datetime) -> bool:
        if (record["identifier"], record["count"]) != (offer.identifier, offer.count):
            return False
        timestamp = offer.metadata.timestamp if offer.metadata else 0
        if timestamp or camera_time(record):
            return timestamp == camera_time(record)
        return not self.is_too_old(record, now)

    def is_too_old(self, record: SidecarRecord, now: datetime) -> bool:
        """Say whether a partial file without a time can be taken for one that is offered now no more."""
        # a time to come means that the clock was moved: then nobody knows how old it is
        return abs(now - when(record["updated_at"])) > timedelta(hours=self.caps.hours_without_metadata)

    def _pending_like(self, imei: str, offer: Offer) -> StoredFile | None:
        """Find a stored file that the product may not have yet, by the name that it must have."""
        if not (offer.metadata and offer.metadata.timestamp):
            return None
        same = sameness(offer.identifier, offer.count, offer.metadata.timestamp)
        record = read_sidecar(self.spool / "pending" / f"{imei}_{same}.json")
        return StoredFile.of(record) if record is not None and self.is_of(record, offer) else None

    def is_of(self, record: SidecarRecord, offer: Offer) -> bool:
        """Say whether a record is of the file that is offered: same identifier, count and time, not 0."""
        timestamp = offer.metadata.timestamp if offer.metadata else 0
        same = (record["identifier"], record["count"], camera_time(record))
        return bool(timestamp) and same == (offer.identifier, offer.count, timestamp)

    def _part(self, record: SidecarRecord) -> Path:
        return self.spool / "partial" / record["imei"] / f"{record['upload']}.part"

    def _check_caps(self, asker: UploadContext, more: int) -> None:
        """Hold an unknown device to what it may send. Lists its own files, of which there are few: they are capped."""
        kept = self.media.entries(f"quarantine/{asker.imei}/")
        own = [counted(e.size) for e in kept if not e.key.endswith(".json")]
        own += [counted(announced(r)) for r in self._sidecars(asker.imei)]
        if len(own) >= self.caps.files_per_device or sum(own) + counted(more) > self.caps.bytes_per_device:
            raise StorageError("quarantine_full", "This unknown device has sent as much as one may.")
        if not self.quarantine.takes(more, self.caps.bytes_in_all, asker.now, self.aside):
            raise StorageError("quarantine_full", "Unknown devices have sent as much as they may in all.")

    # stored files on their way to the product

    def pending(
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
        names = self.beside(lambda: sorted(os.listdir(self.spool / "pending")))
        records: list[SidecarRecord] = []
        for at in range(0, len(names), READ_AT_ONCE):
            for record in self.beside(self._waiting, names[at : at + READ_AT_ONCE], before, but):
                if len(records) == most:
                    return records
                try:
                    if record["upload"] in self._reported:
                        self.delivered([record])
                    elif self._finish(record):
                        records.append(record)
                except (OSError, MediaError) as error:
                    if is_away(self.media, error):
                        raise
                    failed(record, error)
        return records

    def beside(self, work: Callable[..., Any], *given: Any) -> Any:
        """Do disk work aside where the media store is shared: its calls wait on the hub, and so does the caller.

        The caller of a folder's is in a thread already.
        """
        return self.aside(work, *given) if self.media.shared else work(*given)

    def _waiting(self, names: Sequence[str], before: datetime, but: Container[str]) -> list[SidecarRecord]:
        """Read those sidecars in `pending` that are to be looked at."""
        records = []
        for name in names:
            # one that cannot be read was torn by a power cut: not acknowledged, the partial file is still there
            record = read_sidecar(self.spool / "pending" / name) if name.endswith(".json") else None
            if record is None or record["upload"] in but or record["upload"] in self.active:
                continue
            if _waits_since(record, before):
                records.append(record | {"pending": name})
        return records

    def _finish(self, record: SidecarRecord) -> bool:
        """Finish what commit() began, if it was killed between sidecar and store; say whether the file is stored."""
        part = self._part(record)
        if is_part(part):
            if self.beside(digest_of, part) != record["sha256"]:
                # a power cut before the bytes were safe: never acknowledged, still a partial file
                log.warning("not stored before the power cut", imei=record["imei"], upload=record["upload"])
                self._give_back(record)
                return False
            self.media.put(part, record["path"])
            part.unlink(
                missing_ok=True
            )  # where a power cut left both names of one file, renaming does nothing
            part.with_suffix(".json").unlink(missing_ok=True)
        return self._place(record) is not None

    def _give_back(self, record: SidecarRecord) -> None:
        waiting, sidecar = self.pending_path(record), self._part(record).with_suffix(".json")
        if sidecar.exists():
            waiting.unlink(missing_ok=True)
        else:
            waiting.replace(sidecar)

    def waits(self, record: SidecarRecord) -> bool:
        """Say whether the file of a sidecar exists, in the spool or stored. Raises MediaError."""
        return is_part(self._part(record)) or self._place(record) is not None

    def _place(self, record: SidecarRecord) -> str | None:
        """Give where a file is in the media store: put there, or moved by the product. Raises MediaError."""
        return place(self.media, record["imei"], record["path"], record["size"])

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
                        if self.media.path(key) is not None
                    ),
                    None,
                )
                if path is None:  # the store is no folder
                    self.pending_path(record).unlink(missing_ok=True)
                else:
                    beside.append(record | {"path": path})
            except (OSError, MediaError):
                self._reported.add(record["upload"])
        problems = self.media.put_all([(self.pending_path(r), f"{r['path']}.json") for r in beside])
        for record, problem in zip(beside, problems, strict=True):
            if problem is None:
                self._reported.discard(record["upload"])
            else:
                self._reported.add(record["upload"])

    def pending_path(self, record: SidecarRecord) -> Path:
        """Give where the sidecar of a stored file waits for the product."""
        # one that another machine left may name none, or a place outside
        name = record.get("pending") or f"{record['imei']}_{record['upload']}.json"
        return self.spool / "pending" / Path(str(name)).name

    # making whole files safe

    def commit(self, transfers: Sequence["Transfer"], now: datetime) -> list[StorageError | None]:
        """Make whole files safe in the media store, many at once; give for each why it could not be, or None.

        Blocks. What failed is still a partial file and must not be acknowledged.
        """
        problems = self.seal(transfers, now)
        sealed = [number for number, problem in enumerate(problems) if problem is None]
        for number, problem in zip(sealed, self.place([transfers[n] for n in sealed]), strict=True):
            problems[number] = problem
        return problems

    def seal(self, transfers: Sequence["Transfer"], now: datetime) -> list[StorageError | None]:
        """Make the bytes of whole files and their sidecars survive a power cut, in the spool. Blocks."""
        problems = self._in_step(transfers, lambda t: t.write_out(now), Transfer.hand_in)
        try:
            sync_folder(self.spool / "pending")
        except OSError as error:
            problems = [problem or _not_stored(error) for problem in problems]
        self._take_back(transfers, problems)
        return problems

    def make_safe(self, transfers: Sequence["Transfer"], now: datetime) -> list[StorageError | None]:
        """Make the bytes held of partial files survive a power cut, many at once. Blocks."""
        problems = self._in_step(transfers, lambda t: t.write_held(now), lambda t: t.be_held(now))
        new = [n for n, t in enumerate(transfers) if not (problems[n] or t.named or t.stored_before)]
        try:
            for folder in dict.fromkeys(Path(transfers[n].part).parent for n in new):
                sync_folder(folder)
            if new:
                sync_folder(self.spool / "partial")
        except OSError as error:
            for n in new:
                problems[n] = _not_stored(error)
        for n in new:
            transfers[n].named = problems[n] is None
        return problems

    def _in_step(
        self,
        transfers: Sequence["Transfer"],
        begin: Callable[["Transfer"], tuple[int, ...]],
        finish: Callable[["Transfer"], None],
    ) -> list[StorageError | None]:
        """Begin all, then wait until what each wrote is on disk, and finish it: the fsyncs of many wait together."""
        problems: list[StorageError | None] = [None] * len(transfers)
        written: list[tuple[int, tuple[int, ...]]] = []
        for number, transfer in enumerate(transfers):
            try:
                written.append((number, begin(transfer)))
            except OSError as error:
                problems[number] = _not_stored(error)
        together = len(written) >= TOGETHER and self.disk.can_sync
        lost = self._sync_all() if together else None
        for number, descriptors in written:
            try:
                if not together:
                    transfers[number].fsync(descriptors)
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
            self.disk.sync()
        except OSError as error:
            self.losses += 1  # nobody says whose bytes: no file that is being written now is to be believed
            return error
        return None

    def place(self, transfers: Sequence["Transfer"]) -> list[StorageError | None]:
        """Put sealed files into the media store."""
        new = [t for t in transfers if not t.stored_before]
        try:
            for transfer in new if self.shared_partials is not None else ():
                self.shared_partials.announce(transfer.record)  # type: ignore[union-attr]
            told = self.media.put_all([(t.part, t.record["path"]) for t in new])
        except MediaError as error:
            told = [error] * len(new)
        answers = iter(told)
        problems: list[StorageError | None] = []
        for transfer in transfers:
            problem = None if transfer.stored_before else next(answers)
            problems.append(StorageError("store_away", str(problem)) if problem else None)
            if (
                self.shared_partials is not None
                and not problem
                and (left := transfer.record.pop("left", None))
            ):
                self.shared_partials.forget(left)
        self._take_back(transfers, problems)
        return problems

    def _take_back(self, transfers: Sequence["Transfer"], problems: Sequence[StorageError | None]) -> None:
        for transfer, problem in zip(transfers, problems, strict=True):
            if problem is not None and not transfer.stored_before:
                transfer.take_back()

    # partial files that other machines may go on with

    def _fetch_left(self, asker: UploadContext, offer: Offer) -> list[str]:
        """Bring the longest that other sessions left of this file, if it is longer than what is here.

        Gives the names of all of it, which go once the file is stored. Raises MediaError.
        """
        if self.shared_partials is None:
            return []
        left = [f for f in self.shared_partials.left(asker.imei) if self._same(f.record, offer, asker.now)]
        if foreign := [f for f in left if not asker.goes_on_with(f.record)]:
            self.shared_partials.forget([key for f in foreign for key in f.keys])
            left = [f for f in left if f not in foreign]
        if not left:
            return []
        here = [
            self._part(r).stat().st_size
            for r in self._partials_of(asker.imei)
            if self._same(r, offer, asker.now)
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
        part = self._part(left.record)
        if self.shared_partials.fetch(left, part):
            replace(str(part.with_suffix(".json")), left.record, safe=False)

    def unshared(self) -> list[SidecarRecord]:
        """Give the partial files that lie only on this machine and that no session here receives."""
        return list(self.aside(self._unshared, frozenset(self.active)))

    def _unshared(self, active: Container[str]) -> list[SidecarRecord]:
        # by its name first: thousands of uploads may be under way
        paths = [p for p in sorted((self.spool / "partial").glob("*/*.json")) if p.stem not in active]
        found = [record for path in paths if (record := read_sidecar(path))]
        return [record for record in found if os.path.exists(self._part(record))]

    def share(self, record: SidecarRecord, now: datetime) -> SidecarRecord | None:
        """Make a partial file that nobody writes reachable for every receiver; give its record.

        None: it is not here any more, nothing has come of it, or it is whole and waits to be stored. It may have
        been left by a process that was killed: what counts are its bytes. Raises MediaError.
        """
        record = read_sidecar(self._part(record).with_suffix(".json")) or record
        part = self._part(record)
        if self.shared_partials is None or not part.exists() or self._sealed(record):
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
        self._remove(record)
        return record

    def _sealed(self, record: SidecarRecord) -> bool:
        """Say whether a file is whole and waits in the spool to be put into the store: `pending` does that."""
        names = [f"{record['imei']}_{record['upload']}.json"]
        if stamp := camera_time(record):
            names.append(f"{record['imei']}_{sameness(record['identifier'], record['count'], stamp)}.json")
        waiting = [read_sidecar(self.spool / "pending" / name) for name in names]
        return any(found is not None and found["upload"] == record["upload"] for found in waiting)

    # tidying

    def discard(self, record: SidecarRecord) -> None:
        """Discard a partial file, and what it was continued from; it is reported."""
        self.given_up.append(record["upload"])
        if self.shared_partials is not None and (left := record.get("left")):
            self.shared_partials.forget(left)
        self._remove(record)

    def _remove(self, record: SidecarRecord) -> None:
        self.files.close(str(self._part(record)))
        for suffix in (".part", ".json"):
            self._part(record).with_suffix(suffix).unlink(missing_ok=True)
