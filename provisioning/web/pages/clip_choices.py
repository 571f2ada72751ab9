"""The quick choices of the form that asks for a clip: times often asked for, each a link that fills the form."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from provisioning.media import missing_clips
from provisioning.media.event_rules import EventKind
from provisioning.models import Device
from provisioning.translation import N_, gettext
from provisioning.web.pages import event_days, times

SECONDS = 30  # the length of a chosen clip: the most that one request brings
MINUTES = (5, 10, 30)
BEFORE = timedelta(seconds=10)  # of a clip of a crash, before it
MINUTE = 60

_AROUND: Mapping[EventKind, str] = {
    EventKind.CRASH: N_("Around the crash at %(time)s (10 s before, 20 s after)"),
    EventKind.TOW: N_("Around the towing at %(time)s (10 s before, 20 s after)"),
}


@dataclass(frozen=True, slots=True)
class ClipChoice:
    """A clip of `SECONDS` that can be chosen; `begin` as its link gives it is `start`, in the vehicle's zone.

    `before`: so many seconds before now, rounded down to whole `step`s, by which pages count it on; 0: it stays.
    """

    label: str
    begin: datetime
    start: str
    source: str
    before: int = 0
    step: int = 1


def of_vehicle(device: Device, day: date, now: datetime) -> list[ClipChoice]:
    """Give the choices for a vehicle on the page of a day, whose newest crash or towing is one of them."""
    return [*_around(device, day, now), *_before(device, now)]


def _before(device: Device, now: datetime) -> Iterator[ClipChoice]:
    source = "front" if device.cabin_private else "both"
    zone = device.time_zone
    last = (now - timedelta(seconds=SECONDS)).replace(microsecond=0)
    label = gettext("Last %(number)s s", number=SECONDS)
    yield ClipChoice(label, last, times.to_field(last, zone), source, SECONDS)
    for minutes in MINUTES:
        begin = (now - timedelta(minutes=minutes)).replace(second=0, microsecond=0)
        label = gettext("%(number)s min ago", number=minutes)
        yield ClipChoice(label, begin, times.to_field(begin, zone), source, minutes * MINUTE, MINUTE)


def _around(device: Device, day: date, now: datetime) -> Iterator[ClipChoice]:
    """Offer the crash or towing of a day whose clip is not here, once the clip would be over."""
    zone = device.time_zone
    since, until = event_days.bounds(day, ZoneInfo(zone))
    missing = missing_clips.newest(device, since, until)
    if missing is None:
        return
    begin = (missing.event.at - BEFORE).replace(microsecond=0)
    if (
        begin + timedelta(seconds=SECONDS) > now
        or times.read(times.to_field(begin, zone), zone, now) != begin
    ):
        return  # the form would ask for another time: in the hour that a clock repeats it means the later one
    time = times.short_time(missing.event.at, zone) + times.zone_label(missing.event.at, zone)
    label = gettext(_AROUND[EventKind(missing.event.kind)], time=time)
    yield ClipChoice(label, begin, times.to_field(begin, zone), missing.source)
