"""Copies for the browser: thumbnails of photos and videos, H.264 of the cameras' H.265. Originals are never touched.

Work is claimed by a lease on the upload's row; decoding runs in a child process (`transcode`), so that a codec
that crashes or takes long hurts nobody.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import or_, select, update

from . import events, queue, statuses, uploads
from .config import ROOT, current_config
from .models import Device, StatusItem, Upload, UploadState, changed, db
from .parameters import as_integer

log = structlog.get_logger(__name__)

READY, FAILED = "ready", "failed"
ATTEMPTS = 3
LEASE = timedelta(minutes=15)
TRANSCODE_SECONDS = 600  # thirty seconds of 1080p take about one minute on one slow core
ASSUMED_FRAME_RATE = 30  # the default of parameter 66003


def folder() -> Path:
    """Give the folder of derived files."""
    return uploads.media_folder(current_config()) / "derived"


def thumbnail(upload: Upload) -> Path | None:
    """Give the thumbnail's path once it is there."""
    path = folder() / f"{upload.id}.thumbnail.jpg"
    return path if upload.thumbnail_state == READY and path.is_file() else None


def video(upload: Upload) -> Path | None:
    """Give the H.264 copy's path once it is there."""
    path = folder() / f"{upload.id}.mp4"
    return path if upload.video_state == READY and path.is_file() else None


def sweep(clock: Callable[[], datetime]) -> None:
    """Have every file looked at that still lacks its copies."""
    waiting = db.session.scalars(
        select(Upload.id)
        .where(
            Upload.state == UploadState.STORED,
            Upload.thumbnail_state.is_(None),
            Upload.derive_attempts < ATTEMPTS,
            or_(Upload.derive_lease_until.is_(None), Upload.derive_lease_until < clock()),
            Upload.received_at < clock() - timedelta(seconds=20),  # newer ones are in the queue
        )
        .order_by(Upload.id)
        .limit(100)
    ).all()
    db.session.commit()
    for ident in waiting:
        queue.wake(queue.MEDIA, ident)


def make(ident: str, clock: Callable[[], datetime]) -> bool:
    """Make an upload's copies, unless another worker is at it; say whether it was done."""
    if not _claim(ident, clock()):
        return False
    upload = db.session.get_one(Upload, ident)
    source, file_type = uploads.path_of(upload), upload.file_type
    rate, assumed = frame_rate(upload)
    db.session.commit()
    folder().mkdir(parents=True, exist_ok=True)
    problem = "The original is not there." if source is None else _run(ident, source, file_type, rate)
    _note(ident, file_type, rate, assumed, problem, clock())
    return problem is None


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


def _run(ident: str, source: Path, file_type: str, rate: int) -> str | None:
    """Run the child process; give what went wrong as a sentence, or None."""
    command = [
        sys.executable,
        "-m",
        "provisioning.transcode",
        file_type,
        str(source),
        str(folder() / ident),
        str(rate),
    ]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=TRANSCODE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "Making the copy took too long."
    if done.returncode == 0:
        return None
    try:
        return str(json.loads(done.stdout)["error"])
    except (ValueError, KeyError):
        log.warning("transcoding crashed", upload=ident, code=done.returncode, output=done.stderr[-500:])
        return f"The decoder crashed (code {done.returncode})."


def _note(ident: str, file_type: str, rate: int, assumed: bool, problem: str | None, now: datetime) -> None:
    upload = db.session.get_one(Upload, ident)
    upload.derive_lease_until = None
    upload.derived_error = problem
    upload.thumbnail_state = READY if (folder() / f"{ident}.thumbnail.jpg").is_file() else FAILED
    if file_type == "video":
        upload.video_state = READY if (folder() / f"{ident}.mp4").is_file() else FAILED
        upload.playback_frame_rate, upload.playback_assumed = rate, assumed
    upload.updated_at = now
    events.publish(upload.device_id, "uploads")
    db.session.commit()
