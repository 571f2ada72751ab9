"""Commands: asking, looking, cancelling; and provisioning."""

from collections.abc import Sequence
from typing import Any

from flask import Response
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from provisioning.commands import request_preview, submission
from provisioning.core.errors import Invalid
from provisioning.devices import credential_pairs, registry
from provisioning.fleet import presets
from provisioning.media import link_service
from provisioning.models import Command, ShownState, command_state, db, utcnow
from provisioning.roles import Permission
from provisioning.web import audit_notes, auth, serializers
from provisioning.web.api import openapi, shared
from provisioning.web.api.shared import answer, repeatable
from provisioning.web.schemas.commands import CommandFilter, CommandSchema
from provisioning.web.schemas.parameters import ProvisionSchema

blueprint = openapi.Blueprint("commands", __name__, description="What is asked of devices")


def show(rows: Sequence[Command]) -> list[dict[str, Any]]:
    """Show commands with their uploads."""
    found = link_service.uploads_of(rows)
    return [serializers.command(row, found.get(row.id, [])) for row in rows]


def requester() -> submission.Requester:
    """Return who asks."""
    who = auth.caller()
    return submission.Requester(who.label, who.role)


@blueprint.post("/devices/<imei>/commands")
@blueprint.arguments(CommandSchema, shape="CommandRequest")
@blueprint.response(202, openapi.COMMAND)
@repeatable
def ask(given: dict[str, Any], imei: str) -> Response:
    """Ask something of a device. A setparam or getparam that needs several SMS names them all in `batch`."""
    device = registry.find(imei)
    rows = submission.ask(device, given.pop("command"), given, requester(), utcnow())
    db.session.commit()
    audit_notes.asked(rows)
    return answer(serializers.command(rows[0], [], [row.id for row in rows] if len(rows) > 1 else ()), 202)


@blueprint.post("/devices/<imei>/commands/preview")
@blueprint.arguments(CommandSchema, shape="CommandRequest")
@blueprint.response(200, openapi.PREVIEW)
@repeatable
def preview(given: dict[str, Any], imei: str) -> Response:
    """Say what a command would cost, how long it would take and what stands in its way; nothing is sent."""
    device = registry.find(imei)
    found = request_preview.preview(device, given.pop("command"), given, requester(), utcnow())
    blocking = show([found.blocked_by])[0] if found.blocked_by else None
    return answer(serializers.preview(found, blocking), 200)


@blueprint.post("/devices/<imei>/provision")
@blueprint.arguments(ProvisionSchema, shape="ProvisionRequest")
@blueprint.response(202, openapi.COMMANDS)
@repeatable
def provision(given: dict[str, Any], imei: str) -> Response:
    """Send a parameter set, or a profile, to a device."""
    device = registry.find(imei)
    if ("parameters" in given) == ("profile" in given):
        raise Invalid(
            "Give either parameters or a profile.", errors={"parameters": ["Either this, or profile."]}
        )
    parameters = given.get("parameters") or {}
    if "profile" in given:
        profile = presets.find(given["profile"])
        parameters = profile.parameters
    rows = submission.provision(device, parameters, requester(), utcnow(), raw=given["raw"])
    if "profile" in given:
        registry.set_profile(device, profile)
    db.session.commit()
    if rows:
        audit_notes.asked(rows)
    return answer({"commands": show(rows)}, 202)


@blueprint.get("/commands")
@blueprint.arguments(CommandFilter, location="query")
@blueprint.response(200, openapi.page(openapi.COMMAND))
def list_commands(given: dict[str, Any]) -> dict[str, Any]:
    """List commands, newest first."""
    query = select(Command).options(joinedload(Command.device), selectinload(Command.attempts))
    if "imei" in given:
        query = query.where(Command.device_id.in_(registry.ids_of(given["imei"])))
    if "state" in given:
        query = query.where(command_state.is_shown_as(ShownState(given["state"])))
    return shared.page(query, Command.id, given, show)


@blueprint.get("/commands/<ident>")
@blueprint.response(200, openapi.COMMAND)
def get_command(ident: str) -> dict[str, Any]:
    """Show a command: its life, its reply, its files."""
    return show([shared.command(ident)])[0]


@blueprint.post("/commands/<ident>/cancel")
@blueprint.response(200, openapi.COMMAND)
@repeatable
def cancel(ident: str) -> Response:
    """Cancel a command; what was handed over may still happen."""
    row = shared.command(ident)
    if credential_pairs.is_change(row):
        auth.demand(Permission.SET_UP)
    submission.cancel(row, utcnow())
    db.session.commit()
    return answer(show([row])[0], 200)
