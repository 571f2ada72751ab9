"""The change feed of open pages: reads rows of `changes` and makes server-sent events of them.

`publish` writes in the caller's transaction, so a page is notified of nothing that was rolled back. One poller a
process reads new rows while somebody listens; a listener holds no database session.
"""

import queue
import threading
import time
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Flask
from sqlalchemy import delete, select

from provisioning.core.errors import TooMany
from provisioning.models import Change, DeviceTag, db, utcnow, visibility

POLLER = "events"  # the name of its thread
POLL_SECONDS = 1.0
# PostgreSQL numbers rows before they are committed: a lower id may appear after a higher one
OVERLAP = timedelta(seconds=30)
KEEP = timedelta(minutes=5)
BEAT_SECONDS = 4.0  # a stream is never silent for longer: static/live.js takes one that is for dead
CURRENT_SECONDS = 4.0  # a poller that read the database longer ago may have missed something
QUEUE_SIZE = 200
RETRY_MS = 2000
# at once, in one process: each is a connection, of which a worker has a thousand
STREAMS_PER_USER = 10
STREAMS = 200
TOPICS = ("checklist", "commands", "devices", "events", "health", "messages", "status", "uploads")


def sweep(now: datetime) -> None:
    """Remove rows that every poller has read."""
    db.session.execute(delete(Change).where(Change.at < now - KEEP))
    db.session.commit()


class Place:
    """Where one stream waits for notices; `end` wakes it for the last time."""

    def __init__(self) -> None:
        self.inbox: queue.Queue[str | None] = queue.Queue(QUEUE_SIZE)
        self.is_ended = False

    def end(self) -> None:
        """Have the stream end."""
        self.is_ended = True
        try:
            self.inbox.put_nowait(None)
        except queue.Full:
            pass  # it looks before it waits again


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a stream serves: who looks at one device (None: at all), and is limited to tags (None: is not)."""

    device_id: int | None
    tags: visibility.Tags | None

    def hears_of(self, device_id: int | None, tags: Collection[str]) -> bool:
        """Say whether a change of a device with these tags is for it; one of no device is not for who is limited."""
        if self.tags is not None and (device_id is None or self.tags.isdisjoint(tags)):
            return False
        return self.device_id is None or device_id is None or self.device_id == device_id


class Hub:
    """The listeners of one process and the one poller that feeds them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[int, tuple[Audience, queue.Queue[str | None]]] = {}
        self._poller: threading.Thread | None = None
        self._read_at = 0.0  # steady seconds when the poller last read the database
        self._next = 0
        self._held: dict[str, list[Place]] = {}  # of streams by who holds them, the oldest first

    def listen(self, app: Flask, audience: Audience, place: Place) -> int:
        """Add a listener; give its number."""
        with self._lock:
            self._next += 1
            self._listeners[self._next] = (audience, place.inbox)
            if self._poller is None or not self._poller.is_alive():
                self._poller = threading.Thread(target=self._poll, args=(app,), name=POLLER, daemon=True)
                self._poller.start()
            return self._next

    def hold(self, who: str) -> Place:
        """Take a place for a stream of somebody; `let_go` gives it back. Raises TooMany where all places are taken.

        Beyond STREAMS_PER_USER the oldest of that user ends: a page that is still there connects again, and one
        that was left is only noticed at its next line.
        """
        with self._lock:
            own = self._held.setdefault(who, [])
            if len(own) >= STREAMS_PER_USER:
                own.pop(0).end()
            elif sum(len(places) for places in self._held.values()) >= STREAMS:
                raise TooMany(
                    "Too many pages hear of changes at once; try again in a minute.", retry_after=60
                )
            own.append(place := Place())
            return place

    def let_go(self, who: str, place: Place) -> None:
        """Give back the place of a stream."""
        with self._lock:
            own = self._held.get(who, [])
            if place in own:
                own.remove(place)
            if not own:
                self._held.pop(who, None)

    def leave(self, number: int) -> None:
        """Remove a listener."""
        with self._lock:
            self._listeners.pop(number, None)

    def is_current(self) -> bool:
        """Say whether the poller has read the database lately: only then has a listener heard of everything."""
        return time.monotonic() - self._read_at < CURRENT_SECONDS

    # the thread may begin with the limit of the request that started it
    @visibility.whole_fleet()
    def _poll(self, app: Flask) -> None:
        seen: dict[int, datetime] = {}
        while self._listeners:
            now = utcnow()
            fresh: Sequence[Any] = ()
            try:
                with app.app_context():
                    rows = db.session.execute(
                        select(Change.id, Change.device_id, Change.topic, Change.at).where(
                            Change.at >= now - OVERLAP
                        )
                    ).all()
                    fresh = [row for row in rows if row.id not in seen]
                    tags = self._tags_of({row.device_id for row in fresh} - {None})
                self._read_at = time.monotonic()
            except Exception:
                app.logger.warning("events: the database is away", exc_info=True)
                rows, fresh = (), ()
            seen = {number: at for number, at in seen.items() if at >= now - 2 * OVERLAP}
            seen.update({row.id: row.at for row in rows})
            for row in sorted(fresh, key=lambda r: r.id):
                self._deliver(row.device_id, tags.get(row.device_id, ()), row.topic)
            time.sleep(POLL_SECONDS)

    def _tags_of(self, device_ids: Collection[int]) -> dict[int, list[str]]:
        """Give the tags of devices, where some listener is limited to tags."""
        with self._lock:
            is_needed = any(audience.tags is not None for audience, _ in self._listeners.values())
        found: dict[int, list[str]] = {}
        if is_needed and device_ids:
            query = select(DeviceTag.device_id, DeviceTag.tag).where(DeviceTag.device_id.in_(device_ids))
            for row in db.session.execute(query):
                found.setdefault(row.device_id, []).append(row.tag)
        return found

    def _deliver(self, device_id: int | None, tags: Collection[str], topic: str) -> None:
        with self._lock:
            listeners = list(self._listeners.values())
        for audience, inbox in listeners:
            if audience.hears_of(device_id, tags):
                try:
                    inbox.put_nowait(topic)
                except queue.Full:
                    pass  # a page this far behind fetches everything anyway with what it has queued


hub = Hub()


def stream(
    app: Flask, audience: Audience, since: datetime | None, until: float, place: Place
) -> Generator[str, None, None]:
    """Give server-sent events for one page until `until` (steady seconds): first what changed after `since`.

    `since` is when the page was made, or when it last got `heard`: nothing in between is missed. That event says that
    the page has heard of everything until then, and comes after all others and every BEAT_SECONDS; while the database
    cannot be read it does not come. Its id is that time in Unix milliseconds, which the page gives back when it
    reconnects, so ending a stream costs nothing.
    """
    number = hub.listen(app, audience, place)
    try:
        yield f"retry: {RETRY_MS}\n\n"
        topics = _missed(app, audience, since) if since else set()
        is_current = True
        while time.monotonic() < until and not place.is_ended:
            heard = int(utcnow().timestamp() * 1000)
            for topic in sorted(topics):
                yield f"event: {topic}\ndata: {heard}\n\n"
            # a comment shows whether the reader is still there
            yield f"id: {heard}\nevent: heard\ndata: {heard}\n\n" if is_current else ":\n\n"
            received: list[str | None] = []
            try:
                received.append(place.inbox.get(timeout=BEAT_SECONDS))
                while True:
                    received.append(place.inbox.get_nowait())
            except queue.Empty:
                pass
            topics = {topic for topic in received if topic is not None}
            is_current = hub.is_current()
    finally:
        hub.leave(number)


def _missed(app: Flask, audience: Audience, since: datetime) -> set[str]:
    """Give the topics that changed since then; all of them where the rows are gone already."""
    if since < utcnow() - KEEP + OVERLAP:
        return set(TOPICS)
    with app.app_context(), visibility.limited_to(audience.tags):
        wanted = select(Change.topic).where(Change.at >= since - OVERLAP).distinct()
        if audience.device_id is not None:
            wanted = wanted.where((Change.device_id == audience.device_id) | Change.device_id.is_(None))
        return set(db.session.scalars(wanted))
