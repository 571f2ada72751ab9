"""The table of the periodic jobs of the worker. Each job runs by itself: one that fails holds up no other."""

from collections.abc import Callable
from datetime import datetime, timedelta

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
)
from provisioning.models import IdempotencyKey, db
from provisioning.sms import inbound, reconcile, recovery

KEYS_KEPT = timedelta(hours=24)


def _retry_events(clock: Callable[[], datetime]) -> None:
    jobs.each(
        "owed_events",
        inbound.owed_events(clock()),
        lambda ident: inbound.follow(inbound.retry_event(ident, clock()), clock()),
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
    jobs.Job("owed_events", SWEEP_SECONDS, _retry_events),
    *recovery.JOBS,
    jobs.Job("adopt", SWEEP_SECONDS, settlement.adopt_waiting),
    jobs.Job("health", HEALTH_SECONDS, health_store.decide_due),
    jobs.Job("checklists", SWEEP_SECONDS, lambda clock: continuation.continue_runs(clock())),
    jobs.Job("changes", SWEEP_SECONDS, lambda clock: change_feed.sweep(clock())),
    jobs.Job("sessions", SWEEP_SECONDS, _forget_sessions),
    jobs.Job("idempotency_keys", SWEEP_SECONDS, _forget_keys),
)


def table(config: Config) -> tuple[jobs.Job, ...]:
    """Give all periodic work of the worker. Each job runs by itself: one that fails or hangs holds up no other."""
    return (
        *SWEEPS,
        jobs.Job("settle", SWEEP_SECONDS, settlement.settle_job),
        jobs.Job("events", SWEEP_SECONDS, event_service.remake_job),
        jobs.Job("copies", SWEEP_SECONDS, previews.sweep),
        jobs.Job("reconcile", float(config.reconcile_interval), reconcile.reconcile),
        jobs.Job("working_folders", RETENTION_SECONDS, previews.remove_left),
        jobs.Job("retention", RETENTION_SECONDS, retention.sweep),
    )


def sweep(clock: Callable[[], datetime]) -> None:
    """Do once what is owed every few seconds: each job by itself, as the worker does."""
    for job in SWEEPS:
        jobs.run(job, clock)
