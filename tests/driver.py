"""The receiver without sockets: protocol, session and storage driven by bytes and a clock that tests hold.

Performs a session's actions as `receiver.net.server` does, on real files.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from receiver.endings import Ending, Reason
from receiver.spool.file_transfer import Transfer
from receiver.spool.sidecar import SidecarRecord, StoredFile
from receiver.spool.spool import Caps, Spool
from receiver.spool.upload_context import UploadContext
from receiver.store.durability import StorageError
from receiver.store.local_folder import LocalFolder
from receiver.wire import protocol
from receiver.wire.actions import (
    Action,
    Admit,
    Again,
    Close,
    Commit,
    CrcError,
    GoBack,
    Offer,
    OpenFile,
    Send,
    Write,
)
from receiver.wire.frame_reader import FrameReader
from receiver.wire.protocol import ProtocolError, WireMessage
from receiver.wire.session import SessionMachine
from receiver.wire.session_limits import SessionLimits

BEGAN = datetime(2026, 11, 24, 12, tzinfo=UTC)


@dataclass
class Machine:
    """A spool and a media folder that outlive sessions."""

    folder: Path
    now: float = 0.0
    stored: list[SidecarRecord] = field(default_factory=list)
    known: bool = True

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget everything that is not on disk."""
        self.store = Spool(self.folder / "spool", LocalFolder(self.folder / "media"), Caps())

    @property
    def time(self) -> datetime:
        return BEGAN + timedelta(seconds=self.now)

    def files(self) -> list[bytes]:
        media = self.folder / "media"
        return [p.read_bytes() for p in sorted(media.rglob("*")) if p.is_file() and p.suffix != ".json"]

    def partials(self) -> list[bytes]:
        return [p.read_bytes() for p in sorted((self.folder / "spool").rglob("*.part"))]

    def recall(self, imei: str, offer: Offer) -> StoredFile | None:
        stamp = offer.metadata.timestamp if offer.metadata else 0
        for record in self.stored if stamp else ():
            same = (record["imei"], record["identifier"], record["count"])
            if (
                same == (imei, offer.identifier, offer.count)
                and (record["metadata"] or {}).get("timestamp") == stamp
            ):
                return StoredFile.of(record)
        return None


def make_safe(transfer: Transfer, now: datetime) -> SidecarRecord | None:
    """Make the bytes held of one file survive a power cut, after flush(); give its record."""
    assert isinstance(transfer.store, Spool)
    return _alone(transfer, transfer.store.group_commit.make_safe([transfer], now))


def commit(transfer: Transfer, now: datetime) -> SidecarRecord | None:
    """Make one whole file safe in the media store, after flush(); give its record."""
    assert isinstance(transfer.store, Spool)
    return _alone(transfer, transfer.store.group_commit.commit([transfer], now))


def _alone(transfer: Transfer, problems: list[StorageError | None]) -> SidecarRecord | None:
    if problems[0] is not None:
        raise problems[0]
    return transfer.committed()


class Line:
    """One connection."""

    def __init__(self, machine: Machine, limits: SessionLimits | None = None) -> None:
        self.machine = machine
        self.session = SessionMachine(limits or SessionLimits(), machine.now)
        self.reader = FrameReader()
        self.transfer: Transfer | None = None
        self.sent = b""
        self.closed: Ending | None = None
        self.crc_errors = 0

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the device; give what it gets back."""
        try:
            if self.closed is None:
                self.reader.feed(data, self._take)
        except (ProtocolError, StorageError) as error:
            self.closed = error.ending
        return self.answer()

    def wait(self) -> bytes:
        """Let time pass to the present deadline."""
        assert self.session.deadline is not None
        self.machine.now = max(self.machine.now, self.session.deadline)
        self._perform(self.session.expired(self.machine.now))
        return self.answer()

    def answer(self) -> bytes:
        sent, self.sent = self.sent, b""
        return sent

    def drop(self) -> None:
        """The line breaks."""
        if self.transfer is not None:
            self.transfer.flush()
            self.transfer.left_behind()
            make_safe(self.transfer, self.machine.time)
            self.transfer.leave()
            self.transfer = None
        self.closed = self.closed or Ending(Reason.CLOSED)

    def _take(self, message: WireMessage) -> None:
        if self.closed is None:
            self._perform(self.session.receive(message, self.machine.now))

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            if self.closed is not None:
                return
            if isinstance(action, Close):
                self.closed = action.ending
            elif isinstance(action, Again):
                for message in action.messages:
                    self._take(message)
            else:
                self._perform(self._act(action))

    def _act(self, action: Action) -> list[Action]:
        now = self.machine.now
        match action:
            case Send(data):
                self.sent += data
            case Admit():
                return self.session.admitted(self.machine.known, now)
            case OpenFile(offer):
                assert self.session.imei is not None
                asker = UploadContext(self.session.imei, "known", "f" * 32, self.machine.time)
                self.transfer = self.machine.store.open(asker, offer, self.machine.recall(asker.imei, offer))
                return self.session.opened(self.transfer.received, self.transfer.chain, now)
            case Write(offset, payload, chain):
                assert self.transfer is not None
                assert chain in (None, protocol.crc(payload, self.transfer.chain))
                same = self.transfer.write(offset, payload, self.machine.time, chain)
                return self.session.written(same, now)
            case GoBack(offset):
                assert self.transfer is not None
                self.transfer.go_back(offset)
                return self.session.went_back(self.transfer.chain, now)
            case Commit():
                assert self.transfer is not None
                self.transfer.flush()
                record = commit(self.transfer, self.machine.time)
                self.transfer.leave()
                self.transfer = None
                if record is not None:
                    self.machine.stored.append(record)
                return self.session.committed(now)
            case CrcError():
                self.crc_errors += 1
        return []
