"""The page of an event: its files side by side, what caused it, where and when; keeping it beyond its retention."""

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from provisioning.core.config import current_config
from provisioning.media import event_list
from provisioning.models import Event, TelemetryRecord, Upload, db, utcnow
from provisioning.web import audit_notes, auth
from provisioning.web.pages import forms


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/media/<ident>", "event", show)
    blueprint.add_url_rule("/media/<ident>/saved", "save_event", save, methods=["POST"])


def show(ident: str) -> ResponseReturnValue:
    """Show an event, and note that it was seen. What a page fetches anew by itself is no look."""
    event = event_list.find(ident)
    files = event_list.files_of([event])[event.id]
    if "HX-Request" not in request.headers and request.method == "GET":
        event_list.see(event, auth.caller().label, utcnow())
        for file in files:
            audit_notes.saw(file)
    return _page(event, files)


def _page(event: Event, files: list[Upload], problem: str | None = None) -> str:
    return render_template(
        "media/event.html", event=event, device=event.device, files=files, problem=problem,
        request_row=next((file.command for file in files if file.command), None), records=_records(files),
        seen_by=event_list.seen_by([event])[event.id], days_kept=current_config().retention_days_uploads,
        newer=event_list.neighbour(event, newer=True), older=event_list.neighbour(event, newer=False),
    )  # fmt: skip


def _records(files: list[Upload]) -> list[TelemetryRecord]:
    idents = {file.record_id for file in files if file.record_id}
    return (
        list(db.session.scalars(select(TelemetryRecord).where(TelemetryRecord.id.in_(idents))))
        if idents
        else []
    )


def save(ident: str) -> ResponseReturnValue:
    """Keep an event's files beyond their retention, or stop keeping them."""
    event = event_list.find(ident)

    def work() -> str:
        if request.form.get("saved") == "1":
            event_list.save(event, auth.caller().label, utcnow())
        else:
            event_list.stop_saving(event)
        return url_for("pages.event", ident=ident)

    return forms.once(
        work, lambda error: (_page(event, event_list.files_of([event])[ident], error.message), error.status)
    )
