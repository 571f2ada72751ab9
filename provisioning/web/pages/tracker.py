"""What a tracker told about itself, and asking it: versions, states, restarts, its SMS login."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from provisioning.core.errors import Invalid, ServiceError
from provisioning.devices import registry
from provisioning.models import Device, Role
from provisioning.tracker.normalization import clean_text
from provisioning.web import auth
from provisioning.web.pages import forms
from provisioning.web.pages.vehicle import page

PLAIN = ("getver", "getinfo", "getstatus", "getio", "camgetver")
RISKY = ("camget_restart", "camget_sdformat", "cpureset")


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/vehicles/<imei>/settings/tracker", "tracker", show)
    blueprint.add_url_rule("/vehicles/<imei>/command", "command_form", other, methods=["POST"])
    blueprint.add_url_rule("/vehicles/<imei>/credentials", "credentials", credentials, methods=["POST"])


@auth.require(Role.VIEWER)
def show(imei: str) -> ResponseReturnValue:
    """Show what the tracker told, with the forms that ask it."""
    return _page(registry.find(imei))


def _page(device: Device, error: ServiceError | None = None, form: str = "") -> str:
    return page(
        device, "vehicle/tracker.html", "settings", error=error, form_name=form, given=request.form, plain=PLAIN
    )  # fmt: skip


@auth.require(Role.SUPPORT)
def other(imei: str) -> ResponseReturnValue:
    """Ask for what needs no form: versions, states; and, with installers, restarts and formatting."""
    device = registry.find(imei)
    name = request.form.get("command", "")

    def work() -> str:
        if name in RISKY:
            auth.demand(Role.INSTALLER)
            if "sure" not in request.form:
                raise Invalid("Tick the box first: this cannot be undone.", errors={"sure": ["Not ticked."]})
        elif name not in PLAIN:
            raise Invalid("There is no such command here.")
        arguments = {"camera": request.form.get("camera")} if name.startswith("camget_") else {}
        return forms.submit(device, name, arguments, "pages.vehicle_log")

    return forms.once(work, lambda error: (_page(device, error, "other"), error.status))


@auth.require(Role.INSTALLER)
def credentials(imei: str) -> ResponseReturnValue:
    """Change the SMS login and password of the tracker."""
    device = registry.find(imei)

    def work() -> str:
        names = (("3003", "login"), ("3004", "password"))
        given = {number: clean_text(request.form.get(name, "")) for number, name in names}
        return forms.submit(device, "setparam", {"parameters": given}, "pages.vehicle_log")

    return forms.once(work, lambda error: (_page(device, error, "credentials"), error.status))
