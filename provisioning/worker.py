"""Entry of the worker process: `python -m provisioning.worker`. Sends SMS, reconciles, sweeps, makes copies.

Several workers may run side by side: rows are claimed by leases and unique indexes. Ends on SIGTERM.
"""

from gevent import monkey

monkey.patch_all()

import signal  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import gevent  # noqa: E402
import structlog  # noqa: E402
from flask import Flask  # noqa: E402
from gevent.event import Event  # noqa: E402
from gevent.lock import BoundedSemaphore  # noqa: E402
from huey.consumer import Consumer  # noqa: E402

from app import create_app  # noqa: E402
from provisioning import background, logs, queue, retention, sending, videos  # noqa: E402
from provisioning.config import ConfigError, current_config  # noqa: E402
from provisioning.models import Cursor, db, utcnow  # noqa: E402

log = structlog.get_logger("worker")
_settling = BoundedSemaphore()  # two at once would do the same files

SWEEP_SECONDS = 3.0
RETENTION_SECONDS = 3600.0
HEARTBEAT = "worker"
SENDERS = 8  # SMS under way at once, for different devices
PHOTOS_AT_ONCE = 25  # thumbnails: some 0.3 s, which one that is asked for meanwhile waits
POLL_SECONDS = 0.25  # the longest an id waits in an idle queue
AWAY_SECONDS = 3.0


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    logs.configure()
    try:
        app = create_app()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stop.set)
    consumers = _start_queues(app, stop)
    with app.app_context():
        interval = current_config().reconcile_interval
    for seconds, work in (
        (SWEEP_SECONDS, _sweep),
        (SWEEP_SECONDS, _settle),
        (float(interval), _reconcile),
        (RETENTION_SECONDS, _retire),
    ):
        gevent.spawn(_repeat, app, seconds, work, stop)
    stop.wait()
    for consumer in consumers:
        consumer.stop(graceful=False)
    return 0


def _start_queues(app: Flask, stop: Event) -> list[Consumer]:
    consumers: list[Consumer] = []

    def start() -> None:
        while not stop.is_set():
            try:
                with app.app_context():
                    queues = queue.queue()
                break
            except Exception:
                log.warning("queue away, will try again", exc_info=True)
                gevent.sleep(AWAY_SECONDS)
        queues.handlers[queue.DEVICES] = lambda ident: _handle(app, lambda: _drive(int(ident)))
        queues.handlers[queue.FILES] = lambda ident: _handle(app, _settle)
        queues.handlers[queue.PHOTOS] = lambda ident: _handle(app, lambda: _photos(ident))
        queues.handlers[queue.VIDEOS] = lambda ident: _handle(app, lambda: videos.make([ident], utcnow))
        for topic in queue.TOPICS:
            workers = SENDERS if topic == queue.DEVICES else 1
            consumer = Consumer(
                queues.queues[topic], workers=workers, periodic=False, initial_delay=0.05, max_delay=POLL_SECONDS,
                worker_type="greenlet", check_worker_health=True,
            )  # fmt: skip
            consumer._set_signal_handlers = lambda: None  # signals are ours
            consumer.start()
            consumers.append(consumer)
        log.info("worker ready")

    gevent.spawn(start)
    return consumers


def _drive(device_id: int) -> None:
    while sending.drive(device_id, utcnow):
        pass


def _photos(ident: str) -> None:
    """Make the thumbnails of photos that wait, many at once: one by one each would pay for its own transactions."""
    videos.make([ident, *queue.take(queue.PHOTOS, PHOTOS_AT_ONCE - 1)], utcnow)


def _handle(app: Flask, work: Callable[[], object]) -> None:
    with app.app_context():
        try:
            work()
        except Exception:
            log.exception("work failed; the sweep tries again")
            db.session.rollback()


def _sweep() -> None:
    background.sweep(utcnow)
    videos.sweep(utcnow)
    beat = db.session.get(Cursor, HEARTBEAT) or Cursor(name=HEARTBEAT)
    beat.value = utcnow().isoformat()
    db.session.add(beat)
    db.session.commit()


def _settle() -> None:
    """Do what follows from new files; by itself, for where files never stop coming it does not end."""
    with _settling:
        background.settle(utcnow)


def _reconcile() -> None:
    count = background.reconcile(utcnow)
    if count:
        log.info("reconciled", events=count)


def _retire() -> None:
    retention.sweep(utcnow)


def _repeat(app: Flask, seconds: float, work: Callable[[], None], stop: Event) -> None:
    while not stop.is_set():
        began = time.monotonic()
        with app.app_context():
            try:
                work()
            except Exception:
                log.warning("periodic work failed, will try again", work=work.__name__, exc_info=True)
                db.session.rollback()
        stop.wait(max(0.1, seconds - (time.monotonic() - began)))


if __name__ == "__main__":
    sys.exit(main())
