"""What the product is told, in bulk: sessions, stored files, progress; and what earlier processes left behind.

Whatever fails stays queued and is told again: the database may be away for as long as it likes. Called by `server`
and its connections.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

import gevent
import structlog
from gevent.event import Event

from receiver.connection import Connection
from receiver.handover import Handover
from receiver.janitor import Janitor, Swept
from receiver.media import MediaError
from receiver.product import SessionFacts
from receiver.sidecars import Record

if TYPE_CHECKING:
    from receiver.server import Server

log = structlog.get_logger("receiver")
REPORT_SECONDS = 1.0  # between bulk reports of sessions and stored files
WATCHED_SECONDS = 2.0  # between progress reports of devices that somebody looks at
UNWATCHED_SECONDS = 30.0  # and of all others
BULK = 200  # rows in one report: bounds its memory and how long it holds the database
AWAY_SECONDS = 2.0  # between tries while the product's database is away
LEFT_SECONDS = 60.0  # a stored file that is not handed over after so long was left by a process that died
EVENTS_KEPT = 10_000  # session rows that wait for a database that is away; older ones are dropped first


class Reports:
    """The queues of one process, and the greenlets that empty them."""

    def __init__(self, server: "Server") -> None:
        self._server, self._product, self._store = server, server.product, server.store
        self._janitor = Janitor(server.store, time.monotonic)
        self.counters: dict[str, Callable[[float], None]] = {}  # metrics, set by `__main__`
        self._facts: deque[SessionFacts] = deque(maxlen=EVENTS_KEPT)
        # those beyond are found again by their sidecars
        self._stored: deque[Record] = deque(maxlen=EVENTS_KEPT)
        self._partials: dict[str, Record] = {}
        self._news = Event()

    def start(self) -> None:
        """Begin to report, to recover and to tidy."""
        for work in (self._report, self._progress, self._recover, self._tidy):
            gevent.spawn(work)

    def wake(self) -> None:
        """Tell soon what is queued."""
        self._news.set()

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
        if self._server.handover is not None and share:
            self._server.handover.leave(record)

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
        released = self._server.handover.released() if self._server.handover is not None else []
        while files := list(islice(self._stored, BULK)):
            self._hand_in(files)
            for _ in files:
                self._stored.popleft()
        while records := list(islice(self._partials.values(), BULK)):
            self._product.progress(records)
            for record in records:
                if self._partials.get(record["upload"]) is record:
                    del self._partials[record["upload"]]
        while facts := list(islice(self._facts, BULK)):
            self._product.sessions(list({fact.id: fact for fact in facts}.values()))
            for _ in facts:
                self._facts.popleft()
        if self._server.handover is not None:
            self._server.handover.give_back(released)

    def _hand_in(self, records: list[Record]) -> None:
        """Give stored files to the product; then nobody needs their sidecars any more."""
        taken = self._product.stored(records)
        self._server.aside(self._store.delivered, taken)
        if self._store.exchange is not None:
            try:
                self._store.exchange.delivered(taken)
            except MediaError as error:
                log.warning("sidecars stay in the store, will try again", reason=str(error))

    def _progress(self) -> None:
        """Report how far files have come: soon where somebody looks, seldom elsewhere."""
        told = time.monotonic()
        while True:
            gevent.sleep(WATCHED_SECONDS)
            moving = [c for c in self._server.connections if c.moved and c.transfer is not None]
            if not moving:
                continue
            try:
                if time.monotonic() - told >= UNWATCHED_SECONDS:
                    told = time.monotonic()
                else:
                    watched = self._product.watched()
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
            self._product.progress(records)

    def _recover(self) -> None:
        """Hand over stored files that an earlier process left, and share partial files that could not be shared."""
        left = timedelta(0)
        while True:
            try:
                while records := self._server.with_media(self._store.pending, self._server.now() - left):
                    self._hand_in(records)
                if self._server.handover is not None:
                    self._recover_shared(self._server.handover)
                left = timedelta(seconds=LEFT_SECONDS)
            except Exception:
                log.warning("files left by earlier processes wait, will try again", exc_info=True)
                gevent.sleep(AWAY_SECONDS)
                continue
            gevent.sleep(LEFT_SECONDS / 2)

    def _recover_shared(self, handover: Handover) -> None:
        """Hand over what machines that are lost had stored, and leave for others what nobody here goes on with."""
        assert self._store.exchange is not None
        if records := self._store.exchange.owed(self._server.now() - timedelta(seconds=LEFT_SECONDS)):
            self._hand_in(records)

        def tell(record: Record) -> None:
            self.left_partial(record, share=False)

        handover.leave_rest(
            self._server.hold, lambda imei, identifier: self._server.release(None, imei, identifier), tell
        )

    def _tidy(self) -> None:
        gone: list[str] = []  # uploads that the product was not told of yet
        while True:
            try:
                swept: Swept = self._server.with_media(self._janitor.sweep, self._server.now())
                for what in swept.odd:
                    log.warning("odd file in the spool", what=what)
                gone += swept.gone
                if gone:
                    self._product.expired(gone)
                    gone.clear()
            except Exception:
                log.warning("expiry failed, will try again", exc_info=True)
            gevent.sleep(3600)
