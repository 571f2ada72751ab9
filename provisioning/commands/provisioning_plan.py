"""Computes what sending a parameter set would do: normalized values, warnings, the SMS with their lengths."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioning.commands import submission
from provisioning.core.errors import Conflict, Invalid, Unavailable
from provisioning.devices import cabin_rule, status_table
from provisioning.models import Device
from provisioning.tracker.language import SetParam, Sms
from provisioning.tracker.parameters import (
    SENDS_BY_ITSELF,
    ParameterErrors,
    WarningCode,
    as_integer,
    complete,
    find_warnings,
    texts_by_id,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked set; `problem` says why its SMS cannot be sent to this device as it is.

    `alarm` says that what the vehicle would take by itself reaches nobody.
    """

    parameters: Mapping[int, int | str]
    messages: tuple[Sms, ...]
    warnings: Mapping[str, list[str]]
    problem: str | None = None
    alarm: str | None = None


def plan(device: Device | None, parameters: Mapping[Any, Any], *, raw: bool = False) -> Plan:
    """Check and complete a set. Raises ParameterErrors by id, Conflict where it cannot be sent."""
    checked = complete(parameters, raw=raw, catalogue=submission.catalogue())
    if device is not None:
        cabin_rule.refuse_parameters(device, checked)
    return _planned(device, checked, submission.preview(device, SetParam(checked)))


def preview(device: Device, parameters: Mapping[Any, Any]) -> tuple[Plan | None, Mapping[str, list[str]]]:
    """Plan for a page: a plan (with its problem, if it cannot be sent), or the errors by parameter id."""
    try:
        return plan(device, parameters), {}
    except (ParameterErrors, Invalid) as error:
        return None, error.errors
    except (Conflict, Unavailable) as error:
        checked = complete(parameters, catalogue=submission.catalogue())
        return _planned(device, checked, submission.preview(None, SetParam(checked)), error.message), {}


def _planned(
    device: Device | None,
    checked: Mapping[int, int | str],
    messages: tuple[Sms, ...],
    problem: str | None = None,
) -> Plan:
    known = status_table.known_parameters(device.id) if device else {}
    firmware = device.firmware if device else None
    sends_by_itself = any(as_integer((known | dict(checked)).get(number)) for number in SENDS_BY_ITSELF)
    advice = submission.server_advice(device, checked) if sends_by_itself else None
    warnings = find_warnings(checked, known=known, firmware=firmware, server_advice=advice)
    is_lost = any(warning.code is WarningCode.OTHER_SERVER for warning in warnings)
    return Plan(checked, messages, texts_by_id(warnings), problem, advice if is_lost else None)
