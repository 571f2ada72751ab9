"""The page of a request or a setting: its life, the vehicle's answer, its files; cancelling and asking again."""

from datetime import datetime

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from provisioning.commands import command_words, submission
from provisioning.core.errors import Invalid, NotFound, ServiceError
from provisioning.devices import credential_pairs
from provisioning.media import request_progress
from provisioning.models import OPEN, Command, db, utcnow
from provisioning.roles import Permission
from provisioning.tracker import setting_words
from provisioning.translation import gettext
from provisioning.web import audit_notes, auth
from provisioning.web.pages import forms

# parts with requests, and where they stand
BACK = {"under_way": "pages.vehicle", "requests": "pages.footage", "last_sent": "pages.vehicle_settings"}


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/requests/<ident>", "request", show)
    blueprint.add_url_rule("/requests/<ident>/cancel", "cancel_request", cancel, methods=["POST"])
    blueprint.add_url_rule("/requests/<ident>/again", "again", again, methods=["POST"])


def _find(ident: str) -> Command:
    found = db.session.get(Command, ident)
    if found is None:
        raise NotFound(gettext("There is no such request."))
    return found


def show(ident: str) -> ResponseReturnValue:
    """Show a request."""
    return _page(_find(ident))


def _page(row: Command, error: ServiceError | None = None) -> str:
    life = [
        {
            "state": step["state"],
            "at": datetime.fromisoformat(step["at"]),
            "note": command_words.said(step["note"]),
        }
        for step in row.history
    ]
    zone = row.device.time_zone
    return render_template(
        "request.html", row=row, device=row.device, zone=zone, progress=request_progress.of([row], row.device)[row.id],
        sets=setting_words.by_subject(row.arguments.get("parameters") or {}) if row.kind == "setparam" else [],
        life=life, error=error, is_open=row.state in OPEN, may_cancel=auth.caller().may(may_cancel(row)),
    )  # fmt: skip


def may_cancel(row: Command) -> Permission:
    """Give the role that cancelling a command needs: who may not change credentials may not stop their change."""
    return Permission.SET_UP if credential_pairs.is_change(row) else Permission.ASK


def cancel(ident: str) -> ResponseReturnValue:
    """Cancel a request; `stay` names the tab of the vehicle on which somebody did it."""
    row = _find(ident)
    auth.demand(may_cancel(row))

    def work() -> str:
        submission.cancel(row, utcnow())
        db.session.commit()
        back = BACK.get(request.form.get("stay", ""))
        return url_for(back, imei=row.device.imei) if back else url_for("pages.request", ident=ident)

    return forms.once(work, lambda error: (_page(row, error), error.status))


def again(ident: str) -> ResponseReturnValue:
    """Ask the same again."""
    row = _find(ident)
    who = auth.caller()

    def work() -> str:
        if "encrypted" in row.arguments:
            raise Invalid(gettext("Credentials are changed by their own form."))
        now = utcnow()
        rows = submission.submit(
            row.device, submission.typed(row, now), submission.Requester(who.label, who.role), now
        )
        db.session.commit()
        audit_notes.asked(rows)
        return url_for("pages.request", ident=rows[0].id)

    return forms.once(work, lambda error: (_page(row, error), error.status))
