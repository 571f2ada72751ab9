"""Events: lists and one, who has seen it, and whether it is kept."""

from collections.abc import Sequence
from typing import Any

from flask import Response

from provisioning.devices import registry
from provisioning.media import event_list
from provisioning.models import Event, utcnow
from provisioning.web import audit_notes, auth
from provisioning.web.api import openapi, shared
from provisioning.web.api.shared import repeatable
from provisioning.web.schemas.events import EventFilterSchema, EventResponse, ShownEvent
from provisioning.web.schemas.lists import Page, page_of

blueprint = openapi.Blueprint("events", __name__, description="Files that belong together")


@blueprint.get("/events")
@blueprint.arguments(EventFilterSchema, location="query")
@blueprint.response(200, page_of(EventResponse))
def list_events(given: dict[str, Any]) -> Page:
    """List events, by their times, the newest first."""
    wanted = event_list.EventFilter(
        device_ids=registry.ids_of(given["imei"]) if "imei" in given else None,
        kinds=given["kind"].split(",") if "kind" in given else (),
        since=given.get("since"),
        until=given.get("until"),
        unseen=given.get("unseen"),
        saved=given.get("saved"),
    )
    return shared.page(event_list.wanted(wanted), Event.id, given, _shown)


def _shown(rows: Sequence[Event]) -> list[ShownEvent]:
    files, names = event_list.files_of(rows), event_list.seen_by(rows)
    askers = event_list.asked_by(files)
    return [ShownEvent(row, files.get(row.id, ()), askers.get(row.id), names.get(row.id, ())) for row in rows]


@blueprint.get("/events/<ident>")
@blueprint.response(200, EventResponse)
def get_event(ident: str) -> ShownEvent:
    """Show an event with its files, and who has seen it. That this shows it does not count as seen."""
    return _shown([event_list.find(ident)])[0]


@blueprint.post("/events/<ident>/seen")
@repeatable
@blueprint.response(200, EventResponse)
def see(ident: str) -> ShownEvent:
    """Note that the caller has seen an event."""
    event = event_list.find(ident)
    event_list.see(event, auth.caller().label, utcnow())
    return _shown([event])[0]


@blueprint.put("/events/<ident>/saved")
@blueprint.response(200, EventResponse)
def save(ident: str) -> ShownEvent:
    """Keep the files of an event beyond their retention."""
    event = event_list.find(ident)
    if not event_list.save(event, auth.caller().label, utcnow()):
        audit_notes.nothing_done()
    return _shown([event])[0]


@blueprint.delete("/events/<ident>/saved")
@blueprint.response(204)
def stop_saving(ident: str) -> Response:
    """Let the files of an event go when their retention ends."""
    if not event_list.stop_saving(event_list.find(ident)):
        audit_notes.nothing_done()
    return Response(status=204)
