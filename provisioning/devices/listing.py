"""Which vehicles a list shows, in which order, and how many there are of each state.

Columns are read, nothing is decided. Pages and the API use the same conditions, so that a count and the list behind it
agree.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal_column, or_, select
from sqlalchemy.orm import selectinload

from provisioning.devices.health import HealthState
from provisioning.models import (
    OPEN,
    Command,
    Device,
    DeviceTag,
    Upload,
    UploadState,
    db,
    in_state,
    visibility,
)
from provisioning.tracker.normalization import clean_imei, clean_phone

FEW = 2000  # vehicles that a search finds, of which it is read at once which the first are
_DIGITS = re.compile(r"[\d\s/.-]+")  # an IMEI, or the end of one, as labels write it
_NUMBER = re.compile(r"\+?\d+")
_JOINT = re.compile(r"(?<=[^\W\d])(?=\d)|(?<=\d)(?=[^\W\d])")  # where letters and digits touch: "van29"
# by the name in the address, and the same from the end: worst first is the order of the states' words
ORDERS: Mapping[str, tuple[Any, ...]] = {
    "state": (Device.health_state, Device.name, Device.id),
    "name": (Device.name, Device.id),
    "seen": (Device.seen_at.desc().nulls_last(), Device.id.desc()),
    "pictures": (Device.file_at.desc().nulls_last(), Device.id.desc()),
}
_BACKWARDS: Mapping[str, tuple[Any, ...]] = {
    "state": (Device.health_state.desc(), Device.name.desc(), Device.id.desc()),
    "name": (Device.name.desc(), Device.id.desc()),
    "seen": (Device.seen_at.asc().nulls_first(), Device.id),
    "pictures": (Device.file_at.asc().nulls_first(), Device.id),
}


@dataclass(frozen=True, slots=True)
class Filter:
    """What vehicles are looked for; what is empty limits nothing."""

    states: tuple[HealthState, ...] = ()
    tag: str = ""
    text: str = ""
    is_unfinished: bool = False  # only those whose installation is not finished


@dataclass(frozen=True, slots=True)
class Found:
    """The vehicles that a filter finds: how many in all states, and which the first are where words are looked for."""

    wanted: Filter
    order: str
    counts: Mapping[HealthState, int]  # whatever states are looked for
    unfinished: int  # of these
    ids: Sequence[int] = ()  # of the first, or all, in order, of the states that are looked for

    @property
    def number(self) -> int:
        """Count those of the states that are looked for."""
        states = self.wanted.states or tuple(self.counts)
        return sum(self.counts[state] for state in states)

    def rows(self, offset: int, limit: int) -> Sequence[Device]:
        """Give a page of them; one behind the middle is read from the end, where the database passes over fewer."""
        limit = min(limit, self.number - offset)
        if limit <= 0:
            return []
        if len(ids := self.ids[offset : offset + limit]) == limit:
            query = _with_shown(select(Device).where(Device.id.in_(ids)))
            return db.session.scalars(query.order_by(*ORDERS[self.order])).all()
        query, from_end = select_devices(self.wanted), self.number - offset - limit
        if from_end >= offset:
            return db.session.scalars(query.order_by(*ORDERS[self.order]).offset(offset).limit(limit)).all()
        query = query.order_by(*_BACKWARDS[self.order]).offset(from_end).limit(limit)
        return db.session.scalars(query).all()[::-1]


def is_called(wanted: str) -> ColumnElement[bool]:
    """Condition: a part of the vehicle's name, plate, IMEI or phone is this, as people write them."""
    # SQLite's LIKE takes either case by itself, and PostgreSQL compares words of one case twice as fast
    is_plain = db.engine.dialect.name == "sqlite" or wanted.lower() == wanted.upper()
    named = [
        column.contains(words, autoescape=True) if is_plain else column.icontains(words, autoescape=True)
        for words in dict.fromkeys((wanted, _JOINT.sub(" ", wanted)))
        for column in (Device.name, Device.plate)
    ]
    # a label's way to write an IMEI, or another way to write a phone number, is found as well
    imei, phone = clean_imei(wanted) or wanted, clean_phone(wanted) or wanted
    if _DIGITS.fullmatch(wanted):
        imei = re.sub(r"\D", "", wanted) or wanted
    # words are in no number: two columns are compared in half the time of four
    numbers = [
        column.contains(part, autoescape=True)
        for column, part in ((Device.imei, imei), (Device.phone, phone))
        if _NUMBER.fullmatch(part)
    ]
    return or_(*named, *numbers)


def has_plate(wanted: str) -> ColumnElement[bool]:
    """Condition: the vehicle's plate is this, whatever blanks and hyphens either of them has."""
    plate = func.lower(func.replace(func.replace(Device.plate, " ", ""), "-", ""))
    return plate == re.sub(r"[\s-]", "", wanted).lower()


def matching(wanted: Filter) -> list[ColumnElement[bool]]:
    """Give the conditions that a live vehicle fits."""
    conditions: list[ColumnElement[bool]] = [Device.archived_at.is_(None)]
    if wanted.states:
        conditions.append(Device.health_state.in_([str(state) for state in wanted.states]))
    if wanted.tag:
        tagged = select(DeviceTag.device_id).where(DeviceTag.tag == wanted.tag)
        conditions.append(Device.id.in_(tagged))
    if wanted.text:
        conditions.append(is_called(wanted.text))
    if wanted.is_unfinished:
        conditions.append(Device.proved_at.is_(None))
    return conditions


def find(wanted: Filter, order: str) -> Found:
    """Count the vehicles that fit, and read which the first are that have the words, so that words are compared once.

    Where they find more than FEW, all of them are counted by another statement.
    """
    if not wanted.text:
        return Found(wanted, order, *counted(wanted))
    every_state = matching(replace(wanted, states=()))
    query = select(Device.id, Device.health_state, Device.proved_at.is_(None)).where(*every_state)
    rows = db.session.execute(query.order_by(*ORDERS[order]).limit(FEW + 1)).all()
    ids = [ident for ident, state, _ in rows if not wanted.states or state in wanted.states]
    if len(rows) > FEW:
        return Found(wanted, order, *counted(wanted), ids)
    states = Counter(state for _, state, _ in rows)
    return Found(
        wanted, order, {state: states[state] for state in HealthState}, sum(row[2] for row in rows), ids
    )


def select_devices(wanted: Filter) -> Select[Any]:
    """Give the vehicles, with what a list shows of them, in no order."""
    return _with_shown(select(Device).where(*matching(wanted)))


def _with_shown(query: Select[Any]) -> Select[Any]:
    return query.options(selectinload(Device.tag_rows), selectinload(Device.profile))


def counted(wanted: Filter) -> tuple[dict[HealthState, int], int]:
    """Count the vehicles of each state, and those being set up, whatever states are looked for: by one index."""
    # words are in no index of states: SQLite would look for each vehicle in its order, which costs half as much again
    state = Device.health_state.concat(literal_column("''")) if wanted.text else Device.health_state
    rows = db.session.execute(
        select(state, func.count(), func.count().filter(Device.proved_at.is_(None)))
        .where(*matching(replace(wanted, states=())))
        .group_by(state)
    ).all()
    found = {row[0]: row[1] for row in rows}
    return {state: found.get(state, 0) for state in HealthState}, sum(row[2] for row in rows)


def tags() -> list[tuple[str, int]]:
    """Give the tags of live vehicles, with how many have each, by name."""
    # all are counted by an index alone; few vehicles are archived, and theirs are taken off
    query = select(DeviceTag.tag, func.count()).group_by(DeviceTag.tag).order_by(DeviceTag.tag)
    devices = Device.__table__  # not the model: tags are limited already
    archived = select(devices.c.id).where(devices.c.archived_at.is_not(None))
    gone = {row[0]: row[1] for row in db.session.execute(query.where(DeviceTag.device_id.in_(archived)))}
    if (visible := visibility.visible_ids()) is not None:
        own = visible.subquery()
        query = query.join(own, own.c.device_id == DeviceTag.device_id)
    with visibility.whole_fleet():
        counted = [(row[0], row[1] - gone.get(row[0], 0)) for row in db.session.execute(query)]
    return [(tag, count) for tag, count in counted if count]


def zones_used(most: int) -> list[str]:
    """Give the time zones that most live vehicles have, the most frequent first."""
    query = select(Device.time_zone).where(Device.archived_at.is_(None)).group_by(Device.time_zone)
    return list(db.session.scalars(query.order_by(func.count().desc(), Device.time_zone).limit(most)))


def newest_zone() -> str | None:
    """Give the zone of the vehicle that was added last; None where none has another than UTC, the default."""
    has_zone = Device.archived_at.is_(None), Device.time_zone != "UTC"
    return db.session.scalar(select(Device.time_zone).where(*has_zone).order_by(Device.id.desc()).limit(1))


def under_way() -> int:
    """Count the requests and settings that have not ended."""
    return db.session.scalar(select(func.count()).where(Command.state.in_(OPEN))) or 0


@dataclass(frozen=True, slots=True)
class UnderWay:
    """What is open at a vehicle: how many requests, and how much of the files on their way is here."""

    requests: int
    percent: int | None  # None: no file is on its way


def under_way_of(devices: Sequence[Device]) -> dict[int, UnderWay]:
    """Give what is open at each of some vehicles, by their ids; vehicles at which nothing is are left out."""
    ids = [device.id for device in devices]
    waiting = select(Command.device_id, func.count()).where(
        Command.device_id.in_(ids), Command.state.in_(OPEN)
    )
    requests = {row[0]: row[1] for row in db.session.execute(waiting.group_by(Command.device_id))}
    coming = select(Upload.device_id, func.sum(Upload.received_packets), func.sum(Upload.packets)).where(
        Upload.imei.in_([device.imei for device in devices if device.id in requests]),  # first: the index
        Upload.device_id.in_(requests),
        in_state(UploadState.RECEIVING, UploadState.PARTIAL),
    )
    percents = {
        row[0]: min(99, 100 * row[1] // row[2])
        for row in db.session.execute(coming.group_by(Upload.device_id))
        if row[2]
    }
    return {ident: UnderWay(count, percents.get(ident)) for ident, count in requests.items()}
