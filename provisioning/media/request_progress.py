"""Says in one sentence where the file of a request is, and why it is not here yet.

Reads rows and changes none. Called by pages.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from provisioning.commands import command_words
from provisioning.core.sms_capabilities import sms_capabilities
from provisioning.media import link_service, session_words
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
)
from provisioning.translation import N_, gettext

RETRIES = N_("A camera that cannot get through tries again after some 30 minutes.")
TELLING_SECONDS = 3  # a file must have come for so long, or its speed tells nothing
ON_ITS_WAY = (UploadState.RECEIVING, UploadState.PARTIAL)
WAITING = {
    ShownState.QUEUED: N_("Waits for the vehicle's turn."),
    ShownState.SENDING: N_("On its way to the vehicle."),
    ShownState.SENT: N_("On its way to the vehicle."),
    ShownState.DELIVERED: N_("The SIM has it; waiting for the vehicle's answer."),
}
# of a file that is on its way: how much has come, and that the connection broke
COUNTS = {
    ("photo", "front"): N_("%(received)s of %(packets)s packets of the front photo have come."),
    ("photo", "rear"): N_("%(received)s of %(packets)s packets of the rear photo have come."),
    ("video", "front"): N_("%(received)s of %(packets)s packets of the front clip have come."),
    ("video", "rear"): N_("%(received)s of %(packets)s packets of the rear clip have come."),
}
BROKEN = {
    ("photo", "front"): N_(
        "The connection broke after %(received)s of %(packets)s packets of the front photo; the vehicle goes on by"
        " itself when it connects again."
    ),
    ("photo", "rear"): N_(
        "The connection broke after %(received)s of %(packets)s packets of the rear photo; the vehicle goes on by"
        " itself when it connects again."
    ),
    ("video", "front"): N_(
        "The connection broke after %(received)s of %(packets)s packets of the front clip; the vehicle goes on by"
        " itself when it connects again."
    ),
    ("video", "rear"): N_(
        "The connection broke after %(received)s of %(packets)s packets of the rear clip; the vehicle goes on by"
        " itself when it connects again."
    ),
}
# of what is missing: that it comes, and that it has not come although the camera connected
COMES = {
    ("photo", "front"): N_(
        "The vehicle has accepted; the front photo comes once its camera is connected, usually within a"
        " minute."
    ),
    ("photo", "rear"): N_(
        "The vehicle has accepted; the rear photo comes once its camera is connected, usually within a"
        " minute."
    ),
    ("photo", "both"): N_(
        "The vehicle has accepted; the front and rear photos come once its camera is connected, usually"
        " within a minute."
    ),
    ("video", "front"): N_(
        "The vehicle has accepted; the front clip comes once its camera is connected, usually within a"
        " minute."
    ),
    ("video", "rear"): N_(
        "The vehicle has accepted; the rear clip comes once its camera is connected, usually within a minute."
    ),
    ("video", "both"): N_(
        "The vehicle has accepted; the front and rear clips come once its camera is connected, usually"
        " within a minute."
    ),
}
MISSED = {
    ("photo", "front"): N_("The camera connected, but: %(reason)s The front photo has not come."),
    ("photo", "rear"): N_("The camera connected, but: %(reason)s The rear photo has not come."),
    ("photo", "both"): N_("The camera connected, but: %(reason)s The front and rear photos have not come."),
    ("video", "front"): N_("The camera connected, but: %(reason)s The front clip has not come."),
    ("video", "rear"): N_("The camera connected, but: %(reason)s The rear clip has not come."),
    ("video", "both"): N_("The camera connected, but: %(reason)s The front and rear clips have not come."),
}


@dataclass(frozen=True, slots=True)
class RequestProgress:
    """Where the files of one request are: those that are linked, the sentence, and how much of the next has come.

    `until`: how long is waited for what the sentence says.
    """

    files: Sequence[Upload]
    sentence: str
    until: datetime | None
    percent: int | None  # None: no file of it is on its way
    seconds_left: float | None = None  # until all of its files are here; None: nobody can tell


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
    return {row.id: _progress(row, linked.get(row.id, ()), coming, session) for row in rows}


def _progress(
    row: Command, linked: Sequence[Upload], coming: Sequence[Upload], session: CameraSession | None
) -> RequestProgress:
    here = [one.source for one in linked]
    upload = _on_its_way(row, here, coming) if row.state in OPEN else None
    said, until = sentence(row, linked, coming, session), _until(row)
    if upload is None or not upload.packets:
        return RequestProgress(linked, said, until, None)
    left = _seconds_left(upload, len(command_state.missing_sources(row, here)) - 1)
    return RequestProgress(linked, said, until, 100 * upload.received_packets // upload.packets, left)


def _seconds_left(upload: Upload, more_files: int) -> float | None:
    """Give how long a file still takes at its own speed, and so many more that are as long; None where it broke off."""
    seconds = (upload.updated_at - upload.started_at).total_seconds()
    if upload.state != UploadState.RECEIVING or upload.resumes or seconds < TELLING_SECONDS:
        return None
    whole = seconds * upload.packets / max(1, upload.received_packets)
    return whole - seconds + whole * more_files


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
    row: Command, linked: Iterable[Upload], coming: Sequence[Upload], session: CameraSession | None
) -> str:
    """Say it for one command; empty where its files are here and speak for themselves."""
    state, shown = State(row.state), row.shown_state
    if row.error:
        return command_words.sentence(row.error) + _retry(row)
    here = [upload.source for upload in linked]
    if state is State.DONE:
        return "" if here else _note(row) or _done(row)
    if state not in OPEN:
        return _note(row)
    if row.note:
        return command_words.sentence(row.note)
    if state is not State.ANSWERED:
        return _unclear() if shown is ShownState.UNKNOWN else gettext(WAITING[shown])
    if row.kind != "camreq":
        return _note(row) or gettext("The vehicle has answered.")
    return _file(row, here, coming, session)


def _until(row: Command) -> datetime | None:
    """Give how long is waited for one command; None where its sentence says something else."""
    return row.expires_at if row.state in OPEN and not row.error and not row.note else None


def _done(row: Command) -> str:
    if row.kind == "camreq":
        return gettext("Its files came, and have been removed since.")
    return gettext("The vehicle has answered.")


def _note(row: Command) -> str:
    """Say what a person should know now, or how the command came to its state."""
    return command_words.said(row.note or row.history[-1]["note"]) or ""


def _unclear() -> str:
    if sms_capabilities().lists_messages:
        return gettext("It is not clear whether the SMS went out; it is being looked up.")
    return gettext(
        "It is not clear whether the SMS went out, and the SMS gateway cannot be asked: only the vehicle's answer or a"
        " delivery report will show. It is not sent again by itself."
    )


def _file(row: Command, here: Sequence[str], coming: Sequence[Upload], session: CameraSession | None) -> str:
    kind, missing = row.arguments["file_type"], command_state.missing_sources(row, here)
    since = row.sending_at or row.created_at
    if upload := _on_its_way(row, here, coming):
        counts = {"received": upload.received_packets, "packets": upload.packets}
        if upload.state == UploadState.RECEIVING:
            return gettext(COUNTS[kind, upload.source], **counts)
        return f"{gettext(BROKEN[kind, upload.source], **counts)} {gettext(RETRIES)}"
    what = kind, missing[0] if len(missing) == 1 else "both"
    if session is not None and session.started_at >= since and session.reason and session.code != "done":
        reason = session_words.reason(session.reason)
        return f"{gettext(MISSED[what], reason=reason)} {gettext(RETRIES)}"
    return f"{gettext(COMES[what])} {gettext(RETRIES)}"


def _retry(row: Command) -> str:
    if row.error_retry is None:
        return ""
    if row.error_retry:
        return " " + gettext("Asking again may help.")
    return " " + gettext("Asking again will not help as things are.")
