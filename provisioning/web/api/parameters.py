"""The parameter catalogue, planning a set, and profiles."""

from typing import Any

from flask import Response
from sqlalchemy import select

from provisioning.commands import provisioning_plan, submission
from provisioning.core.audit import AuditAction
from provisioning.devices import registry
from provisioning.fleet import presets
from provisioning.models import Profile, db, utcnow
from provisioning.web import audit_notes, auth, serializers
from provisioning.web.api import openapi
from provisioning.web.api.shared import answer, repeatable
from provisioning.web.schemas.parameters import PlanSchema, ProfileSchema

blueprint = openapi.Blueprint("parameters", __name__, description="Parameters and profiles")


@blueprint.get("/parameters")
@blueprint.response(200, openapi.page(openapi.PARAMETER))
def list_parameters() -> dict[str, Any]:
    """Give the catalogue."""
    return {"items": [parameter.as_json() for parameter in submission.catalogue().values()], "next": None}


@blueprint.post("/parameters/plan")
@blueprint.arguments(PlanSchema, shape="PlanRequest")
@blueprint.response(200, openapi.PLAN)
@repeatable
def plan(given: dict[str, Any]) -> Response:
    """Check a parameter set and give the SMS it takes; nothing is sent. Without an imei, lengths count the longest
    credentials."""
    device = registry.find(given["imei"]) if "imei" in given else None
    planned = provisioning_plan.plan(device, given["parameters"], raw=given["raw"])
    return answer(
        {
            "parameters": {str(number): value for number, value in planned.parameters.items()},
            "messages": [{"text": sms.masked, "length": sms.length} for sms in planned.messages],
            "warnings": planned.warnings,
        },
        200,
    )


@blueprint.get("/profiles")
@blueprint.response(200, openapi.page(openapi.PROFILE))
def list_profiles() -> dict[str, Any]:
    """List profiles in their newest versions."""
    return {"items": [serializers.profile(row) for row in presets.newest()], "next": None}


@blueprint.post("/profiles")
@blueprint.arguments(ProfileSchema, shape="ProfileRequest")
@blueprint.response(201, openapi.PROFILE)
@repeatable
def save_profile(given: dict[str, Any]) -> Response:
    """Keep a parameter set under a name; a known name gets a new version. Not for tokens that are limited to tags."""
    who = auth.caller().label
    row = presets.save(given["name"], given["description"], given["parameters"], who, utcnow())
    audit_notes.note(AuditAction.ADDED, f"profile:{row.name}", detail={"version": row.version})
    return answer(serializers.profile(row), 201)


@blueprint.get("/profiles/<name>")
@blueprint.response(200, openapi.PROFILE_WITH_VERSIONS)
def get_profile(name: str) -> dict[str, Any]:
    """Show a profile with all its versions."""
    newest = presets.find(name)
    versions = db.session.scalars(
        select(Profile).where(Profile.name == newest.name).order_by(Profile.version.desc())
    )
    return serializers.profile(newest) | {"versions": [serializers.profile(row) for row in versions]}
