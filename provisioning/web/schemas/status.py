"""What is known of a device, item by item."""

from collections.abc import Mapping
from typing import Any

from provisioning.commands import command_words
from provisioning.devices import status_words
from provisioning.models import StatusItem, Verdict
from provisioning.web.schemas.response_fields import ByKey, Many, ResponseSchema, Text, Time, Word

SOURCES = {"command": {"type": "string"}, "upload": {"type": "string"}, "record": {"type": "string"}}
SEEN_IN = {"message": {"type": "string"}, "session": {"type": "string"}}


def _known_from(row: StatusItem, kinds: Mapping[str, Any]) -> dict[str, Any] | None:
    if row.source_kind is None or row.source_id is None or row.source_kind not in kinds:
        return None
    return {row.source_kind: row.source_id}


class StatusItemResponse(ResponseSchema):
    """One thing that is known of a device."""

    item = Text()
    value = Text(command_words.status_value, null=True)
    asked = Text(null=True)
    verdict = Word(Verdict)
    note = Text(lambda row: status_words.sentence(row.note) if row.note else None, null=True)
    since = Time()
    checked_at = Time()
    source = ByKey(
        lambda row: _known_from(row, SOURCES),
        properties=SOURCES,
        null=True,
        about="where it is known from: one of these",
    )
    seen_in = ByKey(
        lambda row: _known_from(row, SEEN_IN),
        properties=SEEN_IN,
        null=True,
        about="instead of `source`, where it was seen",
    )


class StatusResponse(ResponseSchema):
    """What is known of a device."""

    items = Many(StatusItemResponse, lambda rows: rows)
