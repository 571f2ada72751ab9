"""Reports sessions, stored files and progress to the product in batches, and what earlier processes left.

Whatever fails stays queued and is reported again: the database may be away for as long as it likes. What the product
refuses holds up nothing else: a stored file's sidecar stays where it is and is tried again after a while. Called by
`server` and its connections.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Protocol

import gevent
import structlog
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from receiver.backend import bisecting
from receiver.backend.lease_client import LeaseClient
from receiver.backend.log_quota import LogQuota
from receiver.backend.port import Product, RecordRefused, SessionFacts
from receiver.spool.cleanup import Cleaner, CleanupResult
from receiver.spool.file_transfer import Transfer
from receiver.spool.sidecar import SidecarRecord
from receiver.spool.spool import Spool
from receiver.store.media_store import MediaError

log = structlog.get_logger("receiver")
REPORT_SECONDS = 1.0  # between bulk reports of sessions and stored files
WATCHED_SECONDS = 2.0  # between progress reports of devices that somebody looks at
UNWATCHED_SECONDS = 30.0  # and of all others
BULK = 200  # rows in one report: bounds its memory and how long it holds the database
AWAY_SECONDS = 2.0  # between tries while the product's database is away
LEFT_SECONDS = 60.0  # a stored file that is not handed over after so long was left by a process that died
REFUSED_SECONDS = 3600.0  # between tries of a stored file whose record the product refuses
EVENTS_KEPT = 10_000  # session rows that wait for a database that is away; older ones are dropped first


class Sender(Protocol):
    """A connection whose file is on its way."""

    moved: bool
    transfer: Transfer | None
    facts: SessionFacts


class ReporterHost(Protocol):
    """What the reporter needs of the server whose files and sessions it reports."""

    product: Product
    store: Spool
    log_quota: LogQuota
    lease_client: LeaseClient | None
    now: Callable[[], datetime]

    def senders(self) -> Iterable[Sender]:
        """Give all connections."""

    def aside(self, work: Callable[..., Any], *given: Any) -> Any:
        """Do blocking work in a thread."""

    def with_media(self, work: Callable[..., Any], *given: Any) -> Any:
        """Do work that also uses the media store."""

    def hold(self, imei: str, identifier: str) -> bool:
        """Take a file that no session has; say whether it was free."""

    def release(self, connection: None, imei: str, identifier: str) -> None:
        """Give a file back."""


class Reporter:
    """The queues of one process, and the greenlets that empty them."""

    def __init__(self, host: ReporterHost) -> None:
        self._host, self._product, self._store = host, host.product, host.store
        self._janitor = Cleaner(host.store, time.monotonic)
        self.counters: dict[str, Callable[[float], None]] = {}  # metrics, set by `__main__`
        self._facts: deque[SessionFacts] = deque(maxlen=EVENTS_KEPT)
        # those beyond are found again by their sidecars
        self._stored: deque[SidecarRecord] = deque(maxlen=EVENTS_KEPT)
        self._partials: dict[str, SidecarRecord] = {}
        # uploads of stored files, and until when they are left alone (steady)
        self.refused: dict[str, float] = {}
        self._news = Event()
        self._delivering = BoundedSemaphore()  # held while what is queued is out of its queues

    def start(self) -> None:
        """Begin to report, to recover and to tidy."""
        for work in (self._report, self._progress, self._recover, self._tidy):
            gevent.spawn(work)

    def wake(self) -> None:
        """Report soon what is queued."""
        self._news.set()

    def count(self, facts: SessionFacts) -> None:
        """Count an ended session."""
        counts = {"files": facts.files, "bytes": facts.bytes_received, "crc_errors": facts.crc_errors}
        for name, count in self.counters.items():
            count(counts[name])

    def report(self, facts: SessionFacts) -> None:
        """Queue what is known of a session for the product."""
        self._facts.append(facts)
        self._news.set()

    def stored(self, record: SidecarRecord) -> None:
        """Queue a stored file for the product."""
        self._stored.append(record)
        self._news.set()

    def left_partial(self, record: SidecarRecord, *, share: bool) -> None:
        """Queue a partial file's record for the product; other receivers may go on with it."""
        self._partials[record["upload"]] = record
        self._news.set()
        if self._host.lease_client is not None and share:
            self._host.lease_client.leave(record)

    def flush(self) -> None:
        """Report what is still queued, as far as that is possible now (at the end of a worker process)."""
        try:
            self._deliver()
        except Exception:
            log.warning("last reports lost; the files themselves are safe", exc_info=True)

    def _report(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            try:
                self._deliver()
                gevent.sleep(REPORT_SECONDS)
            except Exception:
                log.warning(
                    "not reported, will try again",
                    sessions=len(self._facts),
                    files=len(self._stored),
                    exc_info=True,
                )
                gevent.sleep(AWAY_SECONDS)
                self._news.set()

    def _deliver(self) -> None:
        """Report in bulk what is queued by now: stored files, partial ones, sessions. What fails stays queued."""
        with self._delivering:
            self._deliver_in_turn()

    def _deliver_in_turn(self) -> None:
        released = self._host.lease_client.released() if self._host.lease_client is not None else []
        self._hand_in(self._stored)
        _deliver_all(
            deque(self._partials.values()), self._product.progress, self._drop_record, self._drop_reported
        )
        _deliver_all(self._store.given_up, self._product.superseded, lambda upload, why: None)
        _deliver_all(
            self._facts,
            lambda facts: self._product.sessions(list({f.id: f for f in facts}.values())),
            self._drop_facts,
        )
        if self._host.lease_client is not None:
            self._host.lease_client.give_back(released)

    def _drop_reported(self, records: Sequence[SidecarRecord]) -> None:
        for record in records:
            if self._partials.get(record["upload"]) is record:
                del self._partials[record["upload"]]

    def _hand_in(self, records: deque[SidecarRecord]) -> None:
        """Give stored files to the product, until none are left of these."""
        _deliver_all(records, self._take_stored, self._set_aside)

    def _take_stored(self, records: list[SidecarRecord]) -> None:
        """Give stored files to the product; then nobody needs their sidecars any more."""
        taken = self._product.stored(records)
        self._host.aside(self._store.pending.delivered, taken)
        if self._store.shared_partials is not None:
            try:
                self._store.shared_partials.delivered(taken)
            except MediaError as error:
                log.warning("sidecars stay in the store, will try again", reason=str(error))

    def _set_aside(self, record: SidecarRecord, why: RecordRefused) -> None:
        """Leave a stored file alone whose record the product refuses: its sidecar and its bytes stay where they are."""
        self._leave_alone(record, "stored file refused, will try again", why)

    def _pass_over(self, record: SidecarRecord, error: Exception) -> None:
        """Leave a stored file alone that cannot be read or put where it belongs: it holds up no other."""
        self._leave_alone(record, "stored file cannot be handled, will try again", error)

    def _leave_alone(self, record: SidecarRecord, event: str, why: Exception) -> None:
        self.refused[record["upload"]] = time.monotonic() + REFUSED_SECONDS
        log.error(
            event,
            imei=record["imei"],
            upload=record["upload"],
            sidecar=record.get("pending"),
            reason=str(why),
        )

    def _left_alone(self) -> set[str]:
        """Give the uploads whose records are not tried again yet."""
        now = time.monotonic()
        self.refused = {upload: until for upload, until in self.refused.items() if until > now}
        return set(self.refused)

    def _drop_record(self, record: SidecarRecord, why: RecordRefused) -> None:
        """Drop the progress of a file: it is reported again when its transfer continues."""
        if self._host.log_quota.allows(record["imei"]):
            log.error("progress refused", imei=record["imei"], upload=record["upload"], reason=str(why))

    def _drop_facts(self, facts: SessionFacts, why: RecordRefused) -> None:
        log.error(
            "session refused",
            session=facts.id,
            imei=facts.imei,
            address=facts.address,
            code=facts.code,
            files=facts.files,
            reason=str(why),
        )

    def _progress(self) -> None:
        """Report how far files have come: soon where somebody looks, elsewhere seldom, and not of all at once."""
        turn, turns = 0, max(1, round(UNWATCHED_SECONDS / WATCHED_SECONDS))
        while True:
            gevent.sleep(WATCHED_SECONDS)
            turn = (turn + 1) % turns
            moving = [c for c in self._host.senders() if c.moved and c.transfer is not None]
            if not moving:
                continue
            try:
                watched = self._product.watched()
                moving = [c for c in moving if _chance(c) % turns == turn or c.facts.imei in watched]
                _deliver_all(deque(self._records(moving)), self._product.progress, self._drop_record)
            except Exception:
                log.warning("progress not reported", exc_info=True)

    def _records(self, moving: Sequence[Sender]) -> Iterator[SidecarRecord]:
        for connection in moving:
            connection.moved = False
            if connection.transfer and (record := connection.transfer.progress()):
                yield record

    def _recover(self) -> None:
        """Hand over stored files that an earlier process left, and share partial files that could not be shared."""
        left = timedelta(0)
        while True:
            try:
                while records := self._host.with_media(
                    self._store.pending.waiting,
                    self._host.now() - left,
                    self._left_alone(),
                    BULK,
                    self._pass_over,
                ):
                    self._hand_in(deque(records))
                if self._host.lease_client is not None:
                    self._recover_shared(self._host.lease_client)
                left = timedelta(seconds=LEFT_SECONDS)
            except Exception:
                log.warning("files left by earlier processes wait, will try again", exc_info=True)
                gevent.sleep(AWAY_SECONDS)
                continue
            gevent.sleep(LEFT_SECONDS / 2)

    def _recover_shared(self, handover: LeaseClient) -> None:
        """Hand over what machines that are lost had stored, and leave for others what nobody here goes on with."""
        assert self._store.shared_partials is not None
        left = self._host.now() - timedelta(seconds=LEFT_SECONDS)
        self._hand_in(
            deque(self._store.shared_partials.waiting(left, self._left_alone(), failed=self._pass_over))
        )

        def report(record: SidecarRecord) -> None:
            self.left_partial(record, share=False)

        handover.leave_rest(
            self._host.hold, lambda imei, identifier: self._host.release(None, imei, identifier), report
        )

    def _tidy(self) -> None:
        gone: list[str] = []  # uploads that were not reported yet
        while True:
            try:
                swept: CleanupResult = self._host.with_media(self._janitor.sweep, self._host.now())
                for what in swept.odd:
                    log.warning("odd file in the spool", what=what)
                if swept.away:
                    log.warning("media store away, swept later", reason=swept.away)
                gone += swept.gone
                if gone:
                    self._product.expired(gone)
                    gone.clear()
            except Exception:
                log.warning("expiry failed, will try again", exc_info=True)
            gevent.sleep(3600)


def _chance(connection: Sender) -> int:
    """Give a number that stays the same for a session and is evenly spread over all."""
    return int(connection.facts.id[-4:], 16)


def _deliver_all(
    things: deque[Any],
    take: Callable[[list[Any]], object],
    refused: Callable[[Any, RecordRefused], object],
    done: Callable[[list[Any]], object] = lambda delivered: None,
) -> None:
    """Report all that is queued, in bulk; what is stored, or refused, leaves the queue.

    What comes meanwhile waits for the next time: else a stream of files that never pauses would be reported one by one
    for ever, and nothing else. What was not reported goes back to where it stood; a queue that is full then drops its
    oldest.
    """
    waiting = deque(things)
    things.clear()

    def leave(delivered: list[Any]) -> None:
        for _ in delivered:
            waiting.popleft()
        done(delivered)

    try:
        bisecting.deliver(lambda most: list(islice(waiting, most)), take, leave, refused, BULK)
    finally:
        if waiting:
            newer = list(things)
            things.clear()
            things.extend([*waiting, *newer])
