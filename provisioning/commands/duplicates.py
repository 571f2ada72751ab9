"""Finds what a request for files would only repeat: the same request, still open, and files that are stored.

Called by `submission`, which refuses, and by `request_preview`, which says it before.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from provisioning.core.errors import AlreadyHere, AlreadyRequested
from provisioning.models import OPEN, Command, Device, Upload, UploadState, db, files_of, in_state
from provisioning.tracker import language
from provisioning.tracker.language import CamReq
from provisioning.translation import N_, gettext

_HERE = {
    ("front",): N_("This video of the front camera (upload %(front)s) is here already."),
    ("rear",): N_("This video of the rear camera (upload %(rear)s) is here already."),
    ("front", "rear"): N_(
        "This video of the front camera (upload %(front)s) and of the rear camera (upload %(rear)s) is here already."
    ),
}
_ALONE = {"front": N_("Ask for the front camera alone."), "rear": N_("Ask for the rear camera alone.")}


def refuse_duplicate(device: Device, asked: CamReq, foreign: bool) -> None:
    """Refuse a request while the same one is under way. Raises AlreadyRequested."""
    if command := find_duplicate(device, asked, foreign):
        raise AlreadyRequested(
            gettext(
                "The same request is still under way (command %(id)s). Wait for it, or cancel it.",
                id=command.id,
            ),
            command_id=command.id,
        )


def find_duplicate(device: Device, asked: CamReq, foreign: bool) -> Command | None:
    """Give the open request that asks for the same."""
    wanted = _wish(asked.as_arguments(), foreign)
    waiting = db.session.scalars(
        select(Command).where(
            Command.device_id == device.id, Command.kind == asked.name, Command.state.in_(OPEN)
        )
    )
    return next((row for row in waiting if _wish(row.arguments, row.foreign_server) == wanted), None)


def _wish(arguments: Mapping[str, Any], foreign: bool) -> dict[str, Any]:
    """Give what a camreq asks for; how cameras reach our own server is no part of it."""
    return {name: value for name, value in arguments.items() if foreign or name != "server"}


def refuse_what_is_here(device: Device, asked: CamReq) -> None:
    """Let no video be fetched twice: the camera would send the same file, and that is stored once.

    Raises AlreadyHere.
    """
    here = stored(device, asked)
    wanted = language.cameras(asked.source)
    if not (had := [source for source in wanted if source in here]):
        return
    left = [source for source in wanted if source not in here]
    raise AlreadyHere(
        gettext(_HERE[tuple(had)], **here),
        uploads={source: here[source] for source in had},
        advice=gettext(_ALONE[left[0]] if left else N_("Nothing was sent.")),
    )


def stored(device: Device, asked: CamReq) -> dict[str, str]:
    """Give the ids of the stored videos that a request asks for, by camera; none for a photo, which is always new."""
    if asked.timestamp is None or asked.resolution is not None:
        return {}
    found = db.session.execute(
        select(Upload.id, Upload.source).where(
            files_of(device),
            Upload.timestamp == datetime.fromtimestamp(asked.timestamp, UTC),
            Upload.file_type == "video",
            in_state(UploadState.STORED),
            Upload.trigger == 0,
            Upload.duration == asked.duration,
            Upload.looked_like.is_(None),
        )
    ).all()
    wanted = language.cameras(asked.source)
    return {
        source: ident for ident, source in sorted((row.id, row.source) for row in found) if source in wanted
    }
