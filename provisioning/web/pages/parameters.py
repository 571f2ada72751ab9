"""Parameters as fields of a form, for provisioning and profiles: which there are, what they show, what was ticked."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import request

from provisioning.commands import submission
from provisioning.models import StatusItem
from provisioning.tracker.parameters import CREDENTIALS, REQUIRED, Parameter, as_integer, describe, mask_names

FIXED = CREDENTIALS | REQUIRED.keys()  # added by themselves, or set on their own
Row = tuple[Parameter, StatusItem | None, bool, Any]


def read_parameters() -> dict[str, Any]:
    """Read the ticked parameters of the form, masks as lists of names."""
    found: dict[str, Any] = {}
    for number, parameter in submission.catalogue().items():
        if f"set-{number}" in request.form:
            values = request.form.getlist(f"p-{number}")
            found[str(number)] = values if parameter.kind == "mask" else (values[-1] if values else "")
    return found


def rows(
    ticked: Mapping[str, Any], known: Callable[[int], StatusItem | None] = lambda number: None
) -> list[Row]:
    """Give each field: parameter, what is known of it, whether it is ticked, and its value: ticked, known, default."""
    found: list[Row] = []
    for number, parameter in submission.catalogue().items():
        if number in FIXED:
            continue
        item = known(number)
        held = item.value if item and item.value is not None else (item.asked if item else None)
        begun = _posted(parameter) or (held if held is not None else parameter.default)
        value = ticked.get(str(number), begun)
        found.append((parameter, item, str(number) in ticked, _shown(parameter, value)))
    return found


def _posted(parameter: Parameter) -> Any:
    """Give what a form that comes back has in a field that is not ticked; None where nothing was posted."""
    values = request.form.getlist(f"p-{parameter.id}")
    return (values if parameter.kind == "mask" else values[-1]) if values else None


def words(parameter: Parameter, value: Any) -> str:
    """Say a parameter's value, with its number where words stand for it."""
    said = describe(parameter.id, value, catalogue=submission.catalogue())
    return said if said.startswith(str(value)) else f"{value} ({said})"


def _shown(parameter: Parameter, value: Any) -> Any:
    """Give a value as the form's field takes it: text, or the names of a mask's bits."""
    if parameter.kind != "mask":
        return "" if value is None else str(value)
    number = as_integer(value) if not isinstance(value, list) else None
    if number is not None:
        return mask_names(parameter.id, number)
    return value if isinstance(value, list) else []
