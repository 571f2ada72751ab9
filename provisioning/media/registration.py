"""Registers files that the receiver reports: rows from sidecars, known devices, progress.

The receiver's `__main__` calls it, one short unit of work each, in bulk; every function may be repeated
harmlessly. What follows from a new file (its link, the device's status) is the worker's: `schedule.settle`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, func, select

from provisioning.devices import status_table
from provisioning.media import camera_clock, device_networks, storage
from provisioning.models import (
    Device,
    StatusItem,
    Upload,
    UploadState,
    Verdict,
    Watch,
    changes,
    db,
    first_id,
    in_state,
    put_all,
    take_write_lock,
    utcnow,
)
from receiver.backend.port import RecordRefused
from receiver.spool.shared_partials import place
from receiver.spool.sidecar import SidecarRecord, StoredFile
from receiver.store.keys import adopted, quarantined
from receiver.store.media_store import MediaError, is_away
from receiver.wire.actions import Offer

COMING = (UploadState.RECEIVING, UploadState.PARTIAL)
IS_COMING = in_state(*COMING)
# for a file whose copies are to be made anew
COPIES_DUE = {"thumbnail_state": None, "video_state": None, "derived_error": None, "derive_attempts": 0}
OFFERED = ("imei", "identifier", "file_type", "source", "announced", "started_at")  # never change


# made once: building a statement costs more than executing it
_KNOWN = select(Device.imei).where(
    Device.imei.in_(bindparam("imeis", expanding=True)), Device.archived_at.is_(None)
)
_RECALL = select(
    Upload.id, Upload.imei, Upload.identifier, Upload.announced, Upload.timestamp, Upload.path, Upload.size
).where(
    Upload.imei.in_(bindparam("imeis", expanding=True)),
    Upload.timestamp.in_(bindparam("times", expanding=True)),
    Upload.state.in_((UploadState.STORED, UploadState.QUARANTINED)),
    Upload.path.is_not(None),
)
_VEHICLES = (
    select(Device.imei, Device.id, StatusItem.id.label("clock"))
    .outerjoin(
        StatusItem,
        and_(
            StatusItem.device_id == Device.id,
            StatusItem.item == status_table.CLOCK,
            StatusItem.verdict == Verdict.BAD,
        ),
    )
    .where(Device.imei.in_(bindparam("imeis", expanding=True)), Device.archived_at.is_(None))
)
_SENT = (
    select(Upload.imei, func.count(), func.coalesce(func.sum(Upload.size), 0))
    .where(Upload.imei.in_(bindparam("imeis", expanding=True)), Upload.id >= bindparam("since"))
    .group_by(Upload.imei)
)


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


def sent_today(connection: Connection, imeis: Sequence[str], now: datetime) -> list[tuple[int, int]]:
    """Give for each IMEI how many files, and bytes of them, came since midnight (UTC): one statement.

    Those under way count too.
    """
    since = first_id(now.replace(hour=0, minute=0, second=0, microsecond=0))
    rows = connection.execute(_SENT, {"imeis": list(set(imeis)), "since": since})
    sent = {imei: (int(files), int(size)) for imei, files, size in rows}
    return [sent.get(imei, (0, 0)) for imei in imeis]


def _recalled(found: Mapping[tuple[Any, ...], Any], imei: str, offer: Offer) -> StoredFile | None:
    if offer.metadata is None:
        return None
    row = found.get((imei, offer.identifier, offer.count, _moment(offer.metadata.timestamp)))
    return StoredFile(row.id, row.path, row.size) if row is not None else None


def register(records: Sequence[SidecarRecord], now: datetime) -> list[SidecarRecord]:
    """Take stored files into the database, each once. Gives their records, with the paths they have now.

    Some statements for any number of files, and a row each. Raises RecordRefused where one of them cannot be moved.
    """
    vehicles = _vehicles(record["imei"] for record in records)
    db.session.rollback()
    records = [_in_its_place(record, known=record["imei"] in vehicles) for record in records]
    take_write_lock(db.session.connection())
    states = _states(record["upload"] for record in records)
    stored = _stored_like(records)
    rows, touched = [], set()
    doubles: list[str] = []  # paths of files whose content is stored under another one
    for record in records:
        vehicle, known = vehicles.get(record["imei"]), states.get(record["upload"])
        is_new = known != UploadState.STORED
        row = _row(record, vehicle) | {
            "state": UploadState.QUARANTINED if vehicle is None else UploadState.STORED,
            "received_at": _time(record["received_at"]) or now,
            "updated_at": now,
        }
        same = _sameness(record)
        before = stored.get(same) if same else None
        if before and before["upload"] != record["upload"]:
            if before["path"] == record["path"]:
                continue  # it was registered already, in the row of the lost file before it
            if known in COMING:
                db.session.execute(delete(Upload).where(Upload.id == record["upload"]))
            if place(storage.media(), before["imei"], before["path"], before["size"]):
                doubles.append(record["path"])
                continue
            # the bytes of that row are lost: from now on it stands for these
            is_new = before["state"] == UploadState.QUARANTINED
            row |= {"id": before["upload"]} | COPIES_DUE
        if vehicle is not None and is_new:
            row["settle_due"] = True
        rows.append(row)
        if same:
            stored[same] = record | {"upload": row["id"]}
        touched.add(vehicle.id if vehicle else None)
    device_networks.judge(rows)
    put_all(Upload, rows, "id", once=OFFERED)
    changes.publish_all(touched, "uploads")
    db.session.commit()
    # after the commit: a record that is reported again, because the database refused another one, still has its bytes
    storage.media().delete(*doubles)
    return records


@dataclass(frozen=True, slots=True)
class _Vehicle:
    id: int
    has_wrong_clock: bool


def _vehicles(imeis: Iterable[str]) -> dict[str, _Vehicle]:
    found = db.session.execute(_VEHICLES, {"imeis": list(set(imeis))})
    return {row.imei: _Vehicle(row.id, row.clock is not None) for row in found}


def _states(idents: Iterable[str]) -> dict[str, str]:
    found = db.session.execute(select(Upload.id, Upload.state).where(Upload.id.in_(set(idents))))
    return {row.id: row.state for row in found}


def _by_ids(idents: Iterable[str]) -> Sequence[Upload]:
    return db.session.scalars(select(Upload).where(Upload.id.in_(set(idents)))).all()


def _in_its_place(record: SidecarRecord, *, known: bool) -> SidecarRecord:
    """Move a file among the ordinary ones or into quarantine: its device was added or deleted since it was offered."""
    imei, path = record["imei"], adopted(record["imei"], record["path"])
    path = path if known else quarantined(imei, path)
    if path == record["path"]:
        return record
    try:
        storage.media().move(record["path"], path)
    except MediaError as error:
        if is_away(storage.media(), error):
            raise
        raise RecordRefused(str(error)) from error  # it is this file's own: it holds up no other
    return record | {"admission": "known" if known else "quarantine", "path": path}


def _sameness(record: SidecarRecord) -> tuple[Any, ...] | None:
    """Give by what a file is known that two receivers took at once; None where nothing proves it."""
    timestamp = (record["metadata"] or {}).get("timestamp")
    return (record["imei"], record["identifier"], timestamp, record["sha256"]) if timestamp else None


def _stored_like(records: Sequence[SidecarRecord]) -> dict[tuple[Any, ...], SidecarRecord]:
    """Give the stored files whose content one of these records has, by `_sameness`."""
    rows = db.session.execute(
        select(
            Upload.id,
            Upload.imei,
            Upload.identifier,
            Upload.timestamp,
            Upload.sha256,
            Upload.path,
            Upload.size,
            Upload.state,
        ).where(
            Upload.imei.in_({record["imei"] for record in records}),
            Upload.timestamp.in_(
                {_moment((record["metadata"] or {}).get("timestamp")) for record in records}
            ),
            Upload.sha256.in_({record["sha256"] for record in records}),
            Upload.state.in_((UploadState.STORED, UploadState.QUARANTINED)),
            Upload.path.is_not(None),
        )
    )
    return {
        (row.imei, row.identifier, round(row.timestamp.timestamp() * 1000), row.sha256): {
            "upload": row.id,
            "imei": row.imei,
            "path": row.path,
            "size": row.size,
            "state": row.state,
        }
        for row in rows
        if row.timestamp
    }


def progress(records: Sequence[SidecarRecord], now: datetime) -> None:
    """Take how far files have come: three statements for any number of files, and a row each."""
    vehicles = _vehicles(record["imei"] for record in records)
    rows = [
        _row(record, vehicles.get(record["imei"])) | {"state": record["state"], "updated_at": now}
        for record in records
    ]
    put_all(Upload, rows, "id", once=OFFERED, where=IS_COMING)
    changes.publish_all({vehicle.id for vehicle in vehicles.values()}, "uploads")
    db.session.commit()


def expired(idents: Sequence[str], now: datetime) -> None:
    """Take that files were given up: partial ones stay visible as damaged, quarantined ones go."""
    for upload in _by_ids(idents):
        if upload.state == UploadState.QUARANTINED:
            db.session.delete(upload)
        elif upload.state in COMING:
            upload.state, upload.updated_at = UploadState.DAMAGED, now
        changes.publish(upload.device_id, "uploads")
    db.session.commit()


def _row(record: SidecarRecord, vehicle: _Vehicle | None) -> dict[str, Any]:
    """Give the columns that a record fills; without a device or metadata, none that would take these away."""
    row = {
        "id": record["upload"],
        "imei": record["imei"],
        "identifier": record["identifier"],
        "file_type": record["file_type"],
        "source": record["source"],
        "announced": record["count"],
        "started_at": _time(record["started_at"]) or utcnow(),
        "session_id": record["session"],
        "packets": record["packets"],
        "received_packets": record["received_packets"],
        "size": record["size"],
        "sha256": record["sha256"],
        "path": record["path"] if record["state"] == "stored" else None,
        "crc_errors": record.get("crc_errors", 0),
        "resumes": record.get("resumes", 0),
        "has_metadata": record.get("metadata") is not None,
        "address": record.get("address"),
    }
    if vehicle is not None:
        row["device_id"] = vehicle.id
    if (metadata := record.get("metadata")) is not None:
        row |= _metadata(metadata, record["file_type"])
        has_wrong_clock = vehicle is not None and vehicle.has_wrong_clock
        row["recorded_at"] = camera_clock.recorded_at(
            row["timestamp"], row["started_at"], is_known_to_be_wrong=has_wrong_clock
        )
    return row


def _metadata(metadata: Mapping[str, Any], file_type: str) -> dict[str, Any]:
    position = (metadata.get("latitude"), metadata.get("longitude"))
    is_place = all(value is not None and abs(value) <= 180 for value in position)
    row = {
        "trigger": metadata["trigger"],
        "timestamp": _moment(metadata["timestamp"]),
        "trigger_timestamp": _moment(metadata.get("trigger_timestamp")),
        "duration": metadata["duration"] if file_type == "video" else None,
        "frame_rate": metadata.get("frame_rate") or None,
        "camera_time_zone": metadata.get("time_zone"),
        "latitude": position[0] if is_place else None,
        "longitude": position[1] if is_place else None,
    }
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


WATCH_SECONDS = 40.0


def watch(device_id: int, now: datetime) -> None:
    """Have the progress of a device's files reported often for a while: a page shows it."""
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
    forget_coming(idents)
    db.session.commit()


def forget_coming(idents: Sequence[str]) -> None:
    db.session.execute(
        delete(Upload).where(Upload.id.in_(idents), IS_COMING).execution_options(synchronize_session=False)
    )
