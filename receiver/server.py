"""The gevent driver: reads sockets, feeds sessions, performs their actions; deadlines, limits, takeover, stop.

Knows sockets and time, nothing of the product but the port `Product`, given in by `__main__`.
"""

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import gevent
import gevent.socket
import structlog
from gevent.event import Event

from receiver import session as s
from receiver.claims import Claims
from receiver.crowd import Crowd
from receiver.front import Front, FrontError
from receiver.gather import Gather
from receiver.handover import Handover
from receiver.janitor import Janitor, Swept
from receiver.media import MediaError
from receiver.product import Admission, Product, SessionFacts
from receiver.protocol import Message, ProtocolError, Reader
from receiver.quota import WINDOW_SECONDS, Quota
from receiver.storage import Asker, Record, StorageError, Store, Transfer, new_id

log = structlog.get_logger("receiver")
RECEIVE_LEAST, RECEIVE_MOST = (
    4 * 1024,
    256 * 1024,
)  # bytes read at once: the more a line brings, the more is asked for
REPORT_SECONDS = 1.0  # between bulk reports of sessions and stored files
WATCHED_SECONDS = 2.0  # between progress reports of devices that somebody looks at
UNWATCHED_SECONDS = 30.0  # and of all others
BULK = 200  # rows in one report: bounds its memory and how long it holds the database
AWAY_SECONDS = 2.0  # between tries while the product's database is away
LEFT_SECONDS = 60.0  # a stored file that is not handed over after so long was left by a process that died
EVENTS_KEPT = 10_000  # session rows that wait for a database that is away; older ones are dropped first
SILENT_SECONDS = 5.0  # for the INIT of a device that had just connected when the receiver was told to stop
GIVE_WAY_SECONDS = 10.0  # for an older connection to let go of its file
GIVE_WAY_POLL = 0.05
SEND_BUFFER = 16 * 1024  # bytes in the kernel for a device that does not read: all our answers are short
LEFT_OUT_LINES = 20  # peers named in a minute whose lines were left out


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits of the driver, with their reasons; times in seconds."""

    limits: s.Limits
    quarantine_unknown: bool = False
    max_connections: int = 10_000  # about 14 KiB each
    max_per_device: int = 2  # one live, one closing
    max_per_address: int = 0  # off: a whole fleet may share one address
    min_bytes_per_minute: int = 2048  # checked file bytes: a tenth of the slowest useful line; 0: no limit
    lines_per_minute: int = (
        60  # log lines and session rows of one peer: a fleet's device causes a few an hour
    )


class Ended(Exception):
    """The connection is ended by us, from outside its session."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Connection:
    """One socket with its session."""

    __slots__ = (
        "_appetite", "_closed", "_minute", "_minute_bytes", "_told", "admission", "busy", "ending", "facts", "moved",
        "reader", "server", "session", "sock", "transfer",
    )  # fmt: skip

    def __init__(self, server: "Server", sock: Any, address: str) -> None:
        self.server, self.sock = server, sock
        self.facts = SessionFacts(new_id(server.now()), address, server.now())
        self.session = s.Session(server.settings.limits, time.monotonic())
        self.reader = Reader()
        self.transfer: Transfer | None = None
        self.admission = "known"
        self.moved = False  # bytes were taken since the last report
        self.busy = False  # in work whose answer the device shall still get
        self.ending: Ended | None = None
        self._closed: s.Close | None = None
        self._appetite = RECEIVE_LEAST
        self._told = False  # the product knows of this session
        self._minute, self._minute_bytes = time.monotonic(), 0

    def run(self) -> None:
        """Serve until the session ends; whatever happens, keep what came and say why it ended."""
        code, reason = "lost", "The device closed the line."
        try:
            self._greet()
            while self._closed is None:
                data = self._receive()
                if data is None:
                    self._perform(self.session.expired(time.monotonic()))
                elif data:
                    self.facts.bytes_received += len(data)
                    self.reader.feed(data, self._take)
                else:
                    break
            if self._closed is not None:
                code, reason = self._closed.code, self._closed.reason
        except (ProtocolError, StorageError, FrontError) as error:
            code, reason = error.code, str(error)
        except Ended as ended:
            code, reason = ended.code, ended.reason
        except TimeoutError:
            code, reason = "timeout", "The device did not read our answer."
        except OSError as error:
            code, reason = "lost", f"The line broke ({error.strerror or error})."
        except Exception:
            log.exception("session failed", session=self.facts.id, imei=self.facts.imei)
            code, reason = "internal", "A mistake of ours ended the session; the log tells."
        finally:
            if self.ending is not None:
                code, reason = self.ending.code, self.ending.reason
            self._end(code, reason)

    def end(self, ended: Ended) -> None:
        """End from outside: now, or after the commit that is under way. Nothing is thrown into running work."""
        if self.ending is None:
            self.ending = ended
            if not self.busy:
                self._wake()

    def _wake(self) -> None:
        """End every wait on the socket, below TLS."""
        try:
            with socket.socket(fileno=os.dup(self.sock.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is closed already

    def _greet(self) -> None:
        front = self.server.front
        if front.plain:
            return
        wait = self.server.settings.limits.init
        silent = Ended("no_greeting", "The line did not get past its PROXY header and TLS handshake.")
        try:
            with gevent.Timeout(wait, silent):  # in all: each wait alone could be drawn out byte by byte
                self.sock, address = front.greet(self.sock, self.facts.address, wait)
                # the socket is held before its handshake, so that `end` reaches it
                front.finish(self.sock, wait)
        except TimeoutError:
            raise silent from None
        if address != self.facts.address:
            self.facts.address = address
            if not self.server.crowd.comes_from(self, host(address)):
                raise Ended("crowded", "Too many connections from this address.")

    def _receive(self) -> bytes | None:
        """Give what comes next; None at the session's deadline, empty at the end of the line."""
        if self.ending is not None:
            raise self.ending
        if self.session.deadline is None:
            self.sock.settimeout(None)
        else:
            self.sock.settimeout(max(self.session.deadline - time.monotonic(), 0.001))
        try:
            data: bytes = self.sock.recv(self._appetite)
        except TimeoutError:
            return None
        if len(data) == self._appetite:
            self._appetite = min(2 * self._appetite, RECEIVE_MOST)
        elif len(data) < self._appetite // 4:
            self._appetite = max(self._appetite // 2, RECEIVE_LEAST)
        self.server.reads += 1
        now = time.monotonic()
        if now - self._minute >= 60:
            if self.transfer is not None and self._minute_bytes < self.server.settings.min_bytes_per_minute:
                raise Ended("too_slow", f"Only {self._minute_bytes} bytes came in a minute.")
            self._minute, self._minute_bytes = now, 0
        return data

    def _take(self, message: Message) -> None:
        if self._closed is None:
            self._perform(self.session.receive(message, time.monotonic()))

    def _perform(self, actions: list[s.Action]) -> None:
        for action in actions:
            if self._closed is not None:
                return
            if isinstance(action, s.Close):
                self._closed = action
            elif isinstance(action, s.Again):
                for message in action.messages:
                    self._take(message)
            elif more := self._act(action):
                self._perform(more)

    def _act(self, action: s.Action) -> list[s.Action]:
        match action:
            case s.Write(offset, payload):
                return self._write(offset, payload)
            case s.Send(data):
                self.sock.settimeout(self.server.settings.limits.answer)
                self.sock.sendall(data)
            case s.Admit(imei):
                return self.session.admitted(self._admit(imei), time.monotonic())
            case s.OpenFile(offer):
                return self._open(offer)
            case s.GoBack(offset):
                assert self.transfer is not None
                self.transfer.go_back(offset)
                return self.session.went_back(self.transfer.chain, time.monotonic())
            case s.Commit():
                return self._commit()
            case s.CrcError():
                self.facts.crc_errors += 1
                if self.transfer:
                    self.transfer.record["crc_errors"] = self.transfer.record.get("crc_errors", 0) + 1
        return []

    def _write(self, offset: int, payload: bytes) -> list[s.Action]:
        assert self.transfer is not None
        self.moved = True
        self._minute_bytes += len(payload)
        now = self.server.now()
        same = self.transfer.write(offset, payload, now)
        if self.transfer.wants_safety(now):
            self._make_safe(now)
        return self.session.written(same, time.monotonic())

    def _admit(self, imei: str) -> bool:
        self.facts.imei = imei
        self.server.arrived(self)
        try:
            known = self.server.product.admit(imei) is Admission.KNOWN
        except Exception:
            # nobody can say who is known while the database is away: keep the file under the quarantine's caps
            if self.server.quota.allows("database away"):
                log.warning("database away", imei=imei, exc_info=True)
            self.admission = "quarantine"
            return True
        if not known and self.server.settings.quarantine_unknown:
            self.admission = "quarantine"
            known = True
        if known and self.server.quota.allows(imei):
            self._tell()
        return known

    def _open(self, offer: s.Offer) -> list[s.Action]:
        try:
            self.transfer = self.server.open(self, offer)
        except StorageError as error:
            return self.session.failed(error.code, str(error))
        self.facts.resumes += self.transfer.received > 0
        self._minute, self._minute_bytes = time.monotonic(), 0
        return self.session.opened(self.transfer.received, self.transfer.chain, time.monotonic())

    def _commit(self) -> list[s.Action]:
        assert self.transfer is not None
        transfer = self.transfer
        transfer.flush()
        self.busy = True
        try:
            record = self.server.commit(self, transfer)
        except StorageError as error:
            return self.session.failed(error.code, str(error))
        finally:
            self.busy = False
        self._let_go(transfer)
        if record is not None:
            self.facts.files += 1
            self.server.stored(record)
        return self.session.committed(time.monotonic())

    def _make_safe(self, now: datetime) -> None:
        """Work off the hub; the device still gets its answer if the connection is ended meanwhile."""
        assert self.transfer is not None
        self.transfer.flush()
        self.busy = True
        try:
            self.server.aside(self.transfer.make_safe, now)
        finally:
            self.busy = False

    def _let_go(self, transfer: Transfer) -> None:
        transfer.leave()
        self.transfer = None
        self.server.release(self, self.facts.imei or "", transfer.record["identifier"])

    def _end(self, code: str, reason: str) -> None:
        self.sock.close()
        if (transfer := self.transfer) is not None:
            try:
                transfer.flush()
                if record := self.server.aside(transfer.make_safe, self.server.now(), "partial"):
                    # a newer session of this machine goes on with it where it lies
                    self.server.left_partial(record, share=code != "taken_over")
            except StorageError as error:
                # the last safe state stands on disk
                log.warning("partial file not kept", session=self.facts.id, reason=str(error))
            self._let_go(transfer)
        self.facts.ended_at, self.facts.code, self.facts.reason = self.server.now(), code, reason
        self.server.left(self)
        self.server.count(self.facts)
        if (
            code == "lost"
            and not self.facts.bytes_received
            and self.server.front.is_proxy(self.facts.address)
        ):
            return  # a load balancer looks every second whether we live
        if not self._told and not self._worth_telling(code):
            return
        self._tell()
        log.info(
            "session ended", session=self.facts.id, imei=self.facts.imei, address=self.facts.address, code=code,
            reason=reason, files=self.facts.files, bytes=self.facts.bytes_received, crc_errors=self.facts.crc_errors,
        )  # fmt: skip

    def _tell(self) -> None:
        self._told = True
        self.server.tell(self.facts)

    def _worth_telling(self, code: str) -> bool:
        """Say whether an ended session that the product has not heard of belongs in the log and the database."""
        facts = self.facts
        if facts.files:
            return True
        if not facts.bytes_received and self.server.front.is_proxy(facts.address):
            return code not in ("lost", "timeout", "no_words")  # a balancer's health check
        known = facts.imei is not None and code != "unknown_device"
        return self.server.quota.allows((known and facts.imei) or host(facts.address))


def _place(identifier: str) -> str:
    """Give what a claim is on: a file, or, as the claims of other processes, all that a device offers by path."""
    return identifier if identifier.startswith("%") else s.BY_PATH


def host(address: str) -> str:
    """Give the address without its port."""
    return address.rpartition(":")[0]


class Server:
    """All connections of this process."""

    def __init__(
        self, settings: Settings, store: Store, product: Product, now: Callable[[], datetime],
        front: Front | None = None,
    ) -> None:  # fmt: skip
        self.settings, self.store, self.product, self.now = settings, store, product, now
        self.front = front or Front()
        self.claims = Claims(store.spool / "claims")
        self.handover = Handover(store, product, now) if store.exchange is not None else None
        self.crowd: Crowd[Connection] = Crowd(
            settings.max_connections, settings.max_per_device, settings.max_per_address
        )
        self.connections = self.crowd.everyone  # oldest first
        self.quota = Quota(settings.lines_per_minute)
        self.janitor = Janitor(store, time.monotonic)
        # who has which file of which device in hand; None: it is being shared with other machines
        self.holders: dict[tuple[str, str], Connection | None] = {}
        self.stopping = False
        self.reads = 0  # from all lines
        self.counters: dict[str, Callable[[float], None]] = {}  # metrics, set by `__main__`
        self._facts: deque[SessionFacts] = deque(maxlen=EVENTS_KEPT)
        self._stored: deque[Record] = deque(
            maxlen=EVENTS_KEPT
        )  # those beyond are found again by their sidecars
        self._partials: dict[str, Record] = {}
        self._news = Event()
        self._pool = gevent.get_hub().threadpool
        self._commits: Gather[Transfer, None] = Gather(self._make_stored)

    def start(self) -> None:
        """Start what runs beside the connections."""
        for work in (
            self._report,
            self._progress,
            self._give_way,
            self._tidy,
            self._recover,
            self._tell_left_out,
        ):
            gevent.spawn(work)
        if self.handover is not None:
            gevent.spawn(self.handover.watch, self._end_for_another_machine)

    def serve(self, sock: Any, address: str) -> None:
        """Serve one connection to its end (in a greenlet of its own)."""
        connection = Connection(self, sock, address)
        connection.session.stopping = self.stopping  # accepted at the last moment
        if not self._room(connection):
            self.left(connection)
            sock.close()
            if self.quota.allows(host(address)):
                log.warning(
                    "connection refused: too many", address=address, connections=len(self.connections)
                )
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        connection.run()

    def stop(self) -> None:
        """Let each session end itself after its present or first file; those that stay silent end soon."""
        self.stopping = True
        for connection in self.connections:
            connection.session.stopping = True
        gevent.spawn_later(SILENT_SECONDS, self._end_silent)

    def _end_silent(self) -> None:
        for connection in list(self.connections):
            if connection.facts.imei is None:
                connection.end(Ended("stopped", "The receiver restarts."))

    def aside(self, work: Callable[..., Any], *given: Any) -> Any:
        """Do what blocks off the hub, in a thread."""
        return self._pool.apply(work, given)

    def with_media(self, work: Callable[..., Any], *given: Any) -> Any:
        """Do what also reaches for the media store: a shared one over sockets, which wait without blocking."""
        return work(*given) if self.store.media.shared else self.aside(work, *given)

    def commit(self, connection: Connection, transfer: Transfer) -> Record | None:
        """Make a whole file safe, together with others that wait; give its record, None if it was stored before.

        Raises StorageError; then nothing may be acknowledged.
        """
        if self.handover is not None:
            self.handover.check(connection.facts.imei or "", transfer.record["identifier"])
        self._commits.ask(transfer)
        if self.store.media.shared:  # reached over sockets, which wait without blocking: each for itself
            (problem,) = self.store.place([transfer])
            if problem is not None:
                raise problem
        return transfer.committed()

    def _make_stored(self, transfers: Sequence[Transfer]) -> list[StorageError | None]:
        work = self.store.seal if self.store.media.shared else self.store.commit
        problems: list[StorageError | None] = self.aside(work, transfers, self.now())
        return problems

    # limits

    def _room(self, newest: Connection) -> bool:
        address = newest.facts.address
        balancer = not self.front.plain and self.front.is_proxy(
            address
        )  # it names the device's address later
        if not self.crowd.enter(newest, None if balancer else host(address)):
            return False
        surplus = self.crowd.surplus(newest)
        if surplus is not None and surplus is not newest:
            surplus.end(Ended("crowded", "Too many connections; this one had sent no INIT."))
        return surplus is not newest

    def arrived(self, connection: Connection) -> None:
        """Count a connection for its device: one live, one closing; more end the oldest idle one."""
        assert connection.facts.imei is not None
        for surplus in self.crowd.arrived(connection, connection.facts.imei):
            surplus.end(Ended("crowded", "The device opened too many connections."))

    def left(self, connection: Connection) -> None:
        """Forget a connection."""
        self.crowd.left(connection, connection.facts.imei)

    def _tell_left_out(self) -> None:
        while True:
            gevent.sleep(WINDOW_SECONDS)
            left_out = self.quota.turn()
            for peer, lines in sorted(left_out.items(), key=lambda item: -item[1])[:LEFT_OUT_LINES]:
                log.warning("lines and session rows left out", peer=peer, count=lines)

    # one file, one session

    def open(self, connection: Connection, offer: s.Offer) -> Transfer:
        """Open a file for a session; an older session of the device at the same file gives way.

        Raises StorageError.
        """
        imei = connection.facts.imei or ""
        try:
            self._claim(connection, imei, offer.identifier)
            if self.handover is not None:
                self.handover.take(imei, offer.identifier, lambda: connection.ending is not None)
            before = self._recall(imei, offer)
            asker = Asker(imei, connection.admission, connection.facts.id, self.now())
            return self.store.open(asker, offer, before)
        except BaseException as error:
            self.release(connection, imei, offer.identifier)
            if isinstance(error, OSError):
                raise StorageError("disk", f"The file cannot be kept: {error.strerror}.") from error
            raise

    def _claim(self, connection: Connection, imei: str, identifier: str) -> None:
        deadline, asked = time.monotonic() + GIVE_WAY_SECONDS, False
        while True:
            if self._end_holder(imei, identifier):
                pass
            elif self.claims.take(imei, identifier):
                self.holders[imei, _place(identifier)] = connection
                return
            elif not asked:
                self.claims.ask(imei, identifier)
                asked = True
            if time.monotonic() >= deadline:
                raise StorageError("busy", "An older connection of this device does not let go of its file.")
            gevent.sleep(GIVE_WAY_POLL)

    def _end_holder(self, imei: str, identifier: str) -> bool:
        """Ask this process's session at a file to end; say whether it is in hand here."""
        if holder := self.holders.get((imei, _place(identifier))):
            holder.end(Ended("taken_over", "A newer connection of this device went on with the file."))
        return (imei, _place(identifier)) in self.holders

    def _end_for_another_machine(self, imei: str, identifier: str) -> None:
        if holder := self.holders.get((imei, _place(identifier))):
            holder.end(Ended("handed_over", "The device went on with the file at another receiver."))

    def release(self, connection: Connection | None, imei: str, identifier: str) -> None:
        """Give a file's claim back."""
        if (imei, _place(identifier)) in self.holders and self.holders[
            imei, _place(identifier)
        ] is connection:
            del self.holders[imei, _place(identifier)]
            self.claims.release(imei, identifier)
            if self.handover is not None:
                self.handover.drop(imei, identifier)
                self._news.set()

    def _hold(self, imei: str, identifier: str) -> bool:
        """Take a file into hand that no session has; say whether it was free."""
        if (imei, _place(identifier)) in self.holders or not self.claims.take(imei, identifier):
            return False
        self.holders[imei, _place(identifier)] = None
        return True

    def _give_way(self) -> None:
        """Answer other processes of this machine that ask for a claim."""
        while True:
            gevent.socket.wait_read(self.claims.socket.fileno())
            self._end_holder(*self.claims.asked())

    def _recall(self, imei: str, offer: s.Offer) -> Record | None:
        if not (offer.metadata and offer.metadata.timestamp):
            return None
        try:
            return self.product.recall(imei, offer)
        except Exception:
            if self.quota.allows("database away"):
                log.warning("database away", imei=imei, exc_info=True)
            return self._announced(imei, offer)

    def _announced(self, imei: str, offer: s.Offer) -> Record | None:
        """Find a file that was stored, perhaps by another machine, while nobody could be told."""
        if self.store.exchange is None:
            return None
        try:
            records = self.store.exchange.announced(imei)
        except MediaError:
            return None
        return next((r for r in records if self.store.is_of(r, offer)), None)

    # what the product is told

    def count(self, facts: SessionFacts) -> None:
        """Count an ended session."""
        told = {"files": facts.files, "bytes": facts.bytes_received, "crc_errors": facts.crc_errors}
        for name, count in self.counters.items():
            count(told[name])

    def tell(self, facts: SessionFacts) -> None:
        """Queue what is known of a session for the product."""
        self._facts.append(facts)
        self._news.set()

    def stored(self, record: Record) -> None:
        """Queue a stored file for the product."""
        self._stored.append(record)
        self._news.set()

    def left_partial(self, record: Record, *, share: bool) -> None:
        """Queue a partial file's record for the product; other receivers may go on with it."""
        self._partials[record["upload"]] = record
        self._news.set()
        if self.handover is not None and share:
            self.handover.leave(record)

    def flush(self) -> None:
        """Tell the product what is still queued, as far as it can be told now (at the end of a worker)."""
        try:
            self._tell()
        except Exception:
            log.warning("last reports lost; the files themselves are safe", exc_info=True)

    def _report(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            try:
                self._tell()
                gevent.sleep(REPORT_SECONDS)
            except Exception:
                log.warning("not reported, will try again", sessions=len(self._facts), files=len(self._stored),
                            exc_info=True)  # fmt: skip
                gevent.sleep(AWAY_SECONDS)
                self._news.set()

    def _tell(self) -> None:
        """Tell sessions, stored and partial files in bulk. What fails stays queued."""
        released = self.handover.released() if self.handover is not None else []
        while files := list(islice(self._stored, BULK)):
            self._hand_in(files)
            for _ in files:
                self._stored.popleft()
        while records := list(islice(self._partials.values(), BULK)):
            self.product.progress(records)
            for record in records:
                if self._partials.get(record["upload"]) is record:
                    del self._partials[record["upload"]]
        while facts := list(islice(self._facts, BULK)):
            self.product.sessions(list({fact.id: fact for fact in facts}.values()))
            for _ in facts:
                self._facts.popleft()
        if self.handover is not None:
            self.handover.give_back(released)

    def _hand_in(self, records: list[Record]) -> None:
        """Give stored files to the product; then nobody needs their sidecars any more."""
        taken = self.product.stored(records)
        self.aside(self.store.delivered, taken)
        if self.store.exchange is not None:
            try:
                self.store.exchange.delivered(taken)
            except MediaError as error:
                log.warning("sidecars stay in the store, will try again", reason=str(error))

    def _progress(self) -> None:
        """Report how far files have come: soon where somebody looks, seldom elsewhere."""
        told = time.monotonic()
        while True:
            gevent.sleep(WATCHED_SECONDS)
            moving = [c for c in self.connections if c.moved and c.transfer is not None]
            if not moving:
                continue
            try:
                if time.monotonic() - told >= UNWATCHED_SECONDS:
                    told = time.monotonic()
                else:
                    watched = self.product.watched()
                    moving = [c for c in moving if c.facts.imei in watched]
                for begin in range(0, len(moving), BULK):
                    self._tell_progress(moving[begin : begin + BULK])
            except Exception:
                log.warning("progress not reported", exc_info=True)

    def _tell_progress(self, moving: Sequence[Connection]) -> None:
        records = []
        for connection in moving:
            connection.moved = False
            if connection.transfer and (record := connection.transfer.progress()):
                records.append(record)
        if records:
            self.product.progress(records)

    def _recover(self) -> None:
        """Hand over stored files that an earlier process left, and share partial files that could not be shared."""
        left = timedelta(0)
        while True:
            try:
                while records := self.with_media(self.store.pending, self.now() - left):
                    self._hand_in(records)
                if self.handover is not None:
                    self._recover_shared(self.handover)
                left = timedelta(seconds=LEFT_SECONDS)
            except Exception:
                log.warning("files left by earlier processes wait, will try again", exc_info=True)
                gevent.sleep(AWAY_SECONDS)
                continue
            gevent.sleep(LEFT_SECONDS / 2)

    def _recover_shared(self, handover: Handover) -> None:
        """Hand over what machines that are lost had stored, and leave for others what nobody here goes on with."""
        assert self.store.exchange is not None
        if records := self.store.exchange.owed(self.now() - timedelta(seconds=LEFT_SECONDS)):
            self._hand_in(records)

        def tell(record: Record) -> None:
            self.left_partial(record, share=False)

        handover.leave_rest(self._hold, lambda imei, identifier: self.release(None, imei, identifier), tell)

    def _tidy(self) -> None:
        gone: list[str] = []  # uploads that the product was not told of yet
        while True:
            try:
                swept: Swept = self.with_media(self.janitor.sweep, self.now())
                for what in swept.odd:
                    log.warning("odd file in the spool", what=what)
                gone += swept.gone
                if gone:
                    self.product.expired(gone)
                    gone.clear()
            except Exception:
                log.warning("expiry failed, will try again", exc_info=True)
            gevent.sleep(3600)
