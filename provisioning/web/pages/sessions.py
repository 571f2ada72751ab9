"""Signing in and out."""

from flask import (
    Blueprint,
    Response,
    current_app,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user, logout_user

from provisioning.core.audit import AuditAction
from provisioning.core.errors import Invalid, ServiceError, TooMany
from provisioning.models import utcnow
from provisioning.translation import gettext
from provisioning.web import audit_notes, auth, sign_in
from provisioning.web.pages import kept_form
from provisioning.web.redirects import own_path

# distinguishes the browsers of users from others that guess
KNOWN_BROWSER = "known_browser"


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/login", "login", login, methods=["GET", "POST"])
    blueprint.add_url_rule("/logout", "logout", logout, methods=["POST"])


def login() -> ResponseReturnValue:
    """Sign in, then go where one wanted to."""
    target = own_path(request.values.get("next", "/"))
    if request.method == "POST":
        return _sign_in(target)
    if current_user.is_authenticated:
        return redirect(target)
    has_ended = "ended" in request.args
    problem = gettext("Your session has ended. Sign in, then send the form again.") if has_ended else None
    return render_template("login.html", target=target, email="", problem=problem)


def _sign_in(target: str) -> ResponseReturnValue:
    """Begin a session, or say why not; a form that waited for it goes on."""
    email, form = request.form.get("email", ""), kept_form.carried()
    try:
        made = sign_in.sign_in(
            email,
            request.form.get("password", ""),
            request.remote_addr or "",
            utcnow(),
            browser=request.cookies.get(KNOWN_BROWSER, ""),
            agent=request.user_agent.string,
        )
    except ServiceError as error:
        if isinstance(error, Invalid):
            audit_notes.sign_in_failed(email)
        headers = {"Retry-After": str(error.retry_after)} if isinstance(error, TooMany) else {}
        page = render_template("login.html", target=target, email=email, problem=error.message, kept=form)
        return page, error.status, headers
    session.clear()  # whoever planted a cookie before knows nothing of this one
    session.permanent = True
    login_user(auth.SignedIn(made.user, made.key))
    answer = make_response(
        render_template("resume.html", kept=form, target=target) if form else redirect(target)
    )
    audit_notes.note(AuditAction.SIGNED_IN, who=made.user.email)
    _remember_browser(answer, made.browser)
    return answer


def _remember_browser(answer: Response, browser: str) -> None:
    answer.set_cookie(
        KNOWN_BROWSER,
        browser,
        max_age=sign_in.BROWSER_DAYS * 86_400,
        path=url_for("pages.login"),
        secure=current_app.config["SESSION_COOKIE_SECURE"],
        httponly=True,
        samesite="Strict",
    )


def logout() -> ResponseReturnValue:
    """Sign out: the session ends here and on the server."""
    if current_user.is_authenticated:
        audit_notes.note(AuditAction.SIGNED_OUT, who=current_user.user.email)
        sign_in.sign_out(current_user.key)
    return signed_out()


def signed_out() -> Response:
    """Forget in this browser who was signed in, with the pictures that it keeps for an hour, and show the sign-in."""
    logout_user()
    session.clear()
    answer = make_response(redirect(url_for("pages.login")))
    answer.headers["Clear-Site-Data"] = '"cache"'
    return answer
