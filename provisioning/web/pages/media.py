"""Photos and clips of all vehicles, newest first; and the newest picture of each camera."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import joinedload

from provisioning.devices import registry
from provisioning.models import IS_PICTURE, Device, Upload, db, files_of
from provisioning.web.pages import words

PAGE = 48  # divides by the columns of every width
KINDS = ("photo", "video")
CAMERAS = ("front", "rear")
BEYOND = "g"  # greater than every id


def attach(blueprint: Blueprint) -> None:
    """Add the address."""
    blueprint.add_url_rule("/media", "media", show)


def show() -> ResponseReturnValue:
    """Show files; the filters and the page stand in the address."""
    vehicle = request.args.get("vehicle", "")
    device = registry.find(vehicle) if vehicle else None
    kind, camera = request.args.get("kind", ""), request.args.get("camera", "")
    before = request.args.get("before", "")
    doubtful = "doubtful" in request.args  # files that may be of somebody else stand apart
    where: list[ColumnElement[bool]] = [
        Upload.id < (before or BEYOND),
        Upload.device_id.is_not(None),
        Upload.looked_like.is_not(None) if doubtful else Upload.looked_like.is_(None),
    ]
    if device is not None:
        where.append(files_of(device))
    if kind in KINDS:
        where.append(Upload.file_type == kind)
    if camera in CAMERAS:
        where.append(Upload.source == camera)
    query = select(Upload).options(joinedload(Upload.device)).where(*where)
    rows = db.session.scalars(query.order_by(Upload.id.desc()).limit(PAGE + 1)).all()
    chosen = {"vehicle": vehicle, "kind": kind, "camera": camera, "doubtful": "1" if doubtful else ""}
    filters = {name: value for name, value in chosen.items() if value}
    return render_template(
        "media.html", rows=rows[:PAGE], days=_by_day(rows[:PAGE]), more=len(rows) > PAGE,
        before=before, device=device, kind=kind, camera=camera, filters=filters, doubtful=doubtful,
    )  # fmt: skip


def _by_day(rows: Iterable[Upload]) -> list[tuple[str, list[Upload]]]:
    """Give files by the day on which they began to come, in each vehicle's zone; the order stays."""

    def day(row: Upload) -> str:
        return words.short_day(row.started_at, row.device.time_zone if row.device else "UTC")

    return [(name, list(files)) for name, files in groupby(rows, key=day)]


def newest_pictures(device_ids: Sequence[int]) -> dict[int, dict[str, Upload]]:
    """Give the newest file of each camera that has a small picture, by vehicle and camera."""
    columns = [
        select(Upload.id)
        .where(Upload.device_id == Device.id, Upload.source == camera, IS_PICTURE)
        .order_by(Upload.id.desc())
        .limit(1)
        .scalar_subquery()
        for camera in CAMERAS
    ]
    found = db.session.execute(select(*columns).select_from(Device).where(Device.id.in_(device_ids))).all()
    idents = [ident for row in found for ident in row if ident]
    newest: dict[int, dict[str, Upload]] = {}
    for upload in db.session.scalars(select(Upload).where(Upload.id.in_(idents))):
        newest.setdefault(upload.device_id or 0, {})[upload.source] = upload
    return newest
