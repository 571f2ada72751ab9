"""Messages and TCP sessions."""

from typing import Any

from flask_smorest import Blueprint
from sqlalchemy import select

from .. import auth, views
from ..models import Device, Direction, Message, Role, Session
from ..schemas import Filter, MessageFilter
from . import shared

blueprint = Blueprint("lists", __name__, description="SMS and TCP sessions")


@blueprint.get("/messages")
@blueprint.arguments(MessageFilter, location="query")
@blueprint.response(200)
@auth.require(Role.VIEWER)
def list_messages(given: dict[str, Any]) -> dict[str, Any]:
    """List SMS both ways, newest first."""
    query = select(Message)
    if "imei" in given:
        query = query.join(Device).where(Device.imei == given["imei"])
    if given["unclaimed"]:
        query = query.where(Message.direction == Direction.IN, Message.claimed.is_(False))
    return shared.page(query, Message.id, given, lambda rows: [views.message(row) for row in rows])


@blueprint.get("/sessions")
@blueprint.arguments(Filter, location="query")
@blueprint.response(200)
@auth.require(Role.VIEWER)
def list_sessions(given: dict[str, Any]) -> dict[str, Any]:
    """List TCP sessions of devices and strangers, newest first."""
    query = select(Session)
    if "imei" in given:
        query = query.where(Session.imei == given["imei"])
    return shared.page(query, Session.id, given, lambda rows: [views.session(row) for row in rows])
