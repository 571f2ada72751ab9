"""Where actions lead: for every kind the place that does what its button says, for a vehicle's health and its check.

While a check is open the only button is the one that leads to it: its end may say something else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import url_for

from provisioning.devices.actions import ANSWER, Action, ActionKind
from provisioning.devices.health_view import HealthView
from provisioning.roles import Permission
from provisioning.translation import gettext
from provisioning.web import auth


@dataclass(frozen=True, slots=True)
class _Place:
    endpoint: str
    anchor: str
    permission: Permission = Permission.SET_UP
    query: Mapping[str, str] = field(default_factory=dict)


PLACES: Mapping[ActionKind, _Place] = {
    ActionKind.ANSWER: _Place("pages.check", "start", Permission.ASK),
    ActionKind.CHECK: _Place("pages.check", "start", Permission.ASK),
    ActionKind.SET_MODE: _Place("pages.vehicle_settings", "send", query={"then": "check"}),
    ActionKind.SET_CLOCK: _Place("pages.vehicle_settings", "card-clock", query={"then": "check"}),
    ActionKind.RESTART_CAMERA: _Place("pages.restart", "restart"),
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
    return button(health.action, imei)


def button(action: Action | None, imei: str) -> Button | None:
    """Give the button that leads to an action's place; None without an action, or where the caller may not do it."""
    if action is None or not auth.caller().may(PLACES[action.kind].permission):
        return None
    place = PLACES[action.kind]
    given: dict[str, Any] = {**place.query, **action.arguments}
    return Button(action.label, url_for(place.endpoint, imei=imei, _anchor=place.anchor, **given))
