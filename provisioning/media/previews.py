"""Makes previews: thumbnails, and H.264 copies of the cameras' H.265. Originals are never changed.

The worker polls for files that still lack their copies, and claims them by a lease on the upload's row. Photos do not
wait for videos, and are done many at once; files that a request asked for come first.
"""

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Select, and_, bindparam, case, or_, select, update

from provisioning.core.config import current_config
from provisioning.devices import status_table
from provisioning.media import storage
from provisioning.media.decoder_pool import Outcome, PhotoDecoder, decode_video
from provisioning.models import Device, StatusItem, Upload, UploadState, changes, db, in_state, utcnow
from provisioning.phrase import Phrase
from provisioning.tracker.parameters import as_integer, status_item
from receiver.store.media_store import MediaError

log = structlog.get_logger(__name__)

READY, FAILED = "ready", "failed"
THUMBNAIL, VIDEO = ".thumbnail.jpg", ".mp4"  # endings of derived files
ATTEMPTS = 3
LEASE = timedelta(minutes=15)
PHOTOS_AT_ONCE = 25  # some 0.3 s, which one that is asked for meanwhile waits
LINKED_WITHIN = timedelta(seconds=20)
AWAY = timedelta(minutes=1)  # until a store that is away, or a full disk, is tried again
WORKING = "derive-"  # beginning of the names of working folders in the spool
LEFT_AFTER = timedelta(hours=3)  # no work on copies takes so long
BROKEN_OFF = Phrase("broken_off")
ASSUMED_FRAME_RATE = 30  # the default of the parameter video_frame_rate

_at_work: set[str] = set()  # uploads of whose copies this process is making
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


def make_photos(clock: Callable[[], datetime]) -> None:
    """Make the thumbnails of photos that wait, many at once: one by one each would pay for its own transactions."""
    _make_due("photo", PHOTOS_AT_ONCE, clock)


def make_videos(clock: Callable[[], datetime]) -> None:
    """Make the copies of videos that wait, one at a time: each takes a processor for seconds."""
    _make_due("video", 1, clock)


def _make_due(file_type: str, most: int, clock: Callable[[], datetime]) -> None:
    while (idents := due(file_type, most, clock())) and _make(_claim(idents, clock()), clock):
        pass


def _is_free(now: Any, ahead: Any) -> ColumnElement[bool]:
    """Give the condition that no worker is at an upload; a lease too far `ahead` is of a clock that was wrong."""
    until = Upload.derive_lease_until
    return or_(until.is_(None), until < now, until > ahead)


def _is_due(now: Any, ahead: Any) -> ColumnElement[bool]:
    return and_(
        in_state(UploadState.STORED),
        Upload.thumbnail_state.is_(None),
        Upload.derive_attempts < ATTEMPTS,
        _is_free(now, ahead),
    )


def _due(file_type: str) -> Select[*tuple[Any, ...]]:
    return (
        select(Upload.id, Upload.command_id)
        .where(
            Upload.file_type == file_type,
            _is_due(
                bindparam("now", callable_=utcnow), bindparam("ahead", callable_=lambda: _ahead(utcnow()))
            ),
            # whether somebody waits for it is known once it is linked; that takes long only where it fails
            Upload.settle_due.is_(False)
            | (Upload.received_at < bindparam("linked", callable_=lambda: utcnow() - LINKED_WITHIN)),
        )
        .order_by(Upload.id)
        .limit(bindparam("most", PHOTOS_AT_ONCE))
    )


# built once: they run many times a second
DUE = {file_type: _due(file_type) for file_type in ("photo", "video")}


def due(file_type: str, most: int, now: datetime) -> list[str]:
    """Give files that lack their copies: those that a request asked for first, then the oldest."""
    values = {"most": most, "now": now, "ahead": _ahead(now), "linked": now - LINKED_WITHIN}
    found = db.session.execute(DUE[file_type], values).all()
    if len(found) == most:  # there may be more, and some of them asked for
        asked_for = db.session.execute(DUE[file_type].where(Upload.command_id.is_not(None)), values)
        found = [*asked_for, *(row for row in found if row.command_id is None)]
    db.session.rollback()
    return [row.id for row in sorted(found, key=lambda row: row.command_id is None)][:most]


def _ahead(now: datetime) -> datetime:
    return now + 2 * LEASE


def give_up(clock: Callable[[], datetime]) -> None:
    """End the copies of files at which a worker was ended each time."""
    now = clock()
    lost = db.session.execute(
        update(Upload)
        .where(
            in_state(UploadState.STORED),
            Upload.thumbnail_state.is_(None),
            Upload.derive_attempts >= ATTEMPTS,
            _is_free(now, _ahead(now)),
        )
        .values(
            thumbnail_state=FAILED,
            derived_error=BROKEN_OFF,
            derive_lease_until=None,
            updated_at=now,
            video_state=case((Upload.file_type == "video", FAILED)),
        )
        .returning(Upload.device_id)
        .execution_options(synchronize_session=False)
    ).all()
    changes.publish_all({row.device_id for row in lost}, "uploads")
    db.session.commit()


def remove_left(clock: Callable[[], datetime]) -> None:
    """Remove working folders of copies that a killed process left: they may hold whole originals."""
    for folder in current_config().media_spool.glob(f"{WORKING}*"):
        try:
            touched = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
        except OSError:
            continue  # its owner has just removed it
        if clock().timestamp() - touched > LEFT_AFTER.total_seconds():
            shutil.rmtree(folder, ignore_errors=True)


def make(idents: Sequence[str], clock: Callable[[], datetime]) -> bool:
    """Make the copies of uploads, but of those that another worker is at; say whether all were made."""
    return _make(_claim(idents, clock()), clock) == len(idents)


def _make(claimed: Sequence[Any], clock: Callable[[], datetime]) -> int:
    """Make the copies of claimed uploads; give of how many all were made."""
    idents = {upload.id for upload in claimed}
    _at_work.update(idents)
    try:
        return _make_claimed(claimed, clock) if claimed else 0
    finally:
        _at_work.difference_update(idents)


def give_back() -> None:
    """Let others make at once the copies that this process was making: it ends, which is no fault of the files."""
    _release(_at_work, None)


def _make_claimed(claimed: Sequence[Any], clock: Callable[[], datetime]) -> int:
    playback = {upload.id: frame_rate(upload) for upload in claimed if upload.file_type == "video"}
    db.session.commit()
    outcomes: dict[str, Outcome] = {}
    made: set[str] = set()
    away: dict[str, str] = {}
    try:
        spool = current_config().media_spool
        spool.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=WORKING, dir=spool, ignore_cleanup_errors=True) as folder:
            sources, away = _fetch(claimed, Path(folder))
            outcomes = _decode(sources, playback, Path(folder))
            away |= {ident: one.problem.code for ident, one in outcomes.items() if one.retry and one.problem}
            made, unsafe = _put([ident for ident in sources if ident not in away], Path(folder))
            away |= unsafe
    except OSError as error:  # no space for temporary files
        away = {upload.id: str(error.strerror or error) for upload in claimed}
    if away:
        log.warning("copies are made later", uploads=len(away), reason=next(iter(away.values())))
        _put_off(list(away), clock())
    _note([upload for upload in claimed if upload.id not in away], made, outcomes, playback, clock())
    return len(claimed) - len(away.keys() | {ident for ident, one in outcomes.items() if one.problem})


def _fetch(claimed: Sequence[Any], work: Path) -> tuple[dict[str, Path | None], dict[str, str]]:
    """Give where each original can be read, None where there is none; and where the store is away, why."""
    sources: dict[str, Path | None] = {}
    away: dict[str, str] = {}
    for upload in claimed:
        original = upload.path or ""
        try:
            sources[upload.id] = storage.media().path(original)
            copy = work / f"original-{upload.id}{Path(original).suffix}"
            if sources[upload.id] is None and storage.media().fetch(original, copy):
                sources[upload.id] = copy
        except MediaError as error:
            away[upload.id] = str(error)
            sources.pop(upload.id, None)
    return sources, away


def _decode(
    sources: Mapping[str, Path | None], playback: Mapping[str, tuple[int, bool]], work: Path
) -> dict[str, Outcome]:
    """Make the copies that can be made, in `work`; give how each came out, by upload."""
    there = [(ident, source) for ident, source in sources.items() if source is not None]
    photos = [(ident, source) for ident, source in there if ident not in playback]
    config = current_config()
    most_pixels = round(config.photo_max_megapixels * 1_000_000)
    found = _photos.decode([(source, work / ident) for ident, source in photos], most_pixels)
    outcomes = dict(zip((ident for ident, _ in photos), found, strict=True))
    for ident, source in there:
        if ident in playback:
            rate = playback[ident][0]
            outcomes[ident] = decode_video(
                source, work / ident, rate, config.video_max_side, config.video_cpu_seconds
            )
    missing = Outcome(Phrase("no_original"))
    return {ident: outcomes.get(ident, missing) for ident in sources}


def _put(idents: Iterable[str], work: Path) -> tuple[set[str], dict[str, str]]:
    """Put the copies into the store; give their keys, and by upload why they are not safe there."""
    copies = [(ident, ending) for ident in idents for ending in (THUMBNAIL, VIDEO)]
    copies = [(ident, ending) for ident, ending in copies if (work / f"{ident}{ending}").is_file()]
    errors = storage.media().put_all(
        [(work / f"{ident}{ending}", key(ident, ending)) for ident, ending in copies]
    )
    unsafe = {ident: str(error) for (ident, _), error in zip(copies, errors, strict=True) if error}
    return {key(ident, ending) for ident, ending in copies}, unsafe


def _put_off(idents: Sequence[str], now: datetime) -> None:
    """Try again in a while; it was no fault of the files."""
    _release(idents, now + AWAY)


def _release(idents: Collection[str], until: datetime | None) -> None:
    """End the claim of files without a try having been made; they are free from that time on."""
    db.session.execute(
        update(Upload)
        .where(Upload.id.in_(idents))
        .values(derive_attempts=Upload.derive_attempts - 1, derive_lease_until=until)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()


def _claim(idents: Sequence[str], now: datetime) -> Sequence[Any]:
    """Give what is needed of the rows that are ours now."""
    return db.session.execute(
        update(Upload)
        .where(Upload.id.in_(idents), _is_due(now, _ahead(now)))
        .values(derive_lease_until=now + LEASE, derive_attempts=Upload.derive_attempts + 1)
        .returning(
            Upload.id,
            Upload.device_id,
            Upload.path,
            Upload.file_type,
            Upload.frame_rate,
            Upload.timestamp,
            Upload.started_at,
        )
        .execution_options(synchronize_session=False)
    ).all()


def frame_rate(upload: Any) -> tuple[int, bool]:
    """Give a video's frames per second and whether they are assumed.

    From its metadata, else the parameter as it was, else 30.
    """
    if upload.frame_rate and 1 <= upload.frame_rate <= 120:
        return upload.frame_rate, False
    device = db.session.get(Device, upload.device_id) if upload.device_id else None
    item: StatusItem | None = status_table.get(device.id, status_item("video_frame_rate")) if device else None
    captured = upload.timestamp or upload.started_at
    rate = as_integer(item.value) if item is not None and item.since <= captured else None
    if rate and 1 <= rate <= 120:
        return rate, False
    return ASSUMED_FRAME_RATE, True


def _note(
    claimed: Sequence[Any],
    made: set[str],
    outcomes: Mapping[str, Outcome],
    playback: Mapping[str, tuple[int, bool]],
    now: datetime,
) -> None:
    """Write down how it went: a statement for all photos that went well."""
    alike: dict[tuple[tuple[str, Any], ...], list[str]] = defaultdict(list)
    for upload in claimed:
        outcome = outcomes[upload.id]
        columns: dict[str, Any] = {"derived_error": outcome.problem or outcome.note}
        columns["thumbnail_state"] = READY if key(upload.id, THUMBNAIL) in made else FAILED
        if upload.id in playback:
            columns["video_state"] = READY if key(upload.id, VIDEO) in made else FAILED
            columns["playback_frame_rate"], columns["playback_assumed"] = playback[upload.id]
        alike[tuple(columns.items())].append(upload.id)
    for same, idents in alike.items():
        db.session.execute(
            update(Upload)
            .where(Upload.id.in_(idents))
            .values(derive_lease_until=None, updated_at=now, **dict(same))
            .execution_options(synchronize_session=False)
        )
    changes.publish_all({upload.device_id for upload in claimed}, "uploads")
    db.session.commit()
