"""People and tokens: who may use the service, for administrators."""

from collections.abc import Mapping
from typing import Any

from flask import Response
from sqlalchemy import select

from provisioning.core.audit import AuditAction
from provisioning.models import ApiToken, Role, User, db, utcnow
from provisioning.web import audit_notes, auth, invitations, serializers, sign_in, users
from provisioning.web.api import openapi, shared
from provisioning.web.api.shared import answer, repeatable
from provisioning.web.schemas.lists import NumberedPage
from provisioning.web.schemas.people import TokenChangeSchema, TokenSchema, UserChangeSchema, UserSchema

blueprint = openapi.Blueprint("people", __name__, description="People and tokens")


@blueprint.get("/users")
@blueprint.arguments(NumberedPage, location="query")
@blueprint.response(200, openapi.page(openapi.USER))
def list_users(given: dict[str, Any]) -> dict[str, Any]:
    """List people, newest first."""
    return shared.numbered_page(select(User), User.id, given, _shown)


def _shown(rows: list[User]) -> list[dict[str, Any]]:
    seen = sign_in.seen(rows)
    return [serializers.user(row, seen.get(row.id)) for row in rows]


@blueprint.post("/users")
@blueprint.arguments(UserSchema)
@blueprint.response(201, openapi.INVITED)
@repeatable
def invite(given: dict[str, Any]) -> Response:
    """Invite a person, who sets the password by the link of the answer. A repeat by its key shows no link."""
    role, tags = Role(given["role"]), given["tags"] or None
    user, link = invitations.invite(given["email"], given["name"], role, utcnow(), tags)
    audit_notes.person(AuditAction.INVITED, user, {"role": user.role, "tags": user.tags})
    return answer(_shown([user])[0] | {"invitation": serializers.invitation(link)}, 201)


@blueprint.post("/users/<ident>/invitation")
@blueprint.response(201, openapi.INVITATION)
@repeatable
def renew(ident: str) -> Response:
    """Make a new link by which a person sets the first or another password; an older link ends."""
    user = users.by_id(ident)
    link = invitations.renew(user, utcnow())
    audit_notes.person(AuditAction.INVITED, user)
    return answer(serializers.invitation(link), 201)


@blueprint.patch("/users/<ident>")
@blueprint.arguments(UserChangeSchema)
@blueprint.response(200, openapi.USER)
def change_user(given: dict[str, Any], ident: str) -> dict[str, Any]:
    """Change what is known of a person, or disable or enable the person. A 409 for the last administrator."""
    user = users.by_id(ident)
    _change(user, given)
    audit_notes.person(AuditAction.CHANGED, user, given)
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
@blueprint.response(200, openapi.page(openapi.TOKEN))
def list_tokens(given: dict[str, Any]) -> dict[str, Any]:
    """List tokens that are not revoked, newest first."""
    query = select(ApiToken).where(ApiToken.revoked_at.is_(None))
    return shared.numbered_page(
        query, ApiToken.id, given, lambda rows: [serializers.token(row) for row in rows]
    )


@blueprint.post("/tokens")
@blueprint.arguments(TokenSchema)
@blueprint.response(201, openapi.NEW_TOKEN)
@repeatable
def make_token(given: dict[str, Any]) -> Response:
    """Make a token, which this answer alone shows. A repeat by its key does not show it."""
    name, role, tags = given["name"], Role(given["role"]), given["tags"] or None
    clear = auth.create_token(name, role, given["days"], tags, made_by=auth.caller().label)
    row = db.session.scalars(
        select(ApiToken).where(ApiToken.name == name, ApiToken.revoked_at.is_(None))
    ).one()
    audit_notes.token(AuditAction.ADDED, name, {"role": role, "days": given["days"], "tags": tags})
    return answer(serializers.token(row) | {"token": clear}, 201)


@blueprint.patch("/tokens/<ident>")
@blueprint.arguments(TokenChangeSchema)
@blueprint.response(200, openapi.TOKEN)
def change_token(given: dict[str, Any], ident: str) -> dict[str, Any]:
    """Change name, role or tags of a token, from its next request on."""
    row = auth.find_token(ident)
    before = row.name
    role, tags = Role(given.get("role", row.role)), given.get("tags", row.tags) or None
    auth.change_token(row, given.get("name", row.name), role, tags)
    audit_notes.token(AuditAction.CHANGED, before, given)
    return serializers.token(row)


@blueprint.delete("/tokens/<ident>")
@blueprint.response(204)
def revoke_token(ident: str) -> Response:
    """Revoke a token, at once."""
    row = auth.find_token(ident)
    audit_notes.token(AuditAction.REMOVED, row.name)
    auth.revoke_token(row.name)
    return Response(status=204)
