"""Tokens: by which programs use the API; making one, which is shown once, revoking, and undoing that."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from provisioning.core.audit import AuditAction
from provisioning.core.errors import ServiceError
from provisioning.models import ApiToken, Role, db, utcnow
from provisioning.web import audit_notes, auth
from provisioning.web.pages import forms, more_rows
from provisioning.web.schemas.people import TokenForm

MOST = 500  # tokens on one page
FIRST, ON_PHONE = 12, 8


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/settings/tokens", "tokens", show, methods=["GET", "POST"])
    blueprint.add_url_rule("/settings/tokens/<ident>/revoke", "revoke_token", revoke, methods=["POST"])
    blueprint.add_url_rule("/settings/tokens/<ident>/restore", "restore_token", restore, methods=["POST"])


def show() -> ResponseReturnValue:
    """List tokens that are not revoked; make one."""
    if request.method != "POST":
        return _list(revoked=auth.just_revoked(request.args.get("revoked", ""), utcnow()))
    try:
        return _list(**forms.once_shown(_made))
    except ServiceError as error:
        return _list(error), error.status


def _made() -> Mapping[str, Any]:
    """Make a token; give what the page shows of it. Raises Invalid, Conflict."""
    given = forms.load(TokenForm(), "name", "role", "days", "tags")
    name, role, days, tags = given["name"], Role(given["role"]), given["days"], given["tags"] or None
    clear = auth.create_token(name, role, days, tags, made_by=auth.caller().label)
    audit_notes.token(AuditAction.ADDED, name, {"role": role, "days": days, "tags": tags})
    return {"made": name, "clear": clear}


def _list(error: ServiceError | None = None, **more: Any) -> str:
    query = select(ApiToken).where(ApiToken.revoked_at.is_(None)).order_by(ApiToken.name).limit(MOST)
    rows = db.session.scalars(query).all()
    return render_template(
        "settings/tokens.html", rows=rows, count=more_rows.wanted(FIRST, ON_PHONE, len(rows)), error=error,
        now=utcnow(), days=auth.TOKEN_DAYS,
        errors=error.errors if error else {}, given=request.form if error else {}, **more,
    )  # fmt: skip


def revoke(ident: str) -> ResponseReturnValue:
    """Revoke a token, at once; the list then offers to restore it."""
    row = auth.find_token(ident)
    audit_notes.token(AuditAction.REMOVED, row.name)
    auth.revoke_token(row.name)
    return redirect(url_for("pages.tokens", revoked=ident))


def restore(ident: str) -> ResponseReturnValue:
    """Have a token work again that was revoked just now."""
    row = auth.restore_token(ident, utcnow())
    audit_notes.token(AuditAction.RESTORED, row.name)
    return redirect(url_for("pages.tokens"))
