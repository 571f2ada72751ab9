"""The table of the worker's jobs. Each runs by itself, every few seconds: one that fails holds up no other.

What must begin at once names the rows that are due for it, which the worker looks for many times a second.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import delete

from provisioning.check import continuation
from provisioning.core import change_feed, jobs
from provisioning.core.config import Config, current_config
from provisioning.devices import health_store
from provisioning.media import (
    camera_sessions,
    device_networks,
    event_service,
    previews,
    retention,
    settlement,
    storage_use,
)
from provisioning.models import IdempotencyKey, db
from provisioning.sms import due_commands, inbound, reconcile, recovery
from provisioning.sms.senders import Senders

KEYS_KEPT = timedelta(hours=24)


def _retry_events(clock: Callable[[], datetime]) -> None:
    jobs.each(
        "unprocessed_events",
        inbound.unprocessed_events(clock()),
        lambda ident: inbound.retry_event(ident, clock()),
    )


def _forget_sessions(clock: Callable[[], datetime]) -> None:
    camera_sessions.close_left(clock())
    camera_sessions.forget(clock(), current_config().session_days)
    device_networks.forget_networks(clock(), current_config().session_days)


def _forget_keys(clock: Callable[[], datetime]) -> None:
    db.session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < clock() - KEYS_KEPT))
    db.session.commit()


SWEEP_SECONDS = 3.0
HEALTH_SECONDS = 1.0  # people look at a list that is so old at most
RETENTION_SECONDS = 3600.0
SWEEPS = (
    jobs.Job("unprocessed_events", SWEEP_SECONDS, _retry_events),
    *recovery.JOBS,
    jobs.Job("adopt", SWEEP_SECONDS, settlement.adopt_waiting),
    jobs.Job("copies", SWEEP_SECONDS, previews.give_up),
    jobs.Job("health", HEALTH_SECONDS, health_store.decide_due),
    jobs.Job("checklists", SWEEP_SECONDS, lambda clock: continuation.continue_runs(clock())),
    jobs.Job("changes", SWEEP_SECONDS, lambda clock: change_feed.sweep(clock())),
    jobs.Job("sessions", SWEEP_SECONDS, _forget_sessions),
    jobs.Job("idempotency_keys", SWEEP_SECONDS, _forget_keys),
)


def table(config: Config) -> tuple[jobs.Job, ...]:
    """Give all jobs of the worker. Each runs by itself: one that fails or hangs holds up no other."""
    settle_all = partial(settlement.settle_all, resting=jobs.Resting())
    senders = Senders()
    return (
        jobs.Job("commands", SWEEP_SECONDS, senders.send_due, due_commands.DUE, senders.finish),
        jobs.Job("settle", SWEEP_SECONDS, settle_all, settlement.DUE),
        jobs.Job("photos", SWEEP_SECONDS, previews.make_photos, previews.DUE["photo"], previews.give_back),
        jobs.Job("videos", SWEEP_SECONDS, previews.make_videos, previews.DUE["video"], previews.give_back),
        *SWEEPS,
        jobs.Job("events", SWEEP_SECONDS, event_service.remake_job),
        jobs.Job("reconcile", float(config.reconcile_interval), reconcile.reconcile),
        jobs.Job("working_folders", RETENTION_SECONDS, previews.remove_left),
        jobs.Job("retention", RETENTION_SECONDS, retention.sweep),
        jobs.Job("storage", 60.0 * storage_use.COUNT_MINUTES, storage_use.count),
    )


def sweep(clock: Callable[[], datetime]) -> dict[str, jobs.RunResult]:
    """Do once what is owed every few seconds, each job by itself, as the worker does; say how each went."""
    return {job.name: jobs.run(job, clock) for job in SWEEPS}
