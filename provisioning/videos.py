"""Copies for the browser: thumbnails of photos and videos, H.264 of the cameras' H.265. Originals are never touched.

Work is claimed by a lease on the upload's row. Photos do not wait for videos.
"""

import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import or_, select, update

from receiver.media import MediaError

from . import events, queue, statuses, uploads
from .config import current_config
from .decoding import PhotoDecoder, decode_video
from .models import Device, StatusItem, Upload, UploadState, changed, db, in_state
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
    if not _claim(ident, clock()):
        return False
    upload = db.session.get_one(Upload, ident)
    original, file_type = upload.path or "", upload.file_type
    rate, assumed = frame_rate(upload)
    db.session.commit()
    try:
        made, problem = _make(ident, original, file_type, rate)
    except MediaError as error:
        log.warning("media store away, copies are made later", upload=ident, reason=str(error))
        _put_off(ident, clock())
        return False
    _note(ident, made, rate, assumed, problem, clock())
    return not problem


def _make(ident: str, original: str, file_type: str, rate: int) -> tuple[list[str], str]:
    """Make the copies that can be made; give their endings and what went wrong. Raises MediaError."""
    spool = current_config().media_spool
    spool.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="derive-", dir=spool) as folder:
        work = Path(folder)
        source = uploads.media().path(original)
        if source is None and uploads.media().fetch(original, work / f"original{Path(original).suffix}"):
            source = work / f"original{Path(original).suffix}"
        problem = "The original is not there."
        if source is not None:
            target = work / ident
            video = file_type == "video"
            problem = (decode_video(source, target, rate) if video else _photos.decode(source, target)) or ""
        made = [ending for ending in (THUMBNAIL, VIDEO) if (work / f"{ident}{ending}").is_file()]
        for ending in made:
            uploads.media().put(work / f"{ident}{ending}", key(ident, ending))
    return made, problem


def _put_off(ident: str, now: datetime) -> None:
    """Try again in a while; it was no fault of the file."""
    upload = db.session.get_one(Upload, ident)
    upload.derive_attempts -= 1
    upload.derive_lease_until = now + AWAY
    db.session.commit()


def _claim(ident: str, now: datetime) -> bool:
    free = or_(Upload.derive_lease_until.is_(None), Upload.derive_lease_until < now)
    claimed = changed(
        update(Upload)
        .where(Upload.id == ident, Upload.state == UploadState.STORED, Upload.thumbnail_state.is_(None), free,
               Upload.derive_attempts < ATTEMPTS)
        .values(derive_lease_until=now + LEASE, derive_attempts=Upload.derive_attempts + 1)
        .execution_options(synchronize_session=False)
    )  # fmt: skip
    db.session.commit()
    return bool(claimed)


def frame_rate(upload: Upload) -> tuple[int, bool]:
    """Give a video's frames per second and whether they are assumed: metadata, else 66003 as it was, else 30."""
    if upload.frame_rate and 1 <= upload.frame_rate <= 120:
        return upload.frame_rate, False
    device = db.session.get(Device, upload.device_id) if upload.device_id else None
    item: StatusItem | None = statuses.get(device.id, "parameter.66003") if device else None
    captured = upload.timestamp or upload.started_at
    if item is not None and item.since <= captured and (rate := as_integer(item.value)):
        return rate, False
    return ASSUMED_FRAME_RATE, True


def _note(ident: str, made: list[str], rate: int, assumed: bool, problem: str, now: datetime) -> None:
    upload = db.session.get_one(Upload, ident)
    upload.derive_lease_until = None
    upload.derived_error = problem or None
    upload.thumbnail_state = READY if THUMBNAIL in made else FAILED
    if upload.file_type == "video":
        upload.video_state = READY if VIDEO in made else FAILED
        upload.playback_frame_rate, upload.playback_assumed = rate, assumed
    upload.updated_at = now
    events.publish(upload.device_id, "uploads")
    db.session.commit()
