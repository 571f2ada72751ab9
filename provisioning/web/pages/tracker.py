"""What a tracker reports of itself, and asking it: versions, states, restarts, its SMS login."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from provisioning.core.errors import Invalid, ServiceError
from provisioning.devices import registry
from provisioning.models import Device
from provisioning.tracker.language import COMMANDS, Effect
from provisioning.tracker.normalization import clean_text
from provisioning.tracker.parameters import id_of
from provisioning.translation import gettext
from provisioning.web import auth
from provisioning.web.pages import forms
from provisioning.web.pages.vehicle import page


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/vehicles/<imei>/settings/tracker", "tracker", show)
    blueprint.add_url_rule("/vehicles/<imei>/command", "command_form", other, methods=["POST"])
    blueprint.add_url_rule("/vehicles/<imei>/credentials", "credentials", credentials, methods=["POST"])


def show(imei: str) -> ResponseReturnValue:
    """Show what the tracker reported, with the forms that ask it."""
    return _page(registry.find(imei))


def _page(device: Device, error: ServiceError | None = None, form: str = "") -> str:
    return page(
        device,
        "vehicle/tracker.html",
        "settings",
        error=error,
        form_name=form,
        given=request.form,
        questions=_buttons(needs_confirmation=False),
        actions=_buttons(needs_confirmation=True),
        chosen=request.form.get("command", request.args.get("risky")),
    )


def _buttons(*, needs_confirmation: bool) -> list[tuple[str, str]]:
    """Return value and text of the buttons that the caller may press: "camget_restart:front", or the name alone.

    What erases comes last, so that nobody chooses it by choosing nothing.
    """
    return [
        (f"{kind.name}:{camera}".rstrip(":"), gettext(label))
        for kind in sorted(COMMANDS.values(), key=lambda kind: kind.effect is Effect.ERASES)
        if auth.caller().may(kind.permission) and kind.needs_confirmation() is needs_confirmation
        for camera, label in kind.labels.items()
    ]


def other(imei: str) -> ResponseReturnValue:
    """Send a command that has a button: versions, states; and, for installers, restarts and formatting."""
    device = registry.find(imei)
    name, _, camera = request.form.get("command", "").partition(":")
    kind = COMMANDS.get(name)

    def work() -> str:
        if kind is None or not kind.labels:
            raise Invalid(gettext("There is no such command here."))
        auth.demand(kind.permission)
        if kind.needs_confirmation() and "sure" not in request.form:
            raise Invalid(gettext("Tick the box first: it says that you know what this does."))
        arguments = {"camera": camera} if kind.is_for_one_camera() else {}
        return forms.submit(device, name, arguments, "pages.vehicle_log")

    return forms.once(work, lambda error: (_page(device, error, "other"), error.status))


def credentials(imei: str) -> ResponseReturnValue:
    """Change the SMS login and password of the tracker."""
    device = registry.find(imei)

    def work() -> str:
        given = {
            str(id_of(f"sms_{name}")): clean_text(request.form.get(name, ""))
            for name in ("login", "password")
        }
        return forms.submit(device, "setparam", {"parameters": given}, "pages.vehicle_log")

    return forms.once(work, lambda error: (_page(device, error, "credentials"), error.status))
