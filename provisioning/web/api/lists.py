"""Messages and TCP sessions."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from provisioning.devices import registry
from provisioning.models import UNMATCHED, CameraSession, Message
from provisioning.web.api import openapi, shared
from provisioning.web.schemas.lists import ListFilter, Page, page_of
from provisioning.web.schemas.messages import MessageFilter, MessageResponse
from provisioning.web.schemas.sessions import SessionResponse

blueprint = openapi.Blueprint("lists", __name__, description="SMS and TCP sessions")


@blueprint.get("/messages")
@blueprint.arguments(MessageFilter, location="query")
@blueprint.response(200, page_of(MessageResponse))
def list_messages(given: dict[str, Any]) -> Page:
    """List SMS both ways, newest first."""
    query = select(Message).options(joinedload(Message.device))
    if "imei" in given:
        query = query.where(Message.device_id.in_(registry.ids_of(given["imei"])))
    if given["unclaimed"]:
        query = query.where(UNMATCHED)
    return shared.page(query, Message.id, given)


@blueprint.get("/sessions")
@blueprint.arguments(ListFilter, location="query")
@blueprint.response(200, page_of(SessionResponse))
def list_sessions(given: dict[str, Any]) -> Page:
    """List TCP sessions of devices, also of unknown ones, newest first."""
    query = select(CameraSession)
    if "imei" in given:
        query = query.where(CameraSession.imei == given["imei"])
    return shared.page(query, CameraSession.id, given)
