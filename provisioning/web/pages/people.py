"""People: who may sign in and what each may do; inviting, and the page by which the invited set a password."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import login_user
from sqlalchemy import select

from provisioning.core import mail
from provisioning.core.audit import AuditAction
from provisioning.core.errors import Invalid, ServiceError
from provisioning.models import Role, User, db, utcnow
from provisioning.translation import gettext
from provisioning.web import audit_notes, auth, invitations, sign_in, users
from provisioning.web.pages import forms, more_rows
from provisioning.web.schemas.people import AccessForm, UserForm

MOST = 500  # people on one page
FIRST, ON_PHONE = 12, 8  # people
SESSIONS, SESSIONS_ON_PHONE = 5, 3


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/settings/people", "people", show, methods=["GET", "POST"])
    blueprint.add_url_rule("/settings/people/<ident>", "person", show_person, methods=["GET", "POST"])
    blueprint.add_url_rule("/invite/<token>", "invitation", accept, methods=["GET", "POST"])


def show() -> ResponseReturnValue:
    """List people; invite one."""
    if request.method != "POST":
        return _list()
    try:
        return _list(link=forms.once_shown(_invited))
    except ServiceError as error:
        return _list(error), error.status


def _invited() -> Mapping[str, Any]:
    """Invite a person; give what the page shows of the link. Raises Invalid, Conflict."""
    given = forms.load(UserForm(), "email", "name", "role", "tags")
    role, tags = Role(given["role"]), given["tags"] or None
    user, link = invitations.invite(given["email"], given["name"], role, utcnow(), tags)
    audit_notes.person(AuditAction.INVITED, user, {"role": user.role, "tags": user.tags})
    return {"email": user.email, "url": link.url, "is_mailed": link.is_mailed, "problem": link.problem}


def _list(error: ServiceError | None = None, **more: Any) -> str:
    rows = db.session.scalars(select(User).order_by(User.active.desc(), User.email).limit(MOST)).all()
    return render_template(
        "settings/people.html", rows=rows, count=more_rows.wanted(FIRST, ON_PHONE, len(rows)), error=error,
        now=utcnow(), errors=error.errors if error else {}, given=request.form if error else {},
        mails=mail.is_configured(), **more,
    )  # fmt: skip


def show_person(ident: str) -> ResponseReturnValue:
    """Show a person; change the role, make a new link, end sessions, disable, enable, remove."""
    user = users.by_id(ident)
    if request.method != "POST":
        return _person(user)
    try:
        link = _do(user, request.form.get("do", ""))
    except ServiceError as error:
        return _person(user, problem=error.message, errors=error.errors), error.status
    if link is not None:
        return _person(user, link=link)
    is_gone = request.form.get("do") == "remove"
    return redirect(url_for("pages.people") if is_gone else url_for("pages.person", ident=ident))


def _do(user: User, what: str) -> invitations.Invitation | None:
    """Do what a button of the page says; give the link where it makes one. Raises Invalid, Conflict."""
    link = None
    if what == "change":
        given = forms.load(AccessForm(), "name", "role", "tags")
        before = {name: getattr(user, name) for name in ("role", "tags", "name")}
        users.set_access(user, Role(given.get("role", user.role)), given.get("tags", user.tags) or None)
        users.set_name(user, given.get("name", ""))
        audit_notes.person(AuditAction.CHANGED, user, audit_notes.differing(user, before))
    elif what == "invite":
        link = invitations.renew(user, utcnow())
        audit_notes.person(AuditAction.INVITED, user)
    elif what in ("enable", "disable"):
        before = {"active": user.active}
        users.set_active(user, what == "enable")
        audit_notes.person(AuditAction.CHANGED, user, audit_notes.differing(user, before))
    elif what == "end":
        ended = sign_in.end_sessions(user, forms.ident("session"))
        audit_notes.person(AuditAction.SIGNED_OUT, user, {"sessions": ended})
    elif what == "remove":
        audit_notes.person(AuditAction.REMOVED, user)
        users.remove(user)
    else:
        raise Invalid(gettext("There is no such button."))
    return link


def _person(user: User, **more: Any) -> str:
    now = utcnow()
    sessions = sign_in.sessions_of(user, now)
    return render_template(
        "settings/person.html", user=user, now=now, sessions=sessions, mails=mail.is_configured(),
        count=more_rows.wanted(SESSIONS, SESSIONS_ON_PHONE, len(sessions)),
        tokens=auth.names_of_tokens_by(user.email, now),
        is_self=auth.caller().scope == f"user:{user.id}", **more,
    )  # fmt: skip


def accept(token: str) -> ResponseReturnValue:
    """Let an invited person set a password, then go in."""
    now = utcnow()
    try:
        user = invitations.find(token, now)
    except ServiceError as error:
        return render_template("invitation.html", user=None, problem=error.message), error.status
    if request.method != "POST":
        return render_template("invitation.html", user=user, errors={})
    try:
        user = invitations.accept(token, request.form.get("name", ""), request.form.get("password", ""), now)
    except Invalid as error:
        return render_template("invitation.html", user=user, errors=error.errors), error.status
    made = sign_in.begin(user, request.remote_addr or "", request.user_agent.string, now)
    audit_notes.note(AuditAction.SIGNED_IN, who=user.email, detail={"password": audit_notes.HIDDEN})
    session.clear()
    session.permanent = True
    login_user(auth.SignedIn(user, made.key))
    return redirect(url_for("pages.fleet"))
