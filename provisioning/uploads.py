"""Files as the receiver reports them: rows from sidecars, sessions, admission, adoption, and the way to the bytes.

The receiver's `__main__` calls it, one short unit of work each, in bulk; every function may be repeated
harmlessly. What follows from a new file (its link, the device's status) is the worker's: `background.settle`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from flask import current_app
from sqlalchemy import Connection, bindparam, delete, func, select, update
from sqlalchemy.exc import OperationalError

from receiver.addresses import origin
from receiver.exchange import place
from receiver.media import Media, MediaError, connect, is_away
from receiver.product import Refused
from receiver.session import Offer
from receiver.sidecars import Record, StoredFile
from receiver.storage import Caps, Store
from receiver.transfer import adopted, quarantined

from . import events, lifecycle, links, outbox, queue, statuses
from .config import Config, current_config
from .linking import SERVER_REQUEST
from .models import (
    Device,
    DeviceNetwork,
    Upload,
    UploadState,
    Watch,
    db,
    first_id,
    in_state,
    put_all,
    take_write_lock,
    utcnow,
)

log = structlog.get_logger(__name__)

MEBI = 2**20
NEW_NETWORK_FOR = timedelta(days=1)  # how long files say that their network is another one than before
SETTLED_AT_ONCE = 500  # files in one round
COMING = (UploadState.RECEIVING, UploadState.PARTIAL)
IS_COMING = in_state(*COMING)
# for a file whose copies are to be made anew
COPIES_DUE = {"thumbnail_state": None, "video_state": None, "derived_error": None, "derive_attempts": 0}
OFFERED = ("imei", "identifier", "file_type", "source", "announced", "started_at")  # never change


def store(config: Config | None = None) -> Store:
    """Give this machine's spool with the media store behind it."""
    config = config or current_config()
    caps = Caps(
        files_per_device=config.quarantine_files_per_device,
        bytes_per_device=config.quarantine_mib_per_device * MEBI,
        bytes_in_all=config.quarantine_mib * MEBI,
        quarantine_days=config.quarantine_days,
        partial_days=config.receiver_partial_days,
        hours_without_metadata=config.receiver_resume_hours_without_metadata,
    )
    return Store(config.media_spool, connect(config.media_url), caps)


def media() -> Media:
    """Give the media store, connected once in each process. Raises MediaError where it cannot be used."""
    found: Media | None = current_app.extensions.get("dualcam_media")
    if found is None:
        found = current_app.extensions["dualcam_media"] = connect(current_config().media_url)
    return found


# made once: building a statement costs more than executing it
_KNOWN = select(Device.imei).where(
    Device.imei.in_(bindparam("imeis", expanding=True)), Device.archived_at.is_(None)
)
_RECALL = select(
    Upload.id, Upload.imei, Upload.identifier, Upload.announced, Upload.timestamp, Upload.path, Upload.size
).where(
    Upload.imei.in_(bindparam("imeis", expanding=True)), Upload.timestamp.in_(bindparam("times", expanding=True)),
    Upload.state.in_((UploadState.STORED, UploadState.QUARANTINED)), Upload.path.is_not(None),
)  # fmt: skip


def known(connection: Connection, imeis: Sequence[str]) -> list[bool]:
    """Say for each IMEI whether a live device has it: one statement."""
    found = set(connection.execute(_KNOWN, {"imeis": list(set(imeis))}).scalars())
    return [imei in found for imei in imeis]


def recall(connection: Connection, offers: Sequence[tuple[str, Offer]]) -> list[StoredFile | None]:
    """Give for each offer of a device the stored file with its identifier, count and time, if there is one.

    One statement.
    """
    wanted = {(imei, _moment(offer.metadata.timestamp)) for imei, offer in offers if offer.metadata}
    rows = connection.execute(
        _RECALL, {"imeis": [imei for imei, _ in wanted], "times": [stamp for _, stamp in wanted]}
    )
    found = {(row.imei, row.identifier, row.announced, row.timestamp): row for row in rows}
    return [_recalled(found, imei, offer) for imei, offer in offers]


def sent_today(imei: str, now: datetime) -> tuple[int, int]:
    """Give how many files, and bytes of them, came of a device since midnight (UTC); those under way count too."""
    since = first_id(now.replace(hour=0, minute=0, second=0, microsecond=0))
    files, size = db.session.execute(
        select(func.count(), func.coalesce(func.sum(Upload.size), 0)).where(
            Upload.imei == imei, Upload.id >= since
        )
    ).one()
    return int(files), int(size)


def _recalled(found: Mapping[tuple[Any, ...], Any], imei: str, offer: Offer) -> StoredFile | None:
    if offer.metadata is None:
        return None
    row = found.get((imei, offer.identifier, offer.count, _moment(offer.metadata.timestamp)))
    return StoredFile(row.id, row.path, row.size) if row is not None else None


def register(records: Sequence[Record], now: datetime) -> list[Record]:
    """Take stored files into the database, each once. Gives their records, with the paths they have now.

    Some statements for any number of files, and a row each. Raises Refused where one of them cannot be moved.
    """
    devices = _devices(record["imei"] for record in records)
    db.session.rollback()
    records = [_in_its_place(record, known=record["imei"] in devices) for record in records]
    take_write_lock(db.session.connection())
    states = _states(record["upload"] for record in records)
    stored = _stored_like(records)
    rows, touched = [], set()
    doubles: list[str] = []  # paths of files whose content is stored under another one
    for record in records:
        device_id, known = devices.get(record["imei"]), states.get(record["upload"])
        is_new = known != UploadState.STORED
        row = _row(record, device_id) | {
            "state": UploadState.QUARANTINED if device_id is None else UploadState.STORED,
            "received_at": _time(record["received_at"]) or now, "updated_at": now,
        }  # fmt: skip
        same = _sameness(record)
        before = stored.get(same) if same else None
        if before and before["upload"] != record["upload"]:
            if before["path"] == record["path"]:
                continue  # it was registered already, in the row of the lost file before it
            if known in COMING:
                db.session.execute(delete(Upload).where(Upload.id == record["upload"]))
            if place(media(), before["imei"], before["path"], before["size"]):
                doubles.append(record["path"])
                continue
            # the bytes of that row are lost: it tells of these from now on
            is_new = before["state"] == UploadState.QUARANTINED
            row |= {"id": before["upload"]} | COPIES_DUE
        if device_id is not None and is_new:
            row["settle_due"] = True
        rows.append(row)
        if same:
            stored[same] = record | {"upload": row["id"]}
        touched.add(device_id)
    _judge_networks(rows)
    put_all(Upload, rows, "id", once=OFFERED)
    events.publish_all(touched, "uploads")
    db.session.commit()
    # after the commit: a record that is told again, because the database refused another one, still has its bytes
    media().delete(*doubles)
    queue.wake(queue.FILES, "stored")
    return records


def _judge_networks(rows: Sequence[dict[str, Any]]) -> None:
    """Say of each file whether it came from another network than its device's files before; remember the networks.

    A network is another one for NEW_NETWORK_FOR after its first file: a stranger may send more than one.
    """
    told = [row for row in rows if row.get("device_id") is not None and row["address"]]
    if not told:
        return
    ids = {row["device_id"] for row in told}
    seen: dict[int, dict[str, datetime]] = defaultdict(dict)
    for one in db.session.scalars(select(DeviceNetwork).where(DeviceNetwork.device_id.in_(ids))):
        seen[one.device_id][one.network] = one.first_at
    last: dict[tuple[int, str], datetime] = {}
    for row in sorted(told, key=lambda row: row["received_at"]):
        own, network, at = seen[row["device_id"]], origin(row["address"]), row["received_at"]
        first = own.setdefault(network, at)
        is_new = at - first < NEW_NETWORK_FOR
        row["other_network"] = is_new and any(
            before < first for name, before in own.items() if name != network
        )
        last[row["device_id"], network] = at
    put_all(
        DeviceNetwork,
        [
            {"device_id": device_id, "network": network, "first_at": seen[device_id][network], "last_at": at}
            for (device_id, network), at in last.items()
        ],
        "device_id, network",
        once=("first_at",),
    )


def forget_networks(now: datetime, days: int) -> None:
    """Forget the networks that no file of a device came from for so many days: then they are new again."""
    old = DeviceNetwork.last_at < now - timedelta(days=days)
    db.session.execute(delete(DeviceNetwork).where(old).execution_options(synchronize_session=False))
    db.session.commit()


def _devices(imeis: Iterable[str]) -> dict[str, int]:
    found = db.session.execute(
        select(Device.imei, Device.id).where(Device.imei.in_(set(imeis)), Device.archived_at.is_(None))
    )
    return {row.imei: row.id for row in found}


def _states(idents: Iterable[str]) -> dict[str, str]:
    found = db.session.execute(select(Upload.id, Upload.state).where(Upload.id.in_(set(idents))))
    return {row.id: row.state for row in found}


def _by_ids(idents: Iterable[str]) -> Sequence[Upload]:
    return db.session.scalars(select(Upload).where(Upload.id.in_(set(idents)))).all()


def _in_its_place(record: Record, *, known: bool) -> Record:
    """Move a file among the ordinary ones or into quarantine: its device was added or deleted since it was offered."""
    imei, path = record["imei"], adopted(record["imei"], record["path"])
    path = path if known else quarantined(imei, path)
    if path == record["path"]:
        return record
    try:
        media().move(record["path"], path)
    except MediaError as error:
        if is_away(media(), error):
            raise
        raise Refused(str(error)) from error  # it is this file's own: it holds up no other
    return record | {"admission": "known" if known else "quarantine", "path": path}


def _sameness(record: Record) -> tuple[Any, ...] | None:
    """Give by what a file is known that two receivers took at once; None where nothing proves it."""
    timestamp = (record["metadata"] or {}).get("timestamp")
    return (record["imei"], record["identifier"], timestamp, record["sha256"]) if timestamp else None


def _stored_like(records: Sequence[Record]) -> dict[tuple[Any, ...], Record]:
    """Give the stored files whose content one of these records has, by `_sameness`."""
    rows = db.session.execute(
        select(
            Upload.id, Upload.imei, Upload.identifier, Upload.timestamp, Upload.sha256, Upload.path, Upload.size,
            Upload.state,
        ).where(
            Upload.imei.in_({record["imei"] for record in records}),
            Upload.timestamp.in_({_moment((record["metadata"] or {}).get("timestamp")) for record in records}),
            Upload.sha256.in_({record["sha256"] for record in records}),
            Upload.state.in_((UploadState.STORED, UploadState.QUARANTINED)), Upload.path.is_not(None),
        )
    )  # fmt: skip
    return {
        (row.imei, row.identifier, round(row.timestamp.timestamp() * 1000), row.sha256): {
            "upload": row.id, "imei": row.imei, "path": row.path, "size": row.size, "state": row.state,
        }
        for row in rows
        if row.timestamp
    }  # fmt: skip


def progress(records: Sequence[Record], now: datetime) -> None:
    """Take how far files have come: three statements for any number of files, and a row each."""
    devices = _devices(record["imei"] for record in records)
    rows = [
        _row(record, devices.get(record["imei"])) | {"state": record["state"], "updated_at": now}
        for record in records
    ]
    put_all(Upload, rows, "id", once=OFFERED, where=IS_COMING)
    events.publish_all({devices.get(record["imei"]) for record in records}, "uploads")
    db.session.commit()


def expired(idents: Sequence[str], now: datetime) -> None:
    """Take that files were given up: partial ones stay visible as damaged, quarantined ones go."""
    for upload in _by_ids(idents):
        if upload.state == UploadState.QUARANTINED:
            db.session.delete(upload)
        elif upload.state in COMING:
            upload.state, upload.updated_at = UploadState.DAMAGED, now
        events.publish(upload.device_id, "uploads")
    db.session.commit()


def _row(record: Record, device_id: int | None) -> dict[str, Any]:
    """Give the columns that a record fills; without a device or metadata, none that would take these away."""
    row = {
        "id": record["upload"], "imei": record["imei"], "identifier": record["identifier"],
        "file_type": record["file_type"], "source": record["source"], "announced": record["count"],
        "started_at": _time(record["started_at"]) or utcnow(), "session_id": record["session"],
        "packets": record["packets"], "received_packets": record["received_packets"], "size": record["size"],
        "sha256": record["sha256"], "path": record["path"] if record["state"] == "stored" else None,
        "crc_errors": record.get("crc_errors", 0), "resumes": record.get("resumes", 0),
        "has_metadata": record.get("metadata") is not None, "address": record.get("address"),
    }  # fmt: skip
    if device_id is not None:
        row["device_id"] = device_id
    return row | _metadata(record.get("metadata"), record["file_type"])


def _metadata(metadata: Mapping[str, Any] | None, file_type: str) -> dict[str, Any]:
    if metadata is None:
        return {}
    position = (metadata.get("latitude"), metadata.get("longitude"))
    is_place = all(value is not None and abs(value) <= 180 for value in position)
    row = {
        "trigger": metadata["trigger"], "timestamp": _moment(metadata["timestamp"]),
        "trigger_timestamp": _moment(metadata.get("trigger_timestamp")),
        "duration": metadata["duration"] if file_type == "video" else None,
        "frame_rate": metadata.get("frame_rate") or None,
        "camera_time_zone": metadata.get("time_zone"),
        "latitude": position[0] if is_place else None, "longitude": position[1] if is_place else None,
    }  # fmt: skip
    return row if metadata.get("details") is None else row | {"details": metadata["details"]}


def _moment(milliseconds: int | None) -> datetime | None:
    """Give a camera's time; what no calendar holds is None."""
    if not milliseconds:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def settle(now: datetime, passed_over: dict[int, Exception]) -> int:
    """Do what follows from new files, the oldest first: status, links, copies; give how many there were.

    A device whose files cannot be settled, by a mistake of ours, is named in the log and added to `passed_over`:
    it holds no other up.
    """
    waiting = db.session.execute(
        select(*_SETTLED_BY)
        .where(Upload.settle_due, Upload.device_id.is_not(None), Upload.device_id.not_in(passed_over))
        .order_by(Upload.id)
        .limit(SETTLED_AT_ONCE)
    ).all()
    if not waiting:
        db.session.rollback()
        return 0
    taken = links.taken_by_themselves(waiting)
    _settle_at_once(waiting, taken, now)
    fresh: dict[int, list[str]] = defaultdict(list)
    for row in waiting:
        if row.id not in taken:
            fresh[row.device_id].append(row.id)
    for device_id, idents in fresh.items():
        try:
            _settle_device(lifecycle.lock_device(device_id), idents, now)
        except OperationalError:
            raise  # the database is away, or chose this work to end a deadlock: all is done again
        except Exception as error:
            log.exception("work failed: what follows from new files", device=device_id)
            db.session.rollback()
            passed_over[device_id] = error
    return len(waiting)


_SETTLED_BY = (
    Upload.id, Upload.device_id, Upload.imei, Upload.identifier, Upload.announced, Upload.timestamp,
    Upload.received_at,
    Upload.file_type, Upload.source, Upload.size, Upload.trigger, Upload.has_metadata, Upload.link_fixed,
)  # fmt: skip


def _settle_at_once(waiting: Sequence[Any], taken: Mapping[str, str], now: datetime) -> None:
    """Tell the status of all devices, and settle the files that were taken by themselves: by id with the reason.

    Some statements for any number of files.
    """
    _tell_last(waiting, now)
    # locked in their order, as reports do: two that want the same rows do not wait for each other crosswise
    held = db.session.execute(
        select(Upload.id, Upload.file_type)
        .where(Upload.id.in_(taken), Upload.settle_due, Upload.link_fixed.is_(False))
        .order_by(Upload.id)
        .with_for_update(skip_locked=True)
    ).all()
    by_reason: dict[str, list[str]] = defaultdict(list)
    for ident, _ in held:
        by_reason[taken[ident]].append(ident)
    for reason, idents in by_reason.items():
        db.session.execute(
            update(Upload)
            .where(Upload.id.in_(idents))
            .values(settle_due=False, link_reason=reason, link_certainty=None, linked_at=now)
        )
    _supersede([row for row in waiting if row.id in taken])
    events.publish_all({row.device_id for row in waiting if row.id in taken}, "uploads")
    db.session.commit()
    for ident, file_type in held:
        queue.wake(queue.COPIES[file_type], ident)


def _tell_last(uploads: Sequence[Any], now: datetime) -> None:
    """Tell the newest of these files of each device, as of when it came."""
    by_time = sorted(uploads, key=lambda upload: upload.received_at or now)
    told = {row.device_id: (_words(row), row.id, row.received_at or now) for row in by_time}
    statuses.note_all("upload.last", "upload", told, now)
    # no request named a server for these: the device's own setting brought them here
    address = outbox.own_address(current_config())
    unasked = {
        row.device_id: (address, row.id, row.received_at or now)
        for row in by_time
        if row.has_metadata and row.trigger not in (None, SERVER_REQUEST)
    }
    if unasked:
        statuses.note_all(statuses.SERVER_PROVED, "upload", unasked, now)


def _words(upload: Any) -> str:
    return f"{upload.source} {upload.file_type}, {upload.size} bytes"


def _settle_device(device: Device, idents: Sequence[str], now: datetime) -> None:
    """Link a device's new files, which a request may have made."""
    fresh = db.session.scalars(
        select(Upload).where(Upload.id.in_(idents), Upload.settle_due).order_by(Upload.id)
    ).all()
    if not fresh:  # another worker was here
        db.session.commit()
        return
    for upload in fresh:
        upload.settle_due = False
        links.tie_record(upload)
    _supersede(fresh)
    device_id, has_ended = device.id, links.relink(device, now)
    events.publish(device_id, "uploads")
    stored = [
        (queue.COPIES[u.file_type], u.id, u.command_id is not None)
        for u in fresh
        if u.state == UploadState.STORED
    ]
    db.session.commit()
    if has_ended:
        outbox.wake(device_id)
    for topic, ident, is_asked in stored:
        queue.wake(topic, ident, first=is_asked)  # somebody waits for it


def _supersede(whole: Sequence[Any]) -> None:
    """Remove what other sessions had of files that are whole now."""
    same = {_offered(upload) for upload in whole if upload.timestamp is not None}
    coming = db.session.execute(
        select(Upload.id, Upload.imei, Upload.identifier, Upload.announced, Upload.timestamp).where(
            Upload.imei.in_({imei for imei, *_ in same}), IS_COMING
        )
    )
    if idents := [row.id for row in coming if _offered(row) in same]:
        _forget_coming(idents)


def _offered(upload: Any) -> tuple[Any, ...]:
    return (upload.imei, upload.identifier, upload.announced, upload.timestamp)


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
            media().move(row.path, moved[row.id])
            media().move(f"{row.path}.json", f"{moved[row.id]}.json")
    device = lifecycle.lock_device(device.id)
    for ident, path in moved.items():
        found = db.session.get_one(Upload, ident)
        found.path, found.state, found.device_id, found.settle_due = path, UploadState.STORED, device.id, True
    if moved:
        _tell_last([db.session.get_one(Upload, ident) for ident in moved], now)
    _settle_device(device, list(moved), now)
    return len(moved)


def adopt_if_possible(device: Device, now: datetime) -> None:
    """Adopt the quarantined files of a newly added device; where the store is away, the worker does it later."""
    try:
        adopt(device, now)
    except MediaError as error:
        db.session.rollback()
        log.warning("quarantined files are adopted later", device=device.id, reason=str(error))


WATCH_SECONDS = 40.0


def watch(device_id: int, now: datetime) -> None:
    """Have the progress of a device's files told often for a while: somebody looks."""
    put_all(Watch, [{"device_id": device_id, "until": now + timedelta(seconds=WATCH_SECONDS)}], "device_id")
    db.session.commit()


def watched(now: datetime) -> set[str]:
    """Give the devices that somebody looks at."""
    return set(
        db.session.scalars(
            select(Device.imei).join(Watch, Watch.device_id == Device.id).where(Watch.until > now)
        )
    )


def superseded(idents: Sequence[str]) -> None:
    """Take that partial files are of no use any more: the same files are stored, or others came in their place."""
    _forget_coming(idents)
    db.session.commit()


def _forget_coming(idents: Sequence[str]) -> None:
    db.session.execute(
        delete(Upload).where(Upload.id.in_(idents), IS_COMING).execution_options(
            synchronize_session=False
        )
    )  # fmt: skip
