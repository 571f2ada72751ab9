"""Who is signed in: the account's page (language, zone, password, sessions), light or dark."""

from collections.abc import Mapping

from flask import Blueprint, current_app, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user

from provisioning.core.audit import AuditAction
from provisioning.core.errors import Invalid, ServiceError
from provisioning.models import utcnow
from provisioning.translation import gettext
from provisioning.web import audit_notes, auth, language, sign_in, users
from provisioning.web.pages import forms, more_rows, sessions
from provisioning.web.redirects import path_of
from provisioning.web.schemas.devices import ZONES
from provisioning.web.schemas.people import ReadingForm

THEME = "theme"  # cookie
THEMES = ("auto", "light", "dark")
THEME_DAYS = 400  # what browsers keep at most
FIRST, ON_PHONE = 5, 3  # sessions


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/account", "account", show)
    blueprint.add_url_rule("/account/language", "set_reading", set_reading, methods=["POST"])
    blueprint.add_url_rule("/account/password", "change_password", change_password, methods=["POST"])
    blueprint.add_url_rule("/account/sessions", "end_session", end_session, methods=["POST"])
    blueprint.add_url_rule("/theme", "set_theme", set_theme, methods=["POST"])


def theme() -> str:
    """Give what this browser wants: "light", "dark", or "auto", as its system has it."""
    wanted = request.cookies.get(THEME, "auto")
    return wanted if wanted in THEMES else "auto"


def show() -> ResponseReturnValue:
    """Show the account."""
    return _page()


def _page(errors: Mapping[str, list[str]] | None = None) -> str:
    user = current_user.user
    browsers = sign_in.sessions_of(user, utcnow())
    return render_template(
        "account.html", user=user, sessions=browsers, count=more_rows.wanted(FIRST, ON_PHONE, len(browsers)),
        this=sign_in.session_id_of(current_user.key), errors=errors or {}, changed="changed" in request.args,
        languages=language.NAMES, zones=sorted(ZONES),
    )  # fmt: skip


def set_reading() -> ResponseReturnValue:
    """Keep the language and the time zone that the person chose."""
    user = current_user.user
    try:
        given = forms.load(ReadingForm(), "language", "time_zone")
    except Invalid as error:
        return _page(error.errors), error.status
    users.set_reading(user, given.get("language"), given.get("time_zone"))
    audit_notes.person(AuditAction.CHANGED, user, given)
    return redirect(url_for("pages.account", _anchor="language"))


def change_password() -> ResponseReturnValue:
    """Change the user's own password, who proves the present one; all other sessions of the user end."""
    user, address, agent = current_user.user, request.remote_addr or "", request.user_agent.string
    try:
        proof = sign_in.sign_in(
            user.email, request.form.get("current_password", ""), address, utcnow(), agent=agent
        )
    except ServiceError as error:
        if isinstance(error, Invalid):
            audit_notes.sign_in_failed(user.email)
        text = gettext("This is not your password.") if isinstance(error, Invalid) else error.message
        return _page({"current_password": [text]}), error.status
    try:
        users.set_password(user, request.form.get("password", ""))
    except Invalid as error:
        sign_in.sign_out(proof.key)
        return _page(error.errors), error.status
    audit_notes.note(AuditAction.CHANGED, f"user:{user.email}", detail={"password": audit_notes.HIDDEN})
    session.clear()
    session.permanent = True
    login_user(auth.SignedIn(user, sign_in.begin(user, address, agent, utcnow()).key))
    return redirect(url_for("pages.account", changed=1))


def end_session() -> ResponseReturnValue:
    """End one session of the user, or all of them."""
    user, ident = current_user.user, forms.ident("session")
    is_own = ident is None or ident == sign_in.session_id_of(current_user.key)
    ended = sign_in.end_sessions(user, ident)
    audit_notes.note(AuditAction.SIGNED_OUT, f"user:{user.email}", detail={"sessions": ended})
    if is_own:
        return sessions.signed_out()
    return redirect(url_for("pages.account"))


def set_theme() -> ResponseReturnValue:
    """Keep in this browser whether pages are light or dark, and go back to the page."""
    answer = redirect(path_of(request.referrer))
    answer.set_cookie(
        THEME, request.form.get("theme", "auto")[:8], max_age=THEME_DAYS * 86_400, httponly=True, samesite="Lax",
        secure=current_app.config["SESSION_COOKIE_SECURE"],
    )  # fmt: skip
    return answer
