"""The port to the product, filled by the database: what the receiver reads and writes, also while that is away."""

import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gevent
from flask import Flask
from sqlalchemy import Connection
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
    StatementError,
)

from provisioning.media import camera_sessions, file_leases, registration
from provisioning.models import db, utcnow
from receiver.backend.batching import Batcher
from receiver.backend.port import Admission, RecordRefused, SessionFacts
from receiver.net.shared_stack import SharedStack
from receiver.spool.sidecar import SidecarRecord, StoredFile
from receiver.wire.actions import Offer

ANSWER_SECONDS = 5.0  # a camera waits for its answer: a database that takes longer counts as away
REPORT_SECONDS = 60.0  # for reports in bulk, which no camera waits for
AWAY_SECONDS = 5.0  # between tries while it is away; one session at a time tries


class DatabaseAway(Exception):
    """The database did not answer in time, or did not a moment ago."""


def _is_unfit(error: Exception) -> bool:
    """Say whether it was the value that failed, and not the database, its tables or the way to it."""
    # of the driver, which has no word for the value; else of the tables
    if isinstance(error, ProgrammingError):
        return getattr(error.orig, "sqlstate", None) is None
    if isinstance(error, DBAPIError):
        return isinstance(error, IntegrityError | DataError)
    # with why a value cannot be sent, or with a mistake in the statement
    if isinstance(error, StatementError):
        return not isinstance(error.orig, SQLAlchemyError)
    return isinstance(error, ArithmeticError | LookupError | TypeError | ValueError)


def _sent_today(connection: Connection, imeis: Sequence[str]) -> list[tuple[int, int]]:
    return registration.sent_today(connection, imeis, utcnow())


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
        self._sent: Batcher[str, tuple[int, int]] = Batcher(partial(self._ask_reading, _sent_today))
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
            # where it is locked after all, or away, the wait is in a thread
            with contextlib.suppress(OperationalError):
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

    def _do(self, work: Callable[..., Any], *given: Any, seconds: float = REPORT_SECONDS) -> Any:
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
        """Do what no camera waits for, in bulk. Raises RecordRefused where one of the things fits no row."""
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

    def sent_today(self, imei: str) -> tuple[int, int]:
        """Count what a device has sent today."""
        found: tuple[int, int] = self._look_up(self._sent, _sent_today, imei)
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
