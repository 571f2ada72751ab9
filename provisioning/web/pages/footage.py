"""The page of a vehicle's footage: asking for a photo or a clip, the requests, the files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from provisioning.commands import request_preview, submission
from provisioning.commands.request_preview import Preview
from provisioning.core.config import current_config
from provisioning.core.errors import Invalid, ServiceError
from provisioning.devices import registry
from provisioning.models import Command, Device, db, utcnow
from provisioning.roles import Permission
from provisioning.tracker import language
from provisioning.tracker.language import RESOLUTIONS, CommandErrors
from provisioning.tracker.parameters import as_integer
from provisioning.translation import gettext
from provisioning.web import auth
from provisioning.web.pages import clip_choices, event_days, forms, times, words
from provisioning.web.pages.vehicle import page

DURATION = 10  # seconds of a clip, as the form begins
IN_ADDRESS = ("from", "duration", "source")  # what the address of the page fills in, as the quick choices do


@dataclass(frozen=True, slots=True)
class FormOffer:
    """What a form would do as it stands, or why it cannot be asked for; and what the button of a clip says."""

    preview: Preview | None = None
    problem: str = ""
    button: str = ""
    begin: datetime | None = None
    seconds: int = 0


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/vehicles/<imei>/footage", "footage", show)
    blueprint.add_url_rule("/vehicles/<imei>/ask", "ask", ask, methods=["POST"])
    blueprint.add_url_rule("/vehicles/<imei>/ask/cost", "ask_cost", cost, methods=["POST"])


def show(imei: str) -> ResponseReturnValue:
    """Show the forms, the requests and the files of a vehicle."""
    return _page(registry.find(imei))


def _page(device: Device, error: ServiceError | None = None) -> str:
    """Give the page; `error` stands at its form, with what was given there."""
    filled, offers, choices = _forms(device), {}, []
    if auth.caller().may(Permission.ASK):
        offers = {kind: _offer(device, given) for kind, given in filled.items()}
        day = event_days.shown_day(device, event_days.read(request.args.get("day", "")))
        choices = clip_choices.of_vehicle(device, day, utcnow())
    return page(
        device, "vehicle/footage.html", "footage", error=error, given=request.form, resolutions=list(RESOLUTIONS),
        config=current_config(), filled=filled, offers=offers, choices=choices,
        longest=language.LONGEST_SPLIT,
        asked=_asked(device),
        local_now=utcnow().astimezone(ZoneInfo(device.time_zone)).strftime("%Y-%m-%dT%H:%M:%S"),
    )  # fmt: skip


def _asked(device: Device) -> Sequence[Command]:
    """Give the requests that the form has just made, by the one that the address names."""
    first = db.session.get(Command, request.args.get("asked", ""))
    if first is None or first.device_id != device.id:
        return []
    if first.batch is None:
        return [first]
    return db.session.scalars(select(Command).where(Command.batch == first.batch).order_by(Command.id)).all()


def ask(imei: str) -> ResponseReturnValue:
    """Ask for a photo or a clip; `stay` leads back to the first page of the vehicle."""
    device = registry.find(imei)
    if "preview" in request.form:
        return _page(device)
    back = "pages.vehicle" if "stay" in request.form else "pages.footage"

    def work() -> str:
        return forms.submit(device, "camreq", _arguments(device, request.form), back)

    return forms.once(work, lambda error: (_page(device, error), error.status))


def cost(imei: str) -> ResponseReturnValue:
    """Say what the form would cost and bring as it stands (a part, by htmx)."""
    device = registry.find(imei)
    kind = "photo" if request.form.get("file_type") == "photo" else "video"
    return render_template(
        "vehicle/parts/cost.html", device=device, kind=kind, offer=_offer(device, request.form), alone=True
    )


def _forms(device: Device) -> dict[str, Mapping[str, str]]:
    """Give both forms as they are shown: with what was given or what the address says, else as they begin."""
    source = "front" if device.cabin_private else "both"
    begin: dict[str, Mapping[str, str]] = {
        "photo": {"file_type": "photo", "source": source},
        "video": {"file_type": "video", "source": source, "duration": str(DURATION)},
    }
    given = request.form.get("file_type", "")
    if given in begin:
        return begin | {given: request.form}
    address = {name: request.args[name] for name in IN_ADDRESS if name in request.args}
    return begin | {"video": {**begin["video"], **address}}


def _offer(device: Device, form: Mapping[str, str]) -> FormOffer:
    """Give what a form would do, or why it cannot be asked for as it stands."""
    who = auth.caller()
    requester = submission.Requester(who.label, who.role)
    try:
        arguments = _arguments(device, form)
        found = request_preview.preview(device, "camreq", arguments, requester, utcnow())
    except (CommandErrors, Invalid) as error:
        return FormOffer(problem=" ".join(text for texts in error.errors.values() for text in texts))
    except ServiceError as error:
        return FormOffer(problem=error.message)
    if form.get("file_type") == "photo":
        return FormOffer(found)
    begin = datetime.fromtimestamp(arguments["timestamp"], UTC) if form.get("from") else None
    seconds = as_integer(arguments["duration"]) or 0
    button = words.get_clip(seconds, begin, arguments["source"], device.time_zone)
    return FormOffer(found, "", button, begin, seconds)


def _arguments(device: Device, form: Mapping[str, str]) -> dict[str, Any]:
    arguments: dict[str, Any] = {"file_type": form.get("file_type"), "source": form.get("source")}
    if form.get("file_type") == "photo":
        if form.get("resolution") not in (None, "", "configured"):
            arguments["resolution"] = form["resolution"]
    else:
        duration = as_integer(form.get("duration")) or 0
        arguments |= {"duration": form.get("duration"), "split": True}
        if form.get("from"):
            arguments["timestamp"] = _footage(form["from"], duration, device.time_zone)
        else:
            arguments["timestamp"] = int(utcnow().timestamp()) - max(0, duration)
    if form.get("server_domain"):
        arguments["server"] = {"domain": form["server_domain"], "port": form.get("server_port", "")}
    return arguments


def _footage(text: str, duration: int, zone: str) -> int:
    """Read when a clip shall begin, in the vehicle's zone. Raises Invalid, in that zone, where it is not over yet."""
    begin, now = _local_time(text, zone), utcnow()
    # a length that is refused anyway is no ground for a sentence about the end
    if 0 < duration <= language.LONGEST_SPLIT and begin + duration > now.timestamp():
        end = datetime.fromtimestamp(begin + duration, ZoneInfo(zone))
        problem = gettext(
            "The clip would end at %(time)s, which has not come yet.", time=times.local(end, zone)
        )
        raise Invalid(gettext("Some fields are wrong; nothing was sent."), errors={"timestamp": [problem]})
    return begin


def _local_time(text: str, zone: str) -> int:
    """Read a time of the vehicle's zone, as `times.read` does. Raises Invalid."""
    try:
        if (moment := times.read(text, zone, utcnow())) is not None:
            return int(moment.timestamp())
        problem = gettext("This time does not exist in %(zone)s: the clock was put forward.", zone=zone)
    except (ValueError, OverflowError):
        problem = gettext("Give date and time.")
    raise Invalid(gettext("Some fields are wrong; nothing was sent."), errors={"timestamp": [problem]})
