"""Where the buttons of a vehicle's health lead: for every kind of action, the place that does what its button says.

While a check is open the only button is the one that leads to it: its end may say something else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import url_for

from provisioning.devices.health_words import ANSWER, Action, ActionKind
from provisioning.models import ChecklistRun
from provisioning.roles import Permission
from provisioning.translation import gettext
from provisioning.web import auth


@dataclass(frozen=True, slots=True)
class _Place:
    endpoint: str
    anchor: str
    permission: Permission = Permission.SET_UP
    query: Mapping[str, Any] = field(default_factory=dict)


PLACES: Mapping[ActionKind, _Place] = {
    ActionKind.ANSWER: _Place("pages.check", "start", Permission.ASK),
    ActionKind.CHECK: _Place("pages.check", "start", Permission.ASK),
    ActionKind.SET_MODE: _Place("pages.vehicle_settings", "send", query={"then": "check"}),
    ActionKind.SET_CLOCK: _Place("pages.vehicle_settings", "card-clock", query={"then": "check"}),
    ActionKind.RESTART_CAMERA: _Place("pages.tracker", "restart"),
    ActionKind.REPAIR: _Place("pages.vehicle_parameters", "send", query={"differing": "1"}),
    ActionKind.CHANGE_NUMBER: _Place("pages.edit_vehicle", "field-phone"),
    ActionKind.SET_SERVER: _Place("pages.vehicle_settings", "card-server"),
    ActionKind.SET_TRACKER_SERVER: _Place("pages.vehicle_settings", "tracker-server"),
}


@dataclass(frozen=True, slots=True)
class Button:
    """A link that looks like a button."""

    label: str
    address: str


def button_of(action: Action | None, imei: str, run: ChecklistRun | None) -> Button | None:
    """Give the button beside a vehicle's health; None where there is nothing to do, or the caller may not do it.

    `run`: the vehicle's check that has not ended.
    """
    if run is not None:
        may_answer = run.waits_for_person and auth.caller().may(Permission.ASK)
        label = ANSWER.label if may_answer else gettext("See the check")
        return Button(label, url_for("pages.check", imei=imei, _anchor="start"))
    if action is None or not auth.caller().may(PLACES[action.kind].permission):
        return None
    place = PLACES[action.kind]
    query = dict(place.query)
    if action.kind is ActionKind.RESTART_CAMERA:
        query["risky"] = f"camget_restart:{action.camera or 'front'}"  # the choice of the form
    return Button(action.label, url_for(place.endpoint, imei=imei, _anchor=place.anchor, **query))
