"""The fleet: the list of vehicles; and adding, changing, archiving one."""

from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from provisioning.core import fleet_settings
from provisioning.core.audit import AuditAction
from provisioning.core.errors import ServiceError
from provisioning.core.sms_capabilities import sms_capabilities
from provisioning.devices import health_view, listing, registry
from provisioning.devices.health import HealthState
from provisioning.media import settlement
from provisioning.models import Device, utcnow
from provisioning.tracker.normalization import clean_line
from provisioning.web import audit_notes
from provisioning.web.pages import forms, media, more_rows, vehicle
from provisioning.web.schemas.devices import ZONES, DeviceChangeForm, DeviceForm

PAGE, ON_PHONE = 50, 16
ZONES_USED = 6  # time zones that stand before all others
FIELDS = (
    "imei", "phone", "name", "plate", "tags", "card_gb", "model", "sms_login", "sms_password", "time_zone",
)  # fmt: skip
MODELS = ("FMB125", "FMC125", "FMB225", "FMC225")


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/", "fleet", show_fleet)
    blueprint.add_url_rule("/fleet/part", "fleet_part", fleet_part)
    blueprint.add_url_rule("/vehicles/new", "add_vehicle", add_vehicle, methods=["GET", "POST"])
    blueprint.add_url_rule(
        "/vehicles/<imei>/settings/vehicle", "edit_vehicle", edit_vehicle, methods=["GET", "POST"]
    )
    blueprint.add_url_rule("/vehicles/<imei>/archive", "archive_vehicle", archive_vehicle, methods=["POST"])


def show_fleet() -> ResponseReturnValue:
    """Show the vehicles with their state at a glance."""
    return render_template("fleet.html", **_listed())


def fleet_part() -> ResponseReturnValue:
    """Give the list anew, for live pages."""
    return render_template("fleet/list.html", **_listed())


def _wanted() -> tuple[listing.Filter, str]:
    """Read from the address which vehicles are looked for, and their order; what is not known counts as not given."""
    words = request.args.get("state", "").split(",")
    states = tuple(state for state in HealthState if state in words)
    tag, text = (clean_line(request.args.get(name, ""))[:100] for name in ("tag", "q"))
    order = request.args.get("sort", "state")
    is_unfinished = "unfinished" in request.args
    return listing.Filter(states, tag, text, is_unfinished), order if order in listing.ORDERS else "state"


def _listed() -> dict[str, Any]:
    wanted, order = _wanted()
    found = listing.find(wanted, order)
    pages = max(1, -(-found.number // PAGE))
    page = min(pages, max(1, request.args.get("page", 1, int)))
    address = {
        "state": ",".join(wanted.states),
        "tag": wanted.tag,
        "q": wanted.text,
        "unfinished": int(wanted.is_unfinished),
        "sort": request.args.get("sort"),
    }
    return {
        "wanted": wanted, "order": order, "counts": found.counts, "total": sum(found.counts.values()),
        "found": found.number, "tags": listing.tags(), "unfinished": found.unfinished, "page_number": page,
        "pages": pages, "address": {name: value for name, value in address.items() if value},
        "count": more_rows.wanted(PAGE, ON_PHONE, PAGE),
    } | about(found.rows((page - 1) * PAGE, PAGE))  # fmt: skip


def about(rows: Any) -> dict[str, Any]:
    """Give what a list of vehicles shows of each."""
    ids = [row.id for row in rows]
    return {
        "rows": rows, "under_way": listing.under_way_of(rows), "health": health_view.of(rows, utcnow()),
        "pictures": media.newest_pictures(ids),
    }  # fmt: skip


def add_vehicle() -> ResponseReturnValue:
    """Add a vehicle."""
    if request.method != "POST":
        given = {name: request.args.get(name, "") for name in FIELDS if "sms" not in name}
        given["phone"] = given["phone"] or fleet_settings.current().country_code or ""
        given["time_zone"] = given["time_zone"] or listing.newest_zone() or ""
        return _form(None, given, {}, None)

    def work() -> str:
        given = forms.load(DeviceForm(), *FIELDS)
        if "usual_login" in request.form and not (given.get("sms_login") or given.get("sms_password")):
            given |= fleet_settings.usual_credentials()
        device = registry.add(given, utcnow())
        settlement.adopt_if_possible(device, utcnow())
        audit_notes.changed(AuditAction.ADDED, device, given)
        return url_for("pages.vehicle", imei=device.imei)

    return forms.once(work, lambda error: (_form(None, request.form, error.errors, error), error.status))


def edit_vehicle(imei: str) -> ResponseReturnValue:
    """Change a vehicle; empty credential fields leave them as they are."""
    device = registry.find(imei)
    if request.method != "POST":
        shown = (*(name for name in FIELDS if "sms" not in name), "camera_server_configured", "cabin_private")
        given = {name: getattr(device, name) or "" for name in shown} | {"tags": ", ".join(device.tags)}
        return _form(device, given, {}, None)
    names = [n for n in FIELDS if n != "imei" and ("sms" not in n or request.form.get(n))]

    def work() -> str:
        given = forms.load(DeviceChangeForm(partial=True), *names)
        for name in ("camera_server_configured", "cabin_private"):
            given[name] = name in request.form
        if "clear_credentials" in request.form:
            given |= {"sms_login": "", "sms_password": ""}
        before = audit_notes.fields_of(device, given)
        registry.change(device, given, utcnow())
        audit_notes.changed(AuditAction.CHANGED, device, given, before)
        return url_for("pages.vehicle", imei=imei, saved=1)

    return forms.once(work, lambda error: (_form(device, request.form, error.errors, error), error.status))


def _form(device: Device | None, given: Any, errors: forms.Errors, error: ServiceError | None) -> str:
    fields = {
        "given": given, "errors": errors, "problem": error.message if error else None, "models": MODELS,
        "zones": sorted(ZONES), "zones_used": listing.zones_used(ZONES_USED),
        "keeps_leading_spaces": sms_capabilities().keeps_leading_spaces,
    }  # fmt: skip
    if device is None:
        usual_login = bool(fleet_settings.current().sms_login)
        return render_template("vehicle/new.html", device=None, usual_login=usual_login, **fields)
    return vehicle.page(device, "vehicle/details.html", "settings", **fields)


def archive_vehicle(imei: str) -> ResponseReturnValue:
    """Archive a vehicle."""

    def work() -> str:
        registry.archive(registry.find(imei), utcnow())
        return url_for("pages.fleet")

    def refused(error: ServiceError) -> ResponseReturnValue:
        raise error

    return forms.once(work, refused)
