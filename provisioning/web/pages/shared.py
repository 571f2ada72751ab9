"""What people without an account see by a link: an event with its files, until the link ends.

A token stands in the address, so that these pages are kept nowhere, tell no other site where somebody came from, and
stand in no log. Files are always sent by this service, never by a link of the media store that would live on.
"""

import re
import time

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
from limits import RateLimitItem, parse
from limits.strategies import MovingWindowRateLimiter

from provisioning.core import audit
from provisioning.core.audit import AuditAction
from provisioning.core.errors import NotFound, TooMany
from provisioning.media import event_list, previews, shares, storage
from provisioning.models import Event, Share, Upload, utcnow
from provisioning.translation import gettext
from provisioning.web import audit_notes, users
from provisioning.web.pages import event_cards
from provisioning.web.responses import original, send

# of one address; a clip is fetched in many ranges
REQUESTS, UNKNOWN_TOKENS, PASSWORDS = parse("600/minute"), parse("20/minute"), parse("10/minute")
# of one link, whoever tries: a password is not guessed from many addresses either
PASSWORDS_OF_SHARE = parse("60/hour")
# what programs that fetch a link for its preview call themselves
PREVIEWS = re.compile(r"bot\b|preview|facebookexternalhit|whatsapp|crawler|spider", re.IGNORECASE)
PRIVATE = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow"}


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/s/<token>", "shared", show)
    blueprint.add_url_rule("/s/<token>", "shared_unlock", unlock, methods=["POST"])
    blueprint.add_url_rule("/s/<token>/<ident>/<name>", "shared_file", file)


def show(token: str) -> ResponseReturnValue:
    """Show the event of a link, or ask for its password, or say that the link has ended."""
    found = _find(token)
    if found is None:
        return _private(render_template("shared/ended.html"), 404)
    share, event = found
    if not _is_unlocked(share):
        return _private(render_template("shared/password.html", token=token, problem=None))
    if _is_by_a_person():
        shares.count_view(share, utcnow())
        audit_notes.note(AuditAction.SAW, f"event:{event.id}", imei=event.device.imei, who=_label(share))
    files = event_list.files_of([event])[event.id]
    return _private(
        render_template(
            "shared/event.html",
            token=token,
            share=share,
            event=event,
            device=event.device,
            files=files,
            seconds=event_cards.clip_seconds(files),
        )
    )


def unlock(token: str) -> ResponseReturnValue:
    """Take the password of a link; the browser remembers that it was right."""
    found = _find(token)
    if found is None:
        return _private(render_template("shared/ended.html"), 404)
    share = found[0]
    _allow(PASSWORDS, "share-password", request.remote_addr or "")
    _allow(PASSWORDS_OF_SHARE, "share-password", share.id)
    if share.password_hash and not users.verify(share.password_hash, request.form.get("password", "")):
        problem = gettext("This is not the password of this link.")
        return _private(render_template("shared/password.html", token=token, problem=problem), 403)
    session[f"share:{share.id}"] = True
    return _private(redirect(url_for("pages.shared", token=token)))


def file(token: str, ident: str, name: str) -> Response:
    """Send a file of the event: the original, the small picture, or the copy for browsers."""
    found = _find(token)
    if found is None or not _is_unlocked(found[0]):
        raise NotFound(gettext("This link has ended."))
    share, event = found
    upload = next((one for one in event_list.files_of([event])[event.id] if one.id == ident), None)
    answer = _file(event, upload, name) if upload is not None else None
    if upload is None or answer is None:
        raise NotFound(gettext("There is no such file, or it is still being made."))
    if (name == "content" and "inline" not in request.args) or "download" in request.args:
        audit_notes.downloaded(upload, _label(share))
    return _private(answer)


def _is_by_a_person() -> bool:
    """Condition: no HEAD, which asks whether the link works, and no messenger that shows a link in a chat."""
    is_ahead = "prefetch" in request.headers.get("Sec-Purpose", "")
    return request.method == "GET" and not is_ahead and not PREVIEWS.search(request.user_agent.string)


def _label(share: Share) -> str:
    """Give what the log of people calls whoever has a link."""
    return f"{audit.SHARED_LINK}{share.id}"


def _file(event: Event, upload: Upload, name: str) -> Response | None:
    media = storage.media()
    if name == "content" and upload.path:
        shown = None if "inline" in request.args else f"{event.kind}-{upload.source}-{upload.id}"
        return original(media, upload.path, shown, upload.sha256, may_redirect=False)
    key, kind = None, ""
    if name == "thumbnail.jpg":
        key, kind = previews.thumbnail(upload), "image/jpeg"
    elif name == "video.mp4":
        key, kind = previews.video(upload), "video/mp4"
    return send(media, key, kind, None, None, may_redirect=False) if key else None


def _find(token: str) -> tuple[Share, Event] | None:
    address = request.remote_addr or ""
    _allow(REQUESTS, "share", address)
    found = shares.by_token(token, utcnow())
    if found is None:
        _allow(UNKNOWN_TOKENS, "share-unknown", address)
    return found


def _allow(rate: RateLimitItem, name: str, whose: str) -> None:
    """Count a request against a rate. Raises TooMany beyond it."""
    limiter: MovingWindowRateLimiter = current_app.extensions["dualcam_limiter"]
    if not limiter.hit(rate, name, whose):
        reset = limiter.get_window_stats(rate, name, whose).reset_time
        raise TooMany(
            gettext("Too many requests; try again in a minute."),
            retry_after=max(1, int(reset - time.time()) + 1),
        )


def _is_unlocked(share: Share) -> bool:
    return share.password_hash is None or bool(session.get(f"share:{share.id}"))


def _private(body: object, status: int | None = None) -> Response:
    answer = make_response(body)
    if status is not None:
        answer.status_code = status
    answer.headers.update(PRIVATE)
    return answer
