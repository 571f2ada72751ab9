"""Blueprints of the API: what the OpenAPI document says beyond its schemas, of errors, of bodies and of files.

No view has to list the errors that all of them share.
"""

import copy
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import flask_smorest
from marshmallow import Schema, fields

from provisioning.web.api.shared import ArgumentsParser

Shape = dict[str, Any]

FILE: Shape = {"type": "string", "format": "binary"}
READING = (401, 422, 429)
WRITING = (400, 401, 403, 409, 413, 415, 422, 429, 503)


class ErrorSchema(Schema):
    """The one shape of every error."""

    code = fields.String(required=True, metadata={"description": "what happened, for programs"})
    message = fields.String(required=True, metadata={"description": "a sentence for people"})
    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        required=True,
        metadata={"description": "sentences by field, in plan and provision by parameter id"},
    )


class Blueprint(flask_smorest.Blueprint):
    """A blueprint whose document names the shared errors."""

    ARGUMENTS_PARSER = ArgumentsParser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks.append(_shared_errors)

    def arguments(self, schema: Any, *, shape: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """Read the arguments of a view; `shape` names the component that describes them better than the schema can."""
        read = super().arguments(schema, **options)

        def decorate(view: Callable[..., Any]) -> Any:
            reading = read(view)
            if shape is not None:
                reading._apidoc = copy.deepcopy(reading._apidoc)
                reading._apidoc["arguments"]["parameters"][-1]["schema"] = {
                    "$ref": f"#/components/schemas/{shape}"
                }
            return reading

        return decorate

    def file(self, *kinds: str) -> Callable[[Any], Any]:
        """Describe an answer that is a file of one of these types: whole, in part, unchanged, or elsewhere."""

        def decorate(view: Any) -> Any:
            for code in (206, 200):
                for kind in kinds:
                    view = self.alt_response(code, schema=FILE, content_type=kind, success=True)(view)
            for code in (302, 304):
                view = self.alt_response(code, HTTPStatus(code).name)(view)
            return self.alt_response(416, HTTPStatus(416).name)(view)

        return decorate


def _shared_errors(doc: Shape, doc_info: Shape, *, method: str, **_: Any) -> Shape:
    # every operation may also name an object that is not there, in its URL, body or parameters
    for code in (*(READING if method == "get" else WRITING), 404):
        doc.setdefault("responses", {}).setdefault(str(code), HTTPStatus(code).name)
    return doc
