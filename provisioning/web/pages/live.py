"""Server-sent events: they notify pages that something changed, and pages load the part again."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from flask import Blueprint, Flask, Response, current_app, request
from flask_login import current_user
from sqlalchemy.exc import SQLAlchemyError

from provisioning.core import change_feed
from provisioning.core.change_feed import Audience
from provisioning.devices import registry
from provisioning.media import registration
from provisioning.models import utcnow, visibility
from provisioning.web import auth, sign_in

# then the page connects again and hears what it missed: bounds what a reader holds who vanished behind a proxy
STREAM_SECONDS = 60.0

WATCH_EVERY = 10.0
CHECK_EVERY = 10.0  # seconds; a stream has a line each 4 s at least


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/events", "events", everything)
    blueprint.add_url_rule("/vehicles/<imei>/events", "vehicle_events", of_device)


def everything() -> Response:
    """Stream changes of all devices."""
    return _stream(None)


def of_device(imei: str) -> Response:
    """Stream changes of one device."""
    return _stream(registry.find(imei).id)


def _stream(device_id: int | None) -> Response:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    who = auth.caller().scope
    place = change_feed.hub.hold(who)
    audience = Audience(device_id, auth.caller().tags)
    lines: Iterator[str] = change_feed.stream(
        app, audience, _since(), time.monotonic() + STREAM_SECONDS, place
    )
    lines = _while_allowed(app, current_user.key, audience, lines)
    if device_id is not None:
        lines = _watching(app, device_id, lines)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    answer = Response(lines, mimetype="text/event-stream", headers=headers)
    answer.call_on_close(lambda: change_feed.hub.let_go(who, place))
    return answer


def _while_allowed(app: Flask, key: str, audience: Audience, lines: Iterator[str]) -> Iterator[str]:
    """End a stream once its session has ended, its user is limited to other tags, or its vehicle is not to be seen.

    The page then has to ask anew, and gets the answer that holds now.
    """
    checked_at = time.monotonic()
    for line in lines:
        if time.monotonic() - checked_at > CHECK_EVERY:
            checked_at = time.monotonic()
            if not _is_allowed(app, key, audience):
                return
        yield line


def _is_allowed(app: Flask, key: str, audience: Audience) -> bool:
    try:
        with app.app_context(), visibility.limited_to(audience.tags):
            if sign_in.tags_of(key, utcnow()) != (audience.tags,):
                return False
            return audience.device_id is None or registry.is_live(audience.device_id)
    except SQLAlchemyError:  # the database is away: nothing is told meanwhile
        return True


def _watching(app: Flask, device_id: int, lines: Iterator[str]) -> Iterator[str]:
    """Have the receiver report the device's progress often while the page is open."""
    watched_at = 0.0
    for line in lines:
        if time.monotonic() - watched_at > WATCH_EVERY:
            watched_at = time.monotonic()
            with app.app_context():
                registration.watch(device_id, utcnow())
        yield line


def _since() -> datetime | None:
    """Give when the page last got an event, else when it was made (Unix milliseconds)."""
    text = request.headers.get("Last-Event-ID") or request.args.get("since", "")
    try:
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
