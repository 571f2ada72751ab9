"""Restarting the cameras of a vehicle that take no picture, and checking it again afterwards."""

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from provisioning.check import runner, step_commands
from provisioning.commands import submission
from provisioning.core.errors import ServiceError
from provisioning.devices import registry
from provisioning.devices.vehicle_facts import SIDES
from provisioning.models import Device, utcnow
from provisioning.web import audit_notes, auth
from provisioning.web.pages import forms
from provisioning.web.pages.vehicle import page


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/vehicles/<imei>/restart", "restart", show, methods=["GET", "POST"])


def show(imei: str) -> ResponseReturnValue:
    """Offer to restart the cameras that the address names; do so, and begin the check that follows."""
    device = registry.find(imei)
    if request.method != "POST":
        return _page(device)

    def work() -> str:
        who = auth.caller()
        requester = submission.Requester(who.label, who.role)
        rows = [
            row
            for side in _sides(device)
            for row in submission.ask(device, "camget_restart", {"camera": side}, requester, utcnow())
        ]
        runner.start(device, who.label, utcnow(), after=rows)
        audit_notes.asked(rows)
        audit_notes.checked(device)
        return url_for("pages.check", imei=imei)

    return forms.once(work, lambda error: (_page(device, error), error.status))


def _sides(device: Device) -> tuple[str, ...]:
    """Give the cameras that are to be restarted: the one that is named, else all that the vehicle uses."""
    chosen = request.values.get("camera", "")
    known = SIDES[:1] if device.cabin_private else SIDES
    return (chosen,) if chosen in known else known


def _page(device: Device, error: ServiceError | None = None) -> str:
    try:
        cost: int | None = step_commands.cost(device)
    except ServiceError as problem:
        cost, error = None, error or problem
    return page(
        device, "vehicle/restart.html", "check", error=error, sides=_sides(device), check_costs=cost
    )  # fmt: skip
