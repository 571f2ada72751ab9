"""Where the buttons of a vehicle's health lead: for every kind of action, the place that does what its button says.

While a check is open the only button is the one that leads to it: its end may say something else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import url_for

from provisioning.devices.actions import ANSWER, ActionKind
from provisioning.devices.health_view import HealthView
from provisioning.roles import Permission
from provisioning.translation import gettext
from provisioning.web import auth


@dataclass(frozen=True, slots=True)
class _Place:
    endpoint: str
    anchor: str
    permission: Permission = Permission.SET_UP
    query: Mapping[str, str] = field(default_factory=dict)  # `{camera}` in it: the one that it is about


PLACES: Mapping[ActionKind, _Place] = {
    ActionKind.ANSWER: _Place("pages.check", "start", Permission.ASK),
    ActionKind.CHECK: _Place("pages.check", "start", Permission.ASK),
    ActionKind.SET_MODE: _Place("pages.vehicle_settings", "send", query={"then": "check"}),
    ActionKind.SET_CLOCK: _Place("pages.vehicle_settings", "card-clock", query={"then": "check"}),
    ActionKind.RESTART_CAMERA: _Place("pages.restart", "restart", query={"camera": "{camera}"}),
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


def button_of(health: HealthView, imei: str) -> Button | None:
    """Give the button beside a vehicle's health; None where there is nothing to do, or the caller may not do it."""
    if health.check is not None:
        may_answer = health.check.waits_for_person and auth.caller().may(Permission.ASK)
        label = ANSWER.label if may_answer else gettext("See the check")
        return Button(label, url_for("pages.check", imei=imei, _anchor="start"))
    action = health.action
    if action is None or not auth.caller().may(PLACES[action.kind].permission):
        return None
    place = PLACES[action.kind]
    query: dict[str, Any] = {
        name: value.format(camera=action.camera or "both") for name, value in place.query.items()
    }
    return Button(action.label, url_for(place.endpoint, imei=imei, _anchor=place.anchor, **query))
