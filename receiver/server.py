"""The gevent driver: reads sockets, feeds sessions, performs their actions; deadlines, limits, takeover, stop.

Knows sockets and time, nothing of the product but the port `Product`, given in by `__main__`.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Protocol

import gevent
import structlog
from gevent.event import Event

from receiver import session as s
from receiver.protocol import ProtocolError, Reader
from receiver.storage import StorageError, Store, Transfer, new_id

log = structlog.get_logger("receiver")
RECEIVE = 64 * 1024  # bytes read at once: 63 packets
PROGRESS_EVERY = 2.0  # seconds between bulk progress reports
AWAY_SECONDS = 2.0  # between tries while the product's database is away
EVENTS_KEPT = 10_000  # session rows that wait for a database that is away; older ones are dropped first


class Admission(Enum):
    """What is known of a device."""

    KNOWN = "known"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class SessionFacts:
    """What is told of one connection, at its beginning and at its end."""

    id: str
    address: str
    started_at: datetime
    imei: str | None = None
    ended_at: datetime | None = None
    code: str | None = None
    reason: str | None = None
    files: int = 0
    bytes_received: int = 0
    crc_errors: int = 0
    resumes: int = 0


class Product(Protocol):
    """What the receiver asks of the product. Any call may raise when the database is away."""

    def admit(self, imei: str) -> Admission: ...
    def session(self, facts: SessionFacts) -> None: ...
    def progress(self, records: Sequence[dict[str, Any]]) -> None: ...
    def stored(self, record: dict[str, Any]) -> dict[str, Any]: ...
    def expired(self, idents: Sequence[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits of the driver, with their reasons; times in seconds."""

    limits: s.Limits
    quarantine_unknown: bool = False
    max_connections: int = 10_000  # about 14 KiB each; two descriptors each while a file comes
    max_per_device: int = 2  # one live, one closing
    max_per_address: int = 0  # off: a whole fleet may share one address
    min_bytes_per_minute: int = 2048  # a tenth of the slowest useful line


class Connection:
    """One socket with its session."""

    def __init__(self, server: "Server", sock: Any, address: str) -> None:
        self.server, self.sock = server, sock
        self.facts = SessionFacts(new_id(server.now()), address, server.now())
        self.session = s.Session(server.settings.limits, time.monotonic())
        self.reader = Reader()
        self.transfer: Transfer | None = None
        self.admission = "known"
        self.moved = False
        self.released = Event()
        self.greenlet = gevent.getcurrent()
        self._minute = (time.monotonic(), 0)

    def run(self) -> None:
        """Serve until the session ends; whatever happens, keep what came and say why it ended."""
        code, reason = "lost", "The line broke."
        try:
            while True:
                data = self._receive()
                if data is None:
                    actions = self.session.expired(time.monotonic())
                elif not data:
                    code, reason = "lost", "The device closed the line."
                    break
                else:
                    self.facts.bytes_received += len(data)
                    self.reader.feed(data)
                    actions = self._messages()
                if closed := self._perform(actions):
                    code, reason = closed.code, closed.reason
                    break
        except ProtocolError as error:
            code, reason = error.code, str(error)
        except Ended as ended:
            code, reason = ended.code, ended.reason
        except OSError as error:
            code, reason = "lost", f"The line broke ({error.strerror or error})."
        finally:
            self._end(code, reason)

    def _receive(self) -> bytes | None:
        wait = None
        if self.session.deadline is not None:
            wait = max(self.session.deadline - time.monotonic(), 0.0)
        self.sock.settimeout(wait or 0.001)
        try:
            data = self.sock.recv(RECEIVE)
        except TimeoutError:
            return None
        began, count = self._minute
        now = time.monotonic()
        if now - began >= 60:
            if self.transfer is not None and count < self.server.settings.min_bytes_per_minute:
                raise Ended("too_slow", f"Only {count} bytes came in a minute.")
            began, count = now, 0
        self._minute = (began, count + len(data))
        return data

    def _messages(self) -> list[s.Action]:
        """Read and take all whole messages; stops at the first end."""
        while (message := self.reader.next()) is not None:
            actions = self.session.receive(message, time.monotonic())
            if closed := self._perform(actions):
                return [closed]
        return []

    def _perform(self, actions: list[s.Action]) -> s.Close | None:
        queue = deque(actions)
        while queue:
            action = queue.popleft()
            if isinstance(action, s.Close):
                return action
            queue.extendleft(reversed(self._act(action)))
        return None

    def _act(self, action: s.Action) -> list[s.Action]:
        now = time.monotonic()
        match action:
            case s.Send(data):
                self.sock.settimeout(self.server.settings.limits.answer)
                self.sock.sendall(data)
            case s.Write(packet, payload, _):
                assert self.transfer is not None
                self.moved = True
                return self.session.written(self.transfer.write(packet, payload), now)
            case s.Admit(imei):
                return self.session.admitted(self._admit(imei), now)
            case s.OpenFile():
                return self._open(action)
            case s.Commit():
                return self._commit()
            case s.CrcError():
                self.facts.crc_errors += 1
                if self.transfer:
                    self.transfer.record["crc_errors"] = self.transfer.record.get("crc_errors", 0) + 1
        return []

    def _admit(self, imei: str) -> bool:
        self.facts.imei = imei
        self.server.arrived(self)
        try:
            known = self.server.product.admit(imei) is Admission.KNOWN
        except Exception:
            # nobody can say who is known while the database is away: keep the file under the quarantine's caps
            log.warning("database away", imei=imei, exc_info=True)
            self.admission = "quarantine"
            return True
        if not known and self.server.settings.quarantine_unknown:
            self.admission = "quarantine"
            known = True
        self.server.tell(self.facts)
        return known

    def _open(self, wanted: s.OpenFile) -> list[s.Action]:
        assert self.facts.imei is not None
        try:
            self.transfer = self.server.open(self, wanted)
        except StorageError as error:
            return self.session.failed(error.code, str(error))
        except OSError as error:
            return self.session.failed("disk", f"The file cannot be kept: {error.strerror}.")
        self.facts.resumes += self.transfer.next_packet > 1
        self._minute = (time.monotonic(), 0)
        return self.session.opened(self.transfer.next_packet, self.transfer.chain, time.monotonic())

    def _commit(self) -> list[s.Action]:
        assert self.transfer is not None
        transfer, now = self.transfer, self.server.now()
        try:
            record = gevent.get_hub().threadpool.apply(transfer.commit, (now,))
        except (StorageError, OSError) as error:
            return self.session.failed(getattr(error, "code", "disk"), str(error))
        self.transfer = None
        if record is not None:
            self.facts.files += 1
            self.server.pending.set()
        return self.session.committed(time.monotonic())

    def _end(self, code: str, reason: str) -> None:
        self.sock.close()
        if self.transfer is not None:
            if record := self.transfer.suspend(self.server.now()):
                self.server.partial(record)
            self.transfer = None
        self.facts.ended_at, self.facts.code, self.facts.reason = self.server.now(), code, reason
        self.server.left(self)
        self.released.set()
        self.server.tell(self.facts)
        log.info(
            "session ended", session=self.facts.id, imei=self.facts.imei, address=self.facts.address, code=code,
            reason=reason, files=self.facts.files, bytes=self.facts.bytes_received, crc_errors=self.facts.crc_errors,
        )  # fmt: skip


class Ended(Exception):
    """The connection is ended by us, from outside its session."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Server:
    """All connections of this process."""

    def __init__(
        self, settings: Settings, store: Store, product: Product, now: Callable[[], datetime]
    ) -> None:
        self.settings, self.store, self.product, self.now = settings, store, product, now
        self.connections: dict[Connection, None] = {}  # oldest first
        self.devices: dict[str, list[Connection]] = {}
        self.pending = Event()
        self._facts: deque[SessionFacts] = deque(maxlen=EVENTS_KEPT)
        self._partials: dict[str, dict[str, Any]] = {}
        self._told = Event()
        self.stopping = False
        self.counters: dict[str, Callable[[float], None]] = {}  # metrics, set by `__main__`

    def start(self) -> None:
        """Start what runs beside the connections: reports to the product, stored files, expiry."""
        for work in (self._report_sessions, self._report_progress, self._deliver, self._expire):
            gevent.spawn(work)

    def serve(self, sock: Any, address: str) -> None:
        """Serve one connection to its end (in a greenlet of its own)."""
        if not self._room(address):
            sock.close()
            return
        connection = Connection(self, sock, address)
        self.connections[connection] = None
        connection.run()

    def stop(self) -> None:
        """Let each session end itself after its present file; those without one end now."""
        self.stopping = True
        for connection in list(self.connections):
            connection.session.stopping = True
            if connection.transfer is None:
                connection.greenlet.kill(Ended("stopped", "The receiver restarts."), block=False)

    def _room(self, address: str) -> bool:
        host = address.rsplit(":", 1)[0]
        if self.settings.max_per_address:
            mine = sum(1 for c in self.connections if c.facts.address.rsplit(":", 1)[0] == host)
            if mine >= self.settings.max_per_address:
                return False
        if len(self.connections) < self.settings.max_connections:
            return True
        for oldest in self.connections:
            if oldest.facts.imei is None:
                oldest.greenlet.kill(
                    Ended("crowded", "Too many connections; this one had sent no INIT."), block=False
                )
                return True
        return False

    def arrived(self, connection: Connection) -> None:
        """Count a connection for its device: one live, one closing; a third ends the oldest idle one."""
        assert connection.facts.imei is not None
        own = self.devices.setdefault(connection.facts.imei, [])
        own.append(connection)
        if len(own) > self.settings.max_per_device:
            idle = [c for c in own[:-1] if c.transfer is None] or own[1:-1]
            idle[0].greenlet.kill(Ended("crowded", "The device opened too many connections."), block=False)

    def left(self, connection: Connection) -> None:
        """Forget a connection."""
        self.connections.pop(connection, None)
        imei = connection.facts.imei
        if imei and connection in self.devices.get(imei, []):
            self.devices[imei].remove(connection)
            if not self.devices[imei]:
                del self.devices[imei]

    def open(self, connection: Connection, wanted: s.OpenFile) -> Transfer:
        """Open a file for a session; an older session of the device that is at the same file gives way."""
        imei = connection.facts.imei
        assert imei is not None
        for other in list(self.devices.get(imei, [])):
            transfer = other.transfer
            if other is not connection and transfer and transfer.record["identifier"] == wanted.identifier:
                other.greenlet.kill(
                    Ended("taken_over", f"A newer connection from {connection.facts.address} went on."),
                    block=False,
                )
                other.released.wait(10)
        return self.store.open(
            imei=imei, admission=connection.admission, session=connection.facts.id, identifier=wanted.identifier,
            packets=wanted.packets, metadata=wanted.metadata, now=self.now(),
        )  # fmt: skip

    def tell(self, facts: SessionFacts) -> None:
        """Queue what is known of a session for the product."""
        if facts.ended_at:
            told = {"files": facts.files, "bytes": facts.bytes_received, "crc_errors": facts.crc_errors}
            for name, count in self.counters.items():
                count(told[name])
        self._facts.append(facts)
        self._told.set()

    def partial(self, record: dict[str, Any]) -> None:
        """Queue a partial file's record for the product."""
        self._partials[record["upload"]] = record

    def flush(self) -> None:
        """Tell the product what is still queued, as far as it can be told now (at the end of a worker)."""
        try:
            self._tell_sessions()
            self._tell_progress()
        except Exception:
            log.warning("last reports lost; the files themselves are safe", exc_info=True)

    def _report_sessions(self) -> None:
        while True:
            self._told.wait()
            self._told.clear()
            try:
                self._tell_sessions()
            except Exception:
                log.warning("sessions not reported, will try again", count=len(self._facts), exc_info=True)
                gevent.sleep(AWAY_SECONDS)
                self._told.set()

    def _tell_sessions(self) -> None:
        while self._facts:
            facts = self._facts[0]
            self.product.session(facts)
            if self._facts and self._facts[0] is facts:
                self._facts.popleft()

    def _report_progress(self) -> None:
        while True:
            gevent.sleep(PROGRESS_EVERY)
            for connection in self.connections:
                if connection.moved and connection.transfer is not None:
                    connection.moved = False
                    record = connection.transfer.record
                    self._partials[record["upload"]] = record | {
                        "received_packets": connection.transfer.next_packet - 1, "state": "receiving",
                    }  # fmt: skip
            try:
                self._tell_progress()
            except Exception:
                log.warning("progress not reported, will try again", count=len(self._partials), exc_info=True)

    def _tell_progress(self) -> None:
        if not self._partials:
            return
        records, self._partials = self._partials, {}
        try:
            self.product.progress(list(records.values()))
        except Exception:
            self._partials = records | self._partials
            raise

    def _deliver(self) -> None:
        """Offer stored files to the product until it has them; also what an earlier process left."""
        while True:
            try:
                for record in self.store.pending():
                    self.store.delivered(self.product.stored(record))
            except Exception:
                log.warning("stored files not delivered, will try again", exc_info=True)
                gevent.sleep(AWAY_SECONDS)
                continue
            self.pending.wait(10)
            self.pending.clear()

    def _expire(self) -> None:
        while True:
            try:
                gone = gevent.get_hub().threadpool.apply(self.store.expire, (self.now(),))
                if gone:
                    self.product.expired(gone)
            except Exception:
                log.warning("expiry failed, will try again", exc_info=True)
            gevent.sleep(3600)
