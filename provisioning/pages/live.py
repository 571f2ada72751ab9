"""Server-sent events: pages hear that something changed and fetch the part anew."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from flask import Blueprint, Flask, Response, current_app, request

from .. import auth, devices, events, uploads
from ..models import Role, utcnow

STREAM_SECONDS = 300.0  # then the page reconnects: ends streams of people who signed out, and of old code

WATCH_EVERY = 10.0


def attach(blueprint: Blueprint) -> None:
    """Add the room's addresses."""
    blueprint.add_url_rule("/events", "events", everything)
    blueprint.add_url_rule("/devices/<imei>/events", "device_events", of_device)


@auth.require(Role.VIEWER)
def everything() -> Response:
    """Tell of all devices."""
    return _stream(None)


@auth.require(Role.VIEWER)
def of_device(imei: str) -> Response:
    """Tell of one device."""
    return _stream(devices.find(imei).id)


def _stream(device_id: int | None) -> Response:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    who = auth.caller().scope
    place = events.hub.hold(who)
    lines = events.stream(app, device_id, _since(), time.monotonic() + STREAM_SECONDS, place)
    if device_id is not None:
        lines = _watching(app, device_id, lines)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    answer = Response(lines, mimetype="text/event-stream", headers=headers)
    answer.call_on_close(lambda: events.hub.let_go(who, place))
    return answer


def _watching(app: Flask, device_id: int, lines: Iterator[str]) -> Iterator[str]:
    """Have the receiver tell the device's progress often while somebody looks."""
    told = 0.0
    for line in lines:
        if time.monotonic() - told > WATCH_EVERY:
            told = time.monotonic()
            with app.app_context():
                uploads.watch(device_id, utcnow())
        yield line


def _since() -> datetime | None:
    """Give when the page last heard of us, else when it was made (Unix milliseconds)."""
    text = request.headers.get("Last-Event-ID") or request.args.get("since", "")
    try:
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
