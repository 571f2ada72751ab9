"""Entry of the receiver process, `python -m receiver`: connects the receiver to the product. Only this module knows
both.
"""

from gevent import monkey

monkey.patch_all()

import contextlib  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from datetime import datetime  # noqa: E402
from functools import partial  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from flask import Flask  # noqa: E402
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest  # noqa: E402
from sqlalchemy import Connection, text  # noqa: E402
from sqlalchemy.exc import (  # noqa: E402
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
    StatementError,
)

from app import create_app  # noqa: E402
from provisioning.core import logging_setup  # noqa: E402
from provisioning.core.config import Config, ConfigError, load  # noqa: E402
from provisioning.media import camera_sessions, file_leases, registration, storage  # noqa: E402
from provisioning.models import db, utcnow  # noqa: E402
from provisioning.web.client_address import may_look  # noqa: E402
from receiver.backend.batching import Batcher  # noqa: E402
from receiver.backend.port import Admission, RecordRefused, SessionFacts  # noqa: E402
from receiver.net.connection import Settings  # noqa: E402
from receiver.net.proxy_tls import Preamble  # noqa: E402
from receiver.net.server import Server  # noqa: E402
from receiver.net.shared_stack import SharedStack  # noqa: E402
from receiver.spool.sidecar import SidecarRecord, StoredFile  # noqa: E402
from receiver.supervisor import Binding, Supervisor  # noqa: E402
from receiver.wire.actions import Offer  # noqa: E402
from receiver.wire.session import SessionLimits  # noqa: E402

IDENTIFIERS = {
    "front_photo": "%photof",
    "rear_photo": "%photor",
    "front_video": "%videof",
    "rear_video": "%videor",
}
ANSWER_SECONDS = 5.0  # a camera waits for its answer: a database that takes longer counts as away
TOLD_SECONDS = 60.0  # for reports in bulk, which no camera waits for
AWAY_SECONDS = 5.0  # between tries while it is away; one session at a time tries


class DatabaseAway(Exception):
    """The database did not answer in time, or did not a moment ago."""


def _is_unfit(error: Exception) -> bool:
    """Say whether it was the value that failed, and not the database, its tables or the way to it."""
    if isinstance(
        error, ProgrammingError
    ):  # of the driver, which has no word for the value; else of the tables
        return getattr(error.orig, "sqlstate", None) is None
    if isinstance(error, DBAPIError):
        return isinstance(error, IntegrityError | DataError)
    if isinstance(
        error, StatementError
    ):  # with why a value cannot be sent, or with a mistake in the statement
        return not isinstance(error.orig, SQLAlchemyError)
    return isinstance(error, ArithmeticError | LookupError | TypeError | ValueError)


class DatabaseProduct:
    """The product as the receiver sees it: one short unit of work for each call, or for all that ask at once.

    SQLite waits for its lock without letting others run, so its calls go to threads; PostgreSQL's driver yields.
    What cameras wait for is read from SQLite at once: a reader never waits for its lock, and a thread comes late to
    its turn beside ten thousand connections.
    """

    def __init__(self, app: Flask, threads: bool) -> None:
        self._app, self._threads = app, threads
        self._admissions: Batcher[str, bool] = Batcher(partial(self._ask_reading, registration.known))
        self._recalls: Batcher[tuple[str, Offer], StoredFile | None] = Batcher(
            partial(self._ask_reading, registration.recall)
        )
        self._reader: Connection | None = None  # of SQLite, for the hub alone
        self._apart = SharedStack()
        self._away_until = 0.0  # steady seconds; until then nobody asks the database; 0: it is there

    def _ask_reading(self, work: Callable[[Connection, Sequence[Any]], Any], things: Sequence[Any]) -> Any:
        return self._ask(lambda: work(db.session.connection(), things))

    def _look_up(
        self, gather: Batcher[Any, Any], work: Callable[[Connection, Sequence[Any]], Any], thing: Any
    ) -> Any:
        """Read what a camera waits for."""
        self._refuse_while_away()  # else it would wait behind the one that tries
        if self._threads:
            with contextlib.suppress(
                OperationalError
            ):  # it is locked after all, or away: wait for it in a thread
                return self._apart.do(self._read_here, work, [thing])[0]
        return gather.ask(thing)

    def _read_here(self, work: Callable[[Connection, Sequence[Any]], Any], things: Sequence[Any]) -> Any:
        if self._reader is None:
            with self._app.app_context():
                self._reader = db.engine.connect()
            self._reader.exec_driver_sql("PRAGMA busy_timeout=0")
        try:
            return work(self._reader, things)
        except BaseException:
            self._reader.invalidate()  # not to be used by others, who wait
            self._reader.close()
            self._reader = None
            raise

    def _ask(self, work: Callable[..., Any], *given: Any) -> Any:
        """Do what a camera waits for. While the database is away only one session finds that out, not every one."""
        self._refuse_while_away()
        if self._away_until:
            self._away_until = time.monotonic() + ANSWER_SECONDS  # one tries; the others do not wait for it
        try:
            found = self._do(work, *given, seconds=ANSWER_SECONDS)
        except (DatabaseAway, OperationalError, InterfaceError):
            self._away_until = time.monotonic() + AWAY_SECONDS
            raise
        self._away_until = 0.0
        return found

    def _refuse_while_away(self) -> None:
        if time.monotonic() < self._away_until:
            raise DatabaseAway("It did not answer a moment ago.")

    def _do(self, work: Callable[..., Any], *given: Any, seconds: float = TOLD_SECONDS) -> Any:
        limit = gevent.Timeout(seconds)
        try:
            with limit:
                if not self._threads:
                    return self._inside(work, *given)
                found, error = gevent.get_hub().threadpool.apply(self._caught, (work, *given))
        except gevent.Timeout as error:
            if error is not limit:
                raise
            raise DatabaseAway(f"It did not answer within {seconds:.0f} s.") from None
        if error is not None:
            raise error
        return found

    def _caught(self, work: Callable[..., Any], *given: Any) -> tuple[Any, Exception | None]:
        """Bring an error out of a thread as a value: gevent would print it too, with the values of the statement."""
        try:
            return self._inside(work, *given), None
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is wanted
            return None, error

    def _inside(self, work: Callable[..., Any], *given: Any) -> Any:
        with self._app.app_context():
            return work(*given)

    def _report(self, work: Callable[..., Any], things: Sequence[Any]) -> Any:
        """Do what no camera waits for, in bulk. Raises Refused where one of the things fits no row."""
        try:
            return self._do(work, things, utcnow())
        except Exception as error:
            if not _is_unfit(error):
                raise
            cause = getattr(error, "orig", None) or error
            # its first line: those that follow show values
            raise RecordRefused(f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}") from None

    def admit(self, imei: str) -> Admission:
        """Look the device up, each time: an unknown one may have been added a moment ago."""
        found = self._look_up(self._admissions, registration.known, imei)
        return Admission.KNOWN if found else Admission.UNKNOWN

    def recall(self, imei: str, offer: Offer) -> StoredFile | None:
        """Find a file that was stored before."""
        found: StoredFile | None = self._look_up(self._recalls, registration.recall, (imei, offer))
        return found

    def sent_today(self, imei: str, now: datetime) -> tuple[int, int]:
        """Count what a device has sent today."""
        found: tuple[int, int] = self._ask(registration.sent_today, imei, now)
        return found

    def stored(self, records: Sequence[SidecarRecord]) -> list[SidecarRecord]:
        """Take stored files."""
        taken: list[SidecarRecord] = self._report(registration.register, records)
        return taken

    def progress(self, records: Sequence[SidecarRecord]) -> None:
        """Store how far files have come."""
        self._report(registration.progress, records)

    def watched(self) -> set[str]:
        """Find the devices that somebody looks at."""
        found: set[str] = self._do(registration.watched, utcnow())
        return found

    def sessions(self, facts: Sequence[SessionFacts]) -> None:
        """Store sessions."""
        self._report(camera_sessions.note, facts)

    def expired(self, idents: Sequence[str]) -> None:
        """Take files that were given up."""
        self._do(registration.expired, idents, utcnow())

    def superseded(self, idents: Sequence[str]) -> None:
        """Take partial files that were thrown away."""
        self._do(registration.superseded, idents)

    def lease(self, imei: str, identifier: str, token: str, machine: str, force: bool) -> bool:
        """Take a file of a device into a session's hand."""
        return bool(self._ask(partial(file_leases.take, force=force), imei, identifier, token, machine))

    def holds(self, token: str) -> bool:
        """Ask whether a session still has its file."""
        return bool(self._ask(file_leases.holds, token))

    def wanted(self) -> set[str]:
        """Find the leases that newer sessions wait for."""
        found: set[str] = self._do(file_leases.wanted)
        return found

    def release(self, tokens: Sequence[str]) -> None:
        """Give leases back."""
        self._do(file_leases.release, tokens)


def settings(config: Config) -> Settings:
    """Give the server's settings from the configuration."""
    return Settings(
        limits=SessionLimits(
            order=tuple(IDENTIFIERS[name] for name in config.receiver_file_order),
            max_size=config.receiver_max_file_mib * 2**20,
            bad_packets=config.receiver_bad_packets,
            bad_seconds=config.receiver_bad_seconds,
            init=config.receiver_init_timeout,
            metadata=config.receiver_metadata_timeout,
            answer=config.receiver_answer_timeout,
            progress=config.receiver_progress_timeout,
            go_backs=config.receiver_go_backs,
            offers=config.receiver_files_per_session,
        ),
        quarantine_unknown=config.receiver_unknown_devices == "quarantine",
        max_connections=config.receiver_max_connections,
        max_per_device=config.receiver_max_connections_per_device,
        max_per_address=config.receiver_max_connections_per_address,
        min_bytes_per_minute=config.receiver_min_bytes_per_minute,
        lines_per_minute=config.receiver_lines_per_minute,
        files_per_day=config.receiver_files_per_day,
        bytes_per_day=config.receiver_mib_per_day * 2**20,
    )


def health(app: Flask, server: Server, config: Config) -> Callable[..., Any]:
    """Make the WSGI app of /healthz, /readyz and /metrics."""
    registry = CollectorRegistry()
    connections = Gauge("dualcam_receiver_connections", "Open connections", registry=registry)
    connections.set_function(lambda: len(server.connections))
    reads = Gauge(
        "dualcam_receiver_reads", "Reads from cameras' connections since the start", registry=registry
    )
    reads.set_function(lambda: server.reads)
    refused = Gauge(
        "dualcam_receiver_refused_files", "Stored files that cannot be handed over", registry=registry
    )
    refused.set_function(lambda: len(server.reporter.refused))
    for name, help_text in (
        ("files", "Files stored"),
        ("bytes", "Bytes received"),
        ("crc_errors", "CRC errors"),
    ):
        counter = Counter(f"dualcam_receiver_{name}", help_text, registry=registry)
        server.reporter.counters[name] = counter.inc

    def ready() -> str | None:
        try:
            with app.app_context():
                db.session.execute(text("SELECT 1"))
        except SQLAlchemyError as error:
            return f"database: {type(error).__name__}"
        problem = server.store.ready()
        return f"store: {problem}" if problem else None

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        path = environ["PATH_INFO"]
        if path in ("/metrics", "/readyz") and not may_look(environ, config.metrics_networks):
            start("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"Open to this machine and to METRICS_NETWORKS.\n"]
        if path == "/metrics":
            start("200 OK", [("Content-Type", "text/plain; version=0.0.4")])
            return [generate_latest(registry)]
        if path not in ("/healthz", "/readyz"):
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"not found\n"]
        problem = ready() if path == "/readyz" else None
        start("503 Service Unavailable" if problem else "200 OK", [("Content-Type", "text/plain")])
        return [(problem or "ok").encode() + b"\n"]

    return answer


def main() -> int:
    """Run the receiver's workers until told to stop."""
    logging_setup.configure()
    try:
        config = load()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2

    def make() -> tuple[Server, Callable[..., Any]]:
        app = create_app(config)
        front = Preamble(
            config.receiver_proxies,
            config.receiver_tls_cert,
            config.receiver_tls_key,
            config.receiver_tls_required,
            networks=config.receiver_networks,
        )
        product = DatabaseProduct(app, threads=config.database_url.startswith("sqlite"))
        server = Server(settings(config), storage.store(config), product, utcnow, front)
        return server, health(app, server, config)

    binding = Binding(
        config.receiver_host,
        config.receiver_port,
        config.receiver_workers,
        config.receiver_http_host,
        config.receiver_http_port,
        config.receiver_max_connections,
        config.receiver_worker_timeout,
    )
    sys.argv = sys.argv[:1]
    Supervisor(binding, make).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
