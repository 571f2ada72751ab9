"""Events: lists and one, who has seen it, and whether it is kept."""

from typing import Any

from flask import Response

from provisioning.devices import registry
from provisioning.media import event_list
from provisioning.models import Event, utcnow
from provisioning.web import auth, serializers
from provisioning.web.api import openapi, shared
from provisioning.web.api.shared import answer, repeatable
from provisioning.web.schemas.events import EventFilterSchema

blueprint = openapi.Blueprint("events", __name__, description="Files that belong together")


@blueprint.get("/events")
@blueprint.arguments(EventFilterSchema, location="query")
@blueprint.response(200, openapi.page(openapi.EVENT))
def list_events(given: dict[str, Any]) -> dict[str, Any]:
    """List events, by their times, the newest first."""
    wanted = event_list.EventFilter(
        device_ids=registry.ids_of(given["imei"]) if "imei" in given else None,
        kinds=given["kind"].split(",") if "kind" in given else (),
        since=given.get("since"),
        until=given.get("until"),
        unseen=given.get("unseen"),
        saved=given.get("saved"),
    )
    return shared.page(event_list.wanted(wanted), Event.id, given, serializers.events)


@blueprint.get("/events/<ident>")
@blueprint.response(200, openapi.EVENT)
def get_event(ident: str) -> dict[str, Any]:
    """Show an event with its files, and who has seen it. That this shows it does not count as seen."""
    return serializers.event(event_list.find(ident))


@blueprint.post("/events/<ident>/seen")
@blueprint.response(200, openapi.EVENT)
@repeatable
def see(ident: str) -> Response:
    """Note that the caller has seen an event."""
    event = event_list.find(ident)
    event_list.see(event, auth.caller().label, utcnow())
    return answer(serializers.event(event), 200)


@blueprint.put("/events/<ident>/saved")
@blueprint.response(200, openapi.EVENT)
def save(ident: str) -> dict[str, Any]:
    """Keep the files of an event beyond their retention."""
    event = event_list.find(ident)
    event_list.save(event, auth.caller().label, utcnow())
    return serializers.event(event)


@blueprint.delete("/events/<ident>/saved")
@blueprint.response(204)
def stop_saving(ident: str) -> Response:
    """Let the files of an event go when their retention ends."""
    event_list.stop_saving(event_list.find(ident))
    return Response(status=204)
