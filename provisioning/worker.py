"""Entry of the worker process: `python -m provisioning.worker`. Repeats the jobs of `schedule`, each by itself.

All work is found in the rows of the database: one statement asks many times a second what is due. Several workers may
run side by side, since rows are claimed by leases and unique indexes. Ends on SIGTERM, once the SMS under way have
their answers of the gateway, or after some seconds.
"""

from gevent import monkey

monkey.patch_all()

import signal  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Mapping, Sequence  # noqa: E402

import gevent  # noqa: E402
import structlog  # noqa: E402
from flask import Flask  # noqa: E402
from gevent.event import Event  # noqa: E402

from provisioning import base_app, schedule  # noqa: E402
from provisioning.core import jobs, logging_setup  # noqa: E402
from provisioning.core.config import ConfigError, current_config, load  # noqa: E402
from provisioning.models import Cursor, db, put_all, utcnow  # noqa: E402

log = structlog.get_logger("worker")

BEAT_SECONDS = 3.0
HEARTBEAT = "worker"


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    logging_setup.configure()
    try:
        app = base_app.make(load())
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    stop, runs = Event(), jobs.Runs()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stop.set)
    with app.app_context():
        table = schedule.table(current_config())
    due = {job.name: Event() for job in table}
    for job in table:
        gevent.spawn(_repeat, app, job, due[job.name], runs)
    gevent.spawn(_poll, app, table, due)
    gevent.spawn(_beat, app, runs)
    log.info("worker ready")
    stop.wait()
    for job in table:
        _finish(app, job)
    return 0


def _finish(app: Flask, job: jobs.Job) -> None:
    """Let a job finish what it has begun, as far as that goes within seconds."""
    if job.finish is not None:
        try:
            with app.app_context():
                job.finish()
        except Exception as error:  # noqa: BLE001 - the process ends all the same; leases say what it leaves
            jobs.give_up(error, "what a job had begun could not be finished")


def _repeat(app: Flask, job: jobs.Job, due: Event, runs: jobs.Runs) -> None:
    """Run a job again and again: after its interval, or as soon as something is due for it."""
    while True:
        began = time.monotonic()
        with app.app_context():
            result = jobs.run(job, utcnow)
        runs.add(job.name, result, utcnow())
        if result is jobs.RunResult.FAILED:
            gevent.sleep(jobs.RETRY_SECONDS)  # what is due waits: it would fail as well
        due.clear()
        due.wait(max(jobs.POLL_SECONDS, job.seconds - (time.monotonic() - began)))


def _poll(app: Flask, table: Sequence[jobs.Job], due: Mapping[str, Event]) -> None:
    """Let jobs begin as soon as something is due for them; without this they would begin some seconds later."""
    question = jobs.are_due(table)
    with app.app_context():
        engine = db.engine
    while True:
        try:
            # one connection for good, outside of transactions: that takes a quarter of the time of a new one each
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                while True:
                    began = time.monotonic()
                    for name, is_due in connection.execute(question).mappings().one().items():
                        if is_due:
                            due[name].set()
                    gevent.sleep(jobs.pause(time.monotonic() - began))
        except Exception as error:  # noqa: BLE001 - whatever it is, the jobs begin all the same
            jobs.give_up(error, "what is due could not be asked for; jobs begin some seconds later")
            gevent.sleep(jobs.RETRY_SECONDS)


def _beat(app: Flask, runs: jobs.Runs) -> None:
    """Note that this process lives, and when its jobs last ended; no job holds it up."""

    def live() -> None:
        now = utcnow()
        put_all(Cursor, [{"name": HEARTBEAT, "value": now.isoformat(), "updated_at": now}], "name")

    while True:
        with app.app_context():
            runs.note(live)
        gevent.sleep(BEAT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
