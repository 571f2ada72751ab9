"""The fleet: the list of vehicles; and adding, changing, archiving one."""

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select

from provisioning.core.errors import ServiceError
from provisioning.core.sms_capabilities import sms_capabilities
from provisioning.devices import health_view, listing, registry, status_table
from provisioning.media import settlement
from provisioning.models import OPEN, Command, Device, Role, db, utcnow
from provisioning.tracker.normalization import clean_line
from provisioning.web import auth
from provisioning.web.pages import forms, media, vehicle
from provisioning.web.schemas import ZONES, DeviceChangeForm, DeviceForm

PAGE = 50
FIELDS = (
    "imei", "phone", "name", "plate", "tags", "card_gb", "model", "sms_login", "sms_password", "time_zone",
)  # fmt: skip
MODELS = ("FMB125", "FMC125", "FMB225", "FMC225")
SHOWN_ITEMS = ("contact.sms", "contact.tcp", "upload.last")


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/", "fleet", show_fleet)
    blueprint.add_url_rule("/fleet/part", "fleet_part", fleet_part)
    blueprint.add_url_rule("/vehicles/new", "add_vehicle", add_vehicle, methods=["GET", "POST"])
    blueprint.add_url_rule(
        "/vehicles/<imei>/settings/vehicle", "edit_vehicle", edit_vehicle, methods=["GET", "POST"]
    )
    blueprint.add_url_rule("/vehicles/<imei>/archive", "archive_vehicle", archive_vehicle, methods=["POST"])


@auth.require(Role.VIEWER)
def show_fleet() -> ResponseReturnValue:
    """Show the vehicles with their state at a glance."""
    return render_template("fleet.html", **_listed())


@auth.require(Role.VIEWER)
def fleet_part() -> ResponseReturnValue:
    """Give the list anew, for live pages."""
    return render_template("fleet/list.html", **_listed())


def _listed() -> dict[str, Any]:
    wanted = clean_line(request.args.get("q", ""))
    query = select(Device).where(Device.archived_at.is_(None))
    if wanted:
        query = query.where(listing.is_called(wanted))
    total = db.session.scalar(select(func.count()).select_from(query.subquery())) or 0
    pages = max(1, -(-total // PAGE))
    page = min(pages, max(1, request.args.get("page", 1, int)))
    rows = db.session.scalars(
        query.order_by(Device.name, Device.imei).offset((page - 1) * PAGE).limit(PAGE)
    ).all()
    return {"q": wanted, "page_number": page, "pages": pages, "total": total} | about(rows)


def about(rows: Any) -> dict[str, Any]:
    """Give what a list of vehicles shows of each."""
    ids = [row.id for row in rows]
    waiting = select(Command.device_id, func.count()).where(
        Command.device_id.in_(ids), Command.state.in_(OPEN)
    )
    open_commands = {row[0]: row[1] for row in db.session.execute(waiting.group_by(Command.device_id))}
    items = status_table.shown(ids, SHOWN_ITEMS)
    signs = {
        ident: max(known[name].checked_at for name in ("contact.sms", "contact.tcp") if name in known)
        for ident, known in items.items()
        if "contact.sms" in known or "contact.tcp" in known
    }
    return {
        "rows": rows, "items": items, "signs": signs, "open_commands": open_commands,
        "health": health_view.of(rows, utcnow()), "pictures": media.newest_pictures(ids),
    }  # fmt: skip


@auth.require(Role.INSTALLER)
def add_vehicle() -> ResponseReturnValue:
    """Add a vehicle."""
    if request.method != "POST":
        given = {name: request.args.get(name, "") for name in FIELDS if "sms" not in name}
        return _form(None, given, {}, None)

    def work() -> str:
        device = registry.add(forms.load(DeviceForm(), *FIELDS), utcnow())
        settlement.adopt_if_possible(device, utcnow())
        return url_for("pages.vehicle", imei=device.imei)

    return forms.once(work, lambda error: (_form(None, request.form, error.errors, error), error.status))


@auth.require(Role.INSTALLER)
def edit_vehicle(imei: str) -> ResponseReturnValue:
    """Change a vehicle; empty credential fields leave them as they are."""
    device = registry.find(imei)
    if request.method != "POST":
        shown = (*(name for name in FIELDS if "sms" not in name), "camera_server_configured")
        given = {name: getattr(device, name) or "" for name in shown} | {"tags": ", ".join(device.tags)}
        return _form(device, given, {}, None)
    names = [n for n in FIELDS if n != "imei" and ("sms" not in n or request.form.get(n))]

    def work() -> str:
        given = forms.load(DeviceChangeForm(partial=True), *names)
        given["camera_server_configured"] = "camera_server_configured" in request.form
        if "clear_credentials" in request.form:
            given |= {"sms_login": "", "sms_password": ""}
        registry.change(device, given, utcnow())
        return url_for("pages.vehicle", imei=imei)

    return forms.once(work, lambda error: (_form(device, request.form, error.errors, error), error.status))


def _form(device: Device | None, given: Any, errors: forms.Errors, error: ServiceError | None) -> str:
    fields = {
        "given": given, "errors": errors, "problem": error.message if error else None, "models": MODELS,
        "zones": sorted(ZONES),
    }  # fmt: skip
    if device is None:
        keeps = sms_capabilities().keeps_leading_spaces
        return render_template("vehicle/new.html", device=None, keeps_leading_spaces=keeps, **fields)
    return vehicle.page(device, "vehicle/details.html", "settings", **fields)


@auth.require(Role.INSTALLER)
def archive_vehicle(imei: str) -> ResponseReturnValue:
    """Archive a vehicle."""
    registry.archive(registry.find(imei), utcnow())
    return redirect(url_for("pages.fleet"))
