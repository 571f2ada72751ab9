"""Shares: links by which people without an account see an event."""

from typing import Any

from flask import Response

from provisioning.core.config import current_config
from provisioning.media import event_list, shares
from provisioning.models import Share, utcnow
from provisioning.web import audit_notes, auth, users
from provisioning.web.api import openapi
from provisioning.web.api.shared import repeatable
from provisioning.web.schemas.events import NewShare, NewShareResponse, ShareResponse, ShareSchema

blueprint = openapi.Blueprint("shares", __name__, description="Links to events for people without an account")


@blueprint.post("/events/<ident>/shares")
@blueprint.arguments(ShareSchema)
@repeatable
@blueprint.response(201, NewShareResponse)
def make_share(given: dict[str, Any], ident: str) -> NewShare:
    """Make a link to an event. Its address is in this answer alone."""
    event, password = event_list.find(ident), given.get("password")
    password_hash = users.hashed(password) if password else None
    share, token = shares.make(event, given["hours"], password_hash, auth.caller().label, utcnow())
    audit_notes.shared(event, share)
    return NewShare(share, f"{current_config().public_url.rstrip('/')}/s/{token}")


@blueprint.get("/shares/<ident>")
@blueprint.response(200, ShareResponse)
def get_share(ident: str) -> Share:
    """Show a share, and how often it was opened."""
    return shares.find(ident)


@blueprint.delete("/shares/<ident>")
@blueprint.response(204)
def end_share(ident: str) -> Response:
    """Have a link lead nowhere any more."""
    if not shares.end(shares.find(ident), utcnow()):
        audit_notes.nothing_done()
    return Response(status=204)
