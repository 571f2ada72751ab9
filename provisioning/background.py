"""What follows from an event and joins rooms that do not know each other: link anew, wake the device's queue.

Also the table of the worker's periodic jobs (`table`), and those of them that join rooms: reconciling with the
gateway, adopting files. Called by webhooks and worker.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, select
from sqlalchemy.exc import OperationalError

from provisioning.check import runner
from provisioning.commands import submission
from provisioning.core import change_feed, jobs
from provisioning.core.config import Config, current_config
from provisioning.media import camera_sessions, previews, registration, retention
from provisioning.models import (
    RECONCILER,
    Cursor,
    Device,
    IdempotencyKey,
    Upload,
    UploadState,
    db,
    in_state,
    put_all,
)
from provisioning.sms import gateway, inbound, recovery
from provisioning.sms.inbound import Touched

log = structlog.get_logger(__name__)

OVERLAP = timedelta(minutes=10)  # messages may be listed late
FIRST_LOOK = timedelta(hours=24)
KEYS_KEPT = timedelta(hours=24)
_settling = threading.Lock()  # two at once would do the same files


def follow(touched: Touched, now: datetime) -> None:
    """Go on after an event: the device's SMS place may be free. If this is lost, the sweep drives what is due."""
    if touched.device_id is not None:
        submission.wake(touched.device_id)


def reconcile(clock: Callable[[], datetime]) -> int:
    """List the gateway's messages since the last look and take what no webhook told us; give how many.

    Raises RowsFailed where some could not be taken; those are kept as owed.
    """
    if not current_config().gateway_configured:
        return 0
    began = clock()
    cursor = db.session.get(Cursor, RECONCILER)
    looked = datetime.fromisoformat(cursor.value) if cursor else None
    # a last look ahead of now, by a clock that was set wrong, says nothing
    since = looked - OVERLAP if looked and looked <= began else began - FIRST_LOOK
    db.session.commit()
    listed = [_listed(message) for message in gateway.gateway().messages(since)]
    taken: list[inbound.Touched] = []
    failed: jobs.RowsFailed | None = None
    try:
        jobs.each(
            "reconcile",
            inbound.not_known(listed[::-1]),
            lambda one: taken.append(_take(one, clock)),
            named=lambda one: one.params.get("MessageSid"),
        )
    except jobs.RowsFailed as error:
        failed = error
    put_all(Cursor, [{"name": RECONCILER, "value": began.isoformat(), "updated_at": began}], "name")
    db.session.commit()
    if count := sum(touched.device_id is not None for touched in taken):
        log.info("reconciled", events=count)
    if failed is not None:
        raise failed
    return count


def _take(one: inbound.Listed, clock: Callable[[], datetime]) -> inbound.Touched:
    """Take one listed message; what cannot be taken is kept as owed, and its error raised."""
    try:
        if one.is_text:
            touched = inbound.receive(one.params, clock(), via="reconciler", at=one.at)
        else:
            touched = inbound.report(one.params, clock(), via="reconciler")
    except OperationalError:
        raise
    except Exception as error:
        db.session.rollback()
        inbound.owe(one, error, clock())
        raise
    follow(touched, clock())
    return touched


def _listed(message: gateway.Seen) -> inbound.Listed:
    if message.inbound:
        params = {
            "MessageSid": message.sid,
            "From": message.sender,
            "To": message.recipient,
            "Body": message.body,
        }
    else:
        params = {"MessageSid": message.sid, "MessageStatus": message.status}
        if message.error_code:
            params["ErrorCode"] = message.error_code
    return inbound.Listed(message.inbound, params, message.created_at)


def settle(clock: Callable[[], datetime]) -> dict[int, Exception]:
    """Do what follows from new files, until there are none; give the devices whose files could not be settled."""
    failed: dict[int, Exception] = {}
    with _settling:
        while registration.settle(clock(), failed):
            pass
    return failed


def _settle(clock: Callable[[], datetime]) -> None:
    if failed := settle(clock):
        raise jobs.RowsFailed(list(failed.values()))


def _retry_events(clock: Callable[[], datetime]) -> None:
    jobs.each(
        "owed_events",
        inbound.owed_events(clock()),
        lambda ident: follow(inbound.retry_event(ident, clock()), clock()),
    )


def _adopt(clock: Callable[[], datetime]) -> None:
    """Adopt quarantined files of devices that were added meanwhile, wherever that was interrupted."""
    waiting = db.session.scalars(
        select(Device.id)
        .join(Upload, Upload.imei == Device.imei)
        .where(in_state(UploadState.QUARANTINED), Device.archived_at.is_(None))
        .distinct()
    ).all()
    db.session.commit()

    def adopt(device_id: int) -> None:
        registration.adopt(db.session.get_one(Device, device_id), clock())
        db.session.commit()

    jobs.each("adopt", waiting, adopt)


def _forget_sessions(clock: Callable[[], datetime]) -> None:
    camera_sessions.close_left(clock())
    camera_sessions.forget(clock(), current_config().session_days)
    registration.forget_networks(clock(), current_config().session_days)


def _forget_keys(clock: Callable[[], datetime]) -> None:
    db.session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < clock() - KEYS_KEPT))
    db.session.commit()


SWEEP_SECONDS = 3.0
RETENTION_SECONDS = 3600.0
SWEEPS = (
    jobs.Job("owed_events", SWEEP_SECONDS, _retry_events),
    *recovery.JOBS,
    jobs.Job("adopt", SWEEP_SECONDS, _adopt),
    jobs.Job("checklists", SWEEP_SECONDS, lambda clock: runner.sweep(clock())),
    jobs.Job("changes", SWEEP_SECONDS, lambda clock: change_feed.sweep(clock())),
    jobs.Job("sessions", SWEEP_SECONDS, _forget_sessions),
    jobs.Job("idempotency_keys", SWEEP_SECONDS, _forget_keys),
)


def table(config: Config) -> tuple[jobs.Job, ...]:
    """Give all periodic work of the worker. Each job runs by itself: one that fails or hangs holds up no other."""
    return (
        *SWEEPS,
        jobs.Job("settle", SWEEP_SECONDS, _settle),
        jobs.Job("copies", SWEEP_SECONDS, previews.sweep),
        jobs.Job("reconcile", float(config.reconcile_interval), reconcile),
        jobs.Job("working_folders", RETENTION_SECONDS, previews.remove_left),
        jobs.Job("retention", RETENTION_SECONDS, retention.sweep),
    )


def sweep(clock: Callable[[], datetime]) -> None:
    """Do once what is owed every few seconds: each job by itself, as the worker does."""
    for job in SWEEPS:
        jobs.run(job, clock)
