"""Partial files, sidecars and commits: what keeps a camera's bytes safe. No sockets of devices, no database.

Layout: `<spool>/partial/<imei>/<upload>.part` with its `.json` while a file comes; then the media store, with the
sidecar in `<spool>/pending/` until the product has it. A file is acknowledged only after commit() has returned:
its bytes are safe under their key, and so is its sidecar. Through a shared media store the receivers of several
machines hand on partial files and news of stored ones: see `exchange`.
"""

import contextlib
import ctypes
import errno
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from receiver import protocol
from receiver.exchange import Exchange, Left, place
from receiver.media import Media, MediaError, lacks_room, make_folder, sync_folder
from receiver.protocol import PACKET
from receiver.quarantine import Quarantine
from receiver.session import Offer
from receiver.sidecars import Record, sound

log = structlog.get_logger("receiver")

KINDS = {
    "%photof": ("photo", "front", "jpg"),
    "%photor": ("photo", "rear", "jpg"),
    "%videof": ("video", "front", "h265"),
    "%videor": ("video", "rear", "h265"),
}
# a path says by parts of itself what it is; the first that fits. Source: other servers, see docs/protocol.md
PATH_SOURCES = {
    "mdas9": "adas", "dsm": "dsm", "dualcam_front": "front", "dualcam_rear": "rear", "dashcam": "dashcam",
}  # fmt: skip
PATH_ENDINGS = {".jpg": ("photo", "jpg"), ".mp4": ("video", "mp4"), ".h265": ("video", "h265")}
BUFFER = 4 * 1024  # small pieces are gathered up to this size, in memory, for each slow device
SAFE_SECONDS = 30.0  # between fsyncs of a partial file: what a power cut may cost when it is resumed
OPEN_FILES = 512  # descriptors kept for files that are being written; others are opened for each piece
COMPARED_AT_ONCE = 1024 * 1024  # bytes of a stored file in memory while it is compared
CLOCK_MOVED = timedelta(minutes=10)  # no file is stored so long after now


class StorageError(Exception):
    """The file cannot be kept now; nothing was acknowledged. `code` for programs."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits of quarantined files, and how long partial files are kept."""

    files_per_device: int = 20
    bytes_per_device: int = 64 * 2**20
    bytes_in_all: int = 1024 * 2**20
    quarantine_days: int = 14
    partial_days: int = 14
    hours_without_metadata: float = 1.0


@dataclass(frozen=True, slots=True)
class Asker:
    """Who offers a file: the device, whether it is known, its session, and when."""

    imei: str
    admission: str  # known | quarantine
    session: str
    now: datetime


def new_id(now: datetime) -> str:
    """Make an id: 32 lower-case hex characters that sort by time (48 bit milliseconds, 80 random bits)."""
    return f"{int(now.timestamp() * 1000):012x}{os.urandom(10).hex()}"


def sameness(identifier: str, count: int, timestamp: int) -> str:
    """Name what makes two offers of a device the same file; `timestamp` is not 0."""
    return hashlib.blake2b(f"{identifier} {count} {timestamp}".encode(), digest_size=12).hexdigest()


def quarantined(imei: str, path: str) -> str:
    """Give the key of an unknown device's file: by device, so that caps are counted quickly."""
    return f"quarantine/{imei}/{path}"


def adopted(imei: str, path: str) -> str:
    """Give the key that a quarantined file has among the ordinary ones."""
    return path.removeprefix(f"quarantine/{imei}/")


def _not_stored(error: OSError) -> StorageError:
    return StorageError("disk", f"The file cannot be stored: {error.strerror}.")


def boot_id() -> str:
    """Name the present boot: bytes written under another boot are safe only as far as they were fsynced."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return os.urandom(16).hex()  # each start may have followed a power cut


def describe(offer: Offer) -> tuple[str, str, str]:
    """Give file type, source and file name ending of an offered file."""
    if not offer.by_path:
        return KINDS[offer.identifier]
    path = offer.identifier.lower()
    source = next((name for part, name in PATH_SOURCES.items() if part in path), "unknown")
    for ending, (kind, extension) in PATH_ENDINGS.items():
        if path.endswith(ending):
            return kind, source, extension
    return ("photo", source, "jpg") if "picture" in path else ("video", source, "bin")


def _overwrite(path: str, value: Record) -> int:
    """Write a sidecar in place, new or not; give its descriptor."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        data = json.dumps(value).encode()
        os.ftruncate(descriptor, written := os.write(descriptor, data))
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _replace(path: str, value: Record, *, safe: bool) -> None:
    """Write a sidecar over the one that is there: at any moment one of both can be read."""
    try:
        with open(f"{path}.tmp", "w") as file:
            json.dump(value, file)
            if safe:
                file.flush()
                os.fsync(file.fileno())
        os.replace(f"{path}.tmp", path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(f"{path}.tmp")  # a full disk must not fill with what cannot be read
        raise
    if safe:
        sync_folder(Path(path).parent)


_libc = ctypes.CDLL(None)
WRITE_OUT = 2  # SYNC_FILE_RANGE_WRITE


def _write_out(descriptor: int) -> None:
    """Have the kernel begin to write a file's bytes: the fsyncs of many files then wait together.

    Only a hint (Linux): what makes the bytes safe is the fsync that follows.
    """
    if hasattr(_libc, "sync_file_range"):
        _libc.sync_file_range(descriptor, ctypes.c_int64(0), ctypes.c_int64(0), ctypes.c_uint(WRITE_OUT))


def read_sidecar(path: Path) -> Record | None:
    """Give what a sidecar says, None if it is not there or cannot be believed."""
    try:
        return sound(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return None


def _is_part(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _stamp(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _waits_since(record: Record, before: datetime) -> bool:
    """Say whether a stored file waits since `before`; one of a time to come does: the clock was moved."""
    waited = before - _when(record["received_at"] or record["updated_at"])
    return waited >= timedelta(0) or waited < -CLOCK_MOVED


def _digest(path: Path | str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _timestamp(record: Record) -> int:
    return (record["metadata"] or {}).get("timestamp") or 0


class OpenFiles:
    """Descriptors of files that are being written: the busiest stay open, up to a number."""

    def __init__(self, most: int = OPEN_FILES) -> None:
        self._most = most
        self._open: dict[str, int] = {}

    def write(self, path: str, data: bytes | bytearray, offset: int) -> None:
        """Write bytes at a place. Raises OSError."""
        descriptor = self._open.pop(path, None)
        if descriptor is None:
            if len(self._open) >= self._most:
                self.close(next(iter(self._open)))
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._open[path] = descriptor  # last in the order: used last
        view = memoryview(data)
        while view:
            done = os.pwrite(descriptor, view, offset)
            view, offset = view[done:], offset + done

    def close(self, path: str) -> None:
        """Close a file, if it is open."""
        if (descriptor := self._open.pop(path, None)) is not None:
            os.close(descriptor)


class Store:
    """The spool of one machine, which its worker processes share, and the media store behind it."""

    def __init__(self, spool: Path, media: Media, caps: Caps) -> None:
        self.spool, self.media, self.caps = spool, media, caps
        self.partials = str(spool / "partial")
        self.exchange = Exchange(media) if media.shared else None  # with other machines
        self.boot = boot_id()
        self.files = OpenFiles()
        self.active: set[str] = set()  # uploads that this process writes at this moment
        self.quarantine = Quarantine(spool, media)
        self._told: set[str] = set()  # uploads that the product has, whose sidecars could not be moved
        for folder in (spool / "partial", spool / "pending", spool / "claims"):
            make_folder(folder)

    def open(self, asker: Asker, offer: Offer, stored_before: Record | None = None) -> "Transfer":
        """Find the partial or stored file that this is, or begin a new one.

        `stored_before`: a stored file with the same identifier, count and timestamp, as the product knows it.
        Raises StorageError: caps, disk full.
        """
        stored = stored_before or self._pending_like(asker.imei, offer)
        try:
            if stored and (path := self._place(stored)):
                return Transfer.compare_stored(self, stored | {"path": path}, asker, offer)
            left = self._fetch_left(asker, offer)
        except MediaError:
            left = []  # the store is away: take the file, and acknowledge nothing before it is back
        found = [r for r in self._partials_of(asker.imei) if self._same(r, offer, asker.now)]
        if found:
            # several only after receivers that did not know of each other; the longest has the most in it
            *others, longest = sorted(found, key=lambda r: self._part(r).stat().st_size)
            for other in others:
                self.discard(other)
            return Transfer.resume(self, longest | {"left": left} if left else longest, asker, offer)
        if asker.admission == "quarantine":
            try:
                self._check_caps(asker, offer.size)
            except MediaError as error:
                raise StorageError("store_away", str(error)) from error
        return Transfer.begin(self, asker, offer)

    def ready(self) -> str | None:
        """Give None if files can be taken now, else why not."""
        return lacks_room(self.spool, "spool") or self.media.ready()

    def _partials_of(self, imei: str) -> list[Record]:
        folder = self.spool / "partial" / imei
        try:
            names = os.listdir(folder)
        except OSError:
            return []  # there is none, or nothing there can be used: then `begin` says why
        records = [(name, read_sidecar(folder / name)) for name in names if name.endswith(".json")]
        mine = [r for name, r in records if r and (r["imei"], f"{r['upload']}.json") == (imei, name)]
        return [r for r in mine if r["upload"] not in self.active and _is_part(self._part(r))]

    def _same(self, record: Record, offer: Offer, now: datetime) -> bool:
        if (record["identifier"], record["count"]) != (offer.identifier, offer.count):
            return False
        timestamp = offer.metadata.timestamp if offer.metadata else 0
        if timestamp or _timestamp(record):
            return timestamp == _timestamp(record)
        return not self.is_too_old(record, now)

    def is_too_old(self, record: Record, now: datetime) -> bool:
        """Say whether a partial file without a time can be taken for one that is offered now no more."""
        # a time to come means that the clock was moved: then nobody knows how old it is
        return abs(now - _when(record["updated_at"])) > timedelta(hours=self.caps.hours_without_metadata)

    def _pending_like(self, imei: str, offer: Offer) -> Record | None:
        """Find a stored file that the product may not have yet, by the name that it must have."""
        if not (offer.metadata and offer.metadata.timestamp):
            return None
        same = sameness(offer.identifier, offer.count, offer.metadata.timestamp)
        record = read_sidecar(self.spool / "pending" / f"{imei}_{same}.json")
        return record if record is not None and self.is_of(record, offer) else None

    def is_of(self, record: Record, offer: Offer) -> bool:
        """Say whether a record is of the file that is offered: same identifier, count and time, not 0."""
        timestamp = offer.metadata.timestamp if offer.metadata else 0
        same = (record["identifier"], record["count"], _timestamp(record))
        return bool(timestamp) and same == (offer.identifier, offer.count, timestamp)

    def _part(self, record: Record) -> Path:
        return self.spool / "partial" / record["imei"] / f"{record['upload']}.part"

    def _check_caps(self, asker: Asker, more: int) -> None:
        """Hold an unknown device to what it may send. Lists its own files, of which there are few: they are capped."""
        kept = self.media.entries(f"quarantine/{asker.imei}/")
        own = [e.size for e in kept if not e.key.endswith(".json")]
        own += [self._part(r).stat().st_size for r in self._partials_of(asker.imei)]
        if len(own) >= self.caps.files_per_device or sum(own) + more > self.caps.bytes_per_device:
            raise StorageError("quarantine_full", "This unknown device has sent as much as one may.")
        if not self.quarantine.takes(more, self.caps.bytes_in_all, asker.now):
            raise StorageError("quarantine_full", "Unknown devices have sent as much as they may in all.")

    # stored files on their way to the product

    def pending(self, before: datetime, most: int = 500) -> list[Record]:
        """Give the sidecars of stored files that wait for the product since `before`.

        Those of processes that live are handed over by themselves; what is this old was left. Raises MediaError.
        """
        names = sorted(name for name in os.listdir(self.spool / "pending") if name.endswith(".json"))
        records: list[Record] = []
        for name in names:
            if len(records) == most:
                break
            record = read_sidecar(self.spool / "pending" / name)
            if record is None or record["upload"] in self.active or not _waits_since(record, before):
                continue  # unreadable: torn by a power cut, not acknowledged, the partial file is still there
            record["pending"] = name
            if record["upload"] in self._told:
                self.delivered([record])
            elif self._finish(record):
                records.append(record)
        return records

    def _finish(self, record: Record) -> bool:
        """Finish what commit() began, if it was killed between sidecar and store; say whether the file is stored."""
        part = self._part(record)
        if _is_part(part):
            if _digest(part) != record["sha256"]:
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

    def _give_back(self, record: Record) -> None:
        waiting, sidecar = self._pending_path(record), self._part(record).with_suffix(".json")
        if sidecar.exists():
            waiting.unlink(missing_ok=True)
        else:
            waiting.replace(sidecar)

    def waits(self, record: Record) -> bool:
        """Say whether a sidecar tells of a file that is there, in the spool or stored. Raises MediaError."""
        return _is_part(self._part(record)) or self._place(record) is not None

    def _place(self, record: Record) -> str | None:
        """Give where a file is in the media store: where it was put, or where adoption moved it. Raises MediaError."""
        return place(self.media, record)

    def delivered(self, records: Iterable[Record]) -> None:
        """Take that the product has these files: their sidecars go beside them, or are done with.

        What cannot be moved now (disk full) stays, and is moved later without telling the product again.
        """
        beside: list[Record] = []
        for record in records:
            places = (record["path"], adopted(record["imei"], record["path"]))
            path = next((place for place in places if self.media.path(place) is not None), None)
            if path is None:  # the store is no folder
                self._pending_path(record).unlink(missing_ok=True)
            else:
                beside.append(record | {"path": path})
        problems = self.media.put_all([(self._pending_path(r), f"{r['path']}.json") for r in beside])
        for record, problem in zip(beside, problems, strict=True):
            if problem is None:
                self._told.discard(record["upload"])
            else:
                self._told.add(record["upload"])

    def _pending_path(self, record: Record) -> Path:
        return self.spool / "pending" / str(record["pending"])

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
        problems: list[StorageError | None] = [None] * len(transfers)
        written: list[tuple[int, tuple[int, ...]]] = []
        for number, transfer in enumerate(transfers):
            try:
                written.append((number, transfer.write_out(now)))
            except OSError as error:
                problems[number] = _not_stored(error)
        for number, descriptors in written:
            try:
                transfers[number].fsync(descriptors)
                transfers[number].hand_in()
            except OSError as error:
                problems[number] = _not_stored(error)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
        try:
            sync_folder(self.spool / "pending")
        except OSError as error:
            problems = [problem or _not_stored(error) for problem in problems]
        self._take_back(transfers, problems)
        return problems

    def place(self, transfers: Sequence["Transfer"]) -> list[StorageError | None]:
        """Put sealed files into the media store."""
        new = [t for t in transfers if not t.stored_before]
        try:
            for transfer in new if self.exchange is not None else ():
                self.exchange.announce(transfer.record)  # type: ignore[union-attr]
            told = self.media.put_all([(t.part, t.record["path"]) for t in new])
        except MediaError as error:
            told = [error] * len(new)
        answers = iter(told)
        problems: list[StorageError | None] = []
        for transfer in transfers:
            problem = None if transfer.stored_before else next(answers)
            problems.append(StorageError("store_away", str(problem)) if problem else None)
            if self.exchange is not None and not problem and (left := transfer.record.pop("left", None)):
                self.exchange.forget(left)
        self._take_back(transfers, problems)
        return problems

    def _take_back(self, transfers: Sequence["Transfer"], problems: Sequence[StorageError | None]) -> None:
        for transfer, problem in zip(transfers, problems, strict=True):
            if problem is not None and not transfer.stored_before:
                transfer.take_back()

    # partial files that other machines may go on with

    def _fetch_left(self, asker: Asker, offer: Offer) -> list[str]:
        """Bring the longest that other sessions left of this file, if it is longer than what is here.

        Gives the names of all of it, which go once the file is stored. Raises MediaError.
        """
        if self.exchange is None:
            return []
        left = [f for f in self.exchange.left(asker.imei) if self._same(f.record, offer, asker.now)]
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
        if not _timestamp(longest.record):
            # nothing but its time says that it is this file: it must not outlive it
            self.exchange.forget(names)
            return []
        return names

    def _fetch(self, left: Left) -> None:
        assert self.exchange is not None
        part = self._part(left.record)
        if self.exchange.fetch(left, part):
            _replace(str(part.with_suffix(".json")), left.record, safe=False)

    def unshared(self) -> list[Record]:
        """Give the partial files that lie only on this machine, of sessions that may have ended."""
        found = [read_sidecar(path) for path in sorted((self.spool / "partial").glob("*/*.json"))]
        return [r for r in found if r and r["upload"] not in self.active and self._part(r).exists()]

    def share(self, record: Record, now: datetime) -> Record | None:
        """Make a partial file that nobody writes reachable for every receiver; give its record.

        None: it is not here any more, nothing has come of it, or it is whole and waits to be stored. It may have
        been left by a process that was killed: what counts are its bytes. Raises MediaError.
        """
        record = read_sidecar(self._part(record).with_suffix(".json")) or record
        part = self._part(record)
        if self.exchange is None or not part.exists() or self._sealed(record):
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
                "updated_at": _stamp(now),
                "sha256": None,
                "received_at": None,
            }
            _replace(str(part.with_suffix(".json")), record, safe=False)
        self.exchange.leave(record, part)
        self._remove(record)
        return record

    def _sealed(self, record: Record) -> bool:
        """Say whether a file is whole and waits in the spool to be put into the store: `pending` does that."""
        names = [f"{record['imei']}_{record['upload']}.json"]
        if stamp := _timestamp(record):
            names.append(f"{record['imei']}_{sameness(record['identifier'], record['count'], stamp)}.json")
        waiting = [read_sidecar(self.spool / "pending" / name) for name in names]
        return any(found is not None and found["upload"] == record["upload"] for found in waiting)

    # tidying

    def discard(self, record: Record) -> None:
        """Remove a partial file, and what it grew out of."""
        if self.exchange is not None and (left := record.get("left")):
            self.exchange.forget(left)
        self._remove(record)

    def _remove(self, record: Record) -> None:
        self.files.close(str(self._part(record)))
        for suffix in (".part", ".json"):
            self._part(record).with_suffix(suffix).unlink(missing_ok=True)


class Transfer:
    """One file on its way, in the hands of one session."""

    __slots__ = (
        "_asker", "_buffer", "_compare_until", "_digest", "_offer", "_safe_at", "chain", "part", "received", "record",
        "sidecar", "store", "stored_before",
    )  # fmt: skip

    def __init__(self, store: Store, record: Record, asker: Asker, offer: Offer) -> None:
        self.store, self.record = store, record
        self.received = 0  # bytes held, from the beginning
        self.chain = 0  # their CRC
        self._asker, self._offer = asker, offer
        self.part = f"{store.partials}/{record['imei']}/{record['upload']}.part"
        self.sidecar = f"{self.part[:-5]}.json"
        self.stored_before = False  # a stored file that is offered again: compare, do not write
        self._compare_until = 0
        self._buffer = b""  # the last bytes of those held, not yet written
        self._digest: Any = None  # SHA-256 of the bytes held, while they come in order from the beginning
        self._safe_at = asker.now
        store.active.add(record["upload"])

    # how a transfer comes to be

    @classmethod
    def begin(cls, store: Store, asker: Asker, offer: Offer) -> "Transfer":
        """Begin a file from its first byte."""
        now, upload = asker.now, new_id(asker.now)
        kind, source, extension = describe(offer)
        path = f"{now:%Y/%m/%d/%H}/{asker.imei}_{upload}.{extension}"
        if asker.admission == "quarantine":
            path = quarantined(asker.imei, path)
        record = {
            "imei": asker.imei, "upload": upload, "session": asker.session, "admission": asker.admission,
            "identifier": offer.identifier, "by_path": offer.by_path, "count": offer.count,
            "packets": -(-offer.size // PACKET), "file_type": kind, "source": source, "extension": extension,
            "metadata": asdict(offer.metadata) if offer.metadata else None, "received_packets": 0, "size": 0,
            "sha256": None, "path": path, "state": "receiving", "started_at": _stamp(now), "updated_at": _stamp(now),
            "received_at": None, "resumes": 0, "crc_errors": 0, "safe": 0, "boot": store.boot,
        }  # fmt: skip
        transfer = cls(store, record, asker, offer)
        transfer._digest = hashlib.sha256()
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(os.path.dirname(transfer.part))
            store.files.write(transfer.part, b"", 0)
            # not fsynced: nothing is promised yet
            os.close(_overwrite(transfer.sidecar, record))
        except OSError as error:
            transfer.leave()
            # the camera comes again and again: a full disk must not fill with empty files
            for path in (transfer.part, transfer.sidecar):
                with contextlib.suppress(OSError):
                    os.unlink(path)
            raise StorageError("disk", f"The file cannot be kept: {error.strerror}.") from error
        return transfer

    @classmethod
    def resume(cls, store: Store, record: Record, asker: Asker, offer: Offer) -> "Transfer":
        """Go on with a partial file; one packet back, compared, where no timestamp proves that it is the same."""
        record = record | {"session": asker.session, "updated_at": _stamp(asker.now), "state": "receiving"}
        transfer = cls(store, record, asker, offer)
        part = transfer.part
        try:
            held = os.stat(part).st_size
            if record["boot"] != store.boot:
                held = min(held, record["safe"])
            # whole packets only; the last one may be short and is always taken again
            held = max(0, min(held, offer.size - 1) // PACKET * PACKET)
            os.truncate(part, held)
            if held and not _timestamp(record):
                transfer._compare_until, held = held, held - PACKET
            transfer._stand_at(held)
            record["resumes"] += 1
            record["boot"] = store.boot
            shorter = held // PACKET < record["safe"] // PACKET
            # else bytes that come now could be taken for those that were safe
            record["safe"] = min(record["safe"], held)
            _replace(transfer.sidecar, record, safe=shorter)
        except OSError as error:
            transfer.leave()
            raise StorageError("disk", f"The partial file cannot be read: {error.strerror}.") from error
        return transfer

    @classmethod
    def compare_stored(cls, store: Store, record: Record, asker: Asker, offer: Offer) -> "Transfer":
        """Ask only for the end of a stored file, to be sure that it is the same. Raises MediaError."""
        transfer = cls(store, dict(record), asker, offer)
        transfer.stored_before = True
        transfer._compare_until = record["size"]
        begin = (record["size"] - 1) // PACKET * PACKET
        transfer.chain = transfer._stored_chain(begin)
        transfer.received = begin
        return transfer

    def _stand_at(self, offset: int) -> None:
        """Stand behind so many bytes; their CRC is made anew from the bytes themselves, SHA-256 in commit()."""
        self.chain, self._digest, left = 0, None if offset else hashlib.sha256(), offset
        with open(self.part, "rb") as file:
            while left:
                piece = file.read(min(left, 1 << 20))
                if not piece:
                    raise StorageError("partial_lost", "The partial file is shorter than its sidecar says.")
                self.chain = protocol.crc(piece, self.chain)
                left -= len(piece)
        self.received = offset

    # taking bytes

    def write(self, offset: int, payload: bytes, now: datetime) -> bool:
        """Take checked bytes; False when they differ from those held: then the file begins again.

        Raises StorageError.
        """
        assert offset == self.received
        known = max(0, min(len(payload), self._compare_until - offset))
        if self.stored_before and not self._fits_stored(offset + len(payload)):
            self._start_again(now)
            return False
        if known and self._held(offset, known) != payload[:known]:
            self._start_again(now)
            return False
        if self._digest is not None:
            self._digest.update(payload)
        self.received += len(payload)
        if new := payload[known:] if known else payload:
            if len(self._buffer) + len(new) >= BUFFER:
                self.flush(new)
            else:
                self._buffer += new
        return True

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
                self.chain = self._stored_chain(offset)
            except MediaError as error:
                raise StorageError("store_away", str(error)) from error
            self.received = offset
        else:
            self.flush()
            self._stand_at(offset)

    def _stored_chain(self, end: int) -> int:
        """Give the CRC of a stored file's bytes up to `end`, read in pieces: memory is bounded. Raises MediaError."""
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
                raise StorageError("store_away", str(error)) from error
        with open(self.part, "rb") as file:
            file.seek(offset)
            return file.read(count)

    def _start_again(self, now: datetime) -> None:
        """It is another file: from the first byte. A partial is given up, a stored file stays as it is."""
        old, offer = self.record, self._offer
        asker = Asker(self._asker.imei, self._asker.admission, self._asker.session, now)
        self.store.active.discard(old["upload"])
        if not self.stored_before:
            self.store.discard(old)
        fresh = Transfer.begin(self.store, asker, offer)
        self.record, self._digest, self._asker = fresh.record, fresh._digest, asker
        self.part, self.sidecar = fresh.part, fresh.sidecar
        self.stored_before, self._compare_until, self.received, self.chain, self._buffer = False, 0, 0, 0, b""

    def flush(self, more: bytes = b"") -> None:
        """Write what was gathered. Raises StorageError."""
        data = self._buffer + more if self._buffer else more
        if not data:
            return
        try:
            self.store.files.write(self.part, data, self.received - len(data))
        except OSError as error:
            self.received -= len(data)  # never more than is there
            self._buffer = b""
            raise StorageError("disk", f"The file cannot be written: {error.strerror}.") from error
        self._buffer = b""

    # how it ends; what blocks may run in a thread, after flush()

    def progress(self) -> Record | None:
        """Give the record as it is now, None for a stored file that is compared."""
        if self.stored_before:
            return None
        return self.record | {"received_packets": self.received // PACKET, "size": self.received}

    def make_safe(self, now: datetime, state: str = "receiving") -> Record | None:
        """Make the bytes held survive a power cut; give the record. Blocks; raises StorageError."""
        if self.stored_before:
            return None
        self._safe_at = now
        try:
            self._sync()
            self.record |= {
                "state": state, "safe": self.received, "updated_at": _stamp(now),
                "received_packets": self.received // PACKET, "size": self.received,
            }  # fmt: skip
            _replace(self.sidecar, self.record, safe=True)
            sync_folder(self.store.spool / "partial")
        except OSError as error:
            raise StorageError("disk", f"The file cannot be kept: {error.strerror}.") from error
        return self.record

    def _sync(self) -> None:
        if not self.record["boot"]:
            raise OSError(errno.EIO, "an earlier fsync failed")
        descriptor = os.open(self.part, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._cut(descriptor)
            self.fsync([descriptor])
        finally:
            os.close(descriptor)

    def fsync(self, descriptors: Iterable[int]) -> None:
        """Wait until all that was written out is on disk. Raises OSError."""
        try:
            for descriptor in descriptors:
                os.fsync(descriptor)
        except OSError:
            self._distrust()
            raise

    def _distrust(self) -> None:
        """Believe the bytes only as far as they were safe before: after a failed fsync the next one tells nothing."""
        self.record["boot"] = ""
        with contextlib.suppress(OSError):
            _replace(self.sidecar, self.record, safe=False)

    def _cut(self, descriptor: int) -> None:
        if self.received < os.fstat(descriptor).st_size:
            os.ftruncate(descriptor, self.received)  # the device went back

    def commit(self, now: datetime) -> Record | None:
        """Make this one file safe in the media store, after flush(); give its record, None if it was stored before.

        Blocks. Raises StorageError; then nothing may be acknowledged.
        """
        (problem,) = self.store.commit([self], now)
        if problem is not None:
            raise problem
        return self.committed()

    def committed(self) -> Record | None:
        """Give the record of the file that was made safe, None if it was stored before."""
        return None if self.stored_before else self.record

    def write_out(self, now: datetime) -> tuple[int, ...]:
        """Begin to write the whole file and its sidecar to disk; give the descriptors to fsync. Raises OSError."""
        if self.stored_before:
            return ()
        part = os.open(self.part, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._cut(part)
            _write_out(part)
            self.record |= {
                "state": "stored", "sha256": self._sha256(), "size": self.received, "received_at": _stamp(now),
                "received_packets": self.record["packets"], "updated_at": _stamp(now),
            }  # fmt: skip
            sidecar = self._overwrite_sidecar()
        except BaseException:
            os.close(part)
            raise
        _write_out(sidecar)
        return part, sidecar

    def _overwrite_sidecar(self) -> int:
        """In place: a file less to make and to remove; torn by a power cut it costs a partial file, nothing more."""
        try:
            return _overwrite(self.sidecar, self.record)
        except OSError:
            # the disk is full: be what it was before, which is shorter
            with contextlib.suppress(OSError):
                os.close(_overwrite(self.sidecar, self.record | {"state": "receiving", "sha256": None}))
            raise

    def hand_in(self) -> None:
        """Move the sidecar among those that wait for the product, under the name by which the file is known again."""
        if self.stored_before:
            return
        record, stamp = self.record, _timestamp(self.record)
        name = f"{record['imei']}_{record['upload']}.json"
        if stamp:
            same = f"{record['imei']}_{sameness(record['identifier'], record['count'], stamp)}.json"
            other = read_sidecar(self.store.spool / "pending" / same)
            if other is None or other["upload"] == record["upload"]:
                name = same  # else another file of the same time and size waits
        record["pending"] = name
        os.rename(self.sidecar, self.store._pending_path(record))

    def take_back(self) -> None:
        """Be a partial file again: it could not be stored."""
        if name := self.record.pop("pending", None):
            with contextlib.suppress(FileNotFoundError):
                os.rename(self.store.spool / "pending" / name, self.sidecar)
        self.record |= {"state": "receiving", "sha256": None, "received_at": None}

    def _sha256(self) -> str:
        if self._digest is not None:
            return str(self._digest.hexdigest())
        return _digest(self.part)

    def leave(self) -> None:
        """Give the file out of hand."""
        self.store.files.close(self.part)
        self.store.active.discard(self.record["upload"])
