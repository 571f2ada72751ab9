"""Removes what is older than its retention (RETENTION_DAYS_…, most off by default), and closes what nobody ends.

The worker calls `sweep` every hour. Ids sort by time, so that what is old is found by the primary key; every batch
is small and a transaction of its own, and a run that was broken off goes on with the next.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, aliased

from provisioning.core import jobs
from provisioning.core.config import current_config
from provisioning.core.sms_capabilities import sms_capabilities
from provisioning.media import event_service, file_leases, kept_days, previews, registration, storage
from provisioning.models import (
    ENDED,
    OPEN,
    RECONCILER,
    AuditEntry,
    ChecklistRun,
    Command,
    Cursor,
    Device,
    GatewayEvent,
    Message,
    Profile,
    StatusItem,
    TelemetryRecord,
    Upload,
    UploadState,
    changed,
    changes,
    db,
    first_id,
)
from receiver.store.media_store import MediaError

log = structlog.get_logger(__name__)
BATCH = 500
BATCHES = 400  # in one run and of one kind; the rest an hour later
GRACE = timedelta(days=1)


def sweep(clock: Callable[[], datetime]) -> dict[str, int]:
    """Remove what is older than the settings say; give how much of each kind. Raises RowsFailed after the last kind."""
    removed: dict[str, int] = {}

    def remove(kind: tuple[str, Callable[[], int]]) -> None:
        name, work = kind
        if count := work():
            removed[name] = count

    try:
        jobs.each("retention", _kinds(clock()), remove, named=lambda kind: kind[0])
    finally:
        if removed:
            log.info("old rows removed", **removed)
    return removed


def _kinds(now: datetime) -> Iterator[tuple[str, Callable[[], int]]]:
    """Give what is to be removed by the settings, by name: each kind by itself."""
    config = current_config()
    yield "leases", _sweep_leases
    yield "given_up", lambda: _give_up(now - timedelta(days=config.receiver_partial_days) - GRACE)
    due = [
        kept_days.is_due({file_type: kept_days.oldest(days, now)})
        for file_type, days in kept_days.kept_days().by_type().items()
        if days
    ]
    if due:
        yield "uploads", lambda: sum(_in_batches(partial(_remove_uploads, one)) for one in due)
    if days := config.retention_days_messages:
        oldest = min(now - timedelta(days=days), _reconciled() or now)
        yield "messages", lambda: _in_batches(lambda: _remove(Message, _is_settled(oldest), oldest))
        done = and_(GatewayEvent.received_at < oldest, GatewayEvent.processed_at.is_not(None))
        yield "events", lambda: _in_batches(lambda: _remove(GatewayEvent, done, oldest))
    if days := config.retention_days_records:
        before = _linked_before(now, days)
        yield (
            "records",
            lambda: _in_batches(lambda: _remove(TelemetryRecord, _is_free_record(before), before)),
        )
    if days := config.retention_days_checks:
        ended = now - timedelta(days=days)
        yield "checks", lambda: _in_batches(lambda: _remove(ChecklistRun, _is_old_run(ended), ended))
    if days := config.retention_days_commands:
        asked = min(_linked_before(now, days), _oldest_open_run() or now)
        yield "commands", lambda: _in_batches(lambda: _remove(Command, _is_free_command(asked), asked))
    if days := config.retention_days_audit:
        written = now - timedelta(days=days)
        yield "audit", lambda: _in_batches(lambda: _remove(AuditEntry, AuditEntry.at < written, written))
    if days := config.retention_days_profiles:
        made = now - timedelta(days=days)
        yield "profiles", lambda: _in_batches(lambda: _remove_versions(made))


def _linked_before(now: datetime, days: int) -> datetime:
    """Give before when nothing takes part in linking any more, and is older than so many days."""
    window = timedelta(seconds=current_config().link_window)
    return now - max(timedelta(days=days), kept_days.LINK_WINDOWS * window)


def _sweep_leases() -> int:
    file_leases.sweep()
    return 0


def _in_batches(remove: Callable[[], int]) -> int:
    total = 0
    for _ in range(BATCHES):
        count = remove()
        total += count
        if count < BATCH:
            break
    return total


def _remove(
    model: type[Message | GatewayEvent | TelemetryRecord | ChecklistRun | Command | AuditEntry],
    which: ColumnElement[bool],
    oldest: datetime,
) -> int:
    idents: Sequence[str] = db.session.scalars(
        select(model.id).where(model.id < first_id(oldest), which).order_by(model.id).limit(BATCH)
    ).all()
    db.session.rollback()
    if model is Command:  # its messages have a retention of their own
        db.session.execute(
            update(Message)
            .where(Message.command_id.in_(idents))
            .values(command_id=None)
            .execution_options(synchronize_session=False)
        )
    changed(delete(model).where(model.id.in_(idents)).execution_options(synchronize_session=False))
    db.session.commit()
    return len(idents)


def _is_source(kind: str, ident: ColumnElement[str] | InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Condition: what is known of a device, now, comes from this row."""
    sources = select(StatusItem.source_id).where(
        StatusItem.source_kind == kind, StatusItem.source_id.is_not(None)
    )
    return ident.in_(sources)


def _is_free_record(oldest: datetime) -> ColumnElement[bool]:
    """Condition: no file and no status item rests on the record."""
    tied = select(Upload.id).where(Upload.record_id == TelemetryRecord.id).exists()
    return and_(TelemetryRecord.received_at < oldest, ~tied, ~_is_source("record", TelemetryRecord.id))


def _is_old_run(oldest: datetime) -> ColumnElement[bool]:
    """Condition: the checklist run has ended, and its device has a newer one."""
    newer = aliased(ChecklistRun)
    has_newer = (
        select(newer.id).where(newer.device_id == ChecklistRun.device_id, newer.id > ChecklistRun.id).exists()
    )
    return and_(ChecklistRun.ended_at < oldest, has_newer)


def _is_free_command(oldest: datetime) -> ColumnElement[bool]:
    """Condition: the command has ended, and no file, status item, later command or change of credentials needs it."""
    later = aliased(Command)
    undecided = select(Device.id).where(Device.id == Command.device_id, Device.credentials_state.is_not(None))
    return and_(
        Command.updated_at < oldest,
        Command.state.in_(ENDED),
        ~Command.in_flight,
        ~select(Upload.id).where(Upload.command_id == Command.id).exists(),
        ~select(later.id).where(later.parent_id == Command.id).exists(),
        ~undecided.exists(),
        ~_is_source("command", Command.id),
    )


def _oldest_open_run() -> datetime | None:
    """Give when the oldest open checklist run began: it reads its own commands."""
    return db.session.scalar(select(func.min(ChecklistRun.started_at)).where(ChecklistRun.ended_at.is_(None)))


def _remove_versions(oldest: datetime) -> int:
    """Remove old versions of profiles; the newest of each name stays, and what a device's settings should be."""
    newer = aliased(Profile)
    has_newer = select(newer.id).where(newer.name == Profile.name, newer.version > Profile.version).exists()
    is_used = select(Device.id).where(Device.profile_id == Profile.id).exists()
    idents = db.session.scalars(
        select(Profile.id).where(Profile.created_at < oldest, has_newer, ~is_used).limit(BATCH)
    ).all()
    db.session.rollback()
    changed(delete(Profile).where(Profile.id.in_(idents)).execution_options(synchronize_session=False))
    db.session.commit()
    return len(idents)


def _is_settled(oldest: datetime) -> ColumnElement[bool]:
    """Condition: the message is old and belongs to no open command."""
    waiting = select(Command.id).where(Command.id == Message.command_id, Command.state.in_(OPEN)).exists()
    return and_(Message.created_at < oldest, ~waiting)


def _reconciled() -> datetime | None:
    """Give until when events must stay: what the reconciler lists again must be known again."""
    if not sms_capabilities().lists_messages:
        return None
    cursor = db.session.get(Cursor, RECONCILER)
    return datetime.fromisoformat(cursor.value) - GRACE if cursor else None


def _remove_uploads(due: ColumnElement[bool]) -> int:
    rows = db.session.execute(
        select(Upload.id, Upload.path, Upload.device_id, Upload.event_id)
        .where(due)
        .order_by(Upload.id)
        .limit(BATCH)
    ).all()
    db.session.rollback()
    keys = [key for row in rows if row.path for key in (row.path, f"{row.path}.json")]
    keys += [previews.key(row.id, ending) for row in rows for ending in (previews.THUMBNAIL, previews.VIDEO)]
    try:
        storage.media().delete(*keys)  # first the files: without its row nobody would find one again
    except MediaError as error:
        log.warning("media store away, old files are removed later", reason=str(error))
        return 0
    idents = [row.id for row in rows]
    event_service.lock({row.device_id for row in rows if row.device_id is not None})
    changed(delete(Upload).where(Upload.id.in_(idents)).execution_options(synchronize_session=False))
    event_service.forget({row.event_id for row in rows if row.event_id})
    touched = {row.device_id for row in rows}
    changes.publish_all(touched, "uploads")
    changes.publish_all(touched, "events")
    db.session.commit()
    return len(rows)


def _give_up(oldest: datetime) -> int:
    """Mark partial files as damaged that no receiver can continue: a receiver lost for good reports nothing."""
    given_up = changed(
        update(Upload)
        .where(registration.IS_COMING, Upload.updated_at < oldest)
        .values(state=UploadState.DAMAGED)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()
    return given_up
