"""Reads how long files and replies took, of one vehicle and of the fleet, for the estimates of `durations`.

Each query is bounded by a number of rows along an index, so that a large database costs no more.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from provisioning.devices.durations import ENOUGH, FinishedFile, Measured
from provisioning.models import Command, Device, Upload, UploadState, db, files_of, visibility

NEWEST = 20  # rows of a vehicle: enough for a median, few enough to follow a change of the line
FLEET = 60  # rows of the fleet


def of(device: Device) -> Measured:
    """Give what was measured of the vehicle's files, and of the fleet's where the vehicle has too few of its own."""
    own = _files(NEWEST, device)
    kinds = {file.file_type for file in own}
    is_enough = len(own) >= ENOUGH and kinds >= {"photo", "video"} and any(f.start is not None for f in own)
    return Measured(vehicle=own, fleet=() if is_enough else _files_of_fleet())


def of_replies(device: Device) -> Measured:
    """Give how long the replies of the vehicle took, and of the fleet where the vehicle has too few of its own."""
    own = _replies(NEWEST, device)
    return Measured(vehicle_replies=own, fleet_replies=() if len(own) >= ENOUGH else _replies_of_fleet())


# the newest of somebody's own few vehicles may be the rows of years, and an estimate shows nothing of any vehicle
@visibility.whole_fleet()
def _files_of_fleet() -> list[FinishedFile]:
    return _files(FLEET)


@visibility.whole_fleet()
def _replies_of_fleet() -> list[float]:
    return _replies(FLEET)


def _files(limit: int, device: Device | None = None) -> list[FinishedFile]:
    """Give finished files of the device, or of all, newest first; no more rows than the limit are read."""
    query = select(
        Upload.file_type, Upload.size, Upload.duration, Upload.started_at, Upload.received_at, Upload.command_id,
        Upload.state, Upload.resumes, Upload.looked_like, Command.sending_at,
    ).outerjoin(Command, Command.id == Upload.command_id)  # fmt: skip
    if device is not None:
        query = query.where(files_of(device))
    rows = db.session.execute(query.order_by(Upload.id.desc()).limit(limit)).all()
    whole = [row for row in rows if _came_whole(row)]
    first = _first_files(whole)
    return [
        FinishedFile(
            row.file_type,
            row.size,
            row.duration,
            max((row.received_at - row.started_at).total_seconds(), 0.001),
            _start(row, first),
        )
        for row in whole
    ]


def _came_whole(row: Any) -> bool:
    """Say whether a file came here without a break, and is the vehicle's own."""
    is_stored = row.state == UploadState.STORED and row.received_at is not None
    return is_stored and not row.resumes and row.looked_like is None


def _first_files(rows: Sequence[Any]) -> dict[str, datetime]:
    """Give when the first file of each request began."""
    first: dict[str, datetime] = {}
    for row in rows:
        if row.command_id is not None:
            first[row.command_id] = min(first.get(row.command_id, row.started_at), row.started_at)
    return first


def _start(row: Any, first: dict[str, datetime]) -> float | None:
    if row.sending_at is None or row.started_at != first[row.command_id]:
        return None
    seconds = float((row.started_at - row.sending_at).total_seconds())
    return seconds if seconds >= 0 else None  # what began before the request was captured before


def _replies(limit: int, device: Device | None = None) -> list[float]:
    query = select(Command.sending_at, Command.answered_at)
    if device is not None:
        query = query.where(Command.device_id == device.id)
    return [
        (row.answered_at - row.sending_at).total_seconds()
        for row in db.session.execute(query.order_by(Command.id.desc()).limit(limit))
        if row.sending_at and row.answered_at and row.answered_at >= row.sending_at
    ]
