"""The checklist of a device: begin one, see how it goes, answer what needs eyes."""

from typing import Any

from flask import Response

from .. import auth, checklist, devices
from ..errors import Conflict, NotFound
from ..models import ChecklistRun, Device, Role, utcnow
from ..schemas import CheckAnswerSchema
from . import description
from .shared import answer, repeatable

blueprint = description.Blueprint("checks", __name__, description="Checklists")


def _newest(device: Device) -> ChecklistRun:
    run = checklist.current(device)
    if run is None:
        raise NotFound("No check was made of this device.", code="not_run")
    return run


@blueprint.post("/devices/<imei>/check")
@auth.require(Role.SUPPORT)
@blueprint.response(202, description.CHECK)
@repeatable
def begin(imei: str) -> Response:
    """Begin a check. A 409 (`run_open`) where one is open."""
    run = checklist.start(devices.find(imei), auth.caller().label, utcnow())
    checklist.advance(run, utcnow())
    return answer(checklist.told(run), 202)


@blueprint.get("/devices/<imei>/check")
@auth.require(Role.VIEWER)
@blueprint.response(200, description.CHECK)
def show(imei: str) -> dict[str, Any]:
    """Show the newest check: its steps, its verdict, or the question that it waits for a person with."""
    return checklist.told(_newest(devices.find(imei)))


@blueprint.post("/devices/<imei>/check/answers")
@auth.require(Role.SUPPORT)
@blueprint.arguments(CheckAnswerSchema)
@blueprint.response(200, description.CHECK)
@repeatable
def reply(given: dict[str, str], imei: str) -> Response:
    """Answer a question of the newest check; `unable` ends it with the likely cause."""
    run = _newest(devices.find(imei))
    if given["question"] not in checklist.questions_of(run):
        raise Conflict("The check does not ask this now.", code="not_asked")
    checklist.answer(run, given["question"], given["answer"], utcnow())
    checklist.advance(run, utcnow())
    return answer(checklist.told(run), 200)
