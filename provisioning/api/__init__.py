"""The REST API under /api/v1: who may call, what comes in, what goes out, done. Rules live in the rooms below.

One error shape for everything: {"code", "message", "errors": {field: [texts]}}.
"""

from typing import Any

from flask import Flask, Response, g, jsonify, request
from flask_limiter import Limiter
from flask_smorest import Api
from werkzeug.exceptions import HTTPException

from .. import auth
from ..config import current_config
from ..models import utcnow
from ..web import error_body, kept_headers
from . import commands, devices, lists, parameters, uploads

PREFIX = "/api/v1"


class JsonApi(Api):
    """flask-smorest's Api with our error shape, and the headers that an error carries (Allow, Retry-After)."""

    def handle_http_exception(self, error: HTTPException) -> Any:
        """Answer an HTTP error as JSON."""
        answer = jsonify(error_body(error))
        answer.status_code = error.code or 500
        answer.headers.update(kept_headers(error))
        return answer


def _allowed() -> str:
    return f"{current_config().api_requests_per_minute} per minute"


def init_app(app: Flask) -> None:
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
    limiter.init_app(app)
    for blueprint in BLUEPRINTS:
        app.extensions["csrf"].exempt(blueprint)
        api.register_blueprint(blueprint, url_prefix=PREFIX)


def _who() -> str:
    caller = getattr(g, "caller", None)
    return caller.scope if caller else (request.remote_addr or "")


def _authenticate() -> Response | None:
    g.pop("caller", None)
    auth.authenticate_bearer(request, utcnow())
    return None


BLUEPRINTS = (devices.blueprint, commands.blueprint, uploads.blueprint, parameters.blueprint, lists.blueprint)
# counted in each web worker's own memory: docs/operations.md says so
limiter = Limiter(_who, storage_uri="memory://", strategy="moving-window", headers_enabled=True)
for _blueprint in BLUEPRINTS:
    _blueprint.before_request(_authenticate)
    limiter.limit(_allowed)(_blueprint)
