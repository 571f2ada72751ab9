"""Says in one sentence where the file of a request is, and why it is not here yet.

Reads rows and changes none. Called by pages. Times are shown in the device's time zone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select

from provisioning.commands import command_words
from provisioning.core.sms_capabilities import sms_capabilities
from provisioning.media import link_service
from provisioning.models import (
    OPEN,
    CameraSession,
    Command,
    Device,
    ShownState,
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
KINDS = {"photo": "photo", "video": "clip"}  # what people call the types of files
WAITING = {
    ShownState.QUEUED: "Waits for the vehicle's turn.",
    ShownState.SENDING: "On its way to the vehicle.",
    ShownState.SENT: "On its way to the vehicle.",
    ShownState.DELIVERED: "The SIM has it; waiting for the vehicle's answer.",
}


@dataclass(frozen=True, slots=True)
class RequestProgress:
    """Where the files of one request are: those that are linked, the sentence, and how much of the next has come."""

    files: Sequence[Upload]
    sentence: str
    percent: int | None  # None: no file of it is on its way


def of(rows: Sequence[Command], device: Device) -> dict[str, RequestProgress]:
    """Give the progress of requests by their ids."""
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
    return {row.id: _progress(row, linked.get(row.id, ()), coming, session, device.time_zone) for row in rows}


def _progress(
    row: Command, linked: Sequence[Upload], coming: Sequence[Upload], session: CameraSession | None, zone: str
) -> RequestProgress:
    upload = _on_its_way(row, [one.source for one in linked], coming) if row.state in OPEN else None
    percent = 100 * upload.received_packets // upload.packets if upload and upload.packets else None
    return RequestProgress(linked, sentence(row, linked, coming, session, zone), percent)


def _on_its_way(row: Command, here: Iterable[str], coming: Sequence[Upload]) -> Upload | None:
    """Give the file of a request that is on its way, or was when its connection broke."""
    if row.kind != "camreq":
        return None
    missing, since = command_state.missing_sources(row, here), row.sending_at or row.created_at
    for upload in coming:
        fits = upload.file_type == row.arguments["file_type"] and upload.source in missing
        if fits and upload.started_at >= since:
            return upload
    return None


def sentence(
    row: Command, linked: Iterable[Upload], coming: Sequence[Upload], session: CameraSession | None, zone: str
) -> str:
    """Say it for one command; empty where its files are here and speak for themselves."""
    state, shown = State(row.state), row.shown_state
    if row.error:
        return command_words.sentence(row.error) + _retry(row)
    here = [upload.source for upload in linked]
    if state is State.DONE:
        return "" if here else _note(row) or "Done."
    if state not in OPEN:
        return _note(row)
    if row.note:
        return command_words.sentence(row.note)
    if state is not State.ANSWERED:
        return (_unclear() if shown is ShownState.UNKNOWN else WAITING[shown]) + _end(row, zone)
    if row.kind != "camreq":
        return (_note(row) or "The vehicle has answered.") + _end(row, zone)
    return _file(row, here, coming, session) + _end(row, zone)


def _note(row: Command) -> str:
    """Say what a person should know now, or how the command came to its state."""
    return command_words.said(row.note or row.history[-1]["note"]) or ""


def _unclear() -> str:
    if sms_capabilities().lists_messages:
        return "It is not clear whether the SMS went out; it is being looked up."
    return (
        "It is not clear whether the SMS went out, and the SMS gateway cannot be asked: only the vehicle's answer or a"
        " delivery report will show. It is not sent again by itself."
    )


def _file(row: Command, here: Sequence[str], coming: Sequence[Upload], session: CameraSession | None) -> str:
    kind, missing = KINDS[row.arguments["file_type"]], command_state.missing_sources(row, here)
    since = row.sending_at or row.created_at
    if upload := _on_its_way(row, here, coming):
        count = f"{upload.received_packets} of {upload.packets} packets of the {upload.source} {kind}"
        if upload.state == UploadState.RECEIVING:
            return f"{count} have come."
        return f"The connection broke after {count}; the vehicle goes on by itself when it connects again. {RETRIES}"
    what, comes, has = (
        (f"the {missing[0]} {kind}", "comes", "has")
        if len(missing) == 1
        else (f"the {' and '.join(missing)} {kind}s", "come", "have")
    )
    if session is not None and session.started_at >= since and session.ended_at and session.code != "done":
        return f"The camera connected, but: {session.reason} {_capital(what)} {has} not come. {RETRIES}"
    return f"The vehicle has accepted; {what} {comes} once its camera is connected, usually within a minute. {RETRIES}"


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


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
