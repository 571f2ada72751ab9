"""Server-sent events: pages hear that something changed and fetch the part anew."""

import time
from datetime import UTC, datetime

from flask import Blueprint, Flask, Response, current_app, request

from .. import auth, devices, events
from ..models import Role

STREAM_SECONDS = 300.0  # then the page reconnects: ends streams of people who signed out, and of old code


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
    lines = events.stream(app, device_id, _since(), time.monotonic() + STREAM_SECONDS)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Response(lines, mimetype="text/event-stream", headers=headers)


def _since() -> datetime | None:
    """Give when the page last heard of us, else when it was made (Unix milliseconds)."""
    text = request.headers.get("Last-Event-ID") or request.args.get("since", "")
    try:
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
