"""Server-rendered pages: who, in, do, out. Rules live in the packages below; the same schemas as the API check input.

Forms work without JavaScript; htmx loads parts again when a server-sent event names a change.
"""

import functools
import importlib
import pkgutil
import secrets
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from werkzeug.exceptions import BadHost, HTTPException

from provisioning.commands import command_words
from provisioning.core.config import current_config
from provisioning.core.errors import ServiceError, TooMany, Unavailable
from provisioning.devices import durations, listing, status_words, transfer_times
from provisioning.media import copy_words, link_words, session_words
from provisioning.media.storage import media as uploads_media
from provisioning.models import db, utcnow
from provisioning.roles import Permission
from provisioning.tracker.parameters import REQUIRED, REQUIRED_IN_WORDS
from provisioning.translation import N_, gettext
from provisioning.web import access, audit_notes, auth, language, reader
from provisioning.web.browser_names import browser_name
from provisioning.web.pages import (
    account,
    amounts,
    audit_details,
    inbox_items,
    kept_form,
    people_words,
    times,
    words,
)
from provisioning.web.redirects import path_of
from provisioning.web.responses import error_body, kept_headers, refuse_control_characters
from receiver.store.media_store import MediaError
from receiver.wire.metadata import UNSHOWN

POLICY = (
    "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'self'; base-uri 'none';"
    " object-src 'none';"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
HSTS_SECONDS = 365 * 86_400
ERRORS = {
    400: (
        N_("This did not work"),
        N_("The form was too old, or came from elsewhere. Go back, load the page anew, try again."),
    ),
    403: (N_("Not allowed"), N_("Your role does not allow this. Ask an administrator.")),
    404: (N_("Not found"), N_("There is nothing here. It may have been archived, or the address is wrong.")),
    405: (N_("Not like that"), N_("This address takes forms only. Go back and use the button on the page.")),
    410: (N_("Too late"), N_("This has come to its end.")),
    409: (
        N_("Not as things are"),
        N_("Something stands in the way. Go back, load the page anew, try again."),
    ),
    413: (N_("Too large"), N_("What was sent is too large. Go back, shorten it and send it again.")),
    422: (N_("Not understood"), N_("Some of what was sent cannot be read. Go back and correct it.")),
    429: (N_("Too often"), N_("Wait a while, then try again.")),
    500: (
        N_("Our mistake"),
        N_("Something went wrong on our side; it has been logged. Try again in a minute."),
    ),
    503: (N_("Not available"), N_("Something this needs is not reachable now. Try again in a minute.")),
}

blueprint = Blueprint("pages", __name__)
for _found in pkgutil.iter_modules(__path__):
    _module = importlib.import_module(f"{__name__}.{_found.name}")
    if hasattr(_module, "attach"):
        _module.attach(blueprint)
blueprint.before_request(access.check)


def init_app(app: Flask) -> None:
    """Attach the pages to the app."""
    app.register_blueprint(blueprint)
    app.before_request(refuse_control_characters)
    app.after_request(_headers)
    audit_notes.init_app(app)
    app.register_error_handler(ServiceError, _service_error)
    app.register_error_handler(MediaError, _store_away)
    app.register_error_handler(CSRFError, _http_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _crash)
    app.jinja_env.filters.update(
        local=times.local, size=amounts.size, stamped=datetime.fromisoformat, shown=shown, short_time=times.short_time,
        short_day=times.short_day, full_day=times.full_day, full_time=times.full_time, clock=times.clock,
        own_time=times.own_time, zone_label=times.zone_label, place=times.place, clock_to_second=times.clock_to_second,
        estimate=durations.words, about=transfer_times.about, browser=browser_name,
        stamps_in_zone=times.stamps_in_zone,
        money=amounts.money, number=amounts.number,
        said=command_words.said, status_note=status_words.sentence,
        reply_sentence=command_words.reply_sentence, link_reason=link_words.reason, copy_problem=copy_words.problem,
        session_reason=session_words.reason,
    )  # fmt: skip
    app.jinja_env.globals.update(
        words=words, people_words=people_words, times=times, Permission=Permission, nonce=lambda: secrets.token_hex(16),
        own_zone=reader.time_zone, audit_details=audit_details.of,
        tags_in_use=lambda: [tag for tag, _ in listing.tags()],
    )  # fmt: skip
    app.jinja_env.globals.update(required=REQUIRED, required_in_words=REQUIRED_IN_WORDS)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.context_processor(_context)


def _context() -> dict[str, Any]:
    try:
        who: auth.Caller | None = auth.caller()
    except auth.Unauthenticated:
        who = None
    except SQLAlchemyError:  # the page of an error is shown while the database is away, too
        db.session.rollback()
        who = None
    return {
        "who": who,
        "now_ms": int(utcnow().timestamp() * 1000),
        "theme": account.theme(),
        "language": language.language(),
        "waiting": functools.partial(inbox_items.counted, who) if who else None,
    }


def _headers(response: Response) -> Response:
    # the address opens something by itself: no other site learns it
    if "token" in (request.view_args or {}):
        response.headers["Referrer-Policy"] = "no-referrer"
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if response.mimetype == "text/html":  # a page kept by the browser shows old states and sends old nonces
        response.headers.setdefault("Cache-Control", "no-store")
    if current_app.config["SESSION_COOKIE_SECURE"]:
        response.headers.setdefault("Strict-Transport-Security", f"max-age={HSTS_SECONDS}")
    if _store_serves() and response.mimetype == "text/html":
        origin = _store_origin()
        response.headers["Content-Security-Policy"] = (
            POLICY.replace("img-src 'self'", f"img-src 'self' {origin}") + f" media-src 'self' {origin}"
        )
    return response


def _store_serves() -> bool:
    config = current_config()
    return config.media_url.startswith("s3:") and config.media_delivery == "redirect"


def _store_origin() -> str:
    """Give where pictures and videos come from when the object store serves them itself."""
    link = urlsplit(uploads_media().link("x", "image/jpeg", None) or "")
    return f"{link.scheme}://{link.netloc}"


def _is_page() -> bool:
    return not request.path.startswith(("/api/", "/webhooks/"))


def _service_error(error: ServiceError) -> ResponseReturnValue:
    db.session.rollback()
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, TooMany) else {}
    if isinstance(error, auth.Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if not _is_page():
        return error.as_json(), error.status, headers
    if isinstance(error, auth.Unauthenticated):
        return _to_login()
    return *_error_page(error.status, error.message), headers


def _to_login() -> ResponseReturnValue:
    """Send to the sign-in page and afterwards back to the page one was on.

    What a page asks for by itself is only refused: static/live.js moves the page, or keeps a form that was begun.
    """
    if "HX-Request" in request.headers or "text/event-stream" in request.headers.get("Accept", ""):
        return "", 401
    path = request.full_path.rstrip("?") if request.method != "POST" else ""
    if not path:
        path = path_of(request.referrer)
    target = url_for("pages.login", next=path, ended=1 if request.method == "POST" else None)
    if form := kept_form.of_request():
        problem = gettext("Your session has ended. Sign in: what you filled in is kept.")
        return render_template("login.html", target=path, email="", problem=problem, kept=form), 401
    return redirect(target)


def _store_away(error: MediaError) -> ResponseReturnValue:
    text = gettext("The media store cannot be used now; try again later. (%(problem)s)", problem=error)
    return _service_error(Unavailable(text))


def _http_error(error: HTTPException) -> ResponseReturnValue:
    if error.code and error.code < 400:
        return error.get_response()
    if not _is_page():
        return error_body(error), error.code or 500, kept_headers(error)
    if isinstance(error, BadHost):  # without a host a page can name no address
        return Response("The Host header of this request names no host.\n", 400, mimetype="text/plain")
    if isinstance(error, CSRFError):
        return _old_form()
    return _error_page(error.code or 500, None)


def _old_form() -> ResponseReturnValue:
    """Answer a form of another session: one that a page of ours sent can be sent again as it was filled in."""
    db.session.rollback()
    if request.url_rule is not None and f"GET {request.url_rule.rule}" in access.OPEN:
        return _error_page(400, None, again=request.path)  # nobody needs to sign in for it
    if _context()["who"] is None:
        is_over = request.endpoint == "pages.logout"  # that was all the form was for
        return redirect(url_for("pages.login")) if is_over else _to_login()
    form = kept_form.of_request() if "HX-Request" not in request.headers else None
    if form:
        return render_template("resume.html", kept=form, target=path_of(request.referrer)), 400
    return _error_page(400, None, again=path_of(request.referrer))


def _crash(error: Exception) -> ResponseReturnValue:
    db.session.rollback()
    rule = request.url_rule
    path = rule.rule if rule is not None and "token" in rule.arguments else request.path
    current_app.logger.exception("request failed: %s %s", request.method, path)
    if not _is_page():
        return {
            "code": "internal",
            "message": "Something went wrong on our side; it has been logged.",
            "errors": {},
        }, 500
    return _error_page(503 if isinstance(error, OperationalError) else 500, None)


def _error_page(status: int, message: str | None, *, again: str | None = None) -> tuple[str, int]:
    """Say what went wrong and what to do; `again`: the page to load anew."""
    title, text = ERRORS.get(status, (N_("Error %(status)s"), N_("Go back and try again.")))
    title = gettext(title, status=status)
    # the count of what waits is left out: what failed may have been the database
    page = render_template(
        "error.html", title=title, text=message or gettext(text), status=status, again=again, waiting=None
    )
    return page, status


def shown(value: object) -> object:
    """Show a camera's text as the receiver takes it now; rows of older versions may hold what no page can."""
    return UNSHOWN.sub("\ufffd", value) if isinstance(value, str) else value
