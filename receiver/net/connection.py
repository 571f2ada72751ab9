"""One connection of a camera: reads the socket, feeds the session machine, performs its actions, keeps deadlines.

Knows sockets and time. All that connections share is the server's: see `server`.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

import gevent
import structlog

from receiver.addresses import network
from receiver.backend.log_quota import LogQuota
from receiver.backend.port import SessionFacts
from receiver.backend.reporter import Reporter
from receiver.endings import Ending, EndingError, Reason
from receiver.net import read_pace
from receiver.net.admission_control import AdmissionControl
from receiver.net.connection_limits import ConnectionLimits
from receiver.net.guess_limits import GuessLimits
from receiver.net.proxy_tls import Preamble
from receiver.net.read_pace import ReadPace
from receiver.net.settings import Settings
from receiver.spool.failed_files import FailedFiles
from receiver.spool.file_transfer import Transfer
from receiver.spool.sidecar import SidecarRecord
from receiver.store.durability import StorageError, new_id
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
from receiver.wire.file_order import BY_PATH
from receiver.wire.frame_reader import FrameReader
from receiver.wire.protocol import ProtocolError, WireMessage
from receiver.wire.session import SessionMachine

log = structlog.get_logger("receiver")


class Ended(EndingError):
    """The connection is ended by us, from outside its session."""


class ConnectionHost(Protocol):
    """What a connection needs of the server: what all connections share."""

    settings: Settings
    preamble: Preamble
    connection_limits: ConnectionLimits["Connection"]
    log_quota: LogQuota
    failed_files: FailedFiles
    guess_limits: GuessLimits
    admission: AdmissionControl
    reporter: Reporter
    now: Callable[[], datetime]
    reads: int

    def give_turn(self, now: float) -> None:
        """Let other connections run, if none could for a while."""

    def arrived(self, connection: "Connection") -> None:
        """Count a connection for its device."""

    def left(self, connection: "Connection") -> None:
        """Forget a connection."""

    def open(self, connection: "Connection", offer: Offer) -> Transfer:
        """Open a file for a session. Raises StorageError."""

    def commit(self, connection: "Connection", transfer: Transfer) -> SidecarRecord | None:
        """Make a whole file safe. Raises StorageError."""

    def make_safe(self, transfer: Transfer) -> SidecarRecord | None:
        """Make what is held of a file survive a power cut. Raises StorageError."""

    def release(self, connection: "Connection", imei: str, identifier: str) -> None:
        """Give a file back."""


class Connection:
    """One socket with its session."""

    __slots__ = (
        "_closed",
        "_minute",
        "_minute_bytes",
        "_pace",
        "_reported",
        "admission",
        "busy",
        "ending",
        "facts",
        "moved",
        "reader",
        "server",
        "session",
        "sock",
        "transfer",
    )

    def __init__(self, server: "ConnectionHost", sock: Any, address: str) -> None:
        self.server, self.sock = server, sock
        self.facts = SessionFacts(new_id(server.now()), address, server.now())
        self.session = SessionMachine(server.settings.limits, time.monotonic())
        self.reader = FrameReader()
        self.transfer: Transfer | None = None
        self.admission = "known"
        self.moved = False  # bytes were taken since the last report
        self.busy = False  # working on something whose answer the device shall still get
        self.ending: Ending | None = None  # ended by us, from outside its session
        self._closed: Close | None = None
        self._reported = False  # the product knows of this session
        self._minute, self._minute_bytes = time.monotonic(), 0
        self._pace = ReadPace(self._minute)

    def run(self) -> None:
        """Serve until the session ends; whatever happens, keep what came and say why it ended."""
        ending = Ending(Reason.CLOSED)
        try:
            self._greet()
            while self._closed is None:
                deadline = self.session.deadline
                overdue = deadline is not None and time.monotonic() >= deadline
                data = self._receive()
                if data == b"":
                    break
                wants_rest = data is not None and self._hear(data)
                # bytes that had come by the deadline were processed; bytes that keep coming do not postpone it
                if data is None or (overdue and self._closed is None and self.session.deadline == deadline):
                    self._perform(self.session.expired(time.monotonic()))
                del data  # not to be held while we wait
                if wants_rest:
                    self._rest()
            if self._closed is not None:
                ending = self._closed.ending
        except EndingError as error:
            ending = error.ending
            if isinstance(error, ProtocolError):
                self.session.blame_file()
                self.facts.imei = self.facts.imei or error.imei
        except TimeoutError:
            ending = Ending(Reason.ANSWER_NOT_READ)
        except OSError as error:
            ending = Ending(Reason.BROKEN, {"cause": error.strerror or str(error)})
        except Exception:
            log.exception("session failed", session=self.facts.id, imei=self.facts.imei)
            ending = Ending(Reason.INTERNAL)
        finally:
            if self.ending is not None:
                ending = self.ending
            self._end(ending)

    def turn_away(self, ending: Ending) -> None:
        """End before the device's first byte is read; it is logged and reported like any other end."""
        self._end(ending)

    def _hear(self, data: bytes) -> bool:
        """Take bytes that came; say whether they were a file's, of which more is to come."""
        self.facts.bytes_received += len(data)
        missing = self.session.missing
        self.reader.feed(data, self._take)
        return 0 < self.session.missing < missing

    def end(self, reason: Reason) -> None:
        """End from outside: now, or after the commit that is under way. Nothing is thrown into running work."""
        if self.ending is None:
            self.ending = Ending(reason)
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
        front = self.server.preamble
        if front.plain:
            return
        wait = self.server.settings.limits.init
        silent = Ended(Reason.NO_GREETING)
        try:
            with gevent.Timeout(wait, silent):  # in all: each wait alone could be drawn out byte by byte
                self.sock, address = front.greet(self.sock, self.facts.address, wait)
                # the socket is held before its handshake, so that `end` reaches it
                if front.allows(address):
                    front.finish(self.sock, wait)
        except TimeoutError:
            raise silent from None
        if address != self.facts.address:
            self.facts.address = address
            if not self.server.preamble.allows(address):
                raise Ended(Reason.FOREIGN_NETWORK)
            if not self.server.connection_limits.comes_from(self, network(address)):
                raise Ended(Reason.CROWDED_ADDRESS)

    def _receive(self) -> bytes | None:
        """Give the bytes that come next; None at the session's deadline, empty at the end of the connection."""
        self.server.give_turn(time.monotonic())
        if self.ending is not None:
            return self._left_over(self.ending)
        if self.session.deadline is None:
            self.sock.settimeout(None)
        else:
            self.sock.settimeout(max(self.session.deadline - time.monotonic(), 0.001))
        wanted = self._pace.wanted(self.reader.held, self.reader.full_frame)
        try:
            data: bytes = self.sock.recv(wanted)
        except TimeoutError:
            return None
        is_all = len(data) < wanted and not hasattr(self.sock, "do_handshake")  # TLS gives record by record
        self.server.reads += 1
        now = time.monotonic()
        self._pace.note(len(data), wanted, is_all, now)
        if now - self._minute >= 60:
            if self.transfer is not None and self._minute_bytes < self.server.settings.min_bytes_per_minute:
                raise Ended(Reason.TOO_SLOW, bytes=self._minute_bytes)
            self._minute, self._minute_bytes = now, 0
        return data

    def _left_over(self, ending: Ending) -> bytes:
        """Give what came before a newer connection took the file over, so that it need not come again; then end."""
        data = b""
        if ending.reason is Reason.TAKEN_OVER:
            self.sock.settimeout(0.0)
            with contextlib.suppress(BlockingIOError, TimeoutError):
                data = self.sock.recv(read_pace.MOST)
        if not data:
            raise Ended(ending.reason)
        return data

    def _rest(self) -> None:
        """Throttle reads of a slow connection during a file, except near its end, which is to be answered at once."""
        if rest := self._pace.rest(self.session.missing):
            gevent.sleep(rest)

    def _take(self, message: WireMessage) -> None:
        if self._closed is None:
            now = time.monotonic()
            self.server.give_turn(now)
            self._perform(self.session.receive(message, now))

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            if self._closed is not None:
                return
            if isinstance(action, Close):
                self._closed = action
            elif isinstance(action, Again):
                for message in action.messages:
                    self._take(message)
            elif more := self._act(action):
                self._perform(more)

    def _act(self, action: Action) -> list[Action]:
        match action:
            case Write(offset, payload, chain):
                return self._write(offset, payload, chain)
            case Send(data):
                self.sock.settimeout(self.server.settings.limits.answer)
                self.sock.sendall(data)
            case Admit(imei):
                known = self._admit(imei)
                if not known:
                    self._slow_down(imei)
                elif self.admission == "known" and not self.server.admission.may_send(imei, 0):
                    return self.session.refused(Reason.DAY_FULL)
                now = time.monotonic()
                names = (*self.server.settings.limits.order, BY_PATH)
                return self.session.admitted(known, now, self.server.failed_files.of(imei, names, now))
            case OpenFile(offer):
                return self._open(offer)
            case GoBack(offset):
                assert self.transfer is not None
                self.transfer.go_back(offset)
                return self.session.went_back(self.transfer.chain, time.monotonic())
            case Commit():
                return self._commit()
            case CrcError():
                self.facts.crc_errors += 1
                if self.transfer:
                    self.transfer.record["crc_errors"] += 1
        return []

    def _write(self, offset: int, payload: bytes, chain: int | None) -> list[Action]:
        assert self.transfer is not None
        self.moved = True
        self._minute_bytes += len(payload)
        now = self.server.now()
        same = self.transfer.write(offset, payload, now, chain)
        if self.transfer.wants_safety(now):
            self._make_safe()
        return self.session.written(same, time.monotonic())

    def _admit(self, imei: str) -> bool:
        self.facts.imei = imei
        self.server.arrived(self)
        decision = self.server.admission.decide(imei)
        self.admission = decision.admission
        if decision.allowed and decision.from_product and self.server.log_quota.allows(imei):
            self._report()
        return decision.allowed

    def _slow_down(self, imei: str) -> None:
        """Delay the answer to an address that tries many unknown IMEIs; meanwhile it takes no connection slot."""
        if delay := self.server.guess_limits.delay(network(self.facts.address), imei, time.monotonic()):
            self.server.left(self)
            self.server.guess_limits.wait(delay)

    def _open(self, offer: Offer) -> list[Action]:
        if self.admission == "known" and not self.server.admission.may_send(
            self.facts.imei or "", offer.size
        ):
            return self.session.refused(Reason.DAY_FULL)
        try:
            self.transfer = self.server.open(self, offer)
        except StorageError as error:
            return self.session.failed(error.ending)
        self.facts.resumes += self.transfer.received > 0
        self._minute, self._minute_bytes = time.monotonic(), 0
        return self.session.opened(self.transfer.received, self.transfer.chain, time.monotonic())

    def _commit(self) -> list[Action]:
        assert self.transfer is not None
        transfer = self.transfer
        transfer.flush()
        self.busy = True
        try:
            record = self.server.commit(self, transfer)
        except StorageError as error:
            return self.session.failed(error.ending)
        finally:
            self.busy = False
        self._let_go(transfer)
        name = BY_PATH if transfer.record["by_path"] else transfer.record["identifier"]
        self.server.failed_files.forget(transfer.record["imei"], name)
        if record is not None:
            self.facts.files += 1
            self.server.admission.count(record)
            self.server.reporter.stored(record)
        return self.session.committed(time.monotonic())

    def _make_safe(self) -> None:
        """Make the bytes held survive a power cut. If the connection is ended meanwhile, its answer is still sent."""
        assert self.transfer is not None
        self.transfer.flush()
        self.busy = True
        try:
            self.server.make_safe(self.transfer)
        finally:
            self.busy = False

    def _let_go(self, transfer: Transfer) -> None:
        transfer.leave()
        self.transfer = None
        self.server.release(self, self.facts.imei or "", transfer.record["identifier"])

    def _end(self, ending: Ending) -> None:
        code = ending.code
        if self.facts.imei is not None and self.session.failed_file is not None:
            self.server.failed_files.note(self.facts.imei, self.session.failed_file, time.monotonic())
        self.sock.close()  # from now on the device may come back
        if (transfer := self.transfer) is not None:
            try:
                transfer.flush()
                transfer.left_behind()
                if record := self.server.make_safe(transfer):
                    # a newer session of this machine goes on with it where it lies
                    self.server.reporter.left_partial(record, share=code != "taken_over")
            except StorageError as error:
                # the last safe state stands on disk
                if self.server.log_quota.allows("partial file not kept"):
                    log.warning("partial file not kept", session=self.facts.id, reason=str(error))
            self._let_go(transfer)
        self.facts.ended_at, self.facts.ending = self.server.now(), ending
        self.server.left(self)
        self.server.reporter.count(self.facts)
        if (
            code == "lost"
            and not self.facts.bytes_received
            and self.server.preamble.is_proxy(self.facts.address)
        ):
            return  # a load balancer's health check
        if not self._reported and not self._worth_reporting(code):
            return
        self._report()
        log.info(
            "session ended",
            session=self.facts.id,
            imei=self.facts.imei,
            address=self.facts.address,
            code=code,
            reason=str(ending),
            files=self.facts.files,
            bytes=self.facts.bytes_received,
            crc_errors=self.facts.crc_errors,
        )

    def _report(self) -> None:
        self._reported = True
        self.server.reporter.report(self.facts)

    def _worth_reporting(self, code: str) -> bool:
        """Say whether an ended session that was not reported yet belongs in the log and the database."""
        facts = self.facts
        if facts.files:
            return True
        if not facts.bytes_received and self.server.preamble.is_proxy(facts.address):
            return code not in ("lost", "timeout", "no_words", "foreign_network")  # a balancer's health check
        # their IMEI was not looked up
        known = facts.imei is not None and code not in ("unknown_device", "tracker_data")
        return self.server.log_quota.allows((known and facts.imei) or network(facts.address))
