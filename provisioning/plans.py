"""What a parameter set would do before anything is sent: normalised values, warnings, the SMS with lengths."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import outbox, statuses
from .commands import SetParam, Sms
from .errors import Conflict, Unavailable
from .models import Device
from .parameters import ParameterErrors, cautions, complete


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked set; `problem` says why its SMS cannot be sent to this device as it is."""

    parameters: Mapping[int, int | str]
    messages: tuple[Sms, ...]
    warnings: Mapping[str, list[str]]
    problem: str | None = None


def plan(device: Device | None, parameters: Mapping[Any, Any], *, raw: bool = False) -> Plan:
    """Check and complete a set. Raises ParameterErrors by id, Conflict where it cannot be sent."""
    checked = complete(parameters, raw=raw, catalogue=outbox.catalogue())
    known = statuses.known_parameters(device.id) if device else {}
    firmware = device.firmware if device else None
    return Plan(
        checked, outbox.preview(device, SetParam(checked)), cautions(checked, known=known, firmware=firmware)
    )


def preview(device: Device, parameters: Mapping[Any, Any]) -> tuple[Plan | None, Mapping[str, list[str]]]:
    """Plan for a page: a plan (with its problem, if it cannot be sent), or the errors by parameter id."""
    try:
        return plan(device, parameters), {}
    except ParameterErrors as error:
        return None, error.errors
    except (Conflict, Unavailable) as error:
        checked = complete(parameters, catalogue=outbox.catalogue())
        warnings = cautions(checked, known=statuses.known_parameters(device.id), firmware=device.firmware)
        return Plan(checked, outbox.preview(None, SetParam(checked)), warnings, error.message), {}
