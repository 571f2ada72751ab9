"""Says in one sentence where the file of a request is, and why it is not here yet.

Reads rows and changes none. Called by pages. Times are told in the device's time zone.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select

from provisioning.core.sms_capabilities import sms_capabilities
from provisioning.media import link_service
from provisioning.models import (
    OPEN,
    CameraSession,
    Command,
    Device,
    State,
    Upload,
    UploadState,
    command_state,
    db,
    in_state,
    utcnow,
)

RETRIES = "A camera that cannot get through tries again after some 30 minutes."
ON_ITS_WAY = (UploadState.RECEIVING, UploadState.PARTIAL)
WAITING = {
    State.QUEUED: "Waits for the device's turn.",
    State.SENDING: "On its way to the device.",
    State.SENT: "On its way to the device.",
    State.DELIVERED: "The SIM has it; waiting for the device's answer.",
}


def of(rows: Sequence[Command], device: Device) -> tuple[dict[str, list[Upload]], dict[str, str]]:
    """Give, by command id, the linked uploads and the sentence."""
    linked = link_service.uploads_of(rows)
    coming: Sequence[Upload] = ()
    session: CameraSession | None = None
    if any(row.kind == "camreq" and row.state in OPEN for row in rows):
        coming = db.session.scalars(
            select(Upload)
            .where(Upload.device_id == device.id, in_state(*ON_ITS_WAY))
            .order_by(Upload.id.desc())
            .limit(8)
        ).all()
        session = db.session.scalar(
            select(CameraSession)
            .where(CameraSession.device_id == device.id)
            .order_by(CameraSession.id.desc())
            .limit(1)
        )
    return linked, {
        row.id: sentence(row, linked.get(row.id, ()), coming, session, device.time_zone) for row in rows
    }


def sentence(
    row: Command, linked: Iterable[Upload], coming: Sequence[Upload], session: CameraSession | None, zone: str
) -> str:
    """Say it for one command; empty where its files are here and speak for themselves."""
    state = State(row.state)
    if row.error_message:
        return row.error_message + _retry(row)
    here = [upload.source for upload in linked]
    if state is State.DONE:
        return "" if here else _capitalised(row.note or row.history[-1]["note"] or "done")
    if state not in OPEN:
        return _capitalised(row.note or row.history[-1]["note"] or "")
    if row.note:
        return row.note
    if state is not State.ANSWERED:
        return (_unclear() if state is State.UNKNOWN else WAITING[state]) + _end(row, zone)
    if row.kind != "camreq":
        return _capitalised(row.history[-1]["note"] or "the device has answered") + _end(row, zone)
    missing = command_state.missing_sources(row, here)
    return _file(row, missing, coming, session) + _end(row, zone)


def _unclear() -> str:
    if sms_capabilities().lists_messages:
        return "It is not clear whether the SMS went out; it is being looked up."
    return (
        "It is not clear whether the SMS went out, and the SMS gateway cannot be asked: only the device's answer or a"
        " delivery report will tell. It is not sent again by itself."
    )


def _file(
    row: Command, missing: Sequence[str], coming: Sequence[Upload], session: CameraSession | None
) -> str:
    kind = row.arguments["file_type"]
    since = row.sending_at or row.created_at
    for upload in coming:
        if upload.file_type != kind or upload.source not in missing or upload.started_at < since:
            continue
        count = f"{upload.received_packets} of {upload.packets} packets of the {upload.source} {kind}"
        if upload.state == UploadState.RECEIVING:
            return f"{count} have come."
        return f"The line broke after {count}; the device goes on by itself when it connects again. {RETRIES}"
    what, comes, has = (
        (f"the {missing[0]} {kind}", "comes", "has")
        if len(missing) == 1
        else (f"the {' and '.join(missing)} {kind}s", "come", "have")
    )
    if session is not None and session.started_at >= since and session.ended_at and session.code != "done":
        return f"The camera connected, but: {session.reason} {_capital(what)} {has} not come. {RETRIES}"
    return f"The device has accepted; {what} {comes} once its camera is connected, usually within a minute. {RETRIES}"


def _retry(row: Command) -> str:
    if row.error_retry is None:
        return ""
    return " Asking again may help." if row.error_retry else " Asking again will not help as things are."


def _end(row: Command, zone: str) -> str:
    if row.expires_at is None:
        return ""
    return f" We wait until {clock(row.expires_at, zone, utcnow())}."


def clock(moment: datetime, zone: str, now: datetime) -> str:
    """Give the time of day with its zone's name, and before it the day where that is not today there."""
    shown = moment.astimezone(ZoneInfo(zone))
    days = (shown.date() - now.astimezone(shown.tzinfo).date()).days
    day = "" if days <= 0 else "tomorrow " if days == 1 else f"{shown:%Y-%m-%d} "
    return f"{day}{shown:%H:%M} {shown.tzname()}"


def _capitalised(text: str) -> str:
    text = _capital(text)
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
