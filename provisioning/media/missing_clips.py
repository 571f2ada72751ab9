"""Finds the crash or towing of a vehicle whose clip is not here, so that it can be asked for while the card holds it.

Called by the form that asks for clips.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select

from provisioning.media import event_list, registration
from provisioning.media.event_list import EventFilter
from provisioning.media.event_rules import KINDS, EventKind
from provisioning.models import (
    OPEN,
    Command,
    Device,
    Event,
    Upload,
    UploadState,
    db,
    files_of,
    first_id,
    in_state,
)
from provisioning.tracker import language
from provisioning.tracker.language import CamReq

URGENT = (EventKind.CRASH, EventKind.TOW)
LONGEST = timedelta(minutes=2)  # a clip that begins earlier before a moment does not show it


@dataclass(frozen=True, slots=True)
class MissingClip:
    """An event without a clip of these cameras, which are named as a request names them: "front", "rear", "both"."""

    event: Event
    source: str


def newest(device: Device, since: datetime, until: datetime) -> MissingClip | None:
    """Give the newest crash or towing between two times where a camera's clip of it is neither here nor on its way."""
    found = event_list.newest(
        EventFilter(device_ids=[device.id], kinds=URGENT, since=since, until=until), limit=1
    )
    if not found:
        return None
    wanted = {"front"} if device.cabin_private else {"front", "rear"}
    missing = wanted - {*_stored(device, found[0]), *_coming(device, found[0]), *_asked(device, found[0])}
    if not missing:
        return None
    return MissingClip(found[0], missing.pop() if len(missing) == 1 else "both")


def _stored(device: Device, event: Event) -> Iterator[str]:
    """Give the cameras of which a clip shows the event's moment, or belongs to the event."""
    clips = db.session.scalars(
        select(Upload).where(
            files_of(device),
            Upload.id >= first_id(event.at - event_list.ID_NEAR),
            Upload.file_type == "video",
            in_state(UploadState.STORED),
            or_(Upload.event_id == event.id, Upload.timestamp.between(event.at - LONGEST, event.at)),
        )
    )
    for clip in clips:
        begin = clip.timestamp.timestamp() if clip.timestamp else None
        if clip.event_id == event.id or _holds(begin, clip.duration, event):
            yield clip.source


def _coming(device: Device, event: Event) -> Iterator[str]:
    """Give the cameras that have been sending a clip by themselves since the event."""
    yield from db.session.scalars(
        select(Upload.source).where(
            files_of(device),
            Upload.id >= first_id(event.at - LONGEST),  # the camera's clock may be somewhat ahead
            Upload.file_type == "video",
            registration.IS_COMING,
            Upload.trigger.in_([trigger for trigger, kind in KINDS.items() if kind in URGENT]),
        )
    )


def _asked(device: Device, event: Event) -> Iterator[str]:
    """Give the cameras that are being asked for a clip of the event's moment."""
    requests = db.session.scalars(
        select(Command).where(
            Command.device_id == device.id, Command.kind == CamReq.name, Command.state.in_(OPEN)
        )
    )
    for given in (request.arguments for request in requests):
        if _holds(given.get("timestamp"), given.get("duration"), event):
            yield from language.cameras(given["source"])


def _holds(begin: float | None, seconds: int | None, event: Event) -> bool:
    """Say whether a clip that begins at these Unix seconds shows the event's moment."""
    return begin is not None and begin <= event.at.timestamp() <= begin + (seconds or 0)
