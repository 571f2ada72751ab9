"""The list of devices, and adding, changing, archiving one."""

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, or_, select

from provisioning.check import standing
from provisioning.core.errors import NotFound, ServiceError
from provisioning.devices import registry, status_table
from provisioning.media import camera_sessions, settlement
from provisioning.models import (
    OPEN,
    UNCLAIMED,
    CameraSession,
    Command,
    Device,
    Role,
    Upload,
    UploadState,
    db,
    in_state,
    utcnow,
)
from provisioning.tracker.normalization import clean_imei, clean_line, clean_phone
from provisioning.web import auth
from provisioning.web.pages import forms
from provisioning.web.schemas import ZONES, DeviceChangeSchema, DeviceSchema

PAGE = 50
FIELDS = ("imei", "phone", "name", "model", "sms_login", "sms_password", "time_zone")
MODELS = ("FMB125", "FMC125", "FMB225", "FMC225")
SHOWN_ITEMS = ("contact.sms", "contact.tcp", "upload.last")


def attach(blueprint: Blueprint) -> None:
    """Add the room's addresses."""
    blueprint.add_url_rule("/", "home", list_devices)
    blueprint.add_url_rule("/devices", "devices", list_devices)
    blueprint.add_url_rule("/devices/part", "devices_part", devices_part)
    blueprint.add_url_rule("/devices/new", "add_device", add_device, methods=["GET", "POST"])
    blueprint.add_url_rule("/devices/<imei>/edit", "edit_device", edit_device, methods=["GET", "POST"])
    blueprint.add_url_rule("/devices/<imei>/archive", "archive_device", archive_device, methods=["POST"])
    blueprint.add_url_rule("/strangers", "strangers", strangers)
    blueprint.add_url_rule("/strangers/<imei>", "stranger", stranger)


@auth.require(Role.VIEWER)
def list_devices() -> ResponseReturnValue:
    """Show devices with their state at a glance."""
    return render_template("devices.html", **_listed())


@auth.require(Role.VIEWER)
def devices_part() -> ResponseReturnValue:
    """Give the list anew, for live pages."""
    return render_template("parts/devices.html", **_listed())


def _listed() -> dict[str, Any]:
    wanted = clean_line(request.args.get("q", ""))
    query = select(Device).where(Device.archived_at.is_(None))
    if wanted:
        # a label's way to write an IMEI, or another way to write a phone number, is found as well
        imei, phone = clean_imei(wanted) or wanted, clean_phone(wanted) or wanted
        query = query.where(
            or_(
                Device.name.ilike(f"%{wanted}%"),
                Device.imei.like(f"%{imei}%"),
                Device.phone.like(f"%{phone}%"),
            )
        )
    total = db.session.scalar(select(func.count()).select_from(query.subquery())) or 0
    pages = max(1, -(-total // PAGE))
    page = min(pages, max(1, request.args.get("page", 1, int)))
    rows = db.session.scalars(
        query.order_by(Device.name, Device.imei).offset((page - 1) * PAGE).limit(PAGE)
    ).all()
    ids = [row.id for row in rows]
    waiting = select(Command.device_id, func.count()).where(
        Command.device_id.in_(ids), Command.state.in_(OPEN)
    )
    open_commands = {row[0]: row[1] for row in db.session.execute(waiting.group_by(Command.device_id))}
    unclaimed = db.session.scalar(select(func.count()).where(UNCLAIMED))
    return {
        "rows": rows,
        "items": status_table.shown(ids, SHOWN_ITEMS),
        "open_commands": open_commands,
        "standing": standing.of(ids, utcnow()),
        "q": wanted,
        "page": page,
        "pages": pages,
        "total": total,
        "refused": camera_sessions.strangers_counted(),
        "most_refused": camera_sessions.COUNTED,
        "unclaimed": unclaimed,
    }


@auth.require(Role.INSTALLER)
def add_device() -> ResponseReturnValue:
    """Add a device."""
    if request.method != "POST":
        given = {name: request.args.get(name, "") for name in FIELDS if "sms" not in name}
        return _form(None, given, {}, None)

    def work() -> str:
        device = registry.add(forms.load(DeviceSchema(), *FIELDS), utcnow())
        settlement.adopt_if_possible(device, utcnow())
        return url_for("pages.device", imei=device.imei)

    return forms.once(work, lambda error: (_form(None, request.form, error.errors, error), error.status))


@auth.require(Role.INSTALLER)
def edit_device(imei: str) -> ResponseReturnValue:
    """Change a device; empty credential fields leave them as they are."""
    device = registry.find(imei)
    if request.method != "POST":
        shown = (*(name for name in FIELDS if "sms" not in name), "camera_server_configured")
        return _form(device, {name: getattr(device, name) for name in shown}, {}, None)
    names = [n for n in FIELDS if n != "imei" and ("sms" not in n or request.form.get(n))]

    def work() -> str:
        given = forms.load(DeviceChangeSchema(partial=True), *names)
        given["camera_server_configured"] = "camera_server_configured" in request.form
        if "clear_credentials" in request.form:
            given |= {"sms_login": "", "sms_password": ""}
        registry.change(device, given, utcnow())
        return url_for("pages.device", imei=imei)

    return forms.once(work, lambda error: (_form(device, request.form, error.errors, error), error.status))


def _form(device: Device | None, given: Any, errors: forms.Errors, error: ServiceError | None) -> str:
    return render_template(
        "device_form.html",
        device=device,
        given=given,
        errors=errors,
        problem=error.message if error else None,
        models=MODELS,
        zones=sorted(ZONES),
    )


@auth.require(Role.INSTALLER)
def archive_device(imei: str) -> ResponseReturnValue:
    """Archive a device."""
    registry.archive(registry.find(imei), utcnow())
    return redirect(url_for("pages.devices"))


@auth.require(Role.VIEWER)
def strangers() -> ResponseReturnValue:
    """Show devices that nobody added but that connected: refused or quarantined."""
    page = min(10_000, max(1, request.args.get("page", 1, int)))
    seen = db.session.execute(
        select(
            CameraSession.imei,
            func.sum(CameraSession.connections).label("count"),
            func.max(func.coalesce(CameraSession.ended_at, CameraSession.started_at)).label("last"),
            func.max(CameraSession.address).label("address"),
        )
        .where(camera_sessions.of_strangers())
        .group_by(CameraSession.imei)
        .order_by(func.max(func.coalesce(CameraSession.ended_at, CameraSession.started_at)).desc())
        .offset((page - 1) * PAGE)
        .limit(PAGE + 1)
    ).all()
    kept = dict(
        db.session.execute(
            select(Upload.imei, func.count())
            .where(in_state(UploadState.QUARANTINED), Upload.imei.in_([row.imei for row in seen]))
            .group_by(Upload.imei)
        ).all()
    )
    return render_template("strangers.html", rows=seen[:PAGE], kept=kept, page=page, more=len(seen) > PAGE)


@auth.require(Role.VIEWER)
def stranger(imei: str) -> ResponseReturnValue:
    """Show the files that are kept of a device that nobody added."""
    rows = db.session.scalars(
        select(Upload)
        .where(Upload.imei == imei, in_state(UploadState.QUARANTINED))
        .order_by(Upload.id.desc())
        .limit(PAGE)
    ).all()
    if not rows:
        raise NotFound("Nothing is kept of this device.")
    return render_template("stranger.html", imei=imei, rows=rows, zone="UTC")
