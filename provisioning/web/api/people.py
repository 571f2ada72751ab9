"""People and tokens: who may use the service, for administrators."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response
from sqlalchemy import select

from provisioning.core.audit import AuditAction
from provisioning.models import ApiToken, Role, User, db, utcnow
from provisioning.web import audit_notes, auth, invitations, users
from provisioning.web.api import openapi, shared
from provisioning.web.api.shared import repeatable
from provisioning.web.invitations import Invitation
from provisioning.web.schemas.lists import NumberedPage, Page, page_of
from provisioning.web.schemas.people import (
    InvitationResponse,
    InvitedUserResponse,
    NewToken,
    NewTokenResponse,
    ShownUser,
    TokenChangeSchema,
    TokenResponse,
    TokenSchema,
    UserChangeSchema,
    UserResponse,
    UserSchema,
)

blueprint = openapi.Blueprint("people", __name__, description="People and tokens")


@blueprint.get("/users")
@blueprint.arguments(NumberedPage, location="query")
@blueprint.response(200, page_of(UserResponse))
def list_users(given: dict[str, Any]) -> Page:
    """List people, newest first."""
    return shared.page(select(User), User.id, given, _shown)


def _shown(rows: Sequence[User]) -> list[ShownUser]:
    return [ShownUser(row) for row in rows]


@blueprint.post("/users")
@blueprint.arguments(UserSchema)
@repeatable
@blueprint.response(201, InvitedUserResponse)
def invite(given: dict[str, Any]) -> ShownUser:
    """Invite a person, who sets the password by the link of the answer."""
    role, tags = Role(given["role"]), given["tags"] or None
    user, link = invitations.invite(given["email"], given["name"], role, utcnow(), tags)
    audit_notes.person(AuditAction.INVITED, user, {"role": user.role, "tags": user.tags})
    return dataclasses.replace(_shown([user])[0], invitation=link)


@blueprint.post("/users/<ident>/invitation")
@repeatable
@blueprint.response(201, InvitationResponse)
def renew(ident: str) -> Invitation:
    """Make a new link by which a person sets the first or another password; an older link ends."""
    user = users.by_id(ident)
    link = invitations.renew(user, utcnow())
    audit_notes.person(AuditAction.INVITED, user)
    return link


@blueprint.patch("/users/<ident>")
@blueprint.arguments(UserChangeSchema)
@blueprint.response(200, UserResponse)
def change_user(given: dict[str, Any], ident: str) -> ShownUser:
    """Change what is known of a person, or disable or enable the person. A 409 for the last administrator."""
    user = users.by_id(ident)
    before = {name: getattr(user, name) for name in given}
    _change(user, given)
    audit_notes.person(AuditAction.CHANGED, user, audit_notes.differing(user, before))
    return _shown([user])[0]


def _change(user: User, given: Mapping[str, Any]) -> None:
    if "role" in given or "tags" in given:
        tags = given.get("tags", user.tags) or None
        users.set_access(user, Role(given.get("role", user.role)), tags)
    if "active" in given:
        users.set_active(user, given["active"])
    if "name" in given:
        users.set_name(user, given["name"])
    if "language" in given or "time_zone" in given:
        language, zone = given.get("language", user.language), given.get("time_zone", user.time_zone)
        users.set_reading(user, language, zone)


@blueprint.delete("/users/<ident>")
@blueprint.response(204)
def remove_user(ident: str) -> Response:
    """Remove a person; what the person did keeps the name. A 409 for the last administrator."""
    user = users.by_id(ident)
    audit_notes.person(AuditAction.REMOVED, user)
    users.remove(user)
    return Response(status=204)


@blueprint.get("/tokens")
@blueprint.arguments(NumberedPage, location="query")
@blueprint.response(200, page_of(TokenResponse))
def list_tokens(given: dict[str, Any]) -> Page:
    """List tokens that are not revoked, newest first."""
    query = select(ApiToken).where(ApiToken.revoked_at.is_(None))
    return shared.page(query, ApiToken.id, given)


@blueprint.post("/tokens")
@blueprint.arguments(TokenSchema)
@repeatable
@blueprint.response(201, NewTokenResponse)
def make_token(given: dict[str, Any]) -> NewToken:
    """Make a token, which this answer alone shows."""
    name, role, tags = given["name"], Role(given["role"]), given["tags"] or None
    clear = auth.create_token(name, role, given["days"], tags, made_by=auth.caller().label)
    row = db.session.scalars(
        select(ApiToken).where(ApiToken.name == name, ApiToken.revoked_at.is_(None))
    ).one()
    audit_notes.token(AuditAction.ADDED, name, {"role": role, "days": given["days"], "tags": tags})
    return NewToken(row, clear)


@blueprint.patch("/tokens/<ident>")
@blueprint.arguments(TokenChangeSchema)
@blueprint.response(200, TokenResponse)
def change_token(given: dict[str, Any], ident: str) -> ApiToken:
    """Change name, role or tags of a token, from its next request on."""
    row = auth.find_token(ident)
    before = {name: getattr(row, name) for name in given}
    name = row.name
    role, tags = Role(given.get("role", row.role)), given.get("tags", row.tags) or None
    auth.change_token(row, given.get("name", row.name), role, tags)
    audit_notes.token(AuditAction.CHANGED, name, audit_notes.differing(row, before))
    return row


@blueprint.delete("/tokens/<ident>")
@blueprint.response(204)
def revoke_token(ident: str) -> Response:
    """Revoke a token, at once."""
    row = auth.find_token(ident)
    audit_notes.token(AuditAction.REMOVED, row.name)
    auth.revoke_token(row.name)
    return Response(status=204)
