"""A device's page: what is known, asking for files, provisioning, commands, uploads, messages, sessions."""

from collections.abc import Mapping
from datetime import MAXYEAR, UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from .. import auth, commands, devices, outbox, plans, profiles, statuses, whereabouts
from ..commands import LONGEST_VIDEO, RESOLUTIONS
from ..config import current_config
from ..errors import Invalid, NotFound, ServiceError
from ..models import Command, Device, Message, Role, Session, StatusItem, Upload, db, utcnow
from ..parameters import CREDENTIALS, Parameter, as_integer, describe, mask_names
from . import forms

ROWS = 10  # of each list on the device's page; the rest is behind a link
PAGE = 50
MODELS: Mapping[str, Any] = {"commands": Command, "uploads": Upload, "messages": Message, "sessions": Session}
PARTS = ("status", "commands", "uploads", "messages", "sessions")
PLAIN = ("getver", "getinfo", "getstatus", "getio", "camgetver")
RISKY = ("camget_restart", "camget_sdformat", "cpureset")
FIXED = frozenset({150, 151, *CREDENTIALS})  # added by themselves, or set on their own


def attach(blueprint: Blueprint) -> None:
    """Add the room's addresses."""
    blueprint.add_url_rule("/devices/<imei>", "device", show)
    blueprint.add_url_rule("/devices/<imei>/part/<name>", "device_part", part)
    blueprint.add_url_rule("/devices/<imei>/all/<name>", "device_list", everything)
    blueprint.add_url_rule("/devices/<imei>/ask", "ask", ask, methods=["POST"])
    blueprint.add_url_rule("/devices/<imei>/command", "command_form", other, methods=["POST"])
    blueprint.add_url_rule("/devices/<imei>/provision", "provision", provision, methods=["GET", "POST"])
    blueprint.add_url_rule("/devices/<imei>/plan", "plan", plan, methods=["POST"])
    blueprint.add_url_rule("/devices/<imei>/credentials", "credentials", credentials, methods=["POST"])


@auth.require(Role.VIEWER)
def show(imei: str) -> ResponseReturnValue:
    """Show a device."""
    return _page(devices.find(imei))


def _page(device: Device, error: ServiceError | None = None, form: str = "", given: Any = None) -> str:
    parts = {name: _part(device, name) for name in PARTS}
    return render_template(
        "device.html", device=device, parts=parts, error=error, form=form, given=given or {},
        resolutions=list(RESOLUTIONS), plain=PLAIN, risky=RISKY, config=current_config(), zone=device.time_zone,
        local_now=utcnow().astimezone(ZoneInfo(device.time_zone)).strftime("%Y-%m-%dT%H:%M:%S"),
    )  # fmt: skip


@auth.require(Role.VIEWER)
def part(imei: str, name: str) -> ResponseReturnValue:
    """Give one part of the page anew, for live pages."""
    if name not in PARTS:
        raise NotFound("There is no such part.")
    return _part(devices.find(imei), name)


@auth.require(Role.VIEWER)
def everything(imei: str, name: str) -> ResponseReturnValue:
    """Page through all commands, files, messages or connections of a device, newest first."""
    device = devices.find(imei)
    if name not in MODELS:
        raise NotFound("There is no such list.")
    before = request.args.get("before", "")
    part = _part(device, name, PAGE, before)
    return render_template("device_list.html", device=device, name=name, part=part, before=before)


def _part(device: Device, name: str, limit: int = ROWS, before: str = "") -> str:
    if name == "status":
        items = db.session.scalars(
            select(StatusItem).where(StatusItem.device_id == device.id).order_by(StatusItem.item)
        ).all()
        return render_template("parts/status.html", device=device, groups=_grouped(items))
    model = MODELS[name]
    query = select(model).where(model.device_id == device.id)
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
        given["files"], given["where"] = whereabouts.of(rows, device)
    return render_template(f"parts/{name}.html", **given) + render_template("parts/more.html", **given)


GROUPS = (
    ("Contact", ("contact.", "upload.", "error.", "imei", "firmware")),
    ("Cameras", ("camera.", "ignition", "sos")),
    ("Parameters", ("parameter.",)),
    ("Tracker", ("info.",)),
)


def _grouped(rows: Any) -> list[tuple[str, list[tuple[StatusItem, str, str | datetime]]]]:
    catalogue = outbox.catalogue()
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
    "upload.last": "Last file",
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
    if row.item.startswith("parameter."):
        number = int(row.item.split(".")[1])
        return words(catalogue[number], row.value) if number in catalogue else row.value
    return row.value


@auth.require(Role.SUPPORT)
def ask(imei: str) -> ResponseReturnValue:
    """Ask for a photo or a video."""
    device = devices.find(imei)

    def work() -> str:
        arguments = _camreq_arguments(device)
        return _submit(device, "camreq", arguments)

    return forms.once(work, lambda error: (_page(device, error, "ask", request.form), error.status))


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
    if 0 < duration <= LONGEST_VIDEO and begin + duration > now.timestamp():
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
    asked = commands.from_arguments(name, arguments, now=int(now.timestamp()), catalogue=outbox.catalogue())
    outbox.submit(device, asked, outbox.Asker(who.label, who.may(Role.ADMIN)), now)
    db.session.commit()
    outbox.wake(device.id)
    return url_for("pages.device", imei=device.imei) + "#commands"


@auth.require(Role.SUPPORT)
def other(imei: str) -> ResponseReturnValue:
    """Ask for what needs no form: versions, states; and, with installers, restarts and formatting."""
    device = devices.find(imei)
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

    return forms.once(work, lambda error: (_page(device, error, "other", request.form), error.status))


@auth.require(Role.INSTALLER)
def credentials(imei: str) -> ResponseReturnValue:
    """Change the device's SMS login and password."""
    device = devices.find(imei)

    def work() -> str:
        given = {"3003": request.form.get("login", ""), "3004": request.form.get("password", "")}
        return _submit(device, "setparam", {"parameters": given})

    return forms.once(work, lambda error: (_page(device, error, "credentials"), error.status))


@auth.require(Role.INSTALLER)
def provision(imei: str) -> ResponseReturnValue:
    """Choose parameters, see the SMS and warnings, send."""
    device = devices.find(imei)
    if request.method == "GET":
        ticked: Mapping[str, Any] = {}
        if reference := request.args.get("profile"):
            ticked = profiles.find(reference).parameters
        return _provision_page(device, ticked)
    if "preview" in request.form:
        return _provision_page(device, read_parameters())

    def work() -> str:
        who = auth.caller()
        outbox.provision(device, read_parameters(), outbox.Asker(who.label), utcnow())
        db.session.commit()
        outbox.wake(device.id)
        return url_for("pages.device", imei=imei) + "#commands"

    return forms.once(work, lambda error: (_provision_page(device, read_parameters(), error), error.status))


def read_parameters() -> dict[str, Any]:
    """Read the ticked parameters of the form, masks as lists of names."""
    found: dict[str, Any] = {}
    for number, parameter in outbox.catalogue().items():
        if f"set-{number}" in request.form:
            values = request.form.getlist(f"p-{number}")
            found[str(number)] = values if parameter.kind == "mask" else (values[-1] if values else "")
    return found


def _provision_page(device: Device, ticked: Mapping[str, Any], error: ServiceError | None = None) -> str:
    rows = []
    for number, parameter in outbox.catalogue().items():
        if number in FIXED:
            continue
        item = statuses.get(device.id, f"parameter.{number}")
        held = item.value if item and item.value is not None else (item.asked if item else None)
        value = ticked.get(str(number), held if held is not None else parameter.default)
        rows.append((parameter, item, str(number) in ticked, shown_value(parameter, value)))
    planned, errors = plans.preview(device, ticked) if ticked or not error else (None, {})
    return render_template(
        "provision.html", device=device, rows=rows, planned=planned, errors=(error.errors if error else errors),
        error=error, profiles=profiles.newest(), config=current_config(), words=words,
    )  # fmt: skip


def words(parameter: Parameter, value: Any) -> str:
    """Say a parameter's value, with its number where words stand for it."""
    said = describe(parameter.id, value, catalogue=outbox.catalogue())
    return said if said.startswith(str(value)) else f"{value} ({said})"


def shown_value(parameter: Parameter, value: Any) -> Any:
    """Give a value as the form's field takes it: text, or the names of a mask's bits."""
    if parameter.kind != "mask":
        return "" if value is None else str(value)
    number = as_integer(value) if not isinstance(value, list) else None
    if number is not None:
        return mask_names(parameter.id, number)
    return value if isinstance(value, list) else []


@auth.require(Role.INSTALLER)
def plan(imei: str) -> ResponseReturnValue:
    """Show what the ticked parameters would send, with warnings beside their fields (a part, by htmx)."""
    device = devices.find(imei)
    planned, errors = plans.preview(device, read_parameters())
    return render_template(
        "parts/plan.html", device=device, planned=planned, errors=errors, catalogue=outbox.catalogue(), fixed=FIXED,
        live=True,
    )  # fmt: skip
