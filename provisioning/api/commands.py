"""Commands: asking, looking, cancelling; and provisioning."""

from collections.abc import Sequence
from typing import Any

from flask import Response
from flask_smorest import Blueprint
from sqlalchemy import select

from .. import auth, commands, devices, links, outbox, profiles, views
from ..errors import Invalid
from ..models import Command, Device, Role, db, utcnow
from ..schemas import CommandFilter, CommandSchema, ProvisionSchema
from . import shared
from .shared import answer, repeatable

blueprint = Blueprint("commands", __name__, description="What is asked of devices")

NEEDS_INSTALLER = frozenset({"setparam", "camget_sdformat", "camget_restart", "cpureset"})


def show(rows: Sequence[Command]) -> list[dict[str, Any]]:
    """Show commands with their uploads."""
    found = links.uploads_of(rows)
    return [views.command(row, found.get(row.id, [])) for row in rows]


def asker() -> outbox.Asker:
    """Give who asks."""
    who = auth.caller()
    return outbox.Asker(who.label, who.may(Role.ADMIN))


@blueprint.post("/devices/<imei>/commands")
@blueprint.arguments(CommandSchema)
@blueprint.response(202)
@auth.require(Role.SUPPORT)
@repeatable
def ask(given: dict[str, Any], imei: str) -> Response:
    """Ask something of a device. A setparam or getparam that needs several SMS names them all in `batch`."""
    name = given.pop("command")
    if name in NEEDS_INSTALLER:
        auth.demand(Role.INSTALLER)
    device = devices.find(imei)
    now = utcnow()
    asked = commands.from_arguments(name, given, now=int(now.timestamp()), catalogue=outbox.catalogue())
    rows = outbox.submit(device, asked, asker(), now)
    db.session.commit()
    outbox.wake(device.id)
    return answer(views.command(rows[0], [], [row.id for row in rows] if len(rows) > 1 else ()), 202)


@blueprint.post("/devices/<imei>/provision")
@blueprint.arguments(ProvisionSchema)
@blueprint.response(202)
@auth.require(Role.INSTALLER)
@repeatable
def provision(given: dict[str, Any], imei: str) -> Response:
    """Send a parameter set, or a profile, to a device."""
    device = devices.find(imei)
    if ("parameters" in given) == ("profile" in given):
        raise Invalid(
            "Give either parameters or a profile.", errors={"parameters": ["Either this, or profile."]}
        )
    parameters = given.get("parameters") or {}
    if "profile" in given:
        parameters = profiles.find(given["profile"]).parameters
    rows = outbox.provision(device, parameters, asker(), utcnow(), raw=given["raw"])
    db.session.commit()
    outbox.wake(device.id)
    return answer({"commands": show(rows)}, 202)


@blueprint.get("/commands")
@blueprint.arguments(CommandFilter, location="query")
@blueprint.response(200)
@auth.require(Role.VIEWER)
def list_commands(given: dict[str, Any]) -> dict[str, Any]:
    """List commands, newest first."""
    query = select(Command)
    if "imei" in given:
        query = query.join(Device).where(Device.imei == given["imei"])
    if "state" in given:
        query = query.where(Command.state == given["state"])
    return shared.page(query, Command.id, given, show)


@blueprint.get("/commands/<ident>")
@blueprint.response(200)
@auth.require(Role.VIEWER)
def get_command(ident: str) -> dict[str, Any]:
    """Show a command: its life, its reply, its files."""
    return show([shared.command(ident)])[0]


@blueprint.post("/commands/<ident>/cancel")
@blueprint.response(200)
@auth.require(Role.SUPPORT)
@repeatable
def cancel(ident: str) -> Response:
    """Cancel a command; what was handed over may still happen."""
    row = shared.command(ident)
    outbox.cancel(row, utcnow())
    db.session.commit()
    outbox.wake(row.device_id)
    return answer(show([row])[0], 200)
