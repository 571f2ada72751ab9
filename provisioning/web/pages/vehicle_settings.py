"""The settings of a vehicle as six questions: what it has, what is wanted, the SMS that makes the difference."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from provisioning.check import runner, step_commands
from provisioning.commands import provisioning_plan, submission
from provisioning.commands.provisioning_plan import Plan
from provisioning.core.config import current_config
from provisioning.core.errors import Conflict, Invalid, ServiceError
from provisioning.devices import cabin_rule, camera_server, durations, measured_times, registry, status_table
from provisioning.devices.durations import Wanted
from provisioning.fleet import presets
from provisioning.media import camera_clock
from provisioning.models import Device, Profile, db, locks, utcnow
from provisioning.roles import Permission
from provisioning.tracker import questions, setting_words
from provisioning.tracker.parameters import REQUIRED, as_integer, id_of
from provisioning.tracker.questions import Answers
from provisioning.translation import gettext
from provisioning.web import audit_notes, auth
from provisioning.web.pages import cards, forms
from provisioning.web.pages.vehicle import page


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/vehicles/<imei>/settings", "vehicle_settings", show, methods=["GET", "POST"])
    blueprint.add_url_rule("/vehicles/<imei>/settings/read", "read_settings", ask, methods=["POST"])
    blueprint.add_url_rule("/vehicles/<imei>/settings/plan", "cards_plan", plan, methods=["POST"])


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the page asks for: the answers as its fields show them, what is to be sent, and what is wrong, by id."""

    answers: Answers
    sent: Mapping[int, Any]
    errors: Mapping[str, list[str]]
    preset: Profile | None


def show(imei: str) -> ResponseReturnValue:
    """Answer the questions, see the SMS, send; who may not change any sees what the tracker answered."""
    device = registry.find(imei)
    if not auth.caller().may(Permission.SET_UP):
        return redirect(url_for("pages.tracker", imei=imei))
    if request.method != "POST" or "preview" in request.form:
        return _page(device)

    def work() -> str:
        wish = _wish(device)
        if wish.errors:
            raise Invalid(gettext("Some answers are wrong; nothing was sent."), errors=wish.errors)
        if not wish.sent and not _then_check():
            raise Conflict(
                gettext("The vehicle has all of this already; nothing was sent."), code="nothing_to_send"
            )
        who = auth.caller()
        requester = submission.Requester(who.label, who.role)
        rows = submission.provision(device, wish.sent, requester, utcnow()) if wish.sent else []
        if wish.preset is not None and "profile" in request.form:
            registry.set_profile(locks.lock_device(device.id), wish.preset)
        if _then_check():
            runner.start(device, who.label, utcnow(), after=rows)
            audit_notes.checked(device)
        db.session.commit()
        if rows:
            audit_notes.asked(rows)
        return url_for("pages.check" if _then_check() else "pages.vehicle_settings", imei=imei)

    return forms.once(work, lambda error: (_page(device, error), error.status))


def _then_check() -> bool:
    """Condition: the page was opened to mend the vehicle, and a check follows once it confirmed what is sent."""
    return request.values.get("then") == "check"


def ask(imei: str) -> ResponseReturnValue:
    """Ask the vehicle for the settings that it has not confirmed."""
    device = registry.find(imei)

    def work() -> str:
        unknown = sorted(_asked() - _held(device).keys()) or sorted(_asked())
        return forms.submit(device, "getparam", {"parameters": unknown}, "pages.vehicle_settings")

    return forms.once(work, lambda error: (_page(device, error), error.status))


def plan(imei: str) -> ResponseReturnValue:
    """Show what the answers would send, with texts beside their cards (a part, by htmx)."""
    device = registry.find(imei)
    return render_template("vehicle/parts/cards_plan.html", device=device, live=True, **_shown(device))


def _page(device: Device, error: ServiceError | None = None) -> str:
    moment = utcnow().astimezone(ZoneInfo(device.time_zone)).utcoffset()
    offset = round((moment.total_seconds() if moment else 0) / 1800) * 30
    config = current_config()
    own = camera_server.own_server(config)
    clock = status_table.get(device.id, status_table.CLOCK)
    fitting = _fitting_zone(device, _held(device))
    return page(
        device, "vehicle/settings.html", "settings", error=error, profiles=presets.newest(),
        still_takes=cabin_rule.still_takes(device),
        zone_now=(offset, questions.zone_words(offset)), clock=clock,
        zone_fitting=None if fitting is None else (fitting, questions.zone_words(fitting)),
        check_costs=_check_costs(device) if _then_check() else None,
        server=f"{own.domain}:{own.port}" if own else gettext("this service's address"),
        config=config, given=request.form, **cards.choices(), **_shown(device),
    )  # fmt: skip


def _check_costs(device: Device) -> int | None:
    """Give how many SMS the check takes at most; None where none can be sent, which the page says anyway."""
    try:
        return step_commands.cost(device)
    except ServiceError:
        return None


def _shown(device: Device) -> dict[str, Any]:
    """Give what the cards and the bar below them show."""
    held = _held(device)
    wish = _wish(device)
    planned: Plan | None = None
    errors = wish.errors
    if not errors and wish.sent:
        planned, errors = provisioning_plan.preview(device, wish.sent)
    advice = submission.server_advice(device, wish.sent)
    warnings = planned.warnings if planned else {}
    # the card about the server says it already
    warnings = {number: [text for text in texts if text != advice] for number, texts in warnings.items()}
    return {
        "views": cards.views(held, wish.sent, errors, warnings),
        "answers": wish.answers,
        "planned": planned,
        "errors": errors,
        "sets": setting_words.summary(_changed(planned, held)) if planned else "",
        "is_unknown": not held.keys() & _asked(),
        "is_begun": request.method == "POST" or wish.preset is not None,
        "then_check": _then_check(),
        "preset": wish.preset,
        "codec": request.method != "POST" or "codec" in request.form,
        "unknown": sorted(_asked() - held.keys()),
        "clip_takes": _clip_takes(device, wish.answers),
        "advice": advice,
    }


def _changed(planned: Plan, held: Mapping[int, Any]) -> Mapping[int, Any]:
    """Give what a plan changes: without the camera port where the vehicle has that already."""
    has_port = all(as_integer(held.get(number)) == value for number, value in REQUIRED.items())
    others = setting_words.without_port(planned.parameters)
    return others if has_port and others else planned.parameters


def _wish(device: Device) -> _Wish:
    held = _held(device)
    preset = _preset(device)
    by_preset = preset.parameters if preset else {}
    if request.method == "POST":
        filled = cards.read(request.form, may_leave_out=False)
        wanted, answers, errors = dict(filled.parameters), filled.answers, filled.errors
    else:
        begun = questions.begun_with(
            questions.from_parameters(by_preset), questions.from_parameters(held), questions.defaults()
        )
        answers, errors = _with_right_clock(device, cards.with_codec(begun), held), {}
        wanted = dict(questions.to_parameters(answers))
    wanted = dict(questions.others(by_preset)) | wanted
    sent = questions.to_send(wanted, held, always=[int(number) for number in by_preset])
    if not sent and any(as_integer(held.get(number)) != value for number, value in REQUIRED.items()):
        sent = dict(REQUIRED)
    return _Wish(answers, sent, errors, preset)


def _with_right_clock(device: Device, answers: Answers, held: Mapping[int, Any]) -> Answers:
    fitting = _fitting_zone(device, held)
    return answers if fitting is None else dataclasses.replace(answers, camera_time_zone=fitting)


def _fitting_zone(device: Device, held: Mapping[int, Any]) -> int | None:
    """Give the camera's time zone, in minutes, that puts a wrong clock right, where somebody came to mend it.

    None where the zone was set after the file that showed how far the clock is off: it may be right by now.
    """
    clock = status_table.get(device.id, status_table.CLOCK)
    if not _then_check() or clock is None or clock.value is None:
        return None
    number = id_of("camera_time_zone")
    if any(row.since > clock.checked_at for row in status_table.parameters(device.id, [number])):
        return None
    zone = as_integer(held.get(number)) or 0
    return camera_clock.zone_that_fits(zone, float(clock.value))


def _held(device: Device) -> dict[int, Any]:
    """Give what the vehicle confirmed."""
    return dict(status_table.known_parameters(device.id))


def _preset(device: Device) -> Profile | None:
    """Give the preset to begin with: the chosen one, else the vehicle's own."""
    if reference := request.values.get("profile"):
        return presets.find(reference)
    return device.profile


def _asked() -> set[int]:
    return {id_of(key) for key in questions.CARD_OF} | set(REQUIRED)


def _clip_takes(device: Device, answers: Answers) -> str | None:
    """Say how long a triggered clip of one camera takes to come here."""
    if not answers.clip_seconds:
        return None
    wanted = Wanted("video", answers.clip_seconds, 1)
    estimate = durations.ready_in(wanted, measured_times.of(device))
    return gettext(
        "A %(seconds)s s clip of one camera then takes %(time)s.",
        seconds=answers.clip_seconds, time=durations.words(estimate),
    )  # fmt: skip
