"""A receiver on a real socket in a thread of the test, with notes in place of the product; what a camera sends it."""

import dataclasses
import random
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.server import StreamServer

from provisioning.models import utcnow
from receiver.backend.port import Admission, SessionFacts
from receiver.net.proxy_tls import Preamble
from receiver.net.server import Server
from receiver.net.settings import Settings
from receiver.spool.sidecar import SidecarRecord, StoredFile
from receiver.spool.spool import Caps, Spool
from receiver.store.local_folder import LocalFolder
from receiver.store.media_store import Media
from receiver.wire.actions import Offer
from receiver.wire.session_limits import SessionLimits

IMEI = "352094082736916"
UNKNOWN = "356307042441013"
METADATA = bytes.fromhex("000b000d01040000017a57334640000000")


class Notes:
    """A product that knows one device and notes what is reported to it; `away` makes every call fail."""

    def __init__(self) -> None:
        self.stored_files: dict[str, dict[str, Any]] = {}
        self.seen: dict[str, SessionFacts] = {}
        self.leases: dict[tuple[str, str], tuple[str, str]] = {}
        self.waited_for: set[str] = set()
        self.thrown_away: list[str] = []
        self.partial: dict[str, dict[str, Any]] = {}
        self.away = False
        self.known = {IMEI}
        self.before = (0, 0)  # files and bytes that a device sent today

    def _reach(self) -> None:
        if self.away:
            raise ConnectionError("the database is away")

    def admit(self, imei: str) -> Admission:
        self._reach()
        return Admission.KNOWN if imei in self.known else Admission.UNKNOWN

    def recall(self, imei: str, offer: Offer) -> StoredFile | None:
        self._reach()
        stamp = offer.metadata.timestamp if offer.metadata else 0
        for record in self.stored_files.values():
            same = (record["imei"], record["identifier"], record["count"]) == (
                imei,
                offer.identifier,
                offer.count,
            )
            if same and record["metadata"] and record["metadata"]["timestamp"] == stamp:
                return StoredFile.of(record)
        return None

    def sent_today(self, imei: str) -> tuple[int, int]:
        self._reach()
        return self.before

    def sessions(self, facts: Sequence[SessionFacts]) -> None:
        self._reach()
        for fact in facts:
            self.seen[fact.id] = dataclasses.replace(fact)

    def progress(self, records: Sequence[SidecarRecord]) -> None:
        self._reach()
        self.partial.update({record["upload"]: record for record in records})

    def stored(self, records: Sequence[SidecarRecord]) -> list[SidecarRecord]:
        self._reach()
        self.stored_files.update({record["upload"]: record for record in records})
        return list(records)

    def watched(self) -> set[str]:
        self._reach()
        return {IMEI}

    def expired(self, idents: Sequence[str]) -> None:
        self._reach()

    def superseded(self, idents: Sequence[str]) -> None:
        self._reach()
        self.thrown_away += idents

    def lease(self, imei: str, identifier: str, token: str, machine: str, force: bool) -> bool:
        self._reach()
        held = self.leases.get((imei, identifier))
        if held and held[1] != machine and not force:
            self.waited_for.add(held[0])
            return False
        self.leases[imei, identifier] = (token, machine)
        return True

    def holds(self, token: str) -> bool:
        self._reach()
        return token in {held for held, _ in self.leases.values()}

    def wanted(self) -> set[str]:
        self._reach()
        return self.waited_for

    def release(self, tokens: Sequence[str]) -> None:
        self._reach()
        self.leases = {key: held for key, held in self.leases.items() if held[0] not in tokens}

    @property
    def codes(self) -> list[str | None]:
        return [facts.code for facts in self.seen.values() if facts.ended_at]


class Running:
    """A receiver in a thread of its own (gevent runs there, cameras run in ours)."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        front: Preamble | None = None,
        notes: Notes | None = None,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        self.notes, self.folder, self.settings, self.preamble = notes or Notes(), folder, settings, front
        self.clock = clock
        self.ready, self._stop = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.ready.wait(10)

    def _run(self) -> None:
        self.store = Spool(self.folder / "spool", self.media(), Caps(files_per_device=2))
        self.server = Server(self.settings, self.store, self.notes, self.clock, self.preamble)
        listener = StreamServer(("127.0.0.1", 0), lambda s, a: self.server.serve(s, f"{a[0]}:{a[1]}"))
        listener.start()
        self.server.start()
        self.port = listener.server_port
        self.ready.set()
        while not self._stop.is_set():
            gevent.sleep(0.01)
        listener.stop()
        gevent.get_hub().destroy()

    def media(self) -> Media:
        return LocalFolder(self.folder / "media")

    def stop(self) -> None:
        self._stop.set()
        self.thread.join(10)

    def files(self) -> list[bytes]:
        return [p.read_bytes() for p in (self.folder / "media").rglob("*") if p.suffix in (".jpg", ".h265")]

    def raw(self, data: bytes, wait: float = 5.0) -> bytes:
        """Send bytes, give what comes back until the receiver closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as line:
            line.sendall(data)
            answer = b""
            try:
                while piece := line.recv(4096):
                    answer += piece
            except ConnectionResetError:
                pass
            return answer


QUICK = SessionLimits(metadata=0.3, init=0.6, answer=2.0, max_size=1000 * 1024)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    receiver = Running(tmp_path, Settings(QUICK))
    yield receiver
    receiver.stop()


def content(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def drip(running: Running, data: bytes) -> None:
    """Send byte by byte, ten a second, until the receiver closes; that it never does is a failure."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=0.1) as line:
        for byte in data:
            try:
                line.sendall(bytes([byte]))
                if line.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except OSError:
                return
    raise AssertionError("the line was held beyond its deadline")


def init(bits: int = 0x44, imei: str = IMEI) -> bytes:
    return b"\0\0\0\x05" + int(imei).to_bytes(8, "big") + bytes([bits, 0, 4, 0])


def connect(running: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.port), timeout=10)


def ended(line: socket.socket) -> bool:
    try:
        while line.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


SLOW = dataclasses.replace(QUICK, init=30.0)


def receiver(folder: Path, clock: Callable[[], datetime] = utcnow, **settings: object) -> Running:
    return Running(folder, Settings(**{"limits": SLOW} | settings), clock=clock)  # type: ignore[arg-type]


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[list[Running]]:
    started: list[Running] = []
    yield started
    for running in started:
        running.stop()
