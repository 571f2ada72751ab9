"""The events of a vehicle day by day, in its zone: one day's cards, and the days beside it on which something came."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from provisioning.media import event_list
from provisioning.media.event_list import EventFilter
from provisioning.media.event_rules import EventKind
from provisioning.models import Device, Event, utcnow
from provisioning.web.pages.event_cards import EventCard, cards

MOMENT = timedelta(microseconds=1)
FIRST, ON_PHONE = 12, 6  # cards of a day


@dataclass(frozen=True, slots=True)
class EventDay:
    """A day of a vehicle; `older` and `newer` are the days beside it that have events, where there are any.

    `only_checks`: nothing is shown, but checks took something: on this day, or ever where there is no day beside it.
    """

    begins: datetime
    cards: list[EventCard]
    has_more: bool
    older: datetime | None
    newer: datetime | None
    only_checks: bool


def read(text: str) -> date | None:
    """Read the day of an address; None where it is none, or one whose bounds are no times."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return None if day.year in (MINYEAR, MAXYEAR) else day


def bounds(day: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """Give the first and the last moment of a day in a zone."""
    begin, next_day = (datetime.combine(day + timedelta(days=days), time(), zone) for days in (0, 1))
    return begin, just_before(next_day)


def just_before(moment: datetime) -> datetime:
    """Give the last moment before another. In UTC: a clock that is put back shows its last hour twice."""
    return moment.astimezone(UTC) - MOMENT


def of_vehicle(device: Device, wanted: date | None, most: int) -> EventDay:
    """Give a day of a vehicle without what checks made, as `shown_day` chooses it, with so many cards."""
    zone, events = ZoneInfo(device.time_zone), _events(device)
    begin, end = bounds(shown_day(device, wanted), zone)
    found = event_list.newest(replace(events, since=begin, until=end), most + 1)
    before = event_list.newest(replace(events, until=just_before(begin)), 1)
    after = event_list.oldest(replace(events, since=end + MOMENT), 1)
    checks = EventFilter(device_ids=[device.id], kinds=(EventKind.CHECK,))
    if before or after:
        checks = replace(checks, since=begin, until=end)
    return EventDay(
        begin,
        cards(found[:most]),
        len(found) > most,
        _day_of(before, zone),
        _day_of(after, zone),
        only_checks=not found and bool(event_list.newest(checks, 1)),
    )


def shown_day(device: Device, wanted: date | None) -> date:
    """Give the day of a vehicle that its page shows: the wanted one, else the newest that has events, else today."""
    if wanted is not None:
        return wanted
    newest = event_list.newest(_events(device), 1)
    return (newest[0].at if newest else utcnow()).astimezone(ZoneInfo(device.time_zone)).date()


def _events(device: Device) -> EventFilter:
    """Give what the days of a vehicle consist of: its events without those of checks."""
    return EventFilter(device_ids=[device.id], without=(EventKind.CHECK,))


def _day_of(events: Sequence[Event], zone: tzinfo) -> datetime | None:
    """Give when the day of the first event begins; None without one."""
    return bounds(events[0].at.astimezone(zone).date(), zone)[0] if events else None
