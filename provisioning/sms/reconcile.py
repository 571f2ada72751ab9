"""Reads the message list of the gateway and processes what no webhook delivered."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import OperationalError

from provisioning.core import jobs
from provisioning.models import RECONCILER, Cursor, db, put_all
from provisioning.sms import gateway, inbound, message_prices
from provisioning.sms.gateway import InboundSms, ListedSms
from provisioning.sms.kept_events import Fact

log = structlog.get_logger(__name__)

OVERLAP = timedelta(minutes=10)  # messages may be listed late
FIRST_LOOK = timedelta(hours=24)


def reconcile(clock: Callable[[], datetime]) -> int:
    """List the gateway's messages since the last look and take what no webhook brought; give how many.

    Raises RowsFailed where some could not be taken; those are kept as unprocessed events.
    """
    sms_gateway = gateway.configured()
    if sms_gateway is None or not sms_gateway.capabilities.lists_messages:
        return 0  # there is no gateway to be asked
    began = clock()
    cursor = db.session.get(Cursor, RECONCILER)
    looked = datetime.fromisoformat(cursor.value) if cursor else None
    # a last look ahead of now, by a clock that was set wrong, says nothing
    since = looked - OVERLAP if looked and looked <= began else began - FIRST_LOOK
    db.session.commit()
    found = list(sms_gateway.messages(since))
    listed = [one.report if isinstance(one, ListedSms) else one for one in found]
    changed: list[int | None] = []
    failed: jobs.RowsFailed | None = None
    try:
        jobs.each(
            "reconcile",
            inbound.not_known(listed[::-1]),
            lambda one: changed.append(_take(one, clock)),
            named=lambda one: one.gateway_id,
        )
    except jobs.RowsFailed as error:
        failed = error
    message_prices.keep([one for one in found if isinstance(one, ListedSms)])
    put_all(Cursor, [{"name": RECONCILER, "value": began.isoformat(), "updated_at": began}], "name")
    db.session.commit()
    if count := sum(device_id is not None for device_id in changed):
        log.info("reconciled", events=count)
    if failed is not None:
        raise failed
    return count


def _take(fact: Fact, clock: Callable[[], datetime]) -> int | None:
    """Take what was listed, give the device it changed; what cannot be taken is kept, and its error raised."""
    try:
        if isinstance(fact, InboundSms):
            return inbound.receive(fact, clock(), via="reconciler")
        return inbound.report(fact, clock(), via="reconciler")
    except OperationalError:
        raise
    except Exception as error:
        db.session.rollback()
        inbound.keep_unprocessed(fact, error, clock())
        raise
