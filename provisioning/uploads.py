"""Files as the receiver reports them: rows from sidecars, sessions, admission, adoption, and the way to the bytes.

The receiver's `__main__` calls it, one short unit of work each; every function may be repeated harmlessly.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from receiver.storage import Caps, Store

from . import events, lifecycle, links, queue, statuses
from .config import Config, current_config
from .models import Device, Session, Upload, UploadState, Verdict, db

MEBI = 2**20


def store(config: Config | None = None) -> Store:
    """Give the media store and spool of this machine."""
    config = config or current_config()
    caps = Caps(
        files_per_device=config.quarantine_files_per_device,
        bytes_per_device=config.quarantine_mib_per_device * MEBI,
        bytes_in_all=config.quarantine_mib * MEBI,
        quarantine_days=config.quarantine_days,
        partial_days=config.receiver_partial_days,
        hours_without_metadata=config.receiver_resume_hours_without_metadata,
    )
    return Store(config.media_spool, media_folder(config), caps)


def media_folder(config: Config) -> Path:
    """Give the folder that MEDIA_URL names."""
    return Path(config.media_url.removeprefix("file://"))


def path_of(upload: Upload) -> Path | None:
    """Give where an upload's bytes lie, None if they are not there (yet)."""
    if upload.path is None:
        return None
    path = media_folder(current_config()) / upload.path
    return path if path.is_file() else None


def known_device(imei: str) -> int | None:
    """Give the live device with this IMEI."""
    return db.session.scalar(select(Device.id).where(Device.imei == imei, Device.archived_at.is_(None)))


def register(record: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Take a stored file into the database, once, and link it. Gives its record, with the path it now has."""
    device_id = known_device(record["imei"])
    record = dict(record)
    if device_id is not None and record["path"].startswith("quarantine/"):
        record = store().adopt(record)
    device = lifecycle.lock_device(device_id) if device_id is not None else None
    upload = db.session.get(Upload, record["upload"])
    is_new = upload is None or upload.state in (UploadState.RECEIVING, UploadState.PARTIAL)
    upload = _write(record, device)
    upload.state = UploadState.STORED if device is not None else UploadState.QUARANTINED
    upload.received_at = _time(record["received_at"]) or now
    upload.updated_at = now
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()  # another process registers the same file at this moment
        raise
    if device is not None and is_new:
        told: dict[str, Any] = {"now": now, "source_kind": "upload", "source_id": upload.id}
        statuses.note(device, "contact.tcp", lifecycle.stamp(upload.received_at), Verdict.GOOD, **told)
        what = f"{upload.source} {upload.file_type}, {upload.size} bytes"
        statuses.note(device, "upload.last", what, Verdict.GOOD, **told)
        links.relink(device, now)
    events.publish(device_id, "uploads")
    db.session.commit()
    if device is not None and is_new:
        queue.wake(queue.MEDIA, upload.id)
    return record


def progress(records: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Take how far files have come, in one unit."""
    by_imei = {record["imei"] for record in records}
    devices = {
        device.imei: device
        for device in db.session.scalars(
            select(Device).where(Device.imei.in_(by_imei), Device.archived_at.is_(None))
        )
    }
    for record in records:
        known = db.session.get(Upload, record["upload"])
        if known is not None and known.state not in (UploadState.RECEIVING, UploadState.PARTIAL):
            continue
        device = devices.get(record["imei"])
        upload = _write(record, device)
        upload.state, upload.updated_at = record["state"], now
        events.publish(device.id if device else None, "uploads")
    db.session.commit()


def expired(idents: Sequence[str], now: datetime) -> None:
    """Take that files were given up: partial ones stay visible as damaged, quarantined ones go."""
    for ident in idents:
        upload = db.session.get(Upload, ident)
        if upload is None:
            continue
        if upload.state == UploadState.QUARANTINED:
            db.session.delete(upload)
        elif upload.state in (UploadState.RECEIVING, UploadState.PARTIAL):
            upload.state, upload.updated_at = UploadState.DAMAGED, now
        events.publish(upload.device_id, "uploads")
    db.session.commit()


def _write(record: Mapping[str, Any], device: Device | None) -> Upload:
    upload = db.session.get(Upload, record["upload"])
    if upload is None:
        upload = Upload(
            id=record["upload"], imei=record["imei"], identifier=record["identifier"], file_type=record["file_type"],
            source=record["source"], state=UploadState.RECEIVING, started_at=_time(record["started_at"]),
        )  # fmt: skip
        db.session.add(upload)
    if device is not None:
        upload.device_id = device.id
    upload.session_id = record["session"]
    upload.packets, upload.received_packets = record["packets"], record["received_packets"]
    upload.size = record["size"] or record["received_packets"] * 1024
    upload.sha256 = record["sha256"]
    upload.path = record["path"] if record["state"] == "stored" else None
    upload.crc_errors, upload.resumes = record.get("crc_errors", 0), record.get("resumes", 0)
    _write_metadata(upload, record.get("metadata"))
    return upload


def _write_metadata(upload: Upload, metadata: Mapping[str, Any] | None) -> None:
    upload.has_metadata = metadata is not None
    if metadata is None:
        return
    upload.trigger = metadata["trigger"]
    upload.timestamp = _moment(metadata["timestamp"])
    upload.trigger_timestamp = _moment(metadata.get("trigger_timestamp"))
    upload.duration = metadata["duration"] if upload.file_type == "video" else None
    upload.frame_rate = metadata.get("frame_rate") or None
    upload.camera_time_zone = metadata.get("time_zone")
    position = (metadata.get("latitude"), metadata.get("longitude"))
    if all(value is not None and abs(value) <= 180 for value in position):
        upload.latitude, upload.longitude = position


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


def adopt(device: Device, now: datetime) -> int:
    """Take the quarantined files of a newly added device among the ordinary ones; give how many."""
    waiting = db.session.scalars(
        select(Upload).where(Upload.imei == device.imei, Upload.state == UploadState.QUARANTINED)
    ).all()
    db.session.rollback()
    moved: dict[str, str] = {}
    for upload in waiting:
        if upload.path and upload.path.startswith("quarantine/"):
            moved[upload.id] = store().adopt({"path": upload.path, "upload": upload.id})["path"]
    device = lifecycle.lock_device(device.id)
    for ident, path in moved.items():
        found = db.session.get_one(Upload, ident)
        found.path, found.state, found.device_id = path, UploadState.STORED, device.id
    db.session.flush()
    links.relink(device, now)
    events.publish(device.id, "uploads")
    db.session.commit()
    for ident in moved:
        queue.wake(queue.MEDIA, ident)
    return len(moved)


def note_session(facts: Any, now: datetime) -> None:
    """Take one TCP connection's beginning or end."""
    row = db.session.get(Session, facts.id)
    if row is None:
        row = Session(id=facts.id, address=facts.address, started_at=facts.started_at)
        db.session.add(row)
    row.imei, row.ended_at, row.reason, row.code = facts.imei, facts.ended_at, facts.reason, facts.code
    row.files, row.bytes_received = facts.files, facts.bytes_received
    row.crc_errors, row.resumes = facts.crc_errors, facts.resumes
    device_id = known_device(facts.imei) if facts.imei else None
    row.device_id = device_id
    if device_id is not None and facts.code != "unknown_device":
        device = db.session.get_one(Device, device_id)
        moment = facts.ended_at or facts.started_at
        statuses.note(
            device, "contact.tcp", lifecycle.stamp(moment), Verdict.GOOD, now=now, source_kind="session",
            source_id=facts.id,
        )  # fmt: skip
    events.publish(device_id, "uploads" if device_id else "devices")
    db.session.commit()
