"""Refuses what would take pictures of the cabin of a vehicle that is set to take none."""

from collections.abc import Mapping
from typing import Any

from provisioning.core.errors import Conflict, Invalid
from provisioning.devices import status_table
from provisioning.models import Device, Profile
from provisioning.tracker.cabin import cabin_problems, is_of_cabin
from provisioning.tracker.language import CamReq, SetParam, TypedCommand
from provisioning.translation import gettext

CODE = "cabin_private"


def refuse(device: Device, asked: TypedCommand) -> None:
    """Refuse what would take pictures of the cabin. Raises Conflict for a request, Invalid for settings."""
    if isinstance(asked, CamReq):
        refuse_request(device, asked)
    elif isinstance(asked, SetParam):
        refuse_parameters(device, asked.parameters)


def refuse_request(device: Device, asked: CamReq) -> None:
    """Refuse a request for the rear camera. Raises Conflict."""
    if device.cabin_private and is_of_cabin(asked):
        raise Conflict(
            gettext("This vehicle takes nothing of the cabin: ask for the front camera alone."), code=CODE
        )


def refuse_parameters(device: Device, parameters: Mapping[Any, Any]) -> None:
    """Refuse settings by which the rear camera takes something by itself. Raises Invalid by parameter id."""
    if not device.cabin_private:
        return
    if problems := cabin_problems(parameters, status_table.known_parameters(device.id)):
        raise Invalid(
            gettext("This vehicle takes nothing of the cabin; nothing was sent."), code=CODE, errors=problems
        )


def refuse_preset(device: Device, preset: Profile | None) -> None:
    """Refuse a preset that takes something of the cabin. Raises Invalid."""
    if device.cabin_private and preset is not None and cabin_problems(preset.parameters, {}, not_known=0):
        text = gettext(
            "This vehicle takes nothing of the cabin, and the preset %(name)s does: choose another one, or none.",
            name=preset.name,
        )
        raise Invalid(text, code=CODE, errors={"profile": [text]})


def still_takes(device: Device) -> list[str]:
    """Say what the vehicle has confirmed that still takes pictures of the cabin."""
    held = status_table.known_parameters(device.id)
    return sorted(cabin_problems(held, held, not_known=0)) if device.cabin_private else []
