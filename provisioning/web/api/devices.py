"""Devices, their status and their records."""

from typing import Any

from flask import Response
from sqlalchemy import select

from provisioning.core.audit import AuditAction
from provisioning.core.errors import Invalid, NotFound
from provisioning.devices import listing, registry
from provisioning.devices.health import HealthState
from provisioning.fleet import presets
from provisioning.media import settlement, telemetry
from provisioning.models import Device, StatusItem, db, utcnow
from provisioning.tracker.normalization import clean_line
from provisioning.web import audit_notes, serializers
from provisioning.web.api import openapi
from provisioning.web.api.shared import answer, repeatable
from provisioning.web.schemas.devices import DeviceChangeSchema, DeviceFilter, DeviceSchema, RecordSchema

blueprint = openapi.Blueprint("devices", __name__, description="Trackers with a DualCam")


@blueprint.get("/fleet")
@blueprint.response(200, openapi.FLEET)
def get_fleet() -> dict[str, Any]:
    """Count the devices of each state of health, and what is under way."""
    counts = listing.counts(listing.Filter())
    return {
        "counts": {str(state): count for state, count in counts.items()},
        "under_way": listing.under_way(),
    }


@blueprint.get("/devices")
@blueprint.arguments(DeviceFilter, location="query")
@blueprint.response(200, openapi.page(openapi.DEVICE))
def list_devices(given: dict[str, Any]) -> dict[str, Any]:
    """List devices by IMEI, in which order a page after another misses and repeats none when health changes."""
    states = tuple(HealthState(word) for word in given["state"].split(",")) if given.get("state") else ()
    wanted = listing.Filter(states, clean_line(given.get("tag", "")), clean_line(given.get("q", "")))
    query = listing.select_devices(wanted).order_by(Device.imei).limit(given["limit"] + 1)
    if given.get("cursor"):
        query = query.where(Device.imei > given["cursor"])
    rows = db.session.scalars(query).all()
    more = len(rows) > given["limit"]
    rows = rows[: given["limit"]]
    return {"items": serializers.devices(rows), "next": rows[-1].imei if more else None}


@blueprint.post("/devices")
@blueprint.arguments(DeviceSchema)
@blueprint.response(201, openapi.DEVICE)
@repeatable
def add_device(given: dict[str, Any]) -> Response:
    """Add a device."""
    device = registry.add(_with_profile(given), utcnow())
    settlement.adopt_if_possible(device, utcnow())
    audit_notes.changed(AuditAction.ADDED, device, given)
    return answer(serializers.device(device), 201)


@blueprint.get("/devices/<imei>")
@blueprint.response(200, openapi.DEVICE)
def get_device(imei: str) -> dict[str, Any]:
    """Show a device."""
    return serializers.device(registry.find(imei))


@blueprint.patch("/devices/<imei>")
@blueprint.arguments(DeviceChangeSchema(partial=True), required=False)
@blueprint.response(200, openapi.DEVICE)
def change_device(given: dict[str, Any], imei: str) -> dict[str, Any]:
    """Change a device; SMS credentials are those that it already has, nothing is sent."""
    device = registry.find(imei)
    before = audit_notes.fields_of(device, given)
    registry.change(device, _with_profile(given), utcnow())
    audit_notes.changed(AuditAction.CHANGED, device, given, before)
    return serializers.device(device)


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
@blueprint.response(200, openapi.STATUS)
def get_status(imei: str) -> dict[str, Any]:
    """Show what is known of a device, item by item."""
    rows = db.session.scalars(
        select(StatusItem).where(StatusItem.device_id == registry.find(imei).id).order_by(StatusItem.item)
    )
    return {"items": [serializers.status_item(row) for row in rows]}


@blueprint.post("/devices/<imei>/records")
@blueprint.arguments(RecordSchema, shape="RecordRequest")
@blueprint.alt_response(200, schema=openapi.RECORDED, description="the record was known", success=True)
@blueprint.response(201, openapi.RECORDED)
@repeatable
def add_record(given: dict[str, Any], imei: str) -> Response:
    """Take a record of the telematics platform: AVL 497, 498, 499, 239."""
    new = telemetry.accept(registry.find(imei), given["timestamp"], given["values"], utcnow())
    return answer({"accepted": True, "known": not new}, 201 if new else 200)
