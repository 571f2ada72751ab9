"""Reads the message list of the gateway and takes what no webhook brought."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import OperationalError

from provisioning.core import jobs
from provisioning.core.config import current_config
from provisioning.models import RECONCILER, Cursor, db, put_all
from provisioning.sms import gateway, inbound

log = structlog.get_logger(__name__)

OVERLAP = timedelta(minutes=10)  # messages may be listed late
FIRST_LOOK = timedelta(hours=24)


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
    inbound.follow(touched, clock())
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
