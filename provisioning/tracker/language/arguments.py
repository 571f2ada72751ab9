"""The arguments of a command, from a form or from JSON: marshmallow schemas, and their errors by argument name.

Each command declares its schema. Who may send a command, and which servers are allowed, is decided by the caller.
Source: the contract of `POST /devices/{imei}/commands`.
"""

from collections.abc import Mapping
from typing import Any

from marshmallow import RAISE, Schema, pre_load

from provisioning.tracker.parameters import Parameter

REQUIRED: dict[str, Any] = {"required": "This is needed."}


class CommandErrors(ValueError):
    """Refused arguments; `errors` maps an argument name ("server.port" in an object) to sentences for people."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__("; ".join(f"{name}: {' '.join(texts)}" for name, texts in errors.items()))
        self.errors = errors


class Arguments(Schema):
    """The arguments of a command that takes none; a command that takes some declares them in a subclass.

    An argument that is null counts as left out. `now`: Unix seconds; `catalogue`: the device's parameters.
    """

    class Meta:
        unknown = RAISE

    def __init__(self, command: str, *, now: int, catalogue: Mapping[int, Parameter]) -> None:
        super().__init__()
        self.now, self.catalogue = now, catalogue
        taken = ", ".join(self.fields) or "nothing"
        self.error_messages["unknown"] = f"{command} has no such argument. It takes: {taken}."

    @pre_load
    def leave_out_nulls(self, data: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        """Leave out what is null."""
        return {name: value for name, value in data.items() if value is not None or name not in self.fields}


def flat(messages: Mapping[Any, Any], prefix: str = "") -> dict[str, list[str]]:
    """Return marshmallow's messages by one name for each argument, those of an object as "server.port"."""
    found: dict[str, list[str]] = {}
    for key, value in messages.items():
        name = prefix.rstrip(".") if key == "_schema" else f"{prefix}{str(key)[:40]}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{name}.")
        else:
            found.setdefault(name, []).extend(str(text) for text in value)
    return found
