"""The checklist of a device: begin one, see how it goes, answer what needs eyes."""

from provisioning.check import run_view, runner
from provisioning.check.run_view import RunView
from provisioning.core.errors import Conflict, NotFound
from provisioning.devices import registry
from provisioning.models import ChecklistRun, Device, utcnow
from provisioning.web import auth
from provisioning.web.api import openapi
from provisioning.web.api.shared import repeatable
from provisioning.web.schemas.checks import CheckAnswerSchema, CheckResponse

blueprint = openapi.Blueprint("checks", __name__, description="Checklists")


def _newest(device: Device) -> ChecklistRun:
    run = runner.current(device)
    if run is None:
        raise NotFound("No check was made of this device.", code="not_run")
    return run


@blueprint.post("/devices/<imei>/check")
@repeatable
@blueprint.response(202, CheckResponse)
def begin(imei: str) -> RunView:
    """Begin a check. A 409 (`run_open`) where one is open."""
    run = runner.start(registry.find(imei), auth.caller().label, utcnow())
    runner.advance(run, utcnow())
    return run_view.shown(run)


@blueprint.get("/devices/<imei>/check")
@blueprint.response(200, CheckResponse)
def show(imei: str) -> RunView:
    """Show the newest check: its steps, its verdict, or the question that it waits for a person with."""
    return run_view.shown(_newest(registry.find(imei)))


@blueprint.post("/devices/<imei>/check/answers")
@blueprint.arguments(CheckAnswerSchema)
@repeatable
@blueprint.response(200, CheckResponse)
def reply(given: dict[str, str], imei: str) -> RunView:
    """Answer a question of the newest check; `unable` ends it with the likely cause."""
    run = _newest(registry.find(imei))
    if given["question"] not in run_view.questions_of(run):
        raise Conflict("The check does not ask this now.", code="not_asked")
    runner.answer(run, given["question"], given["answer"], utcnow())
    runner.advance(run, utcnow())
    return run_view.shown(run)
