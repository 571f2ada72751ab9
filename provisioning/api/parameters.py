"""The parameter catalogue, planning a set, and profiles."""

from typing import Any

from flask import Response
from sqlalchemy import select

from .. import auth, devices, outbox, plans, profiles, views
from ..models import Profile, Role, db, utcnow
from ..schemas import PlanSchema, ProfileSchema
from . import description
from .shared import answer, repeatable

blueprint = description.Blueprint("parameters", __name__, description="Parameters and profiles")


@blueprint.get("/parameters")
@auth.require(Role.VIEWER)
@blueprint.response(200, description.page(description.PARAMETER))
def list_parameters() -> dict[str, Any]:
    """Give the catalogue."""
    return {"items": [parameter.as_json() for parameter in outbox.catalogue().values()], "next": None}


@blueprint.post("/parameters/plan")
@auth.require(Role.VIEWER)
@blueprint.arguments(PlanSchema, shape="PlanRequest")
@blueprint.response(200, description.PLAN)
@repeatable
def plan(given: dict[str, Any]) -> Response:
    """Check a parameter set and give the SMS it takes; nothing is sent. Without an imei, lengths count the longest
    credentials."""
    device = devices.find(given["imei"]) if "imei" in given else None
    planned = plans.plan(device, given["parameters"], raw=given["raw"])
    return answer(
        {
            "parameters": {str(number): value for number, value in planned.parameters.items()},
            "messages": [{"text": sms.masked, "length": sms.length} for sms in planned.messages],
            "warnings": planned.warnings,
        },
        200,
    )


@blueprint.get("/profiles")
@auth.require(Role.VIEWER)
@blueprint.response(200, description.page(description.PROFILE))
def list_profiles() -> dict[str, Any]:
    """List profiles in their newest versions."""
    return {"items": [views.profile(row) for row in profiles.newest()], "next": None}


@blueprint.post("/profiles")
@auth.require(Role.INSTALLER)
@blueprint.arguments(ProfileSchema, shape="ProfileRequest")
@blueprint.response(201, description.PROFILE)
@repeatable
def save_profile(given: dict[str, Any]) -> Response:
    """Keep a parameter set under a name; a known name gets a new version."""
    who = auth.caller().label
    row = profiles.save(given["name"], given["description"], given["parameters"], who, utcnow())
    return answer(views.profile(row), 201)


@blueprint.get("/profiles/<name>")
@auth.require(Role.VIEWER)
@blueprint.response(200, description.PROFILE_WITH_VERSIONS)
def get_profile(name: str) -> dict[str, Any]:
    """Show a profile with all its versions."""
    newest = profiles.find(name)
    versions = db.session.scalars(
        select(Profile).where(Profile.name == newest.name).order_by(Profile.version.desc())
    )
    return views.profile(newest) | {"versions": [views.profile(row) for row in versions]}
