"""Commands as text and arguments, for the tests of the command language."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sms_vectors import Vector, read

from provisioning.tracker.language import CommandErrors, from_arguments
from provisioning.tracker.parameters import CATALOGUE

NOW = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp())
VECTORS = [*read("camreq_commands.txt"), *read("other_commands.txt")]
GOOD = [vector for vector in VECTORS if not vector.refused]
BAD = [vector for vector in VECTORS if vector.refused]
EVERY_CAMERA_PARAMETER = tuple(id for id, row in CATALOGUE.items() if not row.secret)


def place(vector: Vector) -> str:
    return vector.place


def name_of(text: str) -> str:
    return text.split(":")[0].split(" ")[0]


def refused(name: str, **arguments: Any) -> dict[str, list[str]]:
    with pytest.raises(CommandErrors) as caught:
        from_arguments(name, arguments, now=NOW)
    for texts in caught.value.errors.values():
        assert all(text.endswith(".") for text in texts)
    return caught.value.errors


def photo(**more: Any) -> Any:
    return from_arguments("camreq", {"file_type": "photo", "source": "front", **more}, now=NOW)


def video(**more: Any) -> Any:
    given = {"file_type": "video", "source": "front", "timestamp": NOW - 60, "duration": 5, **more}
    return from_arguments("camreq", given, now=NOW)
