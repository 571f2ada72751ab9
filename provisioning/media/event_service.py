"""Makes the events of files, and makes them anew after each change: `event_rules` decides, here facts and rows meet.

Whatever changes what a file's event is sets `Upload.event_due`; the worker makes those events in bulk, under the locks
of their devices. `event_files` finds the files that may belong together; reading events is the matter of
`event_list`.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, bindparam, delete, select, update

from provisioning.core.config import current_config
from provisioning.media.event_files import chains, facts_of, file_of, is_member, moment_of, with_mates
from provisioning.media.event_rules import EventFacts, group
from provisioning.models import (
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
UNSEEN_FOR = timedelta(days=7)  # what came before is no news: nobody has to look at it

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
    lock({row.device_id for row in due if row.device_id is not None})
    files = with_mates(facts_of(Upload.id.in_([row.id for row in due])))
    files |= chains(files.values(), current_config().event_seconds)
    _store(files, now)
    db.session.commit()
    return len(due)


def forget(event_ids: Collection[str]) -> None:
    """Take that files of these events were removed: those without a file go, the others are due.

    The caller holds the locks of their devices from before it removed the files, and commits.
    """
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


def lock(device_ids: Collection[int]) -> None:
    """Wait until nobody else makes events of these devices; in the order of their ids, against deadlocks."""
    take_write_lock(db.session.connection())
    db.session.execute(
        select(Device.id).where(Device.id.in_(device_ids)).order_by(Device.id).with_for_update(key_share=True)
    ).all()


def _store(rows: dict[str, Any], now: datetime) -> None:
    """Group files, and bring the events and the files' event in line with that."""
    by_device: dict[int, list[Any]] = defaultdict(list)
    for row in rows.values():
        if is_member(row):
            by_device[row.device_id].append(row)
    groups = [
        (device_id, facts)
        for device_id, files in sorted(by_device.items())
        for facts in group((file_of(row) for row in files), current_config().event_seconds)
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
    return f"{first_id(moment_of(at))}{os.urandom(10).hex()}"


def _events(idents: Collection[str]) -> dict[str, Any]:
    """Give events as they are, and as they stay: somebody who sees or keeps one meanwhile waits for the commit."""
    columns = select(*Event.__table__.columns).where(Event.id.in_(idents))
    held = columns.order_by(Event.id).with_for_update(key_share=True)
    return {row.id: row for row in db.session.execute(held)}


def _row(ident: str, device_id: int, facts: EventFacts) -> dict[str, Any]:
    latitude, longitude = facts.place or (None, None)
    return {
        "id": ident,
        "device_id": device_id,
        "kind": str(facts.kind),
        "at": moment_of(facts.at),
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
        if not old and moment_of(row["arrived"]) < now - UNSEEN_FOR:
            row["seen_at"] = moment_of(row["arrived"])
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
