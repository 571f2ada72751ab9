"""A device's page: what is known of it, its newest commands, files, messages and connections, and all of each."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from provisioning.check import standing
from provisioning.check.steps import grade
from provisioning.commands import submission, transfer_times
from provisioning.core.config import current_config
from provisioning.core.errors import NotFound, ServiceError
from provisioning.devices import registry, status_table
from provisioning.media import request_progress
from provisioning.models import (
    CameraSession,
    Command,
    Device,
    Message,
    Role,
    StatusItem,
    Upload,
    db,
    files_of,
    utcnow,
)
from provisioning.tracker.language import RESOLUTIONS
from provisioning.tracker.parameters import Parameter
from provisioning.web import auth
from provisioning.web.pages.parameters import words

ROWS = 10  # of each list on the device's page; the rest is behind a link
PAGE = 50
MODELS: Mapping[str, Any] = {
    "commands": Command, "uploads": Upload, "doubtful": Upload, "messages": Message, "sessions": CameraSession,
}  # fmt: skip
PARTS = ("verdict", "status", "commands", "uploads", "doubtful", "messages", "sessions")
PLAIN = ("getver", "getinfo", "getstatus", "getio", "camgetver")
RISKY = ("camget_restart", "camget_sdformat", "cpureset")


def attach(blueprint: Blueprint) -> None:
    """Add the room's addresses."""
    blueprint.add_url_rule("/devices/<imei>", "device", show)
    blueprint.add_url_rule("/devices/<imei>/part/<name>", "device_part", part)
    blueprint.add_url_rule("/devices/<imei>/all/<name>", "device_list", everything)


@auth.require(Role.VIEWER)
def show(imei: str) -> ResponseReturnValue:
    """Show a device."""
    return page(registry.find(imei))


def page(device: Device, error: ServiceError | None = None, form: str = "", given: Any = None) -> str:
    """Give the whole page; `error` stands at its form, with what was given there."""
    parts = {name: _part(device, name) for name in PARTS}
    return render_template(
        "device.html",
        device=device,
        parts=parts,
        error=error,
        form=form,
        given=given or {},
        resolutions=list(RESOLUTIONS),
        plain=PLAIN,
        risky=RISKY,
        config=current_config(),
        zone=device.time_zone,
        pace=submission.pace(device),
        local_now=utcnow().astimezone(ZoneInfo(device.time_zone)).strftime("%Y-%m-%dT%H:%M:%S"),
    )


@auth.require(Role.VIEWER)
def part(imei: str, name: str) -> ResponseReturnValue:
    """Give one part of the page anew, for live pages."""
    if name not in PARTS:
        raise NotFound("There is no such part.")
    return _part(registry.find(imei), name)


@auth.require(Role.VIEWER)
def everything(imei: str, name: str) -> ResponseReturnValue:
    """Page through all commands, files, messages or connections of a device, newest first."""
    device = registry.find(imei)
    if name not in MODELS:
        raise NotFound("There is no such list.")
    before = request.args.get("before", "")
    part = _part(device, name, PAGE, before)
    return render_template("device_list.html", device=device, name=name, part=part, before=before)


def _part(device: Device, name: str, limit: int = ROWS, before: str = "") -> str:
    if name == "verdict":
        run = standing.last_run(device)
        return render_template(
            "parts/verdict.html",
            device=device,
            run=run,
            grade=grade(run.verdict or "") if run else "",
            title=standing.TITLES.get(run.verdict or "") if run else None,
        )
    if name == "status":
        items = db.session.scalars(
            select(StatusItem).where(StatusItem.device_id == device.id).order_by(StatusItem.item)
        ).all()
        return render_template("parts/status.html", device=device, groups=_grouped(items))
    model = MODELS[name]
    query = select(model).where(files_of(device) if model is Upload else model.device_id == device.id)
    if model is Upload:
        is_doubtful = Upload.looked_like.is_not(None)
        query = query.where(is_doubtful if name == "doubtful" else ~is_doubtful)
    if before:
        query = query.where(model.id < before)
    rows = db.session.scalars(query.order_by(model.id.desc()).limit(limit + 1)).all()
    more, rows = len(rows) > limit, rows[:limit]
    given: dict[str, Any] = {
        "device": device,
        "rows": rows,
        "name": name,
        "more": more,
        "zone": device.time_zone,
    }
    if name == "commands":
        given["files"], given["where"] = request_progress.of(rows, device)
    return render_template(f"parts/{name}.html", **given) + render_template("parts/more.html", **given)


GROUPS = (
    ("Contact", ("contact.", "upload.", "error.", "imei", "firmware")),
    ("Cameras", ("camera.", "ignition", "sos")),
    ("Parameters", ("parameter.",)),
    ("Tracker", ("info.", "tracker.")),
)


def _grouped(rows: Any) -> list[tuple[str, list[tuple[StatusItem, str, str | datetime]]]]:
    catalogue = submission.catalogue()
    groups = []
    for title, starts in GROUPS:
        found = [
            (row, _label(row.item, catalogue), _value(row, catalogue))
            for row in rows
            if row.item.startswith(starts)
        ]
        if found:
            groups.append((title, found))
    return groups


LABELS = {
    "contact.sms": "Last SMS from the device",
    "contact.tcp": "Last connection of the camera",
    "tracker.server": "Server of the tracker's own data",
    "files.day_limit": "Limit of files in a day",
    "upload.last": "Last file",
    "upload.speed": "Speed of the last check's files",
    "camera.server": "Own camera server, proved by a file it sent by itself",
    "error.last": "Last problem",
    "imei": "IMEI it told",
    "firmware": "Firmware",
    "ignition": "Ignition",
    "sos": "Last SOS trigger",
}


def _label(item: str, catalogue: Mapping[int, Parameter]) -> str:
    if item.startswith("parameter."):
        number = int(item.split(".")[1])
        return f"{catalogue[number].name} ({number})" if number in catalogue else item
    return LABELS.get(item) or item.removeprefix("info.").replace(".", " ").replace("camera ", "Camera ")


def _value(row: StatusItem, catalogue: Mapping[int, Parameter]) -> str | datetime:
    """Give a value for people: a time as such, a parameter's number with what it stands for."""
    if row.value is None:
        return "?"
    if row.item.startswith("contact."):
        try:
            return datetime.fromisoformat(row.value)
        except ValueError:
            return row.value
    if row.item == status_table.SPEED:
        return transfer_times.rate(float(row.value))
    if row.item.startswith("parameter."):
        number = int(row.item.split(".")[1])
        return words(catalogue[number], row.value) if number in catalogue else row.value
    return row.value
