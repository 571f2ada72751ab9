"""Commands: asking, looking, cancelling; and provisioning."""

from collections.abc import Sequence
from typing import Any

from flask import Response, jsonify
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from provisioning.commands import request_preview, submission
from provisioning.core.errors import Invalid
from provisioning.devices import credential_pairs, registry
from provisioning.fleet import presets
from provisioning.media import link_service
from provisioning.models import Command, ShownState, command_state, db, utcnow
from provisioning.roles import Permission
from provisioning.web import audit_notes, auth
from provisioning.web.api import openapi, shared
from provisioning.web.api.shared import repeatable
from provisioning.web.schemas.commands import (
    CommandFilter,
    CommandResponse,
    CommandSchema,
    CommandsResponse,
    PreviewResponse,
    ShownCommand,
    ShownPreview,
)
from provisioning.web.schemas.lists import Page, page_of
from provisioning.web.schemas.parameters import ProvisionSchema

blueprint = openapi.Blueprint("commands", __name__, description="What is asked of devices")


def _shown(rows: Sequence[Command]) -> list[ShownCommand]:
    found = link_service.uploads_of(rows)
    return [ShownCommand(row, found.get(row.id, ())) for row in rows]


def requester() -> submission.Requester:
    """Return who asks."""
    who = auth.caller()
    return submission.Requester(who.label, who.role)


@blueprint.post("/devices/<imei>/commands")
@blueprint.arguments(CommandSchema, shape="CommandRequest")
@repeatable
@blueprint.response(202, "Asked")
def ask(given: dict[str, Any], imei: str) -> tuple[Response, int]:
    """Ask something of a device. A setparam or getparam that needs several SMS names them all in `batch`.

    A video of up to 120 s with `split` answers all commands that bring it, each of at most 30 s, as provision does.
    """
    device = registry.find(imei)
    rows = submission.ask(device, given.pop("command"), given, requester(), utcnow())
    db.session.commit()
    audit_notes.asked(rows)
    if given.get("split"):
        return jsonify(CommandsResponse().dump(_shown(rows))), 202
    shown = ShownCommand(rows[0], batch=[row.id for row in rows] if len(rows) > 1 else None)
    return jsonify(CommandResponse().dump(shown)), 202


@blueprint.post("/devices/<imei>/commands/preview")
@blueprint.arguments(CommandSchema, shape="CommandRequest")
@repeatable
@blueprint.response(200, PreviewResponse)
def preview(given: dict[str, Any], imei: str) -> ShownPreview:
    """Say what a command would cost, how long it would take and what stands in its way; nothing is sent."""
    device = registry.find(imei)
    found = request_preview.preview(device, given.pop("command"), given, requester(), utcnow())
    return ShownPreview(found, _shown([found.blocked_by])[0] if found.blocked_by else None)


@blueprint.post("/devices/<imei>/provision")
@blueprint.arguments(ProvisionSchema, shape="ProvisionRequest")
@repeatable
@blueprint.response(202, CommandsResponse)
def provision(given: dict[str, Any], imei: str) -> Sequence[ShownCommand]:
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
    return _shown(rows)


@blueprint.get("/commands")
@blueprint.arguments(CommandFilter, location="query")
@blueprint.response(200, page_of(CommandResponse))
def list_commands(given: dict[str, Any]) -> Page:
    """List commands, newest first."""
    query = select(Command).options(joinedload(Command.device), selectinload(Command.attempts))
    if "imei" in given:
        query = query.where(Command.device_id.in_(registry.ids_of(given["imei"])))
    if "state" in given:
        query = query.where(command_state.is_shown_as(ShownState(given["state"])))
    return shared.page(query, Command.id, given, _shown)


@blueprint.get("/commands/<ident>")
@blueprint.response(200, CommandResponse)
def get_command(ident: str) -> ShownCommand:
    """Show a command: its life, its reply, its files."""
    return _shown([shared.command(ident)])[0]


@blueprint.post("/commands/<ident>/cancel")
@repeatable
@blueprint.response(200, CommandResponse)
def cancel(ident: str) -> ShownCommand:
    """Cancel a command; what was handed over may still happen."""
    row = shared.command(ident)
    if credential_pairs.is_change(row):
        auth.demand(Permission.SET_UP)
    submission.cancel(row, utcnow())
    db.session.commit()
    return _shown([row])[0]
