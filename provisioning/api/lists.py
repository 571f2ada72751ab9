"""Messages and TCP sessions."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from .. import auth, devices, views
from ..models import UNCLAIMED, Message, Role, Session
from ..schemas import Filter, MessageFilter
from . import description, shared

blueprint = description.Blueprint("lists", __name__, description="SMS and TCP sessions")


@blueprint.get("/messages")
@auth.require(Role.VIEWER)
@blueprint.arguments(MessageFilter, location="query")
@blueprint.response(200, description.page(description.MESSAGE))
def list_messages(given: dict[str, Any]) -> dict[str, Any]:
    """List SMS both ways, newest first."""
    query = select(Message).options(joinedload(Message.device))
    if "imei" in given:
        query = query.where(Message.device_id.in_(devices.ids_of(given["imei"])))
    if given["unclaimed"]:
        query = query.where(UNCLAIMED)
    return shared.page(query, Message.id, given, lambda rows: [views.message(row) for row in rows])


@blueprint.get("/sessions")
@auth.require(Role.VIEWER)
@blueprint.arguments(Filter, location="query")
@blueprint.response(200, description.page(description.SESSION))
def list_sessions(given: dict[str, Any]) -> dict[str, Any]:
    """List TCP sessions of devices and strangers, newest first."""
    query = select(Session)
    if "imei" in given:
        query = query.where(Session.imei == given["imei"])
    return shared.page(query, Session.id, given, lambda rows: [views.session(row) for row in rows])
