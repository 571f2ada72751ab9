"""The background queue: carries ids, so that work begins at once. All truth is in rows; losing it loses nothing.

huey by QUEUE_URL: SQLite (default), PostgreSQL or Redis. `wake` puts an id; the worker registers who handles it.
"""

from collections.abc import Callable
from typing import Any

import structlog
from flask import Flask, current_app
from huey import PriorityRedisHuey, SqliteHuey
from huey.api import Huey

from provisioning.models import Patient

log = structlog.get_logger(__name__)
DEVICES = "devices"  # drive a device's commands
FILES = "files"  # settle what new files bring
PHOTOS = "photos"  # make a photo's thumbnail
VIDEOS = "videos"  # make a video's thumbnail and H.264 copy
COPIES = {"photo": PHOTOS, "video": VIDEOS}  # by file type
TOPICS = (DEVICES, FILES, PHOTOS, VIDEOS)

Handler = Callable[[str], None]


class Queue:
    """A queue by name, so that an SMS never waits for a video, nor a photo."""

    def __init__(self, url: str) -> None:
        self.handlers: dict[str, Handler] = {}
        self.queues = {topic: _huey(f"dualcam-{topic}", url) for topic in TOPICS}
        self._tasks = {topic: self._task(topic, huey) for topic, huey in self.queues.items()}

    def _task(self, topic: str, huey: Huey) -> Any:
        def handle(ident: str) -> None:
            self.handlers[topic](ident)

        return huey.task(name=f"handle_{topic}")(handle)

    def put(self, topic: str, ident: str, *, first: bool = False) -> None:
        """Put an id, behind the others or before them."""
        self._tasks[topic](ident, priority=int(first))


def _huey(name: str, url: str) -> Huey:
    options: dict[str, Any] = {"results": False, "utc": True}
    if url.startswith("sqlite:///"):
        file = url.removeprefix("sqlite:///")
        return SqliteHuey(name, filename=file, fsync=False, factory=Patient, **options)
    if url.startswith("postgresql://"):
        from huey import PostgresHuey

        return PostgresHuey(name, dsn=url, **options)
    return PriorityRedisHuey(name, url=url, **options)


def init_app(app: Flask, url: str) -> None:
    """Attach the queue to the app; it is opened when it is first used."""
    app.extensions["dualcam_queue"] = url


def queue() -> Queue:
    """Give the current app's queue."""
    found = current_app.extensions["dualcam_queue"]
    if isinstance(found, str):
        found = current_app.extensions["dualcam_queue"] = Queue(found)
    return found


def wake(topic: str, ident: object, *, first: bool = False) -> bool:
    """Have an id looked at now; False if the queue is away (the sweep finds the row some seconds later).

    `first`: before the ids that wait already.
    """
    try:
        queue().put(topic, str(ident), first=first)
    except Exception:
        log.warning("queue away", topic=topic, exc_info=True)
        return False
    return True


def take(topic: str, most: int) -> list[str]:
    """Take further ids that wait; none where the queue is away. For a handler that does many at once."""
    idents: list[str] = []
    try:
        huey = queue().queues[topic]
        for _ in range(min(most, huey.pending_count())):  # Redis would wait for one where none is left
            if (task := huey.dequeue()) is not None:
                idents.append(task.args[0])
    except Exception:
        log.warning("queue away", topic=topic, exc_info=True)
    return idents


def is_empty(topic: str) -> bool:
    """Say whether nothing waits; also where the queue is away."""
    try:
        return not queue().queues[topic].pending_count()
    except Exception:
        log.warning("queue away", topic=topic, exc_info=True)
        return True
