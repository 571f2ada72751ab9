"""Values in what an HTTP gateway sends, by name: a JSON path such as `results.0.id`, a form's field, or the query."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from werkzeug import Request

from provisioning.core.errors import Invalid


@dataclass(frozen=True, slots=True)
class Fields:
    """One object of a request or an answer; `query` is looked at where `document` has no such name."""

    document: Any
    query: Mapping[str, str] = field(default_factory=dict)

    def get(self, path: str | None) -> str | None:
        """Give a value as text; None where there is none, or no single one."""
        if not path:
            return None
        found = look_up(self.document, path)
        if found is None:
            found = self.query.get(path)
        if isinstance(found, bool):
            return "true" if found else "false"
        return str(found) if isinstance(found, str | int | float) else None

    def each(self, path: str | None) -> "Sequence[Fields]":
        """Give the objects of a list, or this one where no list is named. Raises Invalid where it is none."""
        if not path:
            return [self]
        found = self.document if path == "." else look_up(self.document, path)
        if not isinstance(found, list):
            raise Invalid("The body has no such list.", errors={path: ["There must be a list here."]})
        return [Fields(one, self.query) for one in found]


def look_up(document: Any, path: str) -> Any:
    """Give what stands at a path: names, and places of a list counted from 0, with dots between."""
    if isinstance(document, dict) and path in document:
        return document[path]
    for step in path.split("."):
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isdigit() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


def parse(body: bytes) -> Any:
    """Read JSON; None where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def fields_of(request: Request) -> Fields:
    """Give the fields of a webhook: its JSON, else its form. Raises Invalid where it should be JSON and is none."""
    body = request.get_data()  # before the form is read: it keeps the body for the signature
    query = request.args.to_dict()
    if not request.is_json and not body.lstrip().startswith((b"{", b"[")):
        return Fields(request.form.to_dict(), query)
    document = parse(body)
    if document is None:
        raise Invalid("The body is not JSON.", errors={"body": ["This cannot be read as JSON."]})
    return Fields(document, query)
