"""What a row holds in the place of a sentence: the code of its words, and what stands in their gaps. Pure.

The module of words of each noun makes the sentence where it is shown, so that one row is read in every language.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

AS_IT_IS = "text"  # the code of words that are not this service's own, or stood in a row before it had a code


@dataclass(frozen=True, slots=True)
class Phrase:
    """A code and its arguments: JSON values and phrases, or lists of them."""

    code: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.as_text())

    def as_json(self) -> dict[str, Any]:
        """Give the phrase as a row holds it."""
        given = {name: _written(value) for name, value in self.arguments.items() if value is not None}
        return {"code": self.code, "arguments": given}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Phrase":
        """Read what `as_json` gave."""
        return cls(data["code"], {name: _read(value) for name, value in data["arguments"].items()})

    def as_text(self) -> str:
        """Give the phrase as a column of text holds it: equal phrases give equal texts."""
        return json.dumps(self.as_json(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def read(held: str | Mapping[str, Any]) -> Phrase:
    """Read what a row holds: a phrase, or the words of a version that wrote sentences."""
    if not isinstance(held, str):
        return Phrase.from_json(held)
    return Phrase.from_json(json.loads(held)) if held.startswith('{"arguments":') else as_it_is(held)


def as_it_is(text: str) -> Phrase:
    """Give the phrase of words that are shown as they are."""
    return Phrase(AS_IT_IS, {"text": text})


def _written(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_written(item) for item in value]
    return value.as_json() if isinstance(value, Phrase) else value


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(item) for item in value]
    is_phrase = isinstance(value, Mapping) and set(value) == {"code", "arguments"}
    return Phrase.from_json(value) if is_phrase else value
