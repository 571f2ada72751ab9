"""The forms of a device's page: a photo or a video, a plain command, its SMS credentials. Errors are shown there."""

from collections.abc import Mapping
from datetime import MAXYEAR, UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from provisioning.commands import submission
from provisioning.core.errors import Invalid
from provisioning.devices import registry
from provisioning.models import Device, Role, db, utcnow
from provisioning.tracker import language
from provisioning.tracker.normalization import clean_text
from provisioning.tracker.parameters import as_integer
from provisioning.web import auth
from provisioning.web.pages import forms
from provisioning.web.pages.device import PLAIN, RISKY, page


def attach(blueprint: Blueprint) -> None:
    """Add the room's addresses."""
    blueprint.add_url_rule("/devices/<imei>/ask", "ask", ask, methods=["POST"])
    blueprint.add_url_rule("/devices/<imei>/command", "command_form", other, methods=["POST"])
    blueprint.add_url_rule("/devices/<imei>/credentials", "credentials", credentials, methods=["POST"])


@auth.require(Role.SUPPORT)
def ask(imei: str) -> ResponseReturnValue:
    """Ask for a photo or a video."""
    device = registry.find(imei)

    def work() -> str:
        arguments = _camreq_arguments(device)
        return _submit(device, "camreq", arguments)

    return forms.once(work, lambda error: (page(device, error, "ask", request.form), error.status))


def _camreq_arguments(device: Device) -> dict[str, Any]:
    form = request.form
    arguments: dict[str, Any] = {"file_type": form.get("file_type"), "source": form.get("source")}
    if form.get("file_type") == "photo":
        if form.get("resolution") not in (None, "", "configured"):
            arguments["resolution"] = form["resolution"]
    else:
        duration = as_integer(form.get("duration")) or 0
        arguments["duration"] = form.get("duration")
        if form.get("from"):
            arguments["timestamp"] = _footage(form["from"], duration, device.time_zone)
        else:
            arguments["timestamp"] = int(utcnow().timestamp()) - max(0, duration)
    if form.get("server_domain"):
        arguments["server"] = {"domain": form["server_domain"], "port": form.get("server_port", "")}
    return arguments


def _footage(text: str, duration: int, zone: str) -> int:
    """Read when a video shall begin, in the device's zone. Raises Invalid, in that zone, where it is not over yet."""
    begin, now = _local_time(text, zone), utcnow()
    # a length that is refused anyway is no ground for a sentence about the end
    if 0 < duration <= language.LONGEST_VIDEO and begin + duration > now.timestamp():
        end = datetime.fromtimestamp(begin + duration, ZoneInfo(zone))
        problem = f"The video would end at {end:%Y-%m-%d %H:%M:%S} {end.tzname()}, which has not come yet."
        raise Invalid("Some fields are wrong; nothing was sent.", errors={"timestamp": [problem]})
    return begin


def _local_time(text: str, zone: str) -> int:
    """Read a time of the device's zone; an hour that occurs twice means the first. Raises Invalid."""
    problem = "Give date and time."
    try:
        moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
        if moment.year == MAXYEAR:
            raise OverflowError("what begins then may end after the last day there is")
        back = moment.astimezone(UTC).astimezone(moment.tzinfo)
        if back.replace(tzinfo=None) == moment.replace(tzinfo=None):
            return int(moment.timestamp())
        problem = f"This time does not exist in {zone}: the clock was put forward."
    except (ValueError, OverflowError):
        pass
    raise Invalid("Some fields are wrong; nothing was sent.", errors={"timestamp": [problem]})


def _submit(device: Device, name: str, arguments: Mapping[str, Any]) -> str:
    now = utcnow()
    who = auth.caller()
    asked = language.from_arguments(
        name, arguments, now=int(now.timestamp()), catalogue=submission.catalogue()
    )
    submission.submit(device, asked, submission.Requester(who.label, who.may(Role.ADMIN)), now)
    db.session.commit()
    submission.wake(device.id)
    return url_for("pages.device", imei=device.imei) + "#commands"


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
        return _submit(device, name, arguments)

    return forms.once(work, lambda error: (page(device, error, "other", request.form), error.status))


@auth.require(Role.INSTALLER)
def credentials(imei: str) -> ResponseReturnValue:
    """Change the device's SMS login and password."""
    device = registry.find(imei)

    def work() -> str:
        names = (("3003", "login"), ("3004", "password"))
        given = {number: clean_text(request.form.get(name, "")) for number, name in names}
        return _submit(device, "setparam", {"parameters": given})

    return forms.once(work, lambda error: (page(device, error, "credentials", request.form), error.status))
