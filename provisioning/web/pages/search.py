"""The search field: vehicles by name, plate, IMEI or phone, files and requests by their id.

Messages are found by the gateway's id. One hit is opened at once; several are listed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import selectinload

from provisioning.devices import listing
from provisioning.devices.health import HealthState
from provisioning.models import Command, Device, Message, Upload, db
from provisioning.tracker.normalization import clean_line
from provisioning.translation import gettext
from provisioning.web.pages import words

MOST = 50  # vehicles that are listed
IDENT = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that was found: what it is called, what it is, and its page; of a vehicle also its state."""

    title: str
    kind: str
    address: str
    state: words.Label | None = None


def attach(blueprint: Blueprint) -> None:
    """Add the address."""
    blueprint.add_url_rule("/search", "search", show)


def show() -> ResponseReturnValue:
    """Open the only hit, or list all."""
    wanted = clean_line(request.args.get("q", ""))
    hits = find(wanted) if wanted else []
    if len(hits) == 1:
        return redirect(hits[0].address)
    return render_template("search.html", q=wanted, hits=hits[:MOST], more=len(hits) > MOST)


def find(wanted: str) -> list[Hit]:
    """Give what fits, at most one more than MOST: what is called exactly so stands alone."""
    if IDENT.fullmatch(wanted.lower()):
        return _by_id(wanted.lower())
    by_gateway_id = (
        select(Message).where(Message.gateway_id == wanted).order_by(Message.id.desc()).limit(MOST)
    )
    if messages := db.session.scalars(by_gateway_id).all():
        return [_message(message) for message in messages]
    vehicles = _vehicles(listing.is_called(wanted)) or _vehicles(listing.has_plate(wanted))
    same = [
        device
        for device in vehicles
        if _compact(wanted) in (_compact(device.name), device.imei, device.phone)
    ]
    return [_vehicle(device) for device in (same if len(same) == 1 else vehicles)]


def _compact(text: str | None) -> str:
    return (text or "").replace(" ", "").lower()


def _vehicles(condition: ColumnElement[bool]) -> Sequence[Device]:
    """Give the vehicles that meet a condition, at most one more than MOST."""
    tags = selectinload(Device.tag_rows)
    query = select(Device).where(Device.archived_at.is_(None), condition).options(tags)
    return db.session.scalars(query.order_by(Device.name, Device.id).limit(MOST + 1)).all()


def _by_id(ident: str) -> list[Hit]:
    hits = []
    if (upload := db.session.get(Upload, ident)) is not None:
        hits.append(Hit(words.file_title(upload), gettext("File"), url_for("pages.upload", ident=ident)))
    if (command := db.session.get(Command, ident)) is not None:
        hits.append(Hit(command.text, gettext("Request"), url_for("pages.request", ident=ident)))
    if (message := db.session.get(Message, ident)) is not None:
        hits.append(_message(message))
    return hits


def _vehicle(device: Device) -> Hit:
    address = url_for("pages.vehicle", imei=device.imei)
    known = " · ".join(filter(None, [*device.tags, device.plate, device.imei]))
    return Hit(device.name or device.imei, known, address, words.HEALTH[HealthState(device.health_state)])


def _message(message: Message) -> Hit:
    device = message.device
    if message.command_id:
        address = url_for("pages.request", ident=message.command_id)
    elif device is not None and device.archived_at is None:
        address = url_for("pages.vehicle_log", imei=device.imei, kind="messages") + f"#{message.id}"
    else:
        address = url_for("pages.inbox") + f"#{message.id}"
    return Hit(message.body, gettext("SMS"), address)
