"""What follows from an event and joins rooms that do not know each other: link anew, wake the device's queue.

Also the periodic work of the worker: reconciling with the gateway, and sweeping. Called by webhooks and worker.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, select

from . import checklist, connections, events, gateway, inbox, leftovers, lifecycle, links, outbox, uploads
from .config import current_config
from .inbox import Touched
from .models import RECONCILER, Cursor, Device, IdempotencyKey, Upload, UploadState, db, in_state

log = structlog.get_logger(__name__)

OVERLAP = timedelta(minutes=10)  # messages may be listed late
FIRST_LOOK = timedelta(hours=24)
KEYS_KEPT = timedelta(hours=24)


def follow(touched: Touched, now: datetime) -> None:
    """Go on after an event: files may belong to another request now, and the device's SMS place may be free."""
    if touched.device_id is None:
        return
    if touched.relink:
        links.relink(lifecycle.lock_device(touched.device_id), now)
        db.session.commit()
    outbox.wake(touched.device_id)


def reconcile(clock: Callable[[], datetime]) -> int:
    """List the gateway's messages since the last look and take what no webhook told us; give how many."""
    if not current_config().gateway_configured:
        return 0
    began = clock()
    cursor = db.session.get(Cursor, RECONCILER)
    looked = datetime.fromisoformat(cursor.value) if cursor else None
    # a last look ahead of now, by a clock that was set wrong, says nothing
    since = looked - OVERLAP if looked and looked <= began else began - FIRST_LOOK
    db.session.commit()
    listed = [_listed(message) for message in gateway.gateway().messages(since)]
    taken = 0
    for one in inbox.not_known(listed[::-1]):
        if one.is_text:
            touched = inbox.receive(one.params, clock(), via="reconciler", at=one.at)
        else:
            touched = inbox.report(one.params, clock(), via="reconciler")
        taken += touched.device_id is not None
        follow(touched, clock())
    if cursor is None:
        db.session.add(Cursor(name=RECONCILER, value=began.isoformat(), updated_at=began))
    else:
        db.session.get_one(Cursor, RECONCILER).value = began.isoformat()
    db.session.commit()
    return taken


def _listed(message: gateway.Seen) -> inbox.Listed:
    if message.inbound:
        params = {
            "MessageSid": message.sid, "From": message.sender, "To": message.recipient, "Body": message.body,
        }  # fmt: skip
    else:
        params = {"MessageSid": message.sid, "MessageStatus": message.status}
        if message.error_code:
            params["ErrorCode"] = message.error_code
    return inbox.Listed(message.inbound, params, message.created_at)


def settle(clock: Callable[[], datetime]) -> None:
    """Do what follows from new files, until there are none."""
    passed_over: set[int] = set()
    while uploads.settle(clock(), passed_over):
        pass


def sweep(clock: Callable[[], datetime]) -> None:
    """Drive what is owed: events, commands, adoptions; and remove what nobody needs any more."""
    for touched in inbox.retry_events(clock()):
        follow(touched, clock())
    leftovers.sweep(clock)
    _adopt(clock())
    checklist.sweep(clock())
    events.sweep(clock())
    connections.close_left(clock())
    connections.forget(clock(), current_config().session_days)
    db.session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < clock() - KEYS_KEPT))
    db.session.commit()


def _adopt(now: datetime) -> None:
    """Adopt quarantined files of devices that were added meanwhile, wherever that was interrupted."""
    waiting = db.session.scalars(
        select(Device)
        .join(Upload, Upload.imei == Device.imei)
        .where(in_state(UploadState.QUARANTINED), Device.archived_at.is_(None))
        .distinct()
    ).all()
    for device in waiting:
        uploads.adopt(device, now)
    db.session.commit()
