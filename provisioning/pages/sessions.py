"""Signing in and out."""

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user, logout_user

from .. import auth
from ..errors import ServiceError
from ..models import utcnow


def attach(blueprint: Blueprint) -> None:
    """Add the room's addresses."""
    blueprint.add_url_rule("/login", "login", login, methods=["GET", "POST"])
    blueprint.add_url_rule("/logout", "logout", logout, methods=["POST"])


def login() -> ResponseReturnValue:
    """Sign in, then go where one wanted to."""
    from . import own_path

    target = own_path(request.values.get("next", "/"))
    if request.method == "GET":
        if current_user.is_authenticated:
            return redirect(target)
        problem = (
            "Your session has ended. Sign in, then send the form again." if "ended" in request.args else None
        )
        return render_template("login.html", target=target, email="", problem=problem)
    email = request.form.get("email", "")
    try:
        user = auth.sign_in(email, request.form.get("password", ""), request.remote_addr or "", utcnow())
    except ServiceError as error:
        return render_template("login.html", target=target, email=email, problem=error.message), error.status
    session.permanent = True
    login_user(auth.SignedIn(user))
    return redirect(target)


def logout() -> ResponseReturnValue:
    """Sign out."""
    logout_user()
    session.clear()
    return redirect(url_for("pages.login"))
