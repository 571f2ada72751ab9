"""Addresses that pages had before: each leads to where its content stands now."""

from collections.abc import Mapping

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

# old address → endpoint that has it now, and fields that the new address needs besides those of the old one
MOVED: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "/devices": ("fleet", {}),
    "/devices/part": ("fleet_part", {}),
    "/devices/new": ("add_vehicle", {}),
    "/devices/<imei>": ("vehicle", {}),
    "/devices/<imei>/edit": ("edit_vehicle", {}),
    "/devices/<imei>/archive": ("archive_vehicle", {}),
    "/devices/<imei>/part/verdict": ("vehicle_part", {"name": "head"}),
    "/devices/<imei>/part/status": ("vehicle_part", {"name": "told"}),
    "/devices/<imei>/part/commands": ("vehicle_part", {"name": "requests"}),
    "/devices/<imei>/part/uploads": ("vehicle_part", {"name": "files"}),
    "/devices/<imei>/part/doubtful": ("vehicle_part", {"name": "doubtful"}),
    "/devices/<imei>/part/messages": ("vehicle_log", {"kind": "messages"}),
    "/devices/<imei>/part/sessions": ("vehicle_log", {"kind": "sessions"}),
    "/devices/<imei>/all/commands": ("vehicle_log", {"kind": "requests"}),
    "/devices/<imei>/all/messages": ("vehicle_log", {"kind": "messages"}),
    "/devices/<imei>/all/sessions": ("vehicle_log", {"kind": "sessions"}),
    "/devices/<imei>/all/uploads": ("media", {}),
    "/devices/<imei>/all/doubtful": ("media", {"doubtful": "1"}),
    "/devices/<imei>/checklist": ("check", {}),
    "/devices/<imei>/events": ("vehicle_events", {}),
    "/devices/<imei>/provision": ("vehicle_settings", {}),
    "/devices/<imei>/plan": ("plan", {}),
    "/devices/<imei>/ask": ("ask", {}),
    "/devices/<imei>/command": ("command_form", {}),
    "/devices/<imei>/credentials": ("credentials", {}),
    "/commands/<ident>": ("request", {}),
    "/commands/<ident>/cancel": ("cancel_request", {}),
    "/commands/<ident>/again": ("again", {}),
    "/messages": ("inbox", {}),
    "/messages/<ident>/claim": ("claim", {}),
    "/messages/<ident>/aside": ("put_aside", {}),
    "/strangers": ("unknown_devices", {}),
    "/strangers/<imei>": ("unknown_device", {}),
    "/profiles": ("presets", {}),
    "/profiles/<name>": ("preset", {}),
}


def attach(blueprint: Blueprint) -> None:
    """Add every old address."""
    for number, path in enumerate(MOVED):
        blueprint.add_url_rule(path, f"moved_{number}", _lead_on, methods=["GET", "POST"])


def _lead_on(**fields: str) -> ResponseReturnValue:
    """Lead to the new address, for ever; a form that an open page still sends keeps its fields (308)."""
    assert request.url_rule is not None
    endpoint, more = MOVED[request.url_rule.rule]
    if endpoint == "media":
        fields = {"vehicle": fields["imei"]}
    target = url_for(f"pages.{endpoint}", **{**request.args.to_dict(), **fields, **more})  # type: ignore[arg-type]
    return redirect(target, 301 if request.method in ("GET", "HEAD") else 308)
