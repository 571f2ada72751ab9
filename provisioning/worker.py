"""Entry of the worker process, `python -m provisioning.worker`: sends SMS, links files, makes previews, runs periodic
jobs.

Several workers may run side by side: rows are claimed by leases and unique indexes. Ends on SIGTERM.
"""

from gevent import monkey

monkey.patch_all()

import signal  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from datetime import datetime  # noqa: E402
from functools import partial  # noqa: E402

import gevent  # noqa: E402
import structlog  # noqa: E402
from flask import Flask  # noqa: E402
from gevent.event import Event  # noqa: E402
from huey.consumer import Consumer  # noqa: E402

from app import create_app  # noqa: E402
from provisioning import schedule  # noqa: E402
from provisioning.core import job_queue, jobs, logging_setup  # noqa: E402
from provisioning.core.config import ConfigError, current_config  # noqa: E402
from provisioning.media import previews, settlement  # noqa: E402
from provisioning.models import Cursor, db, put_all, utcnow  # noqa: E402
from provisioning.sms import dispatch  # noqa: E402

log = structlog.get_logger("worker")

BEAT_SECONDS = 3.0
HEARTBEAT = "worker"
SENDERS = 8  # SMS under way at once, for different devices
PHOTOS_AT_ONCE = 25  # thumbnails: some 0.3 s, which one that is asked for meanwhile waits
POLL_SECONDS = 0.25  # the longest an id waits in an idle queue
AWAY_SECONDS = 3.0


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    logging_setup.configure()
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
        table = schedule.table(current_config())
    ended: dict[str, datetime] = {}
    for job in table:
        gevent.spawn(_repeat, app, job.seconds, partial(_run, job, ended), stop)
    gevent.spawn(_repeat, app, BEAT_SECONDS, partial(_beat, ended), stop)
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
                    queues = job_queue.queue()
                break
            except Exception:
                log.warning("queue away, will try again", exc_info=True)
                gevent.sleep(AWAY_SECONDS)
        for topic in job_queue.TOPICS:
            queues.handlers[topic] = partial(_handle, app, topic)
            workers = SENDERS if topic == job_queue.DEVICES else 1
            consumer = Consumer(
                queues.queues[topic],
                workers=workers,
                periodic=False,
                initial_delay=0.05,
                max_delay=POLL_SECONDS,
                worker_type="greenlet",
                check_worker_health=True,
            )
            consumer._set_signal_handlers = lambda: None  # signals are ours
            consumer.start()
            consumers.append(consumer)
        log.info("worker ready")

    gevent.spawn(start)
    return consumers


def _drive(device_id: int) -> None:
    while dispatch.drive(device_id, utcnow):
        pass


def _photos(ident: str) -> None:
    """Make the thumbnails of photos that wait, many at once: one by one each would pay for its own transactions."""
    previews.make([ident, *job_queue.take(job_queue.PHOTOS, PHOTOS_AT_ONCE - 1)], utcnow)


HANDLERS: dict[str, Callable[[str], object]] = {
    job_queue.DEVICES: lambda ident: _drive(int(ident)),
    job_queue.FILES: lambda ident: settlement.settle_all(utcnow),
    job_queue.PHOTOS: _photos,
    job_queue.VIDEOS: lambda ident: previews.make([ident], utcnow),
}


def _handle(app: Flask, topic: str, ident: str) -> None:
    with app.app_context():
        try:
            HANDLERS[topic](ident)
        except Exception as error:
            log.exception("work failed; the sweep tries again", topic=topic)
            db.session.rollback()
            jobs.note_failure(f"queue_{topic}", error, utcnow())


def _run(job: jobs.Job, ended: dict[str, datetime]) -> None:
    jobs.run(job, utcnow)
    ended[job.name] = utcnow()


def _beat(ended: dict[str, datetime]) -> None:
    """Say that this process lives, and when its jobs last ended; no job holds it up."""
    told = dict(ended)
    try:
        now = utcnow()
        put_all(Cursor, [{"name": HEARTBEAT, "value": now.isoformat(), "updated_at": now}], "name")
        jobs.note_ended(told)
        db.session.commit()
    except Exception:
        db.session.rollback()
        log.warning("the worker's heartbeat could not be written", exc_info=True)


def _repeat(app: Flask, seconds: float, work: Callable[[], None], stop: Event) -> None:
    while not stop.is_set():
        began = time.monotonic()
        with app.app_context():
            work()
        stop.wait(max(0.1, seconds - (time.monotonic() - began)))


if __name__ == "__main__":
    sys.exit(main())
