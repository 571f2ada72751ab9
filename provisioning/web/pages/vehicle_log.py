"""The log of a vehicle: its requests, SMS and connections in one list, newest first."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from provisioning.devices import registry
from provisioning.media import request_progress
from provisioning.models import CameraSession, Command, Device, Message, db
from provisioning.web.pages.vehicle import page

PAGE = 50
MODELS: Mapping[str, Any] = {"requests": Command, "messages": Message, "sessions": CameraSession}


def attach(blueprint: Blueprint) -> None:
    """Add the address."""
    blueprint.add_url_rule("/vehicles/<imei>/log", "vehicle_log", show)


def show(imei: str) -> ResponseReturnValue:
    """Show the log; kind and page stand in the address."""
    device = registry.find(imei)
    kind, before = request.args.get("kind", ""), request.args.get("before", "")
    entries = _newest(device, [kind] if kind in MODELS else list(MODELS), before)
    shown = entries[:PAGE]
    requests = [row for name, row in shown if name == "requests"]
    return page(
        device, "vehicle/log.html", "log", entries=shown, more=len(entries) > PAGE, kind=kind, before=before,
        progress=request_progress.of(requests, device),
    )  # fmt: skip


def _newest(device: Device, names: Sequence[str], before: str) -> list[tuple[str, Any]]:
    """Give the newest entries, one more than a page; all ids are in the order of time."""
    found: list[tuple[str, Any]] = []
    for name in names:
        model = MODELS[name]
        query = select(model).where(model.device_id == device.id)
        if before:
            query = query.where(model.id < before)
        rows = db.session.scalars(query.order_by(model.id.desc()).limit(PAGE + 1)).all()
        found += [(name, row) for row in rows]
    return sorted(found, key=lambda entry: str(entry[1].id), reverse=True)[: PAGE + 1]
