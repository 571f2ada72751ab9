"""Presets: named sets of settings to begin with (profiles, as the API calls them)."""

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from provisioning.commands import submission
from provisioning.core.audit import AuditAction
from provisioning.core.errors import ServiceError
from provisioning.fleet import presets
from provisioning.models import Profile, db, utcnow
from provisioning.web import audit_notes, auth
from provisioning.web.pages import forms, more_rows
from provisioning.web.pages.parameters import read_parameters, rows, words
from provisioning.web.schemas.parameters import ProfileSchema

FIRST, ON_PHONE = 20, 8  # presets


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/settings/presets", "presets", show, methods=["GET", "POST"])
    blueprint.add_url_rule("/settings/presets/<name>", "preset", versions)


def show() -> ResponseReturnValue:
    """List presets; an installer may add one."""
    if request.method != "POST":
        return _page(begin=presets.find(request.args["begin"]) if "begin" in request.args else None)

    def work() -> str:
        given = forms.load(ProfileSchema(exclude=("parameters",)), "name", "description")
        row = presets.save(
            given["name"], given["description"], read_parameters(), auth.caller().label, utcnow()
        )
        audit_notes.note(AuditAction.ADDED, f"profile:{row.name}", detail={"version": row.version})
        return url_for("pages.preset", name=row.name)

    return forms.once(work, lambda error: (_page(error), error.status))


def _page(error: ServiceError | None = None, begin: Profile | None = None) -> str:
    ticked = read_parameters() if error else (begin.parameters if begin else {})
    given = {"name": begin.name, "description": begin.description} if begin else request.form
    profiles = presets.newest()
    return render_template(
        "settings/presets.html", profiles=profiles, count=more_rows.wanted(FIRST, ON_PHONE, len(profiles)),
        rows=rows(ticked), error=error,
        errors=error.errors if error else {}, given=given, begin=begin, value_words=words,
    )  # fmt: skip


def versions(name: str) -> ResponseReturnValue:
    """Show all versions of a preset."""
    newest = presets.find(name)
    found = db.session.scalars(
        select(Profile).where(Profile.name == newest.name).order_by(Profile.version.desc())
    ).all()
    return render_template("settings/preset.html", rows=found, catalogue=submission.catalogue())
