"""The checklist's page: start with its cost, watch, answer, read the verdict."""

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from .. import auth, checklist, devices
from ..checklist_steps import STEPS, VERDICTS
from ..errors import Invalid, ServiceError
from ..models import Device, Role, utcnow
from . import forms


def attach(blueprint: Blueprint) -> None:
    """Add the room's addresses."""
    blueprint.add_url_rule("/devices/<imei>/checklist", "checklist", show)
    blueprint.add_url_rule("/devices/<imei>/checklist", "checklist_do", act, methods=["POST"])


@auth.require(Role.VIEWER)
def show(imei: str) -> ResponseReturnValue:
    """Show the newest run, or offer one."""
    return _page(devices.find(imei))


def _page(device: Device, problem: str | None = None) -> str:
    run = checklist.current(device)
    try:
        cost: int | None = checklist.cost(device)
    except ServiceError as error:
        cost, problem = None, problem or error.message
    verdict = next((v for v in VERDICTS if run and v.id == run.verdict), None)
    return render_template(
        "checklist.html", device=device, run=run, steps=STEPS, cost=cost, problem=problem, verdict=verdict,
        grounds=checklist.grounds_of(run) if run else [], questions=checklist.questions_of(run) if run else {},
        certainty=checklist.certainty_of(run) if run else None,
    )  # fmt: skip


@auth.require(Role.SUPPORT)
def act(imei: str) -> ResponseReturnValue:
    """Start, end, answer, or ask a step again."""
    device = devices.find(imei)

    def work() -> str:
        _act(device)
        return url_for("pages.checklist", imei=imei)

    return forms.once(work, lambda error: (_page(device, error.message), error.status))


def _act(device: Device) -> None:
    what, now = request.form.get("do", ""), utcnow()
    run = checklist.start(device, auth.caller().label, now) if what == "start" else checklist.current(device)
    if run is None:
        raise Invalid("There is no run; start one.")
    if what == "stop":
        checklist.stop(run, now)
        return
    if what == "answer":
        checklist.answer(run, request.form.get("step", ""), request.form.get("answer", ""), now)
    elif what == "again":
        checklist.again(run, request.form.get("step", ""), now)
    elif what != "start":
        raise Invalid("There is no such button.")
    checklist.advance(run, now)
