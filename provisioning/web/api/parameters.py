"""The parameter catalogue, planning a set, and profiles."""

from typing import Any

from sqlalchemy import select

from provisioning.commands import provisioning_plan, submission
from provisioning.core.audit import AuditAction
from provisioning.devices import registry
from provisioning.fleet import presets
from provisioning.models import Profile, db, utcnow
from provisioning.web import audit_notes, auth
from provisioning.web.api import openapi
from provisioning.web.api.shared import repeatable
from provisioning.web.schemas.lists import Page, page_of
from provisioning.web.schemas.parameters import (
    ParameterResponse,
    PlanResponse,
    PlanSchema,
    ProfileHistory,
    ProfileHistoryResponse,
    ProfileResponse,
    ProfileSchema,
)

blueprint = openapi.Blueprint("parameters", __name__, description="Parameters and profiles")


@blueprint.get("/parameters")
@blueprint.response(200, page_of(ParameterResponse))
def list_parameters() -> Page:
    """Give the catalogue."""
    return Page(list(submission.catalogue().values()))


@blueprint.post("/parameters/plan")
@blueprint.arguments(PlanSchema, shape="PlanRequest")
@repeatable
@blueprint.response(200, PlanResponse)
def plan(given: dict[str, Any]) -> provisioning_plan.Plan:
    """Check a parameter set and give the SMS it takes; nothing is sent. Without an imei, lengths count the longest
    credentials."""
    device = registry.find(given["imei"]) if "imei" in given else None
    return provisioning_plan.plan(device, given["parameters"], raw=given["raw"])


@blueprint.get("/profiles")
@blueprint.response(200, page_of(ProfileResponse))
def list_profiles() -> Page:
    """List profiles in their newest versions."""
    return Page(presets.newest())


@blueprint.post("/profiles")
@blueprint.arguments(ProfileSchema, shape="ProfileRequest")
@repeatable
@blueprint.response(201, ProfileResponse)
def save_profile(given: dict[str, Any]) -> Profile:
    """Keep a parameter set under a name; a known name gets a new version. Not for tokens that are limited to tags."""
    who = auth.caller().label
    row = presets.save(given["name"], given["description"], given["parameters"], who, utcnow())
    audit_notes.note(AuditAction.ADDED, f"profile:{row.name}", detail={"version": row.version})
    return row


@blueprint.get("/profiles/<name>")
@blueprint.response(200, ProfileHistoryResponse)
def get_profile(name: str) -> ProfileHistory:
    """Show a profile with all its versions."""
    newest = presets.find(name)
    versions = db.session.scalars(
        select(Profile).where(Profile.name == newest.name).order_by(Profile.version.desc())
    )
    return ProfileHistory(newest, versions.all())
