"""Files as the receiver reports them: rows from sidecars, sessions, admission, adoption, and the way to the bytes.

The receiver's `__main__` calls it, one short unit of work each, in bulk; every function may be repeated
harmlessly. What follows from a new file (its link, the device's status) is the worker's: `background.settle`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import current_app
from sqlalchemy import Connection, bindparam, delete, select, update

from receiver.media import Media, connect
from receiver.session import Offer
from receiver.sidecars import Record
from receiver.storage import Caps, Store
from receiver.transfer import adopted, quarantined

from . import events, lifecycle, links, queue, statuses
from .config import Config, current_config
from .models import (
    Device,
    Upload,
    UploadState,
    Verdict,
    Watch,
    db,
    in_state,
    put_all,
    take_write_lock,
    utcnow,
)

MEBI = 2**20
COMING = (UploadState.RECEIVING, UploadState.PARTIAL)
IS_COMING = in_state(*COMING)
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
    """Give the media store, connected once in each process."""
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


def recall(connection: Connection, offers: Sequence[tuple[str, Offer]]) -> list[Record | None]:
    """Give for each offer of a device the stored file with its identifier, count and time, if there is one.

    One statement. The record has what the receiver must know of a file to compare it.
    """
    wanted = {(imei, _moment(offer.metadata.timestamp)) for imei, offer in offers if offer.metadata}
    rows = connection.execute(
        _RECALL, {"imeis": [imei for imei, _ in wanted], "times": [stamp for _, stamp in wanted]}
    )
    found = {(row.imei, row.identifier, row.announced, row.timestamp): row for row in rows}
    return [_recalled(found, imei, offer) for imei, offer in offers]


def _recalled(found: Mapping[tuple[Any, ...], Any], imei: str, offer: Offer) -> Record | None:
    if offer.metadata is None:
        return None
    row = found.get((imei, offer.identifier, offer.count, _moment(offer.metadata.timestamp)))
    if row is None:
        return None
    return {"imei": imei, "upload": row.id, "identifier": offer.identifier, "count": offer.count, "path": row.path,
            "size": row.size, "metadata": {"timestamp": offer.metadata.timestamp}}  # fmt: skip


def register(records: Sequence[Record], now: datetime) -> list[Record]:
    """Take stored files into the database, each once. Gives their records, with the paths they have now.

    Three statements for any number of files, and a row each.
    """
    devices = _devices(record["imei"] for record in records)
    db.session.rollback()
    records = [_in_its_place(record, known=record["imei"] in devices) for record in records]
    take_write_lock(db.session.connection())
    states = _states(record["upload"] for record in records)
    doubles = _doubles(records)
    rows, touched = [], set()
    for record in records:
        device_id, known = devices.get(record["imei"]), states.get(record["upload"])
        if (double := doubles.get(_sameness(record))) and double != record["upload"]:
            _drop(record, known)
            continue
        row = _row(record, device_id) | {
            "state": UploadState.QUARANTINED if device_id is None else UploadState.STORED,
            "received_at": _time(record["received_at"]) or now, "updated_at": now,
        }  # fmt: skip
        if device_id is not None and (known is None or known in COMING):
            row["settle_due"] = True
        rows.append(row)
        doubles[_sameness(record)] = record["upload"]
        touched.add(device_id)
    put_all(Upload, rows, "id", once=OFFERED)
    events.publish_all(touched, "uploads")
    db.session.commit()
    queue.wake(queue.FILES, "stored")
    return records


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
    media().move(record["path"], path)
    return record | {"admission": "known" if known else "quarantine", "path": path}


def _sameness(record: Record) -> tuple[Any, ...] | None:
    """Give by what a file is known that two receivers took at once; None where nothing proves it."""
    timestamp = (record["metadata"] or {}).get("timestamp")
    return (record["imei"], record["identifier"], timestamp, record["sha256"]) if timestamp else None


def _doubles(records: Sequence[Record]) -> dict[tuple[Any, ...] | None, str]:
    rows = db.session.execute(
        select(Upload.id, Upload.imei, Upload.identifier, Upload.timestamp, Upload.sha256).where(
            Upload.sha256.in_({record["sha256"] for record in records}),
            Upload.state.in_((UploadState.STORED, UploadState.QUARANTINED)),
        )
    )
    return {
        (row.imei, row.identifier, round(row.timestamp.timestamp() * 1000), row.sha256): row.id
        for row in rows
        if row.timestamp
    }


def _drop(record: Record, known: str | None) -> None:
    """Let go of a file that was stored already, by another receiver or while the database was away."""
    media().delete(record["path"])
    if known in COMING:
        db.session.execute(delete(Upload).where(Upload.id == record["upload"]))


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
        "has_metadata": record.get("metadata") is not None,
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


def settle(now: datetime) -> int:
    """Do what follows from new files, device by device: status, links, copies; give how many devices had some."""
    waiting = db.session.scalars(
        select(Upload.device_id).where(Upload.settle_due, Upload.device_id.is_not(None)).distinct().limit(200)
    ).all()
    db.session.rollback()
    for device_id in waiting:
        assert device_id is not None
        _settle_device(lifecycle.lock_device(device_id), now)
    return len(waiting)


def _settle_device(device: Device, now: datetime) -> None:
    fresh = db.session.scalars(
        select(Upload).where(Upload.device_id == device.id, Upload.settle_due).order_by(Upload.id)
    ).all()
    for upload in fresh:
        upload.settle_due = False
        _supersede(upload)
    if fresh:
        last = fresh[-1]
        what = f"{last.source} {last.file_type}, {last.size} bytes"
        statuses.note(
            device, "upload.last", what, Verdict.GOOD, now=now, source_kind="upload", source_id=last.id
        )
    links.relink(device, now)
    events.publish(device.id, "uploads")
    idents = [upload.id for upload in fresh if upload.state == UploadState.STORED]
    db.session.commit()
    for ident in idents:
        queue.wake(queue.MEDIA, ident)


def _supersede(upload: Upload) -> None:
    """Remove what other sessions had of a file that is whole now."""
    if upload.timestamp is not None:
        db.session.execute(
            delete(Upload).where(
                Upload.imei == upload.imei, Upload.identifier == upload.identifier, IS_COMING,
                Upload.announced == upload.announced, Upload.timestamp == upload.timestamp, Upload.id != upload.id,
            ).execution_options(synchronize_session=False)
        )  # fmt: skip


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
    db.session.flush()
    _settle_device(device, now)
    return len(moved)


WATCH_SECONDS = 40.0


def watch(device_id: int, now: datetime) -> None:
    """Have the progress of a device's files told often for a while: somebody looks."""
    until = now + timedelta(seconds=WATCH_SECONDS)
    moved = db.session.execute(update(Watch).where(Watch.device_id == device_id).values(until=until))
    if not moved.rowcount:  # type: ignore[attr-defined]
        db.session.add(Watch(device_id=device_id, until=until))
    db.session.commit()


def watched(now: datetime) -> set[str]:
    """Give the devices that somebody looks at."""
    return set(
        db.session.scalars(
            select(Device.imei).join(Watch, Watch.device_id == Device.id).where(Watch.until > now)
        )
    )


def superseded(idents: Sequence[str]) -> None:
    """Take that partial files are of no use any more: the same files are stored."""
    db.session.execute(
        delete(Upload).where(Upload.id.in_(idents), IS_COMING).execution_options(
            synchronize_session=False
        )
    )  # fmt: skip
    db.session.commit()
