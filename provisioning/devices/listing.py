"""Which vehicles a list shows, in which order, and how many there are of each state.

Columns are read, nothing is decided. Pages and the API use the same conditions, so that a count and the list behind it
agree.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select
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

FEW = 2000  # vehicles that a search finds, of which a list then reads no others
_DIGITS = re.compile(r"[\d\s/.-]+")  # an IMEI, or the end of one, as labels write it
_NUMBER = re.compile(r"\+?\d+")
_JOINT = re.compile(r"(?<=[^\W\d])(?=\d)|(?<=\d)(?=[^\W\d])")  # where letters and digits touch: "van29"
# by the name in the address: worst first is the order of the states' words
ORDERS: Mapping[str, tuple[Any, ...]] = {
    "state": (Device.health_state, Device.name, Device.id),
    "name": (Device.name, Device.id),
    "seen": (Device.seen_at.desc().nulls_last(), Device.id.desc()),
    "pictures": (Device.file_at.desc().nulls_last(), Device.id.desc()),
}


@dataclass(frozen=True, slots=True)
class Filter:
    """What vehicles are looked for; what is empty limits nothing."""

    states: tuple[HealthState, ...] = ()
    tag: str = ""
    text: str = ""
    is_unfinished: bool = False  # only those whose installation is not finished
    ids: tuple[int, ...] | None = None  # only these


def is_called(wanted: str) -> ColumnElement[bool]:
    """Condition: a part of the vehicle's name, plate, IMEI or phone is this, as people write them."""
    is_one_case = wanted.lower() == wanted.upper()  # PostgreSQL then compares twice as fast
    named = [
        column.contains(words, autoescape=True) if is_one_case else column.icontains(words, autoescape=True)
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
    if wanted.ids is not None:
        conditions.append(Device.id.in_(wanted.ids))
    return conditions


def looked_up(wanted: Filter) -> Filter:
    """Give a filter that finds the same; where words find few vehicles, by their ids, so that they are read once."""
    if not wanted.text:
        return wanted
    some = select(Device.id).where(*matching(replace(wanted, states=()))).limit(FEW + 1)
    ids = tuple(db.session.scalars(some))
    return wanted if len(ids) > FEW else replace(wanted, text="", tag="", is_unfinished=False, ids=ids)


def select_devices(wanted: Filter) -> Select[Any]:
    """Give the vehicles, with what a list shows of them, in no order."""
    shown = (selectinload(Device.tag_rows), selectinload(Device.profile))
    return select(Device).where(*matching(wanted)).options(*shown)


def counts(wanted: Filter) -> dict[HealthState, int]:
    """Count the vehicles of each state, whatever states are looked for."""
    rows = db.session.execute(
        select(Device.health_state, func.count())
        .where(*matching(replace(wanted, states=())))
        .group_by(Device.health_state)
    ).all()
    found = {row[0]: row[1] for row in rows}
    return {state: found.get(state, 0) for state in HealthState}


def counts_and_unfinished(wanted: Filter) -> tuple[dict[HealthState, int], int]:
    """Count the vehicles of each state, and those being set up, whatever states are looked for: read once for both."""
    is_unfinished = Device.proved_at.is_(None)
    rows = db.session.execute(
        select(Device.health_state, func.count(), func.count().filter(is_unfinished))
        .where(*matching(replace(wanted, states=())))
        .group_by(Device.health_state)
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
