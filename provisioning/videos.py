"""Copies for the browser: thumbnails of photos and videos, H.264 of the cameras' H.265. Originals are never touched.

Work is claimed by a lease on the upload's row. Photos do not wait for videos.
"""

import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import or_, select, update

from receiver.media import MediaError

from . import events, queue, statuses, uploads
from .config import current_config
from .decoding import PhotoDecoder, decode_video
from .models import Device, StatusItem, Upload, UploadState, db, in_state
from .parameters import as_integer

log = structlog.get_logger(__name__)

READY, FAILED = "ready", "failed"
THUMBNAIL, VIDEO = ".thumbnail.jpg", ".mp4"  # endings of derived files
ATTEMPTS = 3
LEASE = timedelta(minutes=15)
AWAY = timedelta(minutes=1)  # until the store is tried again
ASSUMED_FRAME_RATE = 30  # the default of parameter 66003

_photos = PhotoDecoder()  # its child ends when this process does: its input is closed then


def thumbnail(upload: Upload) -> str | None:
    """Give the thumbnail's key in the media store once it is there."""
    return key(upload.id, THUMBNAIL) if upload.thumbnail_state == READY else None


def video(upload: Upload) -> str | None:
    """Give the H.264 copy's key in the media store once it is there."""
    return key(upload.id, VIDEO) if upload.video_state == READY else None


def key(ident: str, ending: str) -> str:
    """Give the key in the media store of an upload's copy with this ending."""
    return f"derived/{ident}{ending}"


def sweep(clock: Callable[[], datetime]) -> None:
    """Have files looked at that still lack their copies, where the queues do not know them any more."""
    if not all(queue.is_empty(topic) for topic in queue.COPIES.values()):
        return
    waiting = db.session.execute(
        select(Upload.id, Upload.file_type)
        .where(
            in_state(UploadState.STORED),
            Upload.thumbnail_state.is_(None),
            Upload.derive_attempts < ATTEMPTS,
            or_(Upload.derive_lease_until.is_(None), Upload.derive_lease_until < clock()),
            Upload.received_at < clock() - timedelta(seconds=20),  # newer ones are in the queues
        )
        .order_by(Upload.id)
        .limit(100)
    ).all()
    db.session.commit()
    for ident, file_type in waiting:
        queue.wake(queue.COPIES[file_type], ident)


def make(ident: str, clock: Callable[[], datetime]) -> bool:
    """Make an upload's copies, unless another worker is at it; say whether it was done."""
    upload = _claim(ident, clock())
    if upload is None:
        db.session.rollback()
        return False
    playback: Mapping[str, Any] = {}
    if upload.file_type == "video":
        rate, assumed = frame_rate(upload)
        playback = {"playback_frame_rate": rate, "playback_assumed": assumed}
    db.session.commit()
    try:
        made, problem = _make(upload, playback)
    except MediaError as error:
        log.warning("media store away, copies are made later", upload=ident, reason=str(error))
        _put_off(ident, clock())
        return False
    _note(upload, made, playback, problem, clock())
    return not problem


def _make(upload: Any, playback: Mapping[str, Any]) -> tuple[list[str], str]:
    """Make the copies that can be made; give their endings and what went wrong. Raises MediaError."""
    spool, original = current_config().media_spool, upload.path or ""
    spool.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="derive-", dir=spool) as folder:
        work = Path(folder)
        source = uploads.media().path(original)
        if source is None and uploads.media().fetch(original, work / f"original{Path(original).suffix}"):
            source = work / f"original{Path(original).suffix}"
        target, problem = work / upload.id, "The original is not there."
        if source is not None and playback:
            problem = decode_video(source, target, playback["playback_frame_rate"]) or ""
        elif source is not None:
            problem = _photos.decode(source, target) or ""
        made = [ending for ending in (THUMBNAIL, VIDEO) if (work / f"{upload.id}{ending}").is_file()]
        for ending in made:
            uploads.media().put(work / f"{upload.id}{ending}", key(upload.id, ending))
    return made, problem


def _put_off(ident: str, now: datetime) -> None:
    """Try again in a while; it was no fault of the file."""
    upload = db.session.get_one(Upload, ident)
    upload.derive_attempts -= 1
    upload.derive_lease_until = now + AWAY
    db.session.commit()


def _claim(ident: str, now: datetime) -> Any:
    """Give what is needed of a row that is ours now, else None."""
    free = or_(Upload.derive_lease_until.is_(None), Upload.derive_lease_until < now)
    return db.session.execute(
        update(Upload)
        .where(Upload.id == ident, Upload.state == UploadState.STORED, Upload.thumbnail_state.is_(None), free,
               Upload.derive_attempts < ATTEMPTS)
        .values(derive_lease_until=now + LEASE, derive_attempts=Upload.derive_attempts + 1)
        .returning(Upload.id, Upload.device_id, Upload.path, Upload.file_type, Upload.frame_rate, Upload.timestamp,
                   Upload.started_at)
        .execution_options(synchronize_session=False)
    ).one_or_none()  # fmt: skip


def frame_rate(upload: Any) -> tuple[int, bool]:
    """Give a video's frames per second and whether they are assumed: metadata, else 66003 as it was, else 30."""
    if upload.frame_rate and 1 <= upload.frame_rate <= 120:
        return upload.frame_rate, False
    device = db.session.get(Device, upload.device_id) if upload.device_id else None
    item: StatusItem | None = statuses.get(device.id, "parameter.66003") if device else None
    captured = upload.timestamp or upload.started_at
    if item is not None and item.since <= captured and (rate := as_integer(item.value)):
        return rate, False
    return ASSUMED_FRAME_RATE, True


def _note(upload: Any, made: list[str], playback: Mapping[str, Any], problem: str, now: datetime) -> None:
    noted = dict(playback)
    if playback:
        noted["video_state"] = READY if VIDEO in made else FAILED
    db.session.execute(
        update(Upload)
        .where(Upload.id == upload.id)
        .values(derive_lease_until=None, derived_error=problem or None, updated_at=now,
                thumbnail_state=READY if THUMBNAIL in made else FAILED, **noted)
        .execution_options(synchronize_session=False)
    )  # fmt: skip
    events.publish(upload.device_id, "uploads")
    db.session.commit()
