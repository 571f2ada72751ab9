"""The check of a vehicle: start it, with its cost, watch it, answer its questions, read the verdict."""

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from provisioning.check import check_words, run_view, runner, step_commands
from provisioning.check.steps import STEPS
from provisioning.check.verdicts import BY_ID, health_state
from provisioning.core.errors import Invalid, ServiceError
from provisioning.devices import registry
from provisioning.models import ChecklistRun, Device, utcnow
from provisioning.translation import gettext
from provisioning.web import audit_notes, auth
from provisioning.web.pages import action_places, forms, words
from provisioning.web.pages.vehicle import page


def attach(blueprint: Blueprint) -> None:
    """Add the address."""
    blueprint.add_url_rule("/vehicles/<imei>/check", "check", show)
    blueprint.add_url_rule("/vehicles/<imei>/check", "check_do", act, methods=["POST"])


def show(imei: str) -> ResponseReturnValue:
    """Show the newest run, or offer one."""
    return _page(registry.find(imei))


def _page(device: Device, problem: str | None = None) -> str:
    run = runner.current(device)
    try:
        cost: int | None = step_commands.cost(device)
    except ServiceError as error:
        cost, problem = None, problem or error.message
    verdict = BY_ID.get(run.verdict or "") if run else None
    asked = run_view.commands(run) if run else []
    return page(
        device, "vehicle/check.html", "check", run=run, steps=STEPS, cost=cost, problem=problem, verdict=verdict,
        tone=_tone(run), mend=action_places.button(run_view.action_of(run) if run else None, device.imei),
        check_words=check_words, run_view=run_view, answers=check_words.answers(),
        waits_with=run_view.waits_with(run) if run else "",
        waits_because=run_view.waits_because(run, asked) if run else "",
        further=run_view.further_of(run) if run else [],
        grounds=run_view.grounds_of(run) if run else [], questions=run_view.questions_of(run) if run else {},
        said=run_view.said_of_steps(run) if run else {},
        tested=run_view.tested_at(run, asked) if run else None,
        certainty=run_view.certainty_of(run) if run else None,
        sent={row.id: words.request_title(row, device.time_zone) for row in asked},
    )  # fmt: skip


def _tone(run: ChecklistRun | None) -> str:
    """Give the tone of the card that says how a check stands."""
    if run is not None and run.ended_at is None:
        return "open"
    verdict = BY_ID.get(run.verdict or "") if run else None
    if verdict is None:
        return "quiet"
    state = health_state(verdict)
    return words.HEALTH[state].tone if state else words.GRADES[verdict.grade]


def act(imei: str) -> ResponseReturnValue:
    """Start, end, answer, or ask a step again."""
    device = registry.find(imei)

    def work() -> str:
        _act(device)
        return url_for("pages.check", imei=imei)

    return forms.once(work, lambda error: (_page(device, error.message), error.status))


def _act(device: Device) -> None:
    what, now = request.form.get("do", ""), utcnow()
    run = runner.start(device, auth.caller().label, now) if what == "start" else runner.current(device)
    if run is None:
        raise Invalid(gettext("There is no run; start one."))
    if what == "stop":
        runner.stop(run, now)
        audit_notes.stopped(device)
        return
    if what == "answer":
        runner.answer(run, request.form.get("step", ""), request.form.get("answer", ""), now)
        audit_notes.answered(device)
    elif what == "again":
        runner.again(run, request.form.get("step", ""), now)
    elif what != "start":
        raise Invalid(gettext("There is no such button."))
    runner.advance(run, now)
