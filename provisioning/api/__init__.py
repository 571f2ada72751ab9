"""The REST API under /api/v1: who may call, what comes in, what goes out, done. Rules live in the rooms below.

One error shape for everything: {"code", "message", "errors": {field: [texts]}}.
"""

from typing import Any

from flask import Flask, Response, g, jsonify, request
from flask_limiter import Limiter
from flask_smorest import Api
from werkzeug.exceptions import HTTPException

from .. import auth
from ..config import Config
from ..models import utcnow
from . import commands, devices, lists, parameters, uploads

PREFIX = "/api/v1"
CODES = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "too_many_requests",
    500: "internal",
    503: "unavailable",
}


class JsonApi(Api):
    """flask-smorest's Api with our error shape, and the headers that an error carries (Allow, Retry-After)."""

    def handle_http_exception(self, error: HTTPException) -> Any:
        """Answer an HTTP error as JSON."""
        answer = jsonify(error_body(error))
        answer.status_code = error.code or 500
        for name, value in error.get_headers() or []:
            if name.lower() in ("allow", "retry-after"):
                answer.headers[name] = value
        return answer


def error_body(error: HTTPException) -> dict[str, Any]:
    """Give the error shape of an HTTP error; marshmallow's messages by field."""
    data = getattr(error, "data", None) or {}
    messages = data.get("messages") or {}
    errors: dict[str, list[str]] = {}
    for location in messages.values():
        for field, texts in location.items() if isinstance(location, dict) else [("body", location)]:
            _flatten(str(field), texts, errors)
    message = "Some fields are wrong." if errors else (error.description or error.name)
    return {"code": CODES.get(error.code or 500, "error"), "message": message, "errors": errors}


def _flatten(name: str, texts: Any, into: dict[str, list[str]]) -> None:
    if isinstance(texts, dict):
        for key, value in texts.items():
            _flatten(f"{name}.{key}" if name != "_schema" else str(key), value, into)
    else:
        into.setdefault("body" if name == "_schema" else name, []).extend(
            str(text) for text in (texts if isinstance(texts, list) else [texts])
        )


def init_app(app: Flask, config: Config) -> None:
    """Attach the API to the app."""
    app.config.update(
        API_TITLE="DualCam service",
        API_VERSION="v1",
        OPENAPI_VERSION="3.0.3",
        OPENAPI_URL_PREFIX=PREFIX,
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={
            "info": {
                "description": "Provision DualCam cameras by SMS, ask for photos and videos, fetch the files.",
                "license": {"name": "Apache-2.0"},
            },
            "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
            "security": [{"bearer": []}],
        },
    )
    api = JsonApi(app)
    limiter = Limiter(
        _who, app=app, storage_uri="memory://", strategy="moving-window", headers_enabled=True,
        in_memory_fallback_enabled=False,
    )  # fmt: skip
    for blueprint in (
        devices.blueprint,
        commands.blueprint,
        uploads.blueprint,
        parameters.blueprint,
        lists.blueprint,
    ):
        blueprint.before_request(_authenticate)
        limiter.limit(f"{config.api_requests_per_minute} per minute")(blueprint)
        app.extensions["csrf"].exempt(blueprint)
        api.register_blueprint(blueprint, url_prefix=PREFIX)


def _who() -> str:
    caller = getattr(g, "caller", None)
    return caller.scope if caller else (request.remote_addr or "")


def _authenticate() -> Response | None:
    g.pop("caller", None)
    auth.authenticate_bearer(request, utcnow())
    return None
