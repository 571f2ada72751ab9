"""Reads events: lists by what people ask for, one by its id; and notes who has seen one and that one is kept."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, inspect, select, update
from sqlalchemy.orm import joinedload

from provisioning.core.errors import NotFound
from provisioning.media.event_rules import EventKind
from provisioning.models import (
    NEEDS_A_LOOK,
    Command,
    DeviceTag,
    Event,
    EventView,
    Upload,
    changes,
    db,
    first_id,
    newest_rows,
    put_all,
    take_write_lock,
)
from provisioning.translation import gettext

# how far an event's time may lie from that in its id, as a bound for the index; by far the most are equal
ID_NEAR = timedelta(days=1)
LATEST = datetime.max.replace(tzinfo=UTC) - ID_NEAR  # a day later is no time any more
BEYOND = "g"  # greater than every id: the list is read along the index of ids


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are wanted; None, or nothing, where it does not matter. `since` and `until` bound their times."""

    device_ids: Collection[int] | None = None
    tag: str | None = None
    kinds: Collection[EventKind] = ()
    without: Collection[EventKind] = ()
    since: datetime | None = None
    until: datetime | None = None
    unseen: bool | None = None
    saved: bool | None = None
    camera: str | None = None
    file_type: str | None = None


def wanted(given: EventFilter) -> Select[Any]:
    """Give the query of events that a filter lets through, with their vehicles; the caller adds order and limit."""
    where: list[ColumnElement[bool]] = []
    if given.device_ids is not None:
        where.append(Event.device_id.in_(given.device_ids))
    if given.tag is not None:
        where.append(_has_tag(given.tag))
    if given.kinds:
        where.append(
            Event.kind.in_(sorted(given.kinds)) if len(given.kinds) > 1 else Event.kind == min(given.kinds)
        )
    if given.without:
        where.append(Event.kind.not_in(sorted(given.without)))
    if given.since is not None:
        where += [Event.at >= given.since, Event.id >= first_id(given.since - ID_NEAR)]
    if given.until is not None:
        where += [Event.at <= given.until, Event.id <= first_id(min(given.until, LATEST) + ID_NEAR)]
    if given.unseen is not None:
        where.append(Event.seen_at.is_(None) if given.unseen else Event.seen_at.is_not(None))
    if given.saved is not None:
        where.append(Event.saved_at.is_not(None) if given.saved else Event.saved_at.is_(None))
    if given.camera:
        where.append(Event.cameras.in_((given.camera, "both")))
    if given.file_type:
        where.append(Event.file_types.in_((given.file_type, "both")))
    return select(Event).options(joinedload(Event.device)).where(*where)


def _has_tag(tag: str) -> ColumnElement[bool]:
    """Condition: the event is of a vehicle with this tag.

    Asked of each row: from a list of vehicles SQLite would begin with all events that they ever had.
    """
    return exists().where(DeviceTag.device_id == Event.device_id, DeviceTag.tag == tag)


def newest(given: EventFilter, limit: int, before: str = "") -> Sequence[Event]:
    """Give so many events that a filter lets through, the newest first, older than the event with the id `before`."""
    return newest_rows.newest(wanted(given), Event.id, limit, before=before or BEYOND, tag=given.tag)


def oldest(given: EventFilter, limit: int) -> Sequence[Event]:
    """Give so many events that a filter lets through, the oldest first."""
    return db.session.scalars(wanted(given).order_by(Event.id).limit(limit)).all()


def needing_a_look(device_ids: Collection[int] | None, limit: int, tag: str | None = None) -> Sequence[Event]:
    """Give the newest events that somebody has to look at and nobody has seen, by an index of their own."""
    query = select(Event).options(joinedload(Event.device)).where(NEEDS_A_LOOK)
    if device_ids is not None:
        query = query.where(Event.device_id.in_(device_ids))
    if tag is not None:
        query = query.where(_has_tag(tag))
    return db.session.scalars(query.order_by(Event.id.desc()).limit(limit)).all()


def neighbour(event: Event, *, newer: bool) -> Event | None:
    """Give the next newer or older event of the same vehicle; what checks have made is passed over."""
    query = select(Event).where(Event.device_id == event.device_id, Event.kind != EventKind.CHECK)
    if newer:
        query = query.where(Event.id > event.id).order_by(Event.id)
    else:
        query = query.where(Event.id < event.id).order_by(Event.id.desc())
    return db.session.scalars(query.limit(1)).first()


def find(ident: str) -> Event:
    """Give the event with this id. Raises NotFound."""
    found = db.session.get(Event, ident)
    if found is None:
        raise NotFound(gettext("There is no such event."))
    return found


def locked(event: Event) -> Event:
    """Wait while the event is being made anew, and give it as it is then; nobody else changes it before the commit.

    Raises NotFound where its files are of another event by now.
    """
    take_write_lock(db.session.connection())
    wanted = select(Event).where(Event.id == _id_of(event)).with_for_update(key_share=True)
    found: Event | None = db.session.scalar(wanted.execution_options(populate_existing=True))
    if found is None:
        db.session.rollback()
        raise NotFound(gettext("There is no such event."))
    return found


def _id_of(event: Event) -> str:
    """Give the id of an event whose row may be gone: no attribute is read."""
    identity: tuple[Any, ...] | None = inspect(event).identity
    return str(identity[0]) if identity else ""


def files_of(events: Sequence[Event]) -> dict[str, list[Upload]]:
    """Give the files of events by the event's id: front before rear, a photo before a clip, then by their times."""
    rows = db.session.scalars(select(Upload).where(Upload.event_id.in_([event.id for event in events])))
    files: dict[str, list[Upload]] = defaultdict(list)
    for row in sorted(
        rows, key=lambda row: (row.source, row.file_type, row.timestamp or row.started_at, row.id)
    ):
        files[str(row.event_id)].append(row)
    return files


def asked_by(files: Mapping[str, Sequence[Upload]]) -> dict[str, str]:
    """Give who asked for the files of events, by the event's id; none for what came by itself."""
    asked = {file.command_id: ident for ident, rows in files.items() for file in rows if file.command_id}
    rows = db.session.execute(
        select(Command.id, Command.requested_by).where(Command.id.in_(asked)).order_by(Command.id.desc())
    )
    return {asked[row.id]: row.requested_by for row in rows}


def seen_by(events: Sequence[Event]) -> dict[str, list[str]]:
    """Give who has seen events, the first first, by the event's id."""
    names: dict[str, list[str]] = defaultdict(list)
    views = db.session.scalars(
        select(EventView)
        .where(EventView.event_id.in_([event.id for event in events]))
        .order_by(EventView.event_id, EventView.at, EventView.who)
    )
    for view in views:
        names[view.event_id].append(view.who)
    return names


def see(event: Event, who: str, now: datetime) -> None:
    """Note that somebody has seen an event; the first time counts. Commits. Raises NotFound as `locked` does."""
    ident = _id_of(event)
    if db.session.get(EventView, (ident, who)) is not None:
        db.session.rollback()
        return
    event = locked(event)
    if event.seen_at is None:
        changes.publish(event.device_id, "events")
    put_all(EventView, [{"event_id": ident, "who": who, "at": now}], "event_id, who")
    db.session.execute(update(Event).where(Event.id == ident, Event.seen_at.is_(None)).values(seen_at=now))
    db.session.commit()


def save(event: Event, who: str, now: datetime) -> bool:
    """Keep the files of an event beyond their retention; say whether that is new.

    Commits. Raises NotFound as `locked` does.
    """
    event = locked(event)
    is_new = event.saved_at is None
    if is_new:
        event.saved_at, event.saved_by = now, who
        changes.publish(event.device_id, "events")
    db.session.commit()
    return is_new


def stop_saving(event: Event) -> bool:
    """Let the files of an event go when their retention ends; say whether that is new.

    Commits. Raises NotFound as `locked` does.
    """
    event = locked(event)
    is_new = event.saved_at is not None
    if is_new:
        event.saved_at = event.saved_by = None
        changes.publish(event.device_id, "events")
    db.session.commit()
    return is_new
