"""Devices, their status and their records."""

from collections.abc import Sequence
from typing import Any

from flask import Response
from sqlalchemy import select

from provisioning.core.audit import AuditAction
from provisioning.core.errors import Invalid, NotFound
from provisioning.devices import health_view, listing, registry
from provisioning.devices.health import HealthState
from provisioning.fleet import presets
from provisioning.media import settlement, telemetry
from provisioning.models import Device, StatusItem, db, utcnow
from provisioning.tracker.normalization import clean_line
from provisioning.web import audit_notes
from provisioning.web.api import openapi
from provisioning.web.api.shared import repeatable
from provisioning.web.schemas.devices import (
    DeviceChangeSchema,
    DeviceFilter,
    DeviceResponse,
    DeviceSchema,
    FleetResponse,
    FleetSummary,
    ShownDevice,
)
from provisioning.web.schemas.lists import Page, page_of
from provisioning.web.schemas.records import RecordResponse, RecordSchema
from provisioning.web.schemas.status import StatusResponse

blueprint = openapi.Blueprint("devices", __name__, description="Trackers with a DualCam")


@blueprint.get("/fleet")
@blueprint.response(200, FleetResponse)
def get_fleet() -> FleetSummary:
    """Count the devices of each state of health, and what is under way."""
    return FleetSummary(listing.counted(listing.Filter())[0], listing.under_way())


def _shown(rows: Sequence[Device]) -> list[ShownDevice]:
    health = health_view.of(rows, utcnow())
    return [ShownDevice(row, health[row.id]) for row in rows]


@blueprint.get("/devices")
@blueprint.arguments(DeviceFilter, location="query")
@blueprint.response(200, page_of(DeviceResponse))
def list_devices(given: dict[str, Any]) -> Page:
    """List devices by IMEI, in which order a page after another misses and repeats none when health changes."""
    states = tuple(HealthState(word) for word in given["state"].split(",")) if given.get("state") else ()
    wanted = listing.Filter(states, clean_line(given.get("tag", "")), clean_line(given.get("q", "")))
    query = listing.select_devices(wanted).order_by(Device.imei).limit(given["limit"] + 1)
    if given.get("cursor"):
        query = query.where(Device.imei > given["cursor"])
    rows = db.session.scalars(query).all()
    more = len(rows) > given["limit"]
    rows = rows[: given["limit"]]
    return Page(_shown(rows), rows[-1].imei if more else None)


@blueprint.post("/devices")
@blueprint.arguments(DeviceSchema)
@repeatable
@blueprint.response(201, DeviceResponse)
def add_device(given: dict[str, Any]) -> ShownDevice:
    """Add a device."""
    device = registry.add(_with_profile(given), utcnow())
    settlement.adopt_if_possible(device, utcnow())
    audit_notes.changed(AuditAction.ADDED, device, given)
    return _shown([device])[0]


@blueprint.get("/devices/<imei>")
@blueprint.response(200, DeviceResponse)
def get_device(imei: str) -> ShownDevice:
    """Show a device."""
    return _shown([registry.find(imei)])[0]


@blueprint.patch("/devices/<imei>")
@blueprint.arguments(DeviceChangeSchema(partial=True), required=False)
@blueprint.response(200, DeviceResponse)
def change_device(given: dict[str, Any], imei: str) -> ShownDevice:
    """Change a device; SMS credentials are those that it already has, nothing is sent."""
    device = registry.find(imei)
    before = audit_notes.fields_of(device, given)
    registry.change(device, _with_profile(given), utcnow())
    audit_notes.changed(AuditAction.CHANGED, device, given, before)
    return _shown([device])[0]


def _with_profile(given: dict[str, Any]) -> dict[str, Any]:
    """Give the profile by its row. Raises Invalid where there is none of that name."""
    if "profile" not in given:
        return given
    try:
        profile = presets.find(given["profile"]) if given["profile"] else None
    except NotFound as error:
        raise Invalid("Some fields are wrong.", errors={"profile": [error.message]}) from error
    return given | {"profile_id": profile.id if profile else None}


@blueprint.delete("/devices/<imei>")
@blueprint.response(204)
def archive_device(imei: str) -> Response:
    """Archive a device: files, commands and links stay; IMEI and phone become free."""
    registry.archive(registry.find(imei), utcnow())
    return Response(status=204)


@blueprint.get("/devices/<imei>/status")
@blueprint.response(200, StatusResponse)
def get_status(imei: str) -> Sequence[StatusItem]:
    """Show what is known of a device, item by item."""
    query = select(StatusItem).where(StatusItem.device_id == registry.find(imei).id)
    return db.session.scalars(query.order_by(StatusItem.item)).all()


@blueprint.post("/devices/<imei>/records")
@blueprint.arguments(RecordSchema, shape="RecordRequest")
@repeatable
@blueprint.alt_response(200, schema=RecordResponse, description="the record was known", success=True)
@blueprint.response(201, RecordResponse)
def add_record(given: dict[str, Any], imei: str) -> tuple[bool, int]:
    """Take a record of the telematics platform: AVL 497, 498, 499, 239."""
    new = telemetry.accept(registry.find(imei), given["timestamp"], given["values"], utcnow())
    return new, 201 if new else 200
