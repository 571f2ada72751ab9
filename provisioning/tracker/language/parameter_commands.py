"""setparam and getparam: their declarations, and how each is split into as few SMS as possible.

Source: vendor's FMB setparam and getparam pages.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self, TypeVar

from marshmallow import ValidationError, fields, post_load

from provisioning.roles import Permission
from provisioning.tracker.input_fields import Flag
from provisioning.tracker.language.arguments import REQUIRED, Arguments
from provisioning.tracker.language.command import Effect, TypedCommand
from provisioning.tracker.language.unsendable import UnsendableText
from provisioning.tracker.parameters import CATALOGUE, Parameter, as_integer, id_of, validate
from provisioning.translation import gettext

LONGEST_ID = 99_999_999
CLIP_TRIGGER = id_of("video_trigger")  # the cameras that it uses are parameters of their own
LONGEST_UNKNOWN_VALUE = 55  # characters: a domain, the longest text that the vendor's parameter lists name

Part = TypeVar("Part")


class ParameterValues(fields.Field[Mapping[Any, Any]]):
    """An object of parameter id and value that is not empty; the values are checked as one set, with the others."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> Mapping[Any, Any]:
        if not isinstance(value, Mapping):
            raise ValidationError(gettext("Give an object of parameter id and value."))
        if not value:
            raise ValidationError(gettext("Give at least one parameter."))
        return value


class SetParamArguments(Arguments):
    """Values by parameter id; `raw` lets ids pass that the catalogue does not have."""

    parameters = ParameterValues(required=True, error_messages=REQUIRED)
    raw = Flag(load_default=False)

    @post_load
    def check(self, given: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Check the values as one set. Raises ParameterErrors."""
        return {"parameters": validate(given["parameters"], raw=given["raw"], catalogue=self.catalogue)}


@dataclass(frozen=True)
class SetParam(
    TypedCommand,
    name="setparam",
    effect=Effect.SETS,
    permission=Permission.SET_UP,
    arguments=SetParamArguments,
):
    """Set parameters, in this order."""

    parameters: Mapping[int, int | str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))

    def encode(self) -> str:
        if not self.parameters:
            raise UnsendableText("setparam_empty")
        return "setparam " + ";".join(f"{id}:{value}" for id, value in self.parameters.items())

    def as_arguments(self) -> dict[str, Any]:
        values = {str(id): value for id, value in self.parameters.items()}
        return {"parameters": values} | _raw_if_needed(self.parameters)

    def split(self, fits: Callable[[Self], bool]) -> Iterator[Self]:
        make = type(self)
        pairs = list(self.parameters.items())
        if not fits(self):
            # a vehicle that has the first SMS only must not take clips by cameras that were set before
            pairs.sort(key=lambda pair: pair[0] == CLIP_TRIGGER)
        for few in _groups(pairs, lambda some: fits(make(dict(some)))):
            yield make(dict(few))


class GetParamArguments(Arguments):
    """Parameter ids; `raw` lets ids pass that the catalogue does not have."""

    parameters = fields.Raw(required=True, error_messages=REQUIRED)
    raw = Flag(load_default=False)

    @post_load
    def check(self, given: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Check the ids."""
        try:
            return {"parameters": _read_ids(given["parameters"], None if given["raw"] else self.catalogue)}
        except ValidationError as refused:
            raise ValidationError({"parameters": refused.messages}) from None


def _read_ids(value: Any, catalogue: Mapping[int, Parameter] | None) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ValidationError(gettext("Give a list of parameter ids, like [151, 66000]."))
    numbers = [number for item in value if (number := as_integer(item)) is not None]
    if len(numbers) < len(value) or any(not 1 <= number <= LONGEST_ID for number in numbers):
        raise ValidationError(
            gettext("A parameter id is a whole number from 1 to %(highest)s.", highest=LONGEST_ID)
        )
    if len(set(numbers)) < len(numbers):
        raise ValidationError(gettext("A parameter id is given twice."))
    if catalogue is not None and (unknown := [str(number) for number in numbers if number not in catalogue]):
        raise ValidationError(
            gettext("The catalogue has no %(ids)s. Check the number, or use raw.", ids=", ".join(unknown[:5]))
        )
    return tuple(numbers)


@dataclass(frozen=True)
class GetParam(
    TypedCommand, name="getparam", effect=Effect.READS, permission=Permission.ASK, arguments=GetParamArguments
):
    """Read parameters back, in this order."""

    parameters: tuple[int, ...]

    def encode(self) -> str:
        if not self.parameters:
            raise UnsendableText("getparam_empty")
        return "getparam " + ";".join(str(id) for id in self.parameters)

    def as_arguments(self) -> dict[str, Any]:
        return {"parameters": list(self.parameters)} | _raw_if_needed(self.parameters)

    def split(self, fits: Callable[[Self], bool]) -> Iterator[Self]:
        make = type(self)
        for ids in _groups(list(self.parameters), lambda few: fits(make(tuple(few)))):
            yield make(tuple(ids))

    def longest_reply(self, catalogue: Mapping[int, Parameter]) -> int:
        """Return the length of "Param ID:151 Value:18;150:1" with the longest values."""
        values = [
            catalogue[id].longest if id in catalogue else LONGEST_UNKNOWN_VALUE for id in self.parameters
        ]
        ids = [len(str(id)) for id in self.parameters]
        return len("Param ID: Value:") + sum(ids) + sum(values) + len(";:") * (len(ids) - 1)


def _raw_if_needed(ids: Any) -> dict[str, bool]:
    return {} if all(id in CATALOGUE for id in ids) else {"raw": True}


def _groups(items: list[Part], fits: Callable[[list[Part]], bool]) -> Iterator[list[Part]]:
    # Filling each SMS before the next begins gives the fewest, as long as the order is kept.
    group: list[Part] = []
    for item in items:
        if group and not fits([*group, item]):
            yield group
            group = []
        group.append(item)
    yield group
