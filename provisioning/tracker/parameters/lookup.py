"""Finds parameters by key, and by what they do: the sets that rules, the checklist and the linking of files ask for.

All of it follows from the rows of `catalogue`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from provisioning.tracker.parameters.catalogue import CATALOGUE

Value = TypeVar("Value")

_IDS: Mapping[str, int] = MappingProxyType({row.key: row.id for row in CATALOGUE.values()})

CREDENTIALS = frozenset(row.id for row in CATALOGUE.values() if row.secret)
RECONFIGURING = frozenset(row.id for row in CATALOGUE.values() if row.reconfigures)
READ_BACK = tuple(row.id for row in CATALOGUE.values() if row.read_back)
SENDS_BY_ITSELF: Mapping[int, str] = MappingProxyType(
    {row.id: row.sends_by_itself for row in CATALOGUE.values() if row.sends_by_itself}
)
# What DualCam needs (vendor's DualCam page: RS232 mode DualCam on a port that is switched on).
REQUIRED: Mapping[int, int] = MappingProxyType(
    {row.id: row.required for row in CATALOGUE.values() if row.required is not None}
)
# "151 = 18, 150 = 1": the same in every language
REQUIRED_IN_WORDS = ", ".join(f"{id} = {value}" for id, value in REQUIRED.items())
TRACKER_SERVER = frozenset({2004, 2005, 2006})  # where the tracker sends its own data: domain, port, protocol


def id_of(key: str) -> int:
    """Return the number of a parameter."""
    return _IDS[key]


def status_item(key: str) -> str:
    """Return the item of the status table that holds a parameter."""
    return f"parameter.{_IDS[key]}"


def by_key(values: Mapping[Any, Value]) -> dict[str, Value]:
    """Return values by key instead of number (an int or its text); numbers that the catalogue lacks are left out."""
    rows = ((CATALOGUE.get(int(number)), value) for number, value in values.items())
    return {row.key: value for row, value in rows if row is not None}
