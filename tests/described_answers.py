"""Holds every JSON answer of the API that a test gets to the OpenAPI document: status, types, and no key beyond."""

import functools
from typing import Any

import jsonschema_rs
from flask import Flask, Response, current_app, request

PREFIX = "/api/v1"
Shape = dict[str, Any]


def attach(app: Flask) -> None:
    """Look at every answer that the app gives from now on."""
    app.after_request(_look)


def close(document: Shape) -> Shape:
    """Forbid in place what an answer's schema does not name: to programs, later versions may add fields."""
    for name, shape in document["components"]["schemas"].items():
        if name.endswith(("Response", "Page")):
            shape["additionalProperties"] = False
    return document


def problems(document: Shape, method: str, path: str, status: int, answer: Any) -> list[str]:
    """Say where an answer differs from what the closed document says of an operation."""
    answers = document["paths"][path][method]["responses"]
    if str(status) not in answers and status < 400:
        return [f"{method} {path} does not describe the status {status}"]
    described = answers.get(str(status), answers["default"])
    if "$ref" in described:
        described = document["components"]["responses"][described["$ref"].rpartition("/")[2]]
    shape = described["content"]["application/json"]["schema"]
    errors = _validator(shape["$ref"]).iter_errors(answer)
    return [f"{method} {path} {status} {error.instance_path}: {error.message}" for error in errors]


def _look(answer: Response) -> Response:
    rule = request.url_rule
    if (
        rule is not None
        and rule.rule.startswith(PREFIX)
        and answer.is_json
        and not rule.rule.endswith(".json")
    ):
        path = rule.rule.replace("<", "{").replace(">", "}")
        method = request.method.lower()
        document = closed_document()
        if method in document["paths"].get(path, {}):
            found = problems(document, method, path, answer.status_code, answer.get_json())
            assert not found, found
    return answer


@functools.cache
def closed_document() -> Shape:
    """Give the document of the app; of answers, it says the same whatever the configuration is."""
    return close(current_app.extensions["flask-smorest"]["apis"][""]["ext_obj"].spec.to_dict())


@functools.cache
def _validator(reference: str) -> Any:
    whole = {"$ref": reference, "components": closed_document()["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
