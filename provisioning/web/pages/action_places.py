"""Where the buttons of a vehicle's health lead: for every kind of action, the place that does what its button says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import url_for

from provisioning.devices.health_words import Action, ActionKind
from provisioning.roles import Permission
from provisioning.web import auth


@dataclass(frozen=True, slots=True)
class _Place:
    endpoint: str
    anchor: str
    permission: Permission = Permission.SET_UP
    query: Mapping[str, Any] = field(default_factory=dict)


PLACES: Mapping[ActionKind, _Place] = {
    ActionKind.CHECK: _Place("pages.check", "start", Permission.ASK),
    ActionKind.SET_MODE: _Place("pages.vehicle_settings", "send"),
    ActionKind.SET_CLOCK: _Place("pages.vehicle_settings", "card-clock"),
    ActionKind.RESTART_CAMERA: _Place("pages.tracker", "restart", query={"risky": "1"}),
    ActionKind.REPAIR: _Place("pages.vehicle_parameters", "send", query={"differing": "1"}),
    ActionKind.CHANGE_NUMBER: _Place("pages.edit_vehicle", "field-phone"),
    ActionKind.SET_SERVER: _Place("pages.vehicle_settings", "card-server"),
    ActionKind.SET_TRACKER_SERVER: _Place("pages.vehicle_settings", "tracker-server"),
}


def address_of(action: Action | None, imei: str) -> str | None:
    """Give where an action's button leads; None where there is no action, or the caller may not do it."""
    if action is None:
        return None
    place = PLACES[action.kind]
    if not auth.caller().may(place.permission):
        return None
    return url_for(place.endpoint, imei=imei, _anchor=place.anchor, **place.query)
