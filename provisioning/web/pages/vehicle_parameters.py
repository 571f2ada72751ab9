"""All parameters of a vehicle: choose values, see the SMS and the warnings, send."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from provisioning.commands import provisioning_plan, submission
from provisioning.commands.provisioning_plan import Plan
from provisioning.core.config import current_config
from provisioning.core.errors import ServiceError
from provisioning.devices import registry, status_table
from provisioning.fleet import presets
from provisioning.models import Device, db, utcnow
from provisioning.web import audit_notes, auth
from provisioning.web.pages import forms
from provisioning.web.pages.parameters import FIXED, read_parameters, rows, words
from provisioning.web.pages.vehicle import page


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule(
        "/vehicles/<imei>/settings/all", "vehicle_parameters", show, methods=["GET", "POST"]
    )
    blueprint.add_url_rule("/vehicles/<imei>/settings/all/plan", "plan", plan, methods=["POST"])


def show(imei: str) -> ResponseReturnValue:
    """Choose values, see the SMS and warnings, send."""
    device = registry.find(imei)
    if request.method != "POST":
        ticked: Mapping[str, Any] = {}
        if reference := request.args.get("profile"):
            ticked = presets.find(reference).parameters
        elif "differing" in request.args and device.health_code == "drift":
            ticked = _differing(device)
        return _page(device, ticked)
    if "preview" in request.form:
        return _page(device, read_parameters())

    def work() -> str:
        who = auth.caller()
        requester = submission.Requester(who.label, who.role)
        rows = submission.provision(device, read_parameters(), requester, utcnow())
        db.session.commit()
        if rows:
            audit_notes.asked(rows)
        return url_for("pages.vehicle_parameters", imei=imei)

    return forms.once(work, lambda error: (_page(device, read_parameters(), error), error.status))


def _differing(device: Device) -> dict[str, Any]:
    """Give the values that were asked for, of the parameters that the vehicle's health names as differing."""
    health = device.health_arguments or {}
    numbers = [int(number) for number in health.get("parameters", [])]
    if health.get("preset") and device.profile:
        values = {str(number): device.profile.parameters.get(str(number)) for number in numbers}
    else:
        asked = status_table.parameters(device.id, numbers)
        values = {row.item.removeprefix("parameter."): row.asked for row in asked}
    return {number: value for number, value in values.items() if value is not None}


def _planned(device: Device, ticked: Mapping[str, Any]) -> tuple[Plan | None, Mapping[str, list[str]]]:
    """Plan as `provisioning_plan.preview` does; a warning of several parameters stands at the first of them alone."""
    planned, errors = provisioning_plan.preview(device, ticked)
    if planned is None:
        return None, errors
    first: dict[str, str] = {}
    for number, texts in planned.warnings.items():
        for text in texts:
            first.setdefault(text, number)
    warnings = {
        number: [text for text in texts if first[text] == number]
        for number, texts in planned.warnings.items()
    }
    return dataclasses.replace(planned, warnings=warnings), errors


def _page(device: Device, ticked: Mapping[str, Any], error: ServiceError | None = None) -> str:
    planned, errors = _planned(device, ticked) if ticked or not error else (None, {})
    known = {
        int(item.item.split(".")[1]): item
        for item in status_table.parameters(device.id, submission.catalogue())
    }
    return page(
        device, "vehicle/parameters.html", "settings", rows=rows(ticked, known.get),
        planned=planned, errors=(error.errors if error else errors), error=error, profiles=presets.newest(),
        config=current_config(), value_words=words,
    )  # fmt: skip


def plan(imei: str) -> ResponseReturnValue:
    """Show what the chosen settings would send, with warnings beside their fields (a part, by htmx)."""
    device = registry.find(imei)
    planned, errors = _planned(device, read_parameters())
    return render_template(
        "vehicle/parts/plan.html", device=device, planned=planned, errors=errors, catalogue=submission.catalogue(),
        fixed=FIXED, live=True,
    )  # fmt: skip
