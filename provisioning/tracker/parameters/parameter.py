"""The shape of a row of the catalogue.

The rows are in `catalogue`; no rules and no words for people here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

NO_NAMES: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One numbered setting of the device.

    `kind` is "integer" (minimum to maximum in steps), "choice" (one of `choices`), "mask" (a sum of `bits`)
    or "text" (at most `max_length` characters; `shape` is "alphanumeric", "host" or None). An integer may
    name some of its values in `choices`. `default` is None where it depends on the device; `since` is the
    first firmware that has it, None where no source says so.

    `key` is what rules, warnings and the checklist call it; `id` is its number on the wire and in the API.
    `required`: the value that DualCam needs, which every plan sets. `reconfigures`: after a change the camera takes no
    commands for about 30 s. `read_back`: the checklist asks the device for it. `sends_by_itself`: what makes the device
    send files that nobody asked for, while the value is not 0.
    """

    key: str
    id: int
    name: str
    kind: str
    summary: str
    minimum: int | None = None
    maximum: int | None = None
    step: int = 1
    choices: Mapping[int, str] = field(default_factory=lambda: NO_NAMES)
    bits: Mapping[int, str] = field(default_factory=lambda: NO_NAMES)
    default: int | str | None = None
    unit: str | None = None
    since: str | None = None
    depends: tuple[str, ...] = ()
    max_length: int | None = None
    shape: str | None = None
    secret: bool = False
    required: int | None = None
    reconfigures: bool = False
    read_back: bool = True
    sends_by_itself: str = ""

    @property
    def longest(self) -> int:
        """Return how many characters the longest value takes on the wire."""
        if self.kind == "text":
            return self.max_length or 0
        highest = sum(self.bits) if self.bits else max(self.choices, default=0)
        return max(len(str(value)) for value in (self.minimum or 0, self.maximum or 0, highest))
