"""The log of a vehicle: all that happened in one line of time, newest first, and the notes that people write."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from provisioning.core.audit import AuditAction
from provisioning.core.errors import Invalid, ServiceError
from provisioning.devices import health_words, history, registry
from provisioning.devices.history import Kind
from provisioning.media import request_progress
from provisioning.models import DeliveryStatus, Device, Message, VehicleNote, db
from provisioning.roles import Permission
from provisioning.tracker.normalization import clean_text
from provisioning.translation import N_, gettext
from provisioning.web import auth
from provisioning.web.pages import audit_subjects, forms, more_rows, times
from provisioning.web.pages.vehicle import page

FIRST, ON_PHONE = 15, 7  # entries
NOTE_LENGTH = 2000
TITLES = {
    Kind.REQUESTS: N_("Requests"),
    Kind.SETTINGS: N_("Settings"),
    Kind.MESSAGES: N_("SMS"),
    Kind.SESSIONS: N_("Connections"),
    Kind.FILES: N_("Files"),
    Kind.HEALTH: N_("Health"),
    Kind.NOTES: N_("Notes"),
    Kind.PEOPLE: N_("People"),
}
_SENT: Mapping[DeliveryStatus, str] = {
    DeliveryStatus.SENDING: N_("SMS to the vehicle, sending"),
    DeliveryStatus.UNKNOWN: N_("SMS to the vehicle, unknown"),
    DeliveryStatus.QUEUED: N_("SMS to the vehicle, queued"),
    DeliveryStatus.SENT: N_("SMS to the vehicle, sent"),
    DeliveryStatus.CANCELED: N_("SMS to the vehicle, canceled"),
    DeliveryStatus.DELIVERED: N_("SMS to the vehicle, delivered"),
    DeliveryStatus.UNDELIVERED: N_("SMS to the vehicle, undelivered"),
    DeliveryStatus.FAILED: N_("SMS to the vehicle, failed"),
}


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/vehicles/<imei>/log", "vehicle_log", show)
    blueprint.add_url_rule("/vehicles/<imei>/notes", "add_note", add_note, methods=["POST"])


def show(imei: str) -> ResponseReturnValue:
    """Show the log; kinds (with commas between), page and number of entries stand in the address."""
    return _page(registry.find(imei))


def _page(device: Device, error: ServiceError | None = None) -> str:
    before = request.args.get("before", "")
    offered = [kind for kind in Kind if kind is not Kind.PEOPLE or auth.caller().may(Permission.AUDIT)]
    chosen = [kind for kind in offered if kind in request.args.get("kind", "").split(",")]
    count = more_rows.wanted(FIRST, ON_PHONE)
    found = history.entries(device, chosen or offered, before, count.shown + 1)
    shown = found[: count.shown]
    listed = [one for one in shown if not _is_said_twice(one, chosen)]
    requests = [entry.row for entry in shown if entry.kind is Kind.REQUESTS]
    people = [entry.row for entry in shown if entry.kind is Kind.PEOPLE]
    return page(
        device, "vehicle/log.html", "log",
        days=_by_day(listed, device.time_zone), listed=listed, count=count,
        older=shown[-1].key if len(found) > len(shown) else None, before=before, kind=",".join(chosen),
        chips=[(gettext(TITLES[kind]), kind in chosen, _toggled(kind, chosen)) for kind in offered], error=error,
        given=request.form, progress=request_progress.of(requests, device), sentence=health_words.sentence,
        note_length=NOTE_LENGTH, message_title=_message_title,
        subjects=audit_subjects.of(people, device.time_zone),
    )  # fmt: skip


def _by_day(
    entries: Sequence[history.LogEntry], zone: str
) -> Sequence[tuple[str, Sequence[history.LogEntry]]]:
    """Give the entries under the days of the vehicle's zone on which they happened."""
    return [(day, list(found)) for day, found in groupby(entries, lambda one: times.short_day(one.at, zone))]


def _message_title(row: Message) -> str:
    """Say what an SMS is: from whom to whom, and how far it is."""
    if row.direction == "in":
        if row.claimed:
            return gettext("SMS from the vehicle")
        return gettext("SMS from the vehicle: answers no request")
    title = gettext(_SENT[DeliveryStatus(row.status)])
    if row.error_code:
        return gettext("%(sms)s (error %(code)s)", sms=title, code=row.error_code)
    return title


def _is_said_twice(entry: history.LogEntry, chosen: list[Kind]) -> bool:
    """Say whether a request or a note of the same list says already what somebody did."""
    already_said = (AuditAction.ASKED, AuditAction.NOTED)
    return entry.kind is Kind.PEOPLE and not chosen and entry.row.action in already_said


def _toggled(kind: Kind, chosen: list[Kind]) -> str | None:
    """Give the kinds for the address with this one put in or taken out."""
    return ",".join(one for one in Kind if (one in chosen) is not (one is kind)) or None


def add_note(imei: str) -> ResponseReturnValue:
    """Write a note about the vehicle."""
    device = registry.find(imei)

    def work() -> str:
        text = clean_text(request.form.get("text", ""))
        if not text or len(text) > NOTE_LENGTH:
            problem = gettext("Write a note of at most %(number)s characters.", number=NOTE_LENGTH)
            raise Invalid(problem, errors={"text": [problem]})
        db.session.add(VehicleNote(device_id=device.id, who=auth.caller().label, text=text))
        db.session.commit()
        return url_for("pages.vehicle_log", imei=imei)

    return forms.once(work, lambda error: (_page(device, error), error.status))
