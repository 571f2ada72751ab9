"""Processes new files: status of the device and links; adopts quarantined files of new devices.

The worker calls it. The receiver only registers files (`registration`).
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import OperationalError

from provisioning.core import jobs
from provisioning.core.config import current_config
from provisioning.devices import camera_server, status_table
from provisioning.media import bulk_links, camera_clock, event_service, link_service, registration, storage
from provisioning.media.bulk_links import Unlinked
from provisioning.media.link_rules import SERVER_REQUEST
from provisioning.models import Device, Upload, UploadState, changes, db, in_state, locks, visibility
from provisioning.phrase import Phrase
from receiver.store.keys import adopted
from receiver.store.media_store import MediaError

log = structlog.get_logger(__name__)

SETTLED_AT_ONCE = 500  # files in one round
# built once: it runs many times a second
DUE = (
    select(
        Upload.id,
        Upload.device_id,
        Upload.imei,
        Upload.identifier,
        Upload.announced,
        Upload.timestamp,
        Upload.started_at,
        Upload.received_at,
        Upload.file_type,
        Upload.source,
        Upload.size,
        Upload.trigger,
        Upload.has_metadata,
        Upload.link_fixed,
    )
    .where(
        Upload.settle_due,
        Upload.device_id.is_not(None),
        Upload.device_id.not_in(bindparam("but", (), expanding=True)),
    )
    .order_by(Upload.id)
    .limit(bindparam("most", SETTLED_AT_ONCE))
)


def settle(now: datetime, failed: dict[int, Exception], but: Collection[int] = ()) -> int:
    """Do what follows from new files, the oldest first: status and links; give how many there were.

    Devices in `but` are left out. One whose files cannot be settled, by a mistake of ours, is named in the log and
    added to `failed`: it holds no other up.
    """
    waiting = db.session.execute(DUE, {"but": [*failed, *but], "most": SETTLED_AT_ONCE}).all()
    if not waiting:
        db.session.rollback()
        return 0
    unasked = bulk_links.decide_unasked(waiting)
    _settle_at_once(waiting, unasked, now)
    fresh: dict[int, list[str]] = defaultdict(list)
    for row in waiting:
        if row.id not in unasked:
            fresh[row.device_id].append(row.id)
    for device_id, idents in fresh.items():
        try:
            _settle_device(locks.lock_device(device_id), idents, now)
        except OperationalError:
            raise  # the database is away, or chose this work to end a deadlock: all is done again
        except Exception as error:
            log.exception("work failed: what follows from new files", device=device_id)
            db.session.rollback()
            failed[device_id] = error
    return len(waiting)


def _settle_at_once(waiting: Sequence[Any], unasked: Mapping[str, Unlinked], now: datetime) -> None:
    """Update the status of all devices, and settle the files that no request has made: by id with the decision.

    Some statements for any number of files.
    """
    _note_last(waiting, now)
    # locked in their order, as reports do: two that want the same rows do not wait for each other crosswise
    held = db.session.scalars(
        select(Upload.id)
        .where(Upload.id.in_(unasked), Upload.settle_due, Upload.link_fixed.is_(False))
        .order_by(Upload.id)
        .with_for_update(skip_locked=True)
    ).all()
    by_decision: dict[Unlinked, list[str]] = defaultdict(list)
    for ident in held:
        by_decision[unasked[ident]].append(ident)
    for decision, idents in by_decision.items():
        values = {
            "settle_due": False,
            "event_due": True,
            "link_reason": decision.reason,
            "link_certainty": None,
            "linked_at": now,
        }
        if decision.basis is not None:
            values["link_basis"] = json.loads(decision.basis)
        db.session.execute(update(Upload).where(Upload.id.in_(idents)).values(values))
    _supersede([row for row in waiting if row.id in unasked])
    changes.publish_all({row.device_id for row in waiting if row.id in unasked}, "uploads")
    db.session.commit()


def _note_last(uploads: Sequence[Any], now: datetime) -> None:
    """Set the status item of each device's newest file, as of when it came."""
    by_time = sorted(uploads, key=lambda upload: upload.received_at or now)
    facts = {row.device_id: (_named(row), row.id, row.received_at or now) for row in by_time}
    status_table.note_all(status_table.LAST_FILE, "upload", facts, now)
    _note_cameras(by_time, now)
    # no request named a server for these: the device's own setting brought them here
    address = camera_server.own_address(current_config())
    unasked = {
        row.device_id: (address, row.id, row.received_at or now)
        for row in by_time
        if row.has_metadata and row.trigger not in (None, SERVER_REQUEST)
    }
    if unasked:
        status_table.note_all(status_table.SERVER_PROVED, "upload", unasked, now)


def _note_cameras(by_time: Sequence[Any], now: datetime) -> None:
    """Set the status items of each camera's newest file and newest video: they prove the camera and its card."""
    by_item: dict[str, dict[int, tuple[str, str, datetime]]] = defaultdict(dict)
    for row in by_time:
        items = [
            f"camera.{row.source}.file",
            *([f"camera.{row.source}.video"] if row.file_type == "video" else []),
        ]
        for item in items:
            by_item[item][row.device_id] = (_named(row), row.id, row.received_at or now)
    for item, facts in sorted(by_item.items()):
        status_table.note_all(item, "upload", facts, now)


def _named(upload: Any) -> str:
    """Give the value of a status item that names a file."""
    named = {"source": upload.source, "file_type": upload.file_type, "bytes": upload.size}
    return Phrase("file", named).as_text()


def _settle_device(device: Device, idents: Sequence[str], now: datetime) -> None:
    """Link a device's new files, which a request may have made."""
    fresh = db.session.scalars(
        select(Upload).where(Upload.id.in_(idents), Upload.settle_due).order_by(Upload.id)
    ).all()
    if not fresh:  # another worker was here
        db.session.commit()
        return
    for upload in fresh:
        upload.settle_due, upload.event_due = False, True
        link_service.tie_record(upload)
    _supersede(fresh)
    link_service.relink(device, now)
    _note_clock(device, fresh, now)
    _believe_arrival(fresh)
    changes.publish(device.id, "uploads")
    db.session.commit()


def _note_clock(device: Device, fresh: Sequence[Upload], now: datetime) -> None:
    """Set how far the camera's clock is off, by the photos that a request has made, linked to it or not."""
    for upload in fresh:
        request = camera_clock.request_of(upload) if upload.file_type == "photo" else None
        if request is None:
            continue
        off = camera_clock.seconds_off(request, upload)
        if off is not None:
            camera_clock.note(device, off, upload.id, upload.received_at or now)
            if camera_clock.is_wrong(off):
                upload.recorded_at = upload.started_at


def _believe_arrival(fresh: Sequence[Upload]) -> None:
    """Take when it came for when it was recorded, of a photo whose own time is before the request that asked for it."""
    for upload in fresh:
        if upload.link_reason is not None and upload.link_reason.code == "captured_before":
            upload.recorded_at = upload.started_at


def _supersede(whole: Sequence[Any]) -> None:
    """Remove what other sessions had of files that are whole now."""
    same = {_offered(upload) for upload in whole if upload.timestamp is not None}
    coming = db.session.execute(
        select(Upload.id, Upload.imei, Upload.identifier, Upload.announced, Upload.timestamp).where(
            Upload.imei.in_({imei for imei, *_ in same}), registration.IS_COMING
        )
    )
    if idents := [row.id for row in coming if _offered(row) in same]:
        registration.forget_coming(idents)


def _offered(upload: Any) -> tuple[Any, ...]:
    return (upload.imei, upload.identifier, upload.announced, upload.timestamp)


@visibility.whole_fleet()
def adopt(device: Device, now: datetime) -> int:
    """Take the quarantined files of a newly added device among the ordinary ones; give how many."""
    waiting = db.session.execute(
        select(Upload.id, Upload.path).where(Upload.imei == device.imei, in_state(UploadState.QUARANTINED))
    ).all()
    db.session.rollback()
    moved: dict[str, str] = {}
    for row in waiting:
        if row.path and row.path.startswith("quarantine/"):
            moved[row.id] = adopted(device.imei, row.path)
            storage.media().move(row.path, moved[row.id])
            storage.media().move(f"{row.path}.json", f"{moved[row.id]}.json")
    device = locks.lock_device(device.id)
    for ident, path in moved.items():
        found = db.session.get_one(Upload, ident)
        found.path, found.state, found.device_id, found.settle_due = path, UploadState.STORED, device.id, True
    if moved:
        _note_last([db.session.get_one(Upload, ident) for ident in moved], now)
    _settle_device(device, list(moved), now)
    return len(moved)


def adopt_if_possible(device: Device, now: datetime) -> None:
    """Adopt the quarantined files of a newly added device; where the store is away, the worker does it later."""
    try:
        adopt(device, now)
    except MediaError as error:
        db.session.rollback()
        log.warning("quarantined files are adopted later", device=device.id, reason=str(error))


def settle_all(clock: Callable[[], datetime], resting: jobs.Resting[int] | None = None) -> None:
    """Do what follows from new files, until there are none; the worker polls with it.

    `resting`: devices that failed a moment ago. Raises RowsFailed where the files of some devices cannot be settled.
    """
    resting = resting or jobs.Resting()
    failed: dict[int, Exception] = {}
    left_out = resting.rows()
    while settle(clock(), failed, left_out):
        pass
    event_service.remake_all(clock)
    for device_id in failed:
        resting.add(device_id)
    if failed:
        raise jobs.RowsFailed(list(failed.values()))


def adopt_waiting(clock: Callable[[], datetime]) -> None:
    """Adopt quarantined files of devices that were added meanwhile, wherever that was interrupted."""
    waiting = db.session.scalars(
        select(Device.id)
        .join(Upload, Upload.imei == Device.imei)
        .where(in_state(UploadState.QUARANTINED), Device.archived_at.is_(None))
        .distinct()
    ).all()
    db.session.commit()

    def adopt_one(device_id: int) -> None:
        adopt(db.session.get_one(Device, device_id), clock())
        db.session.commit()

    jobs.each("adopt", waiting, adopt_one)
