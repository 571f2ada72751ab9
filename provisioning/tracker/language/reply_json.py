"""Reads replies back from the JSON that rows keep of them, so that their sentences are made where they are shown."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from provisioning.tracker.language.camera_request import FileType
from provisioning.tracker.language.command import Source
from provisioning.tracker.language.parameter_replies import Values
from provisioning.tracker.language.replies import REPLIES
from provisioning.tracker.language.reply import Reply

_BY_KIND: Mapping[str, type[Reply]] = {reply.kind: reply for reply in REPLIES}
_READ: Mapping[str, Callable[[Any], Any]] = {
    "file_type": FileType,
    "source": Source,
    "camera": Source,
    "ids": tuple,
}


def reply_from(data: Mapping[str, Any]) -> Reply:
    """Give the reply that `Reply.as_json` or the phrase of a reply was made of, with dots for what was masked."""
    reply = _BY_KIND[data["kind"]]
    given = {item.name: data.get(item.name) for item in fields(reply) if item.name != "text"}
    read = {
        name: _READ[name](value) if name in _READ and value is not None else value
        for name, value in given.items()
    }
    if reply is Values:
        read["values"] = {int(number): value for number, value in data["values"].items()}
    return reply(**read, text=data.get("text", ""))
