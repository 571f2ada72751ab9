"""A preset as six questions: a new one, or a new version of one.

A question that it leaves out stays as a vehicle has it.
"""

from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from provisioning.core.audit import AuditAction
from provisioning.core.errors import Invalid, ServiceError
from provisioning.fleet import presets
from provisioning.models import Profile, utcnow
from provisioning.tracker import questions
from provisioning.tracker.parameters import REQUIRED, describe, id_of
from provisioning.tracker.questions import Answers
from provisioning.translation import gettext
from provisioning.web import audit_notes, auth
from provisioning.web.pages import cards, forms
from provisioning.web.schemas.parameters import ProfileSchema


def attach(blueprint: Blueprint) -> None:
    """Add the address."""
    blueprint.add_url_rule("/settings/preset", "preset_cards", show, methods=["GET", "POST"])


def show() -> ResponseReturnValue:
    """Answer the questions for a preset; `begin` names the one to begin with."""
    begin = presets.find(request.args["begin"]) if "begin" in request.args else None
    if request.method != "POST":
        return _page(begin)

    def work() -> str:
        given = forms.load(ProfileSchema(exclude=("parameters",)), "name", "description")
        filled = cards.read(request.form, may_leave_out=True)
        if filled.errors:
            raise Invalid(gettext("Some answers are wrong; nothing was saved."), errors=filled.errors)
        parameters = _others(begin) | dict(filled.parameters)
        if not parameters:
            raise Invalid(gettext("Answer one question at least; nothing was saved."))
        row = presets.save(given["name"], given["description"], parameters, auth.caller().label, utcnow())
        audit_notes.note(AuditAction.ADDED, f"profile:{row.name}", detail={"version": row.version})
        return url_for("pages.preset", name=row.name)

    return forms.once(work, lambda error: (_page(begin, error), error.status))


def _others(begin: Profile | None) -> dict[int, Any]:
    """Give what the preset sets that no card shows; it stays."""
    if begin is None:
        return {}
    shown = REQUIRED.keys() | cards.server_parameters().keys()
    return {
        number: value for number, value in questions.others(begin.parameters).items() if number not in shown
    }


def _page(begin: Profile | None, error: ServiceError | None = None) -> str:
    if error is not None:
        filled = cards.read(request.form, may_leave_out=True)
        answers, errors, codec = filled.answers, error.errors, "codec" in request.form
    else:
        answers = questions.from_parameters(begin.parameters) if begin else Answers()
        errors, codec = {}, begin is None or str(id_of("data_protocol")) in begin.parameters
    server = {str(number) for number in cards.server_parameters()}
    is_set = bool(server) and begin is not None and server <= begin.parameters.keys()
    return render_template(
        "settings/preset_cards.html", begin=begin, error=error, errors=errors, answers=answers, codec=codec,
        views=cards.views(None, questions.to_parameters(answers), errors, {}), given=request.form,
        server="device" if is_set else "request",
        name=request.form.get("name", begin.name if begin else ""),
        description=request.form.get("description", begin.description if begin else ""),
        others=[(number, describe(number, value)) for number, value in _others(begin).items()], **cards.choices(),
    )  # fmt: skip
