"""Shares: links by which people without an account see an event."""

from typing import Any

from flask import Response

from provisioning.core.config import current_config
from provisioning.media import event_list, shares
from provisioning.models import utcnow
from provisioning.web import auth, serializers, users
from provisioning.web.api import openapi
from provisioning.web.api.shared import answer, repeatable
from provisioning.web.schemas.events import ShareSchema

blueprint = openapi.Blueprint("shares", __name__, description="Links to events for people without an account")


@blueprint.post("/events/<ident>/shares")
@blueprint.arguments(ShareSchema)
@blueprint.response(201, openapi.NEW_SHARE)
@repeatable
def make_share(given: dict[str, Any], ident: str) -> Response:
    """Make a link to an event. Its address is in this answer alone."""
    event, password = event_list.find(ident), given.get("password")
    password_hash = users.hashed(password) if password else None
    share, token = shares.make(event, given["hours"], password_hash, auth.caller().label, utcnow())
    url = f"{current_config().public_url.rstrip('/')}/s/{token}"
    return answer({"url": url, **serializers.share(share)}, 201)


@blueprint.get("/shares/<ident>")
@blueprint.response(200, openapi.SHARE)
def get_share(ident: str) -> dict[str, Any]:
    """Show a share, and how often it was opened."""
    return serializers.share(shares.find(ident))


@blueprint.delete("/shares/<ident>")
@blueprint.response(204)
def end_share(ident: str) -> Response:
    """Have a link lead nowhere any more."""
    shares.end(shares.find(ident), utcnow())
    return Response(status=204)
