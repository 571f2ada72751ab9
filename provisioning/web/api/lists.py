"""Messages and TCP sessions."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from provisioning.devices import registry
from provisioning.models import UNMATCHED, CameraSession, Message
from provisioning.web import serializers
from provisioning.web.api import openapi, shared
from provisioning.web.schemas.lists import ListFilter
from provisioning.web.schemas.messages import MessageFilter

blueprint = openapi.Blueprint("lists", __name__, description="SMS and TCP sessions")


@blueprint.get("/messages")
@blueprint.arguments(MessageFilter, location="query")
@blueprint.response(200, openapi.page(openapi.MESSAGE))
def list_messages(given: dict[str, Any]) -> dict[str, Any]:
    """List SMS both ways, newest first."""
    query = select(Message).options(joinedload(Message.device))
    if "imei" in given:
        query = query.where(Message.device_id.in_(registry.ids_of(given["imei"])))
    if given["unclaimed"]:
        query = query.where(UNMATCHED)
    return shared.page(query, Message.id, given, lambda rows: [serializers.message(row) for row in rows])


@blueprint.get("/sessions")
@blueprint.arguments(ListFilter, location="query")
@blueprint.response(200, openapi.page(openapi.SESSION))
def list_sessions(given: dict[str, Any]) -> dict[str, Any]:
    """List TCP sessions of devices, also of unknown ones, newest first."""
    query = select(CameraSession)
    if "imei" in given:
        query = query.where(CameraSession.imei == given["imei"])
    return shared.page(
        query, CameraSession.id, given, lambda rows: [serializers.session(row) for row in rows]
    )
