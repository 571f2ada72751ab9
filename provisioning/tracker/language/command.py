"""What every command declares: its name, what it does to a device, who may send it, its arguments, its text.

A new command is one class in `commands`, `parameter_commands` or `camera_request`, whose head is the declaration:
what is not named there is not allowed. Everything else asks the class: argument checks, the SMS, rights in API and
pages, buttons, masking and the choice of the command that a reply answers.
"""

from abc import ABC
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Self

from provisioning.roles import Permission
from provisioning.tracker.input_fields import Choice
from provisioning.tracker.language.arguments import REQUIRED, Arguments
from provisioning.tracker.language.unsendable import UnsendableText
from provisioning.tracker.parameters import Parameter


class Effect(StrEnum):
    """What a command does to a device."""

    READS = "reads"
    SETS = "sets"  # sent again, it sets the same once more
    COSTS = "costs"  # a file is taken and sent: mobile data
    INTERRUPTS = "interrupts"  # something restarts
    ERASES = "erases"  # what is lost cannot be had back


class Source(StrEnum):
    """Which cameras; the wire says 1, 2 and 3."""

    FRONT = "front"
    REAR = "rear"
    BOTH = "both"


SOURCE_DIGITS: Mapping[Source, str] = {Source.FRONT: "1", Source.REAR: "2", Source.BOTH: "3"}


class OneCamera(Arguments):
    """The camera that a command is for."""

    camera = Choice((Source.FRONT, Source.REAR), required=True, error_messages=REQUIRED)


class TypedCommand(ABC):
    """A command with checked arguments; each subclass declares one kind.

    name: what the device and the API call it.
    effect: what it does; only what reads or sets is ever repeated without a person.
    permission: what sending it needs.
    labels: what its buttons say, by their camera ("" where it is for none); empty: it has no button.
    arguments: the schema of its arguments, whose result makes an instance.
    """

    name: ClassVar[str]
    effect: ClassVar[Effect]
    permission: ClassVar[Permission]
    labels: ClassVar[Mapping[str, str]]
    arguments: ClassVar[type[Arguments]]

    def __init_subclass__(
        cls,
        *,
        name: str,
        effect: Effect,
        permission: Permission = Permission.SERVICE,
        labels: Mapping[str, str] = MappingProxyType({}),
        arguments: type[Arguments] = Arguments,
    ) -> None:
        super().__init_subclass__()
        cls.name, cls.effect, cls.permission, cls.labels, cls.arguments = (
            name,
            effect,
            permission,
            labels,
            arguments,
        )

    @classmethod
    def is_repeatable(cls) -> bool:
        """Return whether the service may send it once more by itself."""
        return cls.effect in (Effect.READS, Effect.SETS)

    @classmethod
    def needs_confirmation(cls) -> bool:
        """Return whether a person must confirm first that it is meant."""
        return cls.effect in (Effect.INTERRUPTS, Effect.ERASES)

    @classmethod
    def is_for_one_camera(cls) -> bool:
        """Return whether its argument is a camera."""
        return issubclass(cls.arguments, OneCamera)

    @classmethod
    def takes_arguments(cls) -> bool:
        """Return whether it has any argument."""
        return cls.arguments is not Arguments

    def encode(self) -> str:
        """Return the SMS body, without credentials. Raises UnsendableText for what has no form on the wire."""
        return self.name

    def as_arguments(self) -> dict[str, Any]:
        """Return the JSON from which `from_arguments` makes the same command; it may hold secrets."""
        return {}

    def split(self, fits: Callable[[Self], bool]) -> Iterator[Self]:
        """Return the command in the fewest parts that fit one SMS each, in order; most have one part."""
        yield self

    def longest_reply(self, catalogue: Mapping[int, Parameter]) -> int:
        """Return how many characters the device may answer, where the command decides that; else 0."""
        return 0


@dataclass(frozen=True)
class ForOneCamera:
    """The text and the arguments of a command for one camera."""

    camera: Source
    name: ClassVar[str]

    def encode(self) -> str:
        if self.camera is Source.BOTH:
            raise UnsendableText("one_camera", command=self.name)
        return f"{self.name}:{SOURCE_DIGITS[self.camera]}"

    def as_arguments(self) -> dict[str, Any]:
        return {"camera": self.camera.value}
