"""Owns all connections of a process and what they share: limits, files in progress, takeover, stop.

Knows sockets and time, nothing of the product but the port `Product`, given in by `__main__`.
"""

import socket
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import gevent
import gevent.socket
import structlog

from receiver.addresses import host, network
from receiver.backend.batching import Batcher
from receiver.backend.lease_client import LeaseClient, claim_of
from receiver.backend.log_quota import WINDOW_SECONDS, LogQuota
from receiver.backend.port import Product
from receiver.backend.reporter import Reporter
from receiver.endings import Ending, Reason
from receiver.net.admission_control import AdmissionControl
from receiver.net.connection import Connection
from receiver.net.connection_limits import ConnectionLimits
from receiver.net.guess_limits import GuessLimits
from receiver.net.proxy_tls import Preamble
from receiver.net.settings import Settings
from receiver.net.shared_stack import SharedStack
from receiver.spool.failed_files import FailedFiles
from receiver.spool.file_identity import is_of
from receiver.spool.file_locks import FileLocks
from receiver.spool.file_transfer import Transfer
from receiver.spool.sidecar import SidecarRecord, StoredFile
from receiver.spool.spool import Spool
from receiver.spool.upload_context import UploadContext
from receiver.store.durability import StorageError
from receiver.store.media_store import MediaError
from receiver.wire.actions import Offer

log = structlog.get_logger("receiver")
SILENT_SECONDS = 5.0  # for the INIT of a device that had just connected when the receiver was stopped
GIVE_WAY_SECONDS = 10.0  # for an older connection to let go of its file
GIVE_WAY_POLL = 0.05
SEND_BUFFER = 16 * 1024  # bytes in the kernel for a device that does not read: all our answers are short
TURN_SECONDS = 0.005  # after so much work without a wait the other connections have their turn
LEFT_OUT_LINES = 20  # peers named in a minute whose log lines were left out


class Server:
    """All connections of this process."""

    def __init__(
        self,
        settings: Settings,
        store: Spool,
        product: Product,
        now: Callable[[], datetime],
        preamble: Preamble | None = None,
    ) -> None:
        self.settings, self.store, self.product, self.now = settings, store, product, now
        self.preamble = preamble or Preamble()
        self.file_locks = FileLocks(store.spool / "claims")
        self.connection_limits: ConnectionLimits[Connection] = ConnectionLimits(
            settings.max_connections, settings.max_per_device, settings.max_per_address
        )
        self.connections = self.connection_limits.everyone  # oldest first
        self.shared_stack = SharedStack()
        self.log_quota = LogQuota(settings.lines_per_minute)
        self.lease_client = (
            LeaseClient(store, product, now, self.log_quota.allows)
            if store.shared_partials is not None
            else None
        )
        self.admission = AdmissionControl(settings, product, self.log_quota, now)
        self.failed_files = FailedFiles()
        self.guess_limits = GuessLimits()
        # the connection that receives each file of a device; None: the file is being shared with other machines
        self.holders: dict[tuple[str, str], Connection | None] = {}
        self.stopping = False
        self.reads = 0  # from all connections
        hub = gevent.get_hub()
        self._pool = hub.threadpool
        self._turned_at = time.monotonic()
        self._turns = hub.loop.check()
        store.aside = self.aside
        self._commits: Batcher[Transfer, None] = Batcher(self._make_stored)
        self._safes: Batcher[Transfer, None] = Batcher(
            lambda transfers: self.aside(store.group_commit.make_safe, transfers, now())
        )
        self.reporter = Reporter(self)

    def start(self) -> None:
        """Start what runs beside the connections."""
        self._turns.start(self._note_turn)
        self.reporter.start()
        for work in (self._give_way, self._log_left_out):
            gevent.spawn(work)
        if self.lease_client is not None:
            gevent.spawn(self.lease_client.watch, self._end_for_another_machine)

    def serve(self, sock: Any, address: str) -> None:
        """Serve one connection to its end (in a greenlet of its own)."""
        connection = Connection(self, sock, address)
        connection.session.stopping = self.stopping  # accepted at the last moment
        if not self._is_balancer(address) and not self.preamble.allows(address):
            connection.turn_away(Ending(Reason.FOREIGN_NETWORK))  # before it takes a place
            return
        if not self._room(connection):
            self.left(connection)
            sock.close()
            if self.log_quota.allows(network(address)):
                log.warning(
                    "connection refused: too many", address=address, connections=len(self.connections)
                )
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        connection.run()

    def senders(self) -> Iterable[Connection]:
        """Give all connections, the oldest first."""
        return self.connections

    def stop(self) -> None:
        """Let each session end itself after its present or first file; those that stay silent end soon."""
        self.stopping = True
        self.guess_limits.release()
        for connection in self.connections:
            connection.session.stopping = True
        gevent.spawn_later(SILENT_SECONDS, self._end_silent)

    def _end_silent(self) -> None:
        for connection in list(self.connections):
            if connection.facts.imei is None:
                connection.end(Reason.RESTARTED)

    def _note_turn(self) -> None:
        self._turned_at = time.monotonic()

    def give_turn(self, now: float) -> None:
        """Let other connections run, if none could for a while. `now` in steady seconds.

        gevent changes to another greenlet only where one waits, and a connection that always has bytes to read never
        does.
        """
        if now - self._turned_at < TURN_SECONDS:
            return
        gevent.sleep(0)
        self._turned_at = time.monotonic()

    def aside(self, work: Callable[..., Any], *given: Any) -> Any:
        """Do what blocks off the hub, in a thread."""
        return self._pool.apply(work, given)

    def with_media(self, work: Callable[..., Any], *given: Any) -> Any:
        """Do what also reaches for the media store: a shared one over sockets, which wait without blocking."""
        return work(*given) if self.store.media.shared else self.aside(work, *given)

    def commit(self, connection: Connection, transfer: Transfer) -> SidecarRecord | None:
        """Make a whole file safe, together with others that wait; give its record, None if it was stored before.

        Raises StorageError; then nothing may be acknowledged.
        """
        if self.lease_client is not None:
            self.lease_client.check(connection.facts.imei or "", transfer.record["identifier"])
        self._commits.ask(transfer)
        if self.store.media.shared:  # reached over sockets, which wait without blocking: each for itself
            (problem,) = self.store.group_commit.place([transfer])
            if problem is not None:
                raise problem
        return transfer.committed()

    def _make_stored(self, transfers: Sequence[Transfer]) -> list[StorageError | None]:
        commits = self.store.group_commit
        work = commits.seal if self.store.media.shared else commits.commit
        problems: list[StorageError | None] = self.aside(work, transfers, self.now())
        return problems

    def make_safe(self, transfer: Transfer) -> SidecarRecord | None:
        """Make what is held of a file survive a power cut, together with others; give its record, as `commit` does.

        Raises StorageError.
        """
        self._safes.ask(transfer)
        return transfer.committed()

    # limits

    def _is_balancer(self, address: str) -> bool:
        """Say whether a peer names the device's address later."""
        return not self.preamble.plain and self.preamble.is_proxy(address)

    def _room(self, newest: Connection) -> bool:
        address = newest.facts.address
        if not self.connection_limits.enter(newest, None if self._is_balancer(address) else network(address)):
            return False
        surplus = self.connection_limits.surplus(newest)
        if surplus is not None and surplus is not newest:
            surplus.end(Reason.CROWDED_SERVER)
        return surplus is not newest

    def arrived(self, connection: Connection) -> None:
        """Count a connection for its device: one live, one closing; more end the oldest idle one."""
        assert connection.facts.imei is not None
        for surplus in self.connection_limits.arrived(connection, connection.facts.imei):
            surplus.end(Reason.CROWDED_DEVICE)

    def left(self, connection: Connection) -> None:
        """Forget a connection."""
        self.connection_limits.left(connection, connection.facts.imei)

    def _log_left_out(self) -> None:
        while True:
            gevent.sleep(WINDOW_SECONDS)
            left_out = self.log_quota.turn()
            for peer, lines in sorted(left_out.items(), key=lambda item: -item[1])[:LEFT_OUT_LINES]:
                log.warning("lines and session rows left out", peer=peer, count=lines)

    # one file, one session

    def open(self, connection: Connection, offer: Offer) -> Transfer:
        """Open a file for a session; an older session of the device at the same file gives way.

        Raises StorageError.
        """
        imei = connection.facts.imei or ""
        try:
            self._claim(connection, imei, offer.identifier)
            if self.lease_client is not None:
                self.lease_client.take(imei, offer.identifier, lambda: connection.ending is not None)
            before = self._recall(imei, offer)
            asker = UploadContext(
                imei,
                connection.admission,
                connection.facts.id,
                self.now(),
                host(connection.facts.address),
                self.preamble.networks,
            )
            if self.store.media.shared:  # reached over sockets, which wait
                return self.store.open(asker, offer, before)
            return self.shared_stack.do(self.store.open, asker, offer, before)
        except BaseException as error:
            self.release(connection, imei, offer.identifier)
            if isinstance(error, OSError):
                raise StorageError(Reason.NOT_KEPT, cause=error.strerror or str(error)) from error
            raise

    def _claim(self, connection: Connection, imei: str, identifier: str) -> None:
        deadline, asked = time.monotonic() + GIVE_WAY_SECONDS, False
        while True:
            if self._end_holder(imei, identifier):
                pass
            elif self.file_locks.take(imei, identifier):
                self.holders[imei, claim_of(identifier)] = connection
                return
            elif not asked:
                self.file_locks.ask(imei, identifier)
                asked = True
            if time.monotonic() >= deadline:
                raise StorageError(Reason.BUSY)
            gevent.sleep(GIVE_WAY_POLL)

    def _end_holder(self, imei: str, identifier: str) -> bool:
        """Ask this process's session that receives a file to end; say whether there is one."""
        if holder := self.holders.get((imei, claim_of(identifier))):
            holder.end(Reason.TAKEN_OVER)
        if self.lease_client is not None:
            # the session may be over, and its part on its way to the store
            self.lease_client.give_way(imei, identifier)
        return (imei, claim_of(identifier)) in self.holders

    def _end_for_another_machine(self, imei: str, identifier: str) -> None:
        if holder := self.holders.get((imei, claim_of(identifier))):
            holder.end(Reason.HANDED_OVER)

    def release(self, connection: Connection | None, imei: str, identifier: str) -> None:
        """Give a file's claim back."""
        if (imei, claim_of(identifier)) in self.holders and self.holders[
            imei, claim_of(identifier)
        ] is connection:
            del self.holders[imei, claim_of(identifier)]
            self.file_locks.release(imei, identifier)
            if self.lease_client is not None:
                self.lease_client.drop(imei, identifier)
                self.reporter.wake()

    def hold(self, imei: str, identifier: str) -> bool:
        """Take a file into hand that no session has; say whether it was free."""
        if (imei, claim_of(identifier)) in self.holders or not self.file_locks.take(imei, identifier):
            return False
        self.holders[imei, claim_of(identifier)] = None
        return True

    def _give_way(self) -> None:
        """Answer other processes of this machine that ask for a claim."""
        while True:
            gevent.socket.wait_read(self.file_locks.socket.fileno())
            self._end_holder(*self.file_locks.asked())

    def _recall(self, imei: str, offer: Offer) -> StoredFile | None:
        if not (offer.metadata and offer.metadata.timestamp):
            return None
        try:
            return self.product.recall(imei, offer)
        except Exception:
            if self.log_quota.allows("database away"):
                log.warning("database away", imei=imei, exc_info=True)
            return self._announced(imei, offer)

    def _announced(self, imei: str, offer: Offer) -> StoredFile | None:
        """Find a file that was stored, perhaps by another machine, but not reported to the database."""
        if self.store.shared_partials is None:
            return None
        try:
            records = self.store.shared_partials.announced(imei)
        except MediaError:
            return None
        return next((StoredFile.of(r) for r in records if is_of(r, offer)), None)
