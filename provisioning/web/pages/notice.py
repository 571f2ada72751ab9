"""The notice for the drivers of a vehicle, to print: what its cameras record, when, for how long, and who sees it."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from provisioning.devices import registry, status_table
from provisioning.media import kept_days
from provisioning.tracker import questions
from provisioning.tracker.questions import Question
from provisioning.translation import gettext
from provisioning.web.pages.vehicle import page

SHOWN = (Question.PHOTOS, Question.CLIPS, Question.WORK)


def attach(blueprint: Blueprint) -> None:
    """Add the address."""
    blueprint.add_url_rule("/vehicles/<imei>/notice", "notice", show)


def show(imei: str) -> ResponseReturnValue:
    """Show the notice; what the vehicle has not confirmed is left to be filled in by hand."""
    device = registry.find(imei)
    held = questions.from_parameters(status_table.known_parameters(device.id))
    return page(
        device, "vehicle/notice.html", "settings",
        answers=[(gettext(questions.QUESTIONS[one]), questions.in_words(one, held)) for one in SHOWN],
        days=kept_days.kept_days().by_type(),
    )  # fmt: skip
