"""Partial files, sidecars and commits: what keeps a camera's bytes safe. No sockets, no database.

Layout: `<spool>/partial/<imei>/<upload>.part` and `.json` while a file comes; `<media>/<imei>/y/m/d/<upload>.jpg`
when it is there, with its sidecar in `<spool>/pending/` until the product has it, then beside the file. A file
is acknowledged only after commit() has returned: data, sidecar and directories are fsynced then.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from receiver import protocol
from receiver.protocol import PACKET, Metadata

KINDS = {
    "%photof": ("photo", "front", "jpg"),
    "%photor": ("photo", "rear", "jpg"),
    "%videof": ("video", "front", "h265"),
    "%videor": ("video", "rear", "h265"),
}
BUFFER = 64 * 1024  # written at once: 64 packets
SAFE_EVERY = 1024 * 1024  # bytes between fsyncs of a partial: what a power cut may cost on resume
REMEMBERED = 8  # stored files per device that are recognised when they are offered again


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


def new_id(now: datetime) -> str:
    """Make an id: 32 lower-case hex characters that sort by time (48 bit milliseconds, 80 random bits)."""
    return f"{int(now.timestamp() * 1000):012x}{os.urandom(10).hex()}"


def boot_id() -> str:
    """Name the present boot: bytes written under another boot are safe only as far as they were fsynced."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    """Make a folder whose directory entry survives a power cut."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    try:
        folder.mkdir()
    except FileExistsError:
        return
    _sync_folder(folder.parent)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _stamp(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _when(text: str) -> datetime:
    return datetime.fromisoformat(text)


class Store:
    """The spool and the media folder of one machine; several worker processes may share them."""

    def __init__(self, spool: Path, media: Path, caps: Caps) -> None:
        self.spool, self.media, self.caps = spool, media, caps
        self.boot = boot_id()
        for folder in (spool / "partial", spool / "pending", spool / "known", media):
            _make_folder(folder)

    def open(
        self, *, imei: str, admission: str, session: str, identifier: str, packets: int,
        metadata: Metadata | None, now: datetime,
    ) -> "Transfer":  # fmt: skip
        """Find the partial or stored file that this is, or begin a new one.

        Raises StorageError: another session is at it ("busy"), caps, disk full.
        """
        asked = {"imei": imei, "identifier": identifier, "packets": packets}
        timestamp = metadata.timestamp if metadata else 0
        if stored := self._stored(asked, timestamp):
            return Transfer.compare_stored(self, stored, session, admission, metadata, now)
        for path in sorted((self.spool / "partial" / imei).glob("*.json")):
            record = _read_json(path)
            if record and record["identifier"] == identifier and self._same(record, packets, timestamp, now):
                return Transfer.resume(self, record, session, now)
        if admission == "quarantine":
            self._check_caps(imei, packets * PACKET)
        return Transfer.begin(self, asked, admission, session, metadata, now)

    def _same(self, record: dict[str, Any], packets: int, timestamp: int, now: datetime) -> bool:
        if record["packets"] != packets:
            return False
        known = (record["metadata"] or {}).get("timestamp", 0)
        if timestamp or known:
            return timestamp == known
        age = now - _when(record["updated_at"])
        return age <= timedelta(hours=self.caps.hours_without_metadata)

    def _stored(self, asked: dict[str, Any], timestamp: int) -> dict[str, Any] | None:
        """Find a stored file with this identifier, count and non-zero timestamp that is still there."""
        if not timestamp:
            return None
        for record in self.remembered(asked["imei"]):
            same = all(record[name] == value for name, value in asked.items())
            if same and (record["metadata"] or {}).get("timestamp") == timestamp:
                return record if (self.media / record["path"]).is_file() else None
        return None

    def remembered(self, imei: str) -> list[dict[str, Any]]:
        """Give the sidecars of the last files stored for a device."""
        return (_read_json(self.spool / "known" / f"{imei}.json") or {}).get("files", [])

    def remember(self, record: dict[str, Any]) -> None:
        """Keep a stored file's sidecar, so that it is recognised when it is offered again."""
        files = [f for f in self.remembered(record["imei"]) if f["upload"] != record["upload"]]
        _write_json(
            self.spool / "known" / f"{record['imei']}.json", {"files": [*files, record][-REMEMBERED:]}
        )

    def _check_caps(self, imei: str, more: int) -> None:
        own = self._quarantined(self.media / "quarantine" / imei, self.spool / "partial" / imei)
        everything = self._quarantined(self.media / "quarantine")
        if len(own) >= self.caps.files_per_device or sum(own) + more > self.caps.bytes_per_device:
            raise StorageError("quarantine_full", "This unknown device has sent as much as one may.")
        if sum(everything) + more > self.caps.bytes_in_all:
            raise StorageError("quarantine_full", "Unknown devices have sent as much as they may in all.")

    @staticmethod
    def _quarantined(*folders: Path) -> list[int]:
        files = [p for folder in folders for p in folder.rglob("*") if p.suffix in (".jpg", ".h265", ".part")]
        return [path.stat().st_size for path in files if path.is_file()]

    def pending(self) -> Iterator[dict[str, Any]]:
        """Give the sidecars of stored files that the product does not have yet, oldest first."""
        for path in sorted((self.spool / "pending").glob("*.json")):
            record = _read_json(path)
            if record is None:
                continue
            final = self.media / record["path"]
            part = self.spool / "partial" / record["imei"] / f"{record['upload']}.part"
            if not final.exists():
                if not part.exists():
                    continue
                # killed between sidecar and rename: finish what commit() began
                _make_folder(final.parent)
                _move(part, final)
                part.with_suffix(".json").unlink(missing_ok=True)
            yield record

    def delivered(self, record: dict[str, Any]) -> None:
        """Take that the product has this file: its sidecar goes beside it."""
        _write_json(self.media / (record["path"] + ".json"), record)
        (self.spool / "pending" / f"{record['upload']}.json").unlink(missing_ok=True)

    def partials(self) -> Iterator[dict[str, Any]]:
        """Give the sidecars of all partial files."""
        for path in (self.spool / "partial").glob("*/*.json"):
            if record := _read_json(path):
                yield record

    def expire(self, now: datetime) -> list[str]:
        """Remove partial files that nobody went on with, and old quarantined files; give their uploads."""
        gone = []
        for record in self.partials():
            if now - _when(record["updated_at"]) > timedelta(days=self.caps.partial_days):
                for suffix in (".part", ".json", ".lock"):
                    (self.spool / "partial" / record["imei"] / f"{record['upload']}{suffix}").unlink(
                        missing_ok=True
                    )
                gone.append(record["upload"])
        oldest = time.time() - self.caps.quarantine_days * 86_400
        for path in (self.media / "quarantine").rglob("*"):
            if path.is_file() and path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
                if path.suffix != ".json":
                    gone.append(path.stem)
        return gone

    def adopt(self, record: dict[str, Any]) -> dict[str, Any]:
        """Move a quarantined file among the ordinary ones; give its new record. Harmless when repeated."""
        new = record | {"admission": "known", "path": record["path"].removeprefix("quarantine/")}
        old, final = self.media / record["path"], self.media / new["path"]
        if old != final and old.exists():
            _make_folder(final.parent)
            _move(old, final)
            old.with_name(old.name + ".json").unlink(missing_ok=True)
            _sync_folder(old.parent)
        return new


def _move(source: Path, target: Path) -> None:
    """Rename, or copy across file systems; afterwards exactly one of the names exists, and is safe."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        temporary = target.with_name(f".{target.name}.tmp")
        shutil.copyfile(source, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
        _sync_folder(target.parent)
        source.unlink()
    _sync_folder(target.parent)
    _sync_folder(source.parent)


class Transfer:
    """One file on its way, held by one session (a lock on its sidecar). Packets are numbered from 1."""

    def __init__(
        self, store: Store, record: dict[str, Any], first: int, compared: Path | None = None
    ) -> None:
        self.store, self.record = store, record
        self.next_packet = first
        self.chain = 0
        self._compared = compared  # a stored file that is offered again: compare, do not write
        self._compare_until = 0
        self._buffer = bytearray()
        self._unsafe = 0
        self._file: Any = None
        self._lock: int | None = None

    # how a transfer comes to be

    @classmethod
    def begin(
        cls, store: Store, asked: dict[str, Any], admission: str, session: str, metadata: Metadata | None,
        now: datetime,
    ) -> "Transfer":  # fmt: skip
        """Begin a file from packet 1."""
        kind, source, extension = KINDS[asked["identifier"]]
        upload = new_id(now)
        folder = "quarantine/" if admission == "quarantine" else ""
        record = asked | {
            "upload": upload, "session": session, "admission": admission, "file_type": kind, "source": source,
            "extension": extension, "metadata": asdict(metadata) if metadata else None, "received_packets": 0,
            "size": 0, "sha256": None, "path": f"{folder}{asked['imei']}/{now:%Y/%m/%d}/{upload}.{extension}",
            "state": "receiving", "started_at": _stamp(now), "updated_at": _stamp(now), "received_at": None,
            "resumes": 0, "crc_errors": 0, "safe_packets": 0, "boot": store.boot,
        }  # fmt: skip
        transfer = cls(store, record, 1)
        _make_folder(transfer._part.parent)
        transfer._take_lock()
        transfer._file = transfer._part.open("w+b")
        transfer._save()
        return transfer

    @classmethod
    def resume(cls, store: Store, record: dict[str, Any], session: str, now: datetime) -> "Transfer":
        """Go on with a partial file at the first packet not safe; one back and compared without a timestamp."""
        transfer = cls(store, record | {"session": session, "updated_at": _stamp(now)}, 1)
        transfer._take_lock()
        transfer._file = transfer._part.open("r+b") if transfer._part.exists() else transfer._part.open("w+b")
        have = os.fstat(transfer._file.fileno()).st_size // PACKET
        if record["boot"] != store.boot:
            have = min(have, record["safe_packets"])
        have = min(have, record["packets"] - 1)  # the last packet may be short: always taken again
        transfer._file.truncate(have * PACKET)
        if have and not (record["metadata"] or {}).get("timestamp"):
            transfer._compare_until, have = have, have - 1
        transfer._position(have)
        transfer.record["resumes"] += 1
        transfer.record["state"] = "receiving"
        transfer.record["boot"] = store.boot
        transfer._save()
        return transfer

    @classmethod
    def compare_stored(
        cls, store: Store, record: dict[str, Any], session: str, admission: str, metadata: Metadata | None,
        now: datetime,
    ) -> "Transfer":  # fmt: skip
        """Ask only for the last packet of a stored file, to be sure that it is the same."""
        transfer = cls(store, dict(record), record["packets"], store.media / record["path"])
        transfer._file = transfer._compared.open("rb")  # type: ignore[union-attr]
        transfer._compare_until = record["packets"]
        transfer._again = (session, admission, metadata, now)
        transfer._position(record["packets"] - 1)
        return transfer

    _again: tuple[str, str, Metadata | None, datetime] | None = None

    @property
    def _part(self) -> Path:
        return self.store.spool / "partial" / self.record["imei"] / f"{self.record['upload']}.part"

    @property
    def _sidecar(self) -> Path:
        return self._part.with_suffix(".json")

    def _take_lock(self) -> None:
        _make_folder(self._part.parent)
        self._lock = os.open(self._part.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            self._lock = None
            raise StorageError("busy", "Another session of this device is at this file.") from None

    def _position(self, packets: int) -> None:
        """Stand behind so many packets; their CRC is chained anew from the bytes themselves."""
        self._file.seek(0)
        self.chain, left = 0, packets * PACKET
        while left:
            piece = self._file.read(min(left, 1 << 20))
            if not piece:
                raise StorageError("partial_lost", "The partial file is shorter than its sidecar says.")
            self.chain = protocol.crc(piece, self.chain)
            left -= len(piece)
        self.next_packet = packets + 1

    # taking packets

    def write(self, packet: int, payload: bytes) -> bool:
        """Take a checked packet; False when it differs from the bytes held: then it begins again at 1."""
        if packet <= self._compare_until:
            self._file.seek((packet - 1) * PACKET)
            if self._file.read(PACKET) == payload:
                self.next_packet = packet + 1
                self._file.seek(packet * PACKET)
                return True
            self._start_again()
            return False
        self._buffer += payload
        self.next_packet = packet + 1
        if len(self._buffer) >= BUFFER:
            self._flush()
        return True

    def _start_again(self) -> None:
        """It is another file: from packet 1. A partial is given up, a stored file stays as it is."""
        self._file.close()
        session, admission, metadata, now = self._again or (
            self.record["session"], self.record["admission"], None, _when(self.record["updated_at"]),
        )  # fmt: skip
        asked = {name: self.record[name] for name in ("imei", "identifier", "packets")}
        fresh = Transfer.begin(self.store, asked, admission, session, metadata, now)
        if self._compared is None:
            fresh.record["metadata"] = self.record["metadata"]
            self._part.unlink(missing_ok=True)
            self._sidecar.unlink(missing_ok=True)
            self._release()
        self._compared, self._compare_until = None, 0
        self.record, self._file, self._lock = fresh.record, fresh._file, fresh._lock
        self.next_packet, self.chain = 1, 0
        self._buffer.clear()

    def _flush(self) -> None:
        if not self._buffer:
            return
        try:
            self._file.write(self._buffer)
            self._file.flush()
        except OSError as error:
            raise StorageError("disk", f"The file cannot be written: {error.strerror}.") from error
        self._unsafe += len(self._buffer)
        self._buffer.clear()
        if self._unsafe >= SAFE_EVERY:
            self._make_safe()

    def _make_safe(self) -> None:
        os.fsync(self._file.fileno())
        self._unsafe = 0
        self.record["safe_packets"] = self.next_packet - 1
        self._save()

    def _save(self) -> None:
        self.record["received_packets"] = self.next_packet - 1
        _write_json(self._sidecar, self.record)

    def suspend(self, now: datetime) -> dict[str, Any] | None:
        """Keep what came, for the next session; give its record (None for a stored file offered again)."""
        try:
            if self._compared is not None:
                return None
            self._flush()
            os.fsync(self._file.fileno())
            self.record |= {
                "state": "partial",
                "updated_at": _stamp(now),
                "safe_packets": self.next_packet - 1,
            }
            self._save()
            return self.record
        except (OSError, StorageError):
            return None  # the last safe state stands on disk
        finally:
            self._file.close()
            self._release()

    def commit(self, now: datetime) -> dict[str, Any] | None:
        """Make the whole file safe in the media folder. Give its record, None if it was stored before.

        Raises StorageError; then nothing may be acknowledged.
        """
        if self._compared is not None:
            self._file.close()
            return None
        try:
            self._flush()
            os.fsync(self._file.fileno())
            self._file.seek(0)
            digest = hashlib.file_digest(self._file, "sha256").hexdigest()
            self.record |= {
                "state": "stored", "sha256": digest, "size": os.fstat(self._file.fileno()).st_size,
                "received_packets": self.record["packets"], "received_at": _stamp(now), "updated_at": _stamp(now),
            }  # fmt: skip
            final = self.store.media / self.record["path"]
            _make_folder(final.parent)
            _write_json(self.store.spool / "pending" / f"{self.record['upload']}.json", self.record)
            _move(self._part, final)
            self._sidecar.unlink(missing_ok=True)
            self.store.remember(self.record)
        except OSError as error:
            raise StorageError("disk", f"The file cannot be stored: {error.strerror}.") from error
        self._file.close()
        self._release()
        return self.record

    def _release(self) -> None:
        if self._lock is not None:
            self._part.with_suffix(".lock").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None
