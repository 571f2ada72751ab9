"""Events of all vehicles, newest first, by filters in the address; doubtful files; newest pictures."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from provisioning.core.errors import NotFound
from provisioning.devices import listing, registry
from provisioning.media import event_list
from provisioning.media.event_list import EventFilter
from provisioning.media.event_rules import EventKind
from provisioning.models import IS_PICTURE, Device, Upload, db, files_of, utcnow
from provisioning.tracker.normalization import clean_line
from provisioning.translation import gettext
from provisioning.web import reader, tag_limit
from provisioning.web.pages import event_days, more_rows, times, words
from provisioning.web.pages.event_cards import EventCard, cards

FIRST, ON_PHONE = 10, 6  # events
PAGE = 48  # doubtful files
NEEDING_A_LOOK, NEEDING_A_LOOK_ON_PHONE = 5, 4
FILE_TYPES = ("photo", "video")
CAMERAS = ("front", "rear")
# filters that are used less: they stand behind "More filters"
MORE = {"vehicle", "tag", "camera", "type", "day"}
BEYOND = "g"  # greater than every id


def attach(blueprint: Blueprint) -> None:
    """Add the address."""
    blueprint.add_url_rule("/media", "media", show)


def show() -> ResponseReturnValue:
    """Show events; the filters, the page and the number of events stand in the address."""
    vehicle = request.args.get("vehicle", "")
    try:
        device = registry.named(vehicle) if vehicle.strip() else None
    except NotFound as error:
        return _page(_filters(None), None, errors={"vehicle": [error.message]}), error.status
    if "doubtful" in request.args:  # files that may be of somebody else stand apart
        return _doubtful(device)
    before, count = request.args.get("before", ""), more_rows.wanted(FIRST, ON_PHONE)
    filters = _filters(device)
    wanted = _wanted(filters, device)
    rows = event_list.newest(wanted, count.shown + 1, before)
    is_first = not before and not filters.keys() - {"vehicle", "tag"}
    urgent = event_list.needing_a_look(wanted.device_ids, NEEDING_A_LOOK + 1, wanted.tag) if is_first else []
    shown = rows[: count.shown]
    checks = replace(wanted, kinds=(EventKind.CHECK,), without=())
    only_checks = is_first and not shown and bool(event_list.newest(checks, 1))
    is_mixed = times.differ({row.device.time_zone for row in (*shown, *urgent)}, utcnow())
    return _page(
        filters, device, days=_by_day(cards(shown), reader.time_zone() if is_mixed else None), is_mixed=is_mixed,
        shown=shown, has_more=len(rows) > len(shown), count=count,
        urgent=cards(urgent[:NEEDING_A_LOOK]), urgent_found=len(urgent), before=before, only_checks=only_checks,
        urgent_shown=NEEDING_A_LOOK, urgent_on_phone=NEEDING_A_LOOK_ON_PHONE,
    )  # fmt: skip


def _page(filters: dict[str, str], device: Device | None, **shown: Any) -> str:
    errors: dict[str, list[str]] = shown.pop("errors", {})
    return render_template(
        "media.html", filters=filters, device=device, errors=errors, kinds=list(_kinds(filters.get("kind", ""))),
        more_filters=len(MORE & filters.keys()), tags=[tag for tag, _ in listing.tags()], **shown,
    )  # fmt: skip


def _kinds(chosen: str) -> Iterator[tuple[str, bool, str | None]]:
    """Give the kinds of events to choose: the name, whether it is chosen, and what pressing it leaves chosen."""
    of_address = chosen.split(",")
    for title, values in words.EVENT_KINDS:
        is_chosen = set(values) <= set(of_address)
        left = [kind for kind in of_address if kind not in values] if is_chosen else values
        yield gettext(title), is_chosen, ",".join(left) or None


def _filters(device: Device | None) -> dict[str, str]:
    """Give the filters of the address that mean something."""
    allowed = {"camera": CAMERAS, "type": FILE_TYPES, "unseen": ("1",), "saved": ("1",)}
    given = {name: request.args.get(name, "") for name in allowed}
    filters = {name: value for name, value in given.items() if value in allowed[name]}
    if set((kinds := request.args.get("kind", "")).split(",")) <= set(EventKind):
        filters["kind"] = kinds
    if (days := _days()) is not None:
        first, last = days
        filters |= {"day": first.isoformat()} | ({"to": last.isoformat()} if last > first else {})
    if tag := clean_line(request.args.get("tag", ""))[: tag_limit.LENGTH]:
        filters["tag"] = tag
    return filters | ({"vehicle": device.imei} if device else {})


def _days() -> tuple[date, date] | None:
    """Give the first and the last day that are wanted: one day, or with `to` several; None for every day."""
    day, last = (event_days.read(request.args.get(name, "")) for name in ("day", "to"))
    return (day, max(day, last or day)) if day is not None else None


def _wanted(filters: dict[str, str], device: Device | None) -> EventFilter:
    """Give what the filters ask for; what checks have made is shown only to who asks for it."""
    kinds = [EventKind(kind) for kind in filters["kind"].split(",")] if "kind" in filters else []
    wanted = EventFilter(
        device_ids=[device.id] if device else None,
        tag=filters.get("tag"),
        kinds=kinds,
        without=() if kinds else (EventKind.CHECK,),
        unseen=True if "unseen" in filters else None,
        saved=True if "saved" in filters else None,
        camera=filters.get("camera"),
        file_type=filters.get("type"),
    )
    days = _days()
    if days is None:
        return wanted
    zone = ZoneInfo(device.time_zone if device else reader.time_zone())
    (begin, _), (_, end) = (event_days.bounds(day, zone) for day in days)
    return replace(wanted, since=begin, until=end)


def _by_day(shown: Iterable[EventCard], zone: str | None) -> list[tuple[str, list[EventCard]]]:
    """Give events by the day on which they happened, the newest first: in a zone, or in that of their vehicles.

    An event that has other files by now may have happened at another moment than its id says.
    """

    def day(card: EventCard) -> str:
        return times.short_day(card.event.at, zone or card.event.device.time_zone)

    in_order = sorted(shown, key=lambda card: card.event.at, reverse=True)
    return [(name, list(some)) for name, some in groupby(in_order, key=day)]


def _doubtful(device: Device | None) -> str:
    before = request.args.get("before", "")
    where: list[Any] = [
        Upload.id < (before or BEYOND),
        Upload.device_id.is_not(None),
        Upload.looked_like.is_not(None),
    ]
    if device is not None:
        where.append(files_of(device))
    query = select(Upload).options(joinedload(Upload.device)).where(*where).order_by(Upload.id.desc())
    rows = db.session.scalars(query.limit(PAGE + 1)).all()
    return render_template(
        "media/doubtful.html", rows=rows[:PAGE], more=len(rows) > PAGE, before=before, device=device
    )


def newest_pictures(device_ids: Sequence[int]) -> dict[int, dict[str, Upload]]:
    """Give the newest file with a small picture of each camera, by its vehicle and its camera, the front one first."""
    columns = [
        select(Upload.id)
        .where(Upload.device_id == Device.id, Upload.source == camera, IS_PICTURE)
        .order_by(Upload.recorded_at.desc(), Upload.id.desc())
        .limit(1)
        .scalar_subquery()
        for camera in CAMERAS
    ]
    found = db.session.execute(select(*columns).select_from(Device).where(Device.id.in_(device_ids))).all()
    idents = [ident for row in found for ident in row if ident]
    newest: dict[int, dict[str, Upload]] = {}
    uploads = select(Upload).where(Upload.id.in_(idents)).order_by(Upload.source)
    for upload in db.session.scalars(uploads):
        newest.setdefault(upload.device_id or 0, {})[upload.source] = upload
    return newest
