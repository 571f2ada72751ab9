"""The REST API under /api/v1. A view authorizes, validates, calls one function of a lower package, and answers.

One error shape for everything: {"code", "message", "errors": {field: [texts]}}.
"""

import time
from typing import Any

from flask import Flask, current_app, g, jsonify, request
from flask_smorest import Api
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from werkzeug.exceptions import HTTPException

from provisioning.commands import submission
from provisioning.core.config import current_config
from provisioning.core.errors import TooMany
from provisioning.models import utcnow
from provisioning.web import access, auth
from provisioning.web.api import (
    audit_log,
    checks,
    commands,
    devices,
    events,
    lists,
    openapi,
    parameters,
    people,
    request_shapes,
    shares,
    uploads,
)
from provisioning.web.responses import error_body, kept_headers

PREFIX = "/api/v1"


class JsonApi(Api):
    """flask-smorest's Api with our error shape, and the headers that an error carries (Allow, Retry-After)."""

    ERROR_SCHEMA = openapi.ErrorSchema

    def handle_http_exception(self, error: HTTPException) -> Any:
        """Answer an HTTP error as JSON."""
        answer = jsonify(error_body(error))
        answer.status_code = error.code or 500
        answer.headers.update(kept_headers(error))
        return answer


def init_app(app: Flask) -> None:
    """Attach the API to the app."""
    app.config.update(
        API_TITLE="DualCam service",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
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
    # counted in each web worker's own memory: docs/operations.md says so
    app.extensions["dualcam_limiter"] = MovingWindowRateLimiter(MemoryStorage())
    with app.app_context():
        shapes = request_shapes.shapes(submission.catalogue(), current_config())
    for name, shape in shapes.items():
        api.spec.components.schema(name, shape)
    for blueprint in BLUEPRINTS:
        app.extensions["csrf"].exempt(blueprint)
        api.register_blueprint(blueprint, url_prefix=PREFIX)


def _authenticate() -> None:
    g.pop("caller", None)
    caller = auth.authenticate_bearer(request, utcnow())
    limiter: MovingWindowRateLimiter = current_app.extensions["dualcam_limiter"]
    allowed = parse(f"{current_config().api_requests_per_minute}/minute")
    if not limiter.hit(allowed, caller.scope):
        wait = max(1, int(limiter.get_window_stats(allowed, caller.scope).reset_time - time.time()) + 1)
        raise TooMany(f"Too many requests with this token; come back in {wait} s.", retry_after=wait)
    access.check()


BLUEPRINTS = (
    devices.blueprint,
    commands.blueprint,
    checks.blueprint,
    uploads.blueprint,
    events.blueprint,
    shares.blueprint,
    parameters.blueprint,
    lists.blueprint,
    audit_log.blueprint,
    people.blueprint,
)
for _blueprint in BLUEPRINTS:
    _blueprint.before_request(_authenticate)
