"""Labels of parameter values: what people read where the wire has a number.

Used by pages, warnings and the sentences of replies. Values come from people and from devices, so
nothing here fails on a value that the catalogue does not allow.
"""

from collections.abc import Mapping

from provisioning.tracker.normalization import clean_text
from provisioning.tracker.parameters.catalogue import CATALOGUE
from provisioning.tracker.parameters.lookup import REQUIRED, id_of
from provisioning.tracker.parameters.parameter import Parameter
from provisioning.translation import gettext

SECRET_SHOWN = "\u2022" * 5  # always five dots, so that the length is not shown


def mask_names(id: int, value: int) -> list[str]:
    """Name the bits of a trigger mask, lowest first; a bit without a name reads "bit 512"; 0 is empty."""
    bits = CATALOGUE[id].bits
    if value < 0:
        return [str(value)]
    present = [1 << place for place in range(value.bit_length()) if value >> place & 1]
    return [bits.get(bit, f"bit {bit}") for bit in present]


def describe(id: int, value: int | str, *, catalogue: Mapping[int, Parameter] = CATALOGUE) -> str:
    """Say a value in words: "DIN1, Crash", "1280x720", "30 fps"; secrets as dots; never fails."""
    parameter = catalogue.get(id)
    if parameter is None:
        return str(value)
    if parameter.secret:
        return SECRET_SHOWN if value else ""
    number = as_integer(value)
    if parameter.kind == "text" or number is None:
        return str(value)
    if parameter.kind == "mask":
        return ", ".join(gettext(name) for name in mask_names(id, number)) or gettext("None")
    words = gettext(parameter.choices[number]) if number in parameter.choices else str(number)
    counted = parameter.unit and as_integer(words) is not None
    return f"{words} {parameter.unit}" if counted else words


def titled(id: int, *, catalogue: Mapping[int, Parameter] = CATALOGUE) -> str:
    """Name a parameter: "Scenario mode (66020)"; one that the catalogue lacks by its number alone."""
    parameter = catalogue.get(id)
    return f"{gettext(parameter.name)} ({id})" if parameter else str(id)


def setting(id: int, value: int | str) -> str:
    """Say which value a parameter has: "RS232 mode (151) = DualCam"."""
    return f"{titled(id)} = {describe(id, value)}"


def required_settings() -> str:
    """Say what DualCam needs: "RS232 mode (151) = DualCam, External UART mode (150) = RS232"."""
    return ", ".join(setting(id, value) for id, value in REQUIRED.items())


def named_settings() -> dict[str, str]:
    """Give the settings that sentences name, by the gaps in which they stand."""
    gaps = {"scenario": "scenario_mode", "zone": "camera_time_zone", "protocol": "data_protocol"}
    return {"required": required_settings()} | {gap: titled(id_of(key)) for gap, key in gaps.items()}


def as_integer(value: object) -> int | None:
    """Read a whole number from an int or from its decimal text; None for anything else (bool too)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        number = clean_text(value)
        digits = number.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) <= 18:
            return int(number)
    return None


def same(number: int, value: str, asked: str) -> bool:
    """Compare two values of a parameter: as numbers where the catalogue says so, else letter by letter."""
    parameter = CATALOGUE.get(number)
    left, right = as_integer(value), as_integer(asked)
    if parameter is None or parameter.kind == "text" or left is None or right is None:
        return value == asked
    return left == right
