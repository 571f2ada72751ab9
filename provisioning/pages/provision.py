"""The page that provisions a device: tick parameters, see the SMS and the warnings, send."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from .. import auth, devices, outbox, plans, profiles, statuses
from ..config import current_config
from ..errors import ServiceError
from ..models import Device, Role, db, utcnow
from . import forms
from .parameters import FIXED, read_parameters, rows, words


def attach(blueprint: Blueprint) -> None:
    """Add the room's addresses."""
    blueprint.add_url_rule("/devices/<imei>/provision", "provision", provision, methods=["GET", "POST"])
    blueprint.add_url_rule("/devices/<imei>/plan", "plan", plan, methods=["POST"])


@auth.require(Role.INSTALLER)
def provision(imei: str) -> ResponseReturnValue:
    """Choose parameters, see the SMS and warnings, send."""
    device = devices.find(imei)
    if request.method != "POST":
        ticked: Mapping[str, Any] = {}
        if reference := request.args.get("profile"):
            ticked = profiles.find(reference).parameters
        return _page(device, ticked)
    if "preview" in request.form:
        return _page(device, read_parameters())

    def work() -> str:
        who = auth.caller()
        outbox.provision(device, read_parameters(), outbox.Asker(who.label, who.may(Role.ADMIN)), utcnow())
        db.session.commit()
        outbox.wake(device.id)
        return url_for("pages.device", imei=imei) + "#commands"

    return forms.once(work, lambda error: (_page(device, read_parameters(), error), error.status))


def _page(device: Device, ticked: Mapping[str, Any], error: ServiceError | None = None) -> str:
    planned, errors = plans.preview(device, ticked) if ticked or not error else (None, {})
    known = {
        int(item.item.split(".")[1]): item for item in statuses.parameters(device.id, outbox.catalogue())
    }
    return render_template(
        "provision.html", device=device, rows=rows(ticked, known.get),
        planned=planned, errors=(error.errors if error else errors), error=error, profiles=profiles.newest(),
        config=current_config(), words=words,
    )  # fmt: skip


@auth.require(Role.INSTALLER)
def plan(imei: str) -> ResponseReturnValue:
    """Show what the ticked parameters would send, with warnings beside their fields (a part, by htmx)."""
    device = devices.find(imei)
    planned, errors = plans.preview(device, read_parameters())
    return render_template(
        "parts/plan.html", device=device, planned=planned, errors=errors, catalogue=outbox.catalogue(), fixed=FIXED,
        live=True,
    )  # fmt: skip
