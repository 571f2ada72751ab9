"""Makes the events of files, and makes them anew after each change: `event_rules` decides, here facts and rows meet.

Whatever changes what a file's event is sets `Upload.event_due`; the worker makes those events in bulk, under the locks
of their devices. Reading events is the matter of `event_list`.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Table, and_, bindparam, delete, or_, select, update

from provisioning.core.config import current_config
from provisioning.media.event_rules import TRIGGER_NEAR, EventFacts, EventFile, group, moment
from provisioning.models import (
    BY_CHECK,
    Command,
    Cursor,
    Device,
    Event,
    EventView,
    Share,
    Upload,
    UploadState,
    changes,
    db,
    first_id,
    put_all,
    take_write_lock,
    visibility,
)

REMADE_AT_ONCE = 500  # files in one round
OLD_FILES = "events_of_old_files"  # cursor: files with smaller ids were there before events were made
OLD_AT_ONCE = 500
_Trigger = tuple[str, int, int]  # IMEI, device and number of a trigger
FARTHEST = 100_000.0  # seconds: a trigger that repeats without a pause is followed for a day
LATEST = 253_402_214_400.0  # Unix seconds: the last day that a datetime holds
UNSEEN_FOR = timedelta(days=7)  # what came before is no news: nobody has to look at it

_FACTS = (
    Upload.id,
    Upload.imei,
    Upload.device_id,
    Upload.file_type,
    Upload.source,
    Upload.state,
    Upload.has_metadata,
    Upload.trigger,
    Upload.timestamp,
    Upload.trigger_timestamp,
    Upload.started_at,
    Upload.latitude,
    Upload.longitude,
    Upload.looked_like,
    Upload.event_id,
    Upload.event_due,
    Upload.command_id,
    Command.batch,
    Command.requested_by,
)
_UPLOADS: Table = Upload.__table__


def remake_all(clock: Callable[[], datetime]) -> None:
    """Make the events of all files that are due."""
    while remake(clock()):
        pass


def remake_job(clock: Callable[[], datetime]) -> None:
    """Make the events of all files that are due, and of some that were there before events were made."""
    remake_all(clock)
    if _mark_old():
        remake_all(clock)


@visibility.whole_fleet()
def remake(now: datetime, device_id: int | None = None) -> int:
    """Make the events of files that are due, the oldest first, of one device or of all; give how many there were.

    One round, some statements for any number of files. Commits.
    """
    waiting = select(Upload.id, Upload.device_id).where(Upload.event_due)
    if device_id is not None:
        waiting = waiting.where(Upload.device_id == device_id)
    due = db.session.execute(waiting.order_by(Upload.id).limit(REMADE_AT_ONCE)).all()
    if not due:
        db.session.rollback()
        return 0
    _lock({row.device_id for row in due if row.device_id is not None})
    files = _with_mates(_facts(Upload.id.in_([row.id for row in due])))
    files |= _chains(files.values(), current_config().event_seconds)
    _store(files, now)
    db.session.commit()
    return len(due)


def forget(event_ids: Collection[str]) -> None:
    """Take that files of these events were removed: those without a file go, the others are due. The caller commits."""
    left = db.session.execute(select(Upload.id, Upload.event_id).where(Upload.event_id.in_(event_ids))).all()
    _remove(set(event_ids) - {row.event_id for row in left})
    db.session.execute(
        update(Upload).where(Upload.id.in_([row.id for row in left])).values(event_due=True)
        .execution_options(synchronize_session=False)
    )  # fmt: skip


def _mark_old() -> int:
    """Make some files due that were there before events were made, the newest first; give how many."""
    cursor = db.session.get(Cursor, OLD_FILES)
    if cursor is None:
        db.session.rollback()
        return 0
    idents = db.session.scalars(
        select(Upload.id).where(Upload.id < cursor.value).order_by(Upload.id.desc()).limit(OLD_AT_ONCE)
    ).all()
    if idents:
        cursor.value = idents[-1]
    else:
        db.session.delete(cursor)
    db.session.execute(
        update(Upload)
        .where(Upload.id.in_(idents), Upload.state == UploadState.STORED, Upload.event_id.is_(None))
        .values(event_due=True)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()
    return len(idents)


def _lock(device_ids: Collection[int]) -> None:
    """Wait until nobody else makes events of these devices; in the order of their ids, against deadlocks."""
    take_write_lock(db.session.connection())
    db.session.execute(
        select(Device.id).where(Device.id.in_(device_ids)).order_by(Device.id).with_for_update(key_share=True)
    ).all()


def _facts(which: Any) -> list[Any]:
    """Give the columns of `_FACTS` for files that meet a condition, as they are now."""
    query = select(*_FACTS).outerjoin(Command, Command.id == Upload.command_id).where(which)
    return list(db.session.execute(query).all())


def _is_member(row: Any) -> bool:
    """Condition: the file is whole and its vehicle's own; one that may be somebody else's is no part of an event."""
    return row.state == UploadState.STORED and row.device_id is not None and row.looked_like is None


def _with_mates(due: Sequence[Any]) -> dict[str, Any]:
    """Give files, by id, with those that were of the same events before, and those that the same requests made."""
    found = {row.id: row for row in due}

    def add(which: Any) -> None:
        found.update((row.id, row) for row in _facts(which))

    if before := {row.event_id for row in due if row.event_id}:
        add(Upload.event_id.in_(before))
    if commands := {row.command_id for row in found.values() if row.command_id}:
        add(Upload.command_id.in_(commands))
    if batches := {row.batch for row in found.values() if row.batch}:
        add(Upload.command_id.in_(select(Command.id).where(Command.batch.in_(batches))))
    return found


def _chains(files: Iterable[Any], seconds: float) -> dict[str, Any]:
    """Give all files that the same triggers made without a longer pause than an event before and after these, by id."""
    placed: dict[_Trigger, list[float]] = defaultdict(list)
    for row in files:
        if (at := _trigger_moment(row)) is not None:
            placed[row.imei, row.device_id, row.trigger].append(at)
    chained: dict[str, Any] = {}
    reach = 4 * seconds
    while placed and reach <= FARTHEST:
        spans = {trigger: _spans(sorted(seeds), reach) for trigger, seeds in placed.items()}
        same: dict[_Trigger, list[tuple[float, Any]]] = defaultdict(list)
        for row in _within(spans):
            if (at := _trigger_moment(row)) is not None:
                same[row.imei, row.device_id, row.trigger].append((at, row))
        farther = set()
        for trigger, found in same.items():
            for run in _runs(sorted(found, key=lambda one: one[0]), seconds):
                first, last = run[0][0], run[-1][0]
                if any(first - seconds <= seed <= last + seconds for seed in placed[trigger]):
                    chained.update((row.id, row) for _, row in run)
                    if not any(
                        begin + seconds < first and last < end - seconds for begin, end in spans[trigger]
                    ):
                        farther.add(trigger)
        placed = {trigger: seeds for trigger, seeds in placed.items() if trigger in farther}
        reach *= 4
    return chained


def _runs(found: Sequence[tuple[float, Any]], seconds: float) -> Iterator[list[tuple[float, Any]]]:
    """Give sorted files in runs between which there are longer pauses."""
    run: list[tuple[float, Any]] = []
    for one in found:
        if run and one[0] - run[-1][0] > seconds:
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _spans(moments: Sequence[float], reach: float) -> list[tuple[float, float]]:
    """Give the spans of time around sorted moments, those that overlap as one."""
    spans: list[tuple[float, float]] = []
    for at in moments:
        if spans and at - reach <= spans[-1][1]:
            spans[-1] = (spans[-1][0], at + reach)
        else:
            spans.append((at - reach, at + reach))
    return spans


def _within(spans: dict[_Trigger, list[tuple[float, float]]]) -> list[Any]:
    """Give the files of triggers whose own or whose trigger's time lies in spans: one statement, by an index."""
    alternatives = []
    for (imei, _, trigger), some in sorted(spans.items()):
        for first, last in some:
            far = Upload.timestamp.between(_moment(first - TRIGGER_NEAR), _moment(last + TRIGGER_NEAR))
            span = (_moment(first), _moment(last))
            is_in = or_(Upload.timestamp.between(*span), Upload.trigger_timestamp.between(*span))
            alternatives.append(and_(Upload.imei == imei, Upload.trigger == trigger, far, is_in))
    return _facts(or_(*alternatives))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(min(seconds, LATEST), UTC)


def _trigger_moment(row: Any) -> float | None:
    """Give when a file's trigger was, where its event is found by that."""
    if not _is_member(row) or row.command_id is not None or not row.has_metadata or row.trigger is None:
        return None
    return moment(_file(row))


def _file(row: Any) -> EventFile:
    told = row.has_metadata
    return EventFile(
        id=row.id,
        file_type=row.file_type,
        source=row.source,
        arrived=row.started_at.timestamp(),
        trigger=row.trigger if told else None,
        captured=row.timestamp.timestamp() if told and row.timestamp else None,
        trigger_time=row.trigger_timestamp.timestamp() if told and row.trigger_timestamp else None,
        latitude=row.latitude,
        longitude=row.longitude,
        request=row.batch or row.command_id,
        by_check=(row.requested_by or "").startswith(BY_CHECK),
    )


def _store(rows: dict[str, Any], now: datetime) -> None:
    """Group files, and bring the events and the files' event in line with that."""
    by_device: dict[int, list[Any]] = defaultdict(list)
    for row in rows.values():
        if _is_member(row):
            by_device[row.device_id].append(row)
    groups = [
        (device_id, facts)
        for device_id, files in sorted(by_device.items())
        for facts in group((_file(row) for row in files), current_config().event_seconds)
    ]
    before = {ident: row.event_id for ident, row in rows.items()}
    known = _events({ident for ident in before.values() if ident})
    events: list[dict[str, Any]] = []
    after: dict[str, str] = {}  # event by file
    origins: dict[str, set[str]] = {}  # the events of before whose files an event has now, by event
    for device_id, facts in groups:
        olds = {old for file in facts.files if (old := before[file.id]) in known}
        ident = min((old for old in olds if old not in origins), default=None) or _new_id(facts.at)
        origins[ident] = olds
        after.update((file.id, ident) for file in facts.files)
        events.append(_row(ident, device_id, facts))
    _hand_on(events, origins, known, now)
    changed = [row for row in events if row["id"] not in known or _differs(known[row["id"]], row)]
    put_all(Event, changed, "id")
    _hand_views_on(origins)
    _tie(rows.values(), after)
    gone = set(known) - set(origins)
    _lead_shares_on({old: new for new, olds in origins.items() for old in olds if old in gone})
    _remove(gone)
    touched = {row["device_id"] for row in changed} | {known[ident].device_id for ident in gone}
    changes.publish_all(touched, "events")


def _new_id(at: float) -> str:
    return f"{first_id(_moment(at))}{os.urandom(10).hex()}"


def _events(idents: Collection[str]) -> dict[str, Any]:
    columns = select(*Event.__table__.columns).where(Event.id.in_(idents))
    return {row.id: row for row in db.session.execute(columns)}


def _row(ident: str, device_id: int, facts: EventFacts) -> dict[str, Any]:
    latitude, longitude = facts.place or (None, None)
    return {
        "id": ident,
        "device_id": device_id,
        "kind": str(facts.kind),
        "at": _moment(facts.at),
        "cameras": facts.cameras,
        "file_types": facts.file_types,
        "latitude": latitude,
        "longitude": longitude,
        "seen_at": None,
        "saved_at": None,
        "saved_by": None,
        "arrived": max(file.arrived for file in facts.files),
    }


def _hand_on(
    events: Iterable[dict[str, Any]], origins: dict[str, set[str]], known: dict[str, Any], now: datetime
) -> None:
    """Let an event be seen and kept where any event was whose files it has now; what came long ago is no news."""
    for row in events:
        old = [known[ident] for ident in sorted(origins[row["id"]])]
        row["seen_at"] = min((one.seen_at for one in old if one.seen_at), default=None)
        saved = min((one for one in old if one.saved_at), key=lambda one: one.saved_at, default=None)
        if saved is not None:
            row["saved_at"], row["saved_by"] = saved.saved_at, saved.saved_by
        if not old and _moment(row["arrived"]) < now - UNSEEN_FOR:
            row["seen_at"] = _moment(row["arrived"])
        del row["arrived"]


def _differs(known: Any, row: dict[str, Any]) -> bool:
    return any(getattr(known, name) != value for name, value in row.items())


def _hand_views_on(origins: dict[str, set[str]]) -> None:
    """Let who has seen an event have seen every event that has files of it now."""
    moved = {old: new for new, olds in origins.items() for old in olds if old != new}
    if not moved:
        return
    views = db.session.execute(
        select(EventView.event_id, EventView.who, EventView.at).where(EventView.event_id.in_(moved))
    ).all()
    rows = [
        {"event_id": new, "who": view.who, "at": view.at}
        for new, olds in origins.items()
        for view in views
        if view.event_id in olds and view.event_id != new
    ]
    put_all(EventView, {(row["event_id"], row["who"]): row for row in rows}.values(), "event_id, who")


def _lead_shares_on(moved: dict[str, str]) -> None:
    """Let links to events that are no more lead to the event that has their files."""
    for old, new in moved.items():
        db.session.execute(
            update(Share)
            .where(Share.object_id == old)
            .values(object_id=new)
            .execution_options(synchronize_session=False)
        )


def _tie(rows: Iterable[Any], after: dict[str, str]) -> None:
    """Write which event each file is of, and that it is not due any more."""
    tied = [
        {"file": row.id, "event": after.get(row.id)}
        for row in sorted(rows, key=lambda row: row.id)
        if row.event_due or row.event_id != after.get(row.id)
    ]
    if tied:
        db.session.connection().execute(
            update(_UPLOADS)
            .where(_UPLOADS.c.id == bindparam("file"))
            .values(event_id=bindparam("event"), event_due=False),
            tied,
        )


def _remove(idents: Collection[str]) -> None:
    if idents:
        for model, key in ((EventView, EventView.event_id), (Event, Event.id)):
            db.session.execute(
                delete(model).where(key.in_(idents)).execution_options(synchronize_session=False)
            )
