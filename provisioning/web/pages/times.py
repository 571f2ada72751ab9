"""How pages show times, in the reader's language: short on their day, to the second, or how long ago.

A date's pattern is one of CLDR and a sentence of the catalogues: each language has the order and the dots of its own.
"""

import re
from collections.abc import Iterable
from datetime import MAXYEAR, UTC, datetime
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from flask_babel import get_locale

from provisioning.models import utcnow
from provisioning.translation import N_, gettext
from provisioning.web import reader

DAY = N_("ccc d LLL")
DAY_AND_TIME = N_("ccc d LLL HH:mm")
DAY_OF_YEAR = N_("d LLL y")
DAY_OF_YEAR_AND_TIME = N_("d LLL y HH:mm")
DAY_OF_MONTH = N_("d LLL")
FULL_DAY = N_("d MMMM y")
_STAMP = re.compile(r"\b(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC\b")
NEAR = 300  # days within which a date needs no year

# the longest time that is counted in a unit, the unit's length, both in seconds, and how it is said
_AGO = (
    (60, 1, N_("%(number)s s ago")),
    (3600, 60, N_("%(number)s min ago")),
    (86_400, 3600, N_("%(number)s h ago")),
    (None, 86_400, N_("%(number)s d ago")),
)


def in_zone(moment: datetime, zone: str) -> datetime:
    """Give a time in a zone. One that the zone would put beyond the last day that there is stays in UTC: a camera's
    clock may say anything.
    """
    try:
        return moment.astimezone(ZoneInfo(zone))
    except OverflowError:
        return moment.astimezone(UTC)


def formatted(moment: datetime, pattern: str) -> str:
    """Give a time by one of the patterns above."""
    return format_datetime(moment, gettext(pattern), locale=get_locale() or "en")


def _days_since(shown: datetime, now: datetime | None) -> int:
    """Give how many days of the calendar ago a time is, in its own zone."""
    return ((now or utcnow()).astimezone(shown.tzinfo).date() - shown.date()).days


def _day_of_month(shown: datetime, now: datetime | None) -> str:
    """Give a day that stands before a time in a sentence: "27 Nov", "27 Nov 2025"."""
    return formatted(shown, DAY_OF_MONTH if abs(_days_since(shown, now)) < NEAR else DAY_OF_YEAR)


def short_time(moment: datetime, zone: str = "UTC", now: datetime | None = None) -> str:
    """Give a time as short as it is clear on its day: "22:34", "yesterday 22:34", "Thu 27 Nov 22:34"."""
    shown = in_zone(moment, zone)
    days = _days_since(shown, now)
    time = f"{shown:%H:%M}"
    if days == 0:
        return time
    if days == 1:
        return gettext("yesterday %(time)s", time=time)
    if days == -1:
        return gettext("tomorrow %(time)s", time=time)
    return formatted(shown, DAY_AND_TIME if abs(days) < NEAR else DAY_OF_YEAR_AND_TIME)


def clock(moment: datetime, zone: str = "UTC") -> str:
    """Give the time of day: "22:34"."""
    return f"{in_zone(moment, zone):%H:%M}"


def clock_to_second(moment: datetime, zone: str = "UTC") -> str:
    """Give the time of day to the second: "13:37:20"; seconds that are 0 are left out: "13:37"."""
    return f"{in_zone(moment, zone):%H:%M:%S}".removesuffix(":00")


def to_second(moment: datetime, zone: str = "UTC", now: datetime | None = None) -> str:
    """Give when a clip begins: "13:37", "13:37:20", with the day where it is not today "27 Nov 13:37:20"."""
    shown = in_zone(moment, zone)
    time = clock_to_second(moment, zone)
    return f"{_day_of_month(shown, now)} {time}" if _days_since(shown, now) else time


def to_field(moment: datetime, zone: str) -> str:
    """Give a time as the field of a form holds it: "2026-11-27T13:37:20"."""
    return f"{in_zone(moment, zone):%Y-%m-%dT%H:%M:%S}"


def read(text: str, zone: str, now: datetime) -> datetime | None:
    """Read a time as the field of a form holds it; of an hour that occurs twice the later that has come.

    None where the zone skips it. Raises ValueError or OverflowError where it is no time, or too near the last one.
    """
    given = datetime.fromisoformat(text)
    if given.tzinfo is not None or ":" not in text:
        raise ValueError("a field holds date and time, in the vehicle's zone")
    moment = given.replace(tzinfo=ZoneInfo(zone))
    if moment.year == MAXYEAR:
        raise OverflowError("what begins then may end after the last day there is")
    back = moment.astimezone(UTC).astimezone(moment.tzinfo)
    if back.replace(tzinfo=None) != moment.replace(tzinfo=None):
        return None
    later = moment.replace(fold=1).astimezone(UTC)
    return later if later <= now else moment.astimezone(UTC)


def place(zone: str) -> str:
    """Give the place in the name of a zone: "Berlin"."""
    return zone.rpartition("/")[2].replace("_", " ")


def ago(moment: datetime, now: datetime) -> str:
    """Say how long ago a time is: "4 min ago", as pages count it on."""
    seconds = max(0, int((now - moment).total_seconds()))
    length, sentence = next((length, text) for limit, length, text in _AGO if not limit or seconds < limit)
    return gettext(sentence, number=seconds // length)


def ago_sentences() -> list[str]:
    """Give how app.js says how long ago a time is: in seconds, minutes, hours, days; {} stands for the number."""
    return [gettext(sentence, number="{}") for _, _, sentence in _AGO]


def short_day(moment: datetime, zone: str = "UTC", now: datetime | None = None) -> str:
    """Give the day of a time: "Today", "Yesterday", "Thu 27 Nov", "27 Nov 2025"."""
    shown = in_zone(moment, zone)
    days = _days_since(shown, now)
    if days == 0:
        return gettext("Today")
    if days == 1:
        return gettext("Yesterday")
    return formatted(shown, DAY if abs(days) < NEAR else DAY_OF_YEAR)


def full_day(moment: datetime, zone: str = "UTC") -> str:
    """Give the day of a time in a zone: "28 November 2026"."""
    return formatted(in_zone(moment, zone), FULL_DAY)


def full_time(moment: datetime, zone: str = "UTC") -> str:
    """Give a time to the second in a zone, and in the reader's own (else UTC) beside it where that differs."""
    shown, own = in_zone(moment, zone), in_zone(moment, reader.time_zone())
    text = f"{shown:%Y-%m-%d %H:%M:%S} {shown.tzname()}"
    if shown.utcoffset() == own.utcoffset():
        return text
    day = "" if own.date() == shown.date() else f"{own:%Y-%m-%d} "
    return f"{text} ({day}{own:%H:%M} {own.tzname()})"


def own_time(moment: datetime, zone: str = "UTC", now: datetime | None = None) -> str:
    """Give a time in the zone that the reader chose: "11:41 Berlin", with the day where it is another one there
    "27 Nov 23:41 Berlin"; nothing where it shows the same as `zone`.
    """
    user = reader.person()
    if user is None or not user.time_zone:
        return ""
    shown, own = in_zone(moment, zone), in_zone(moment, user.time_zone)
    if shown.utcoffset() == own.utcoffset():
        return ""
    day = "" if own.date() == shown.date() else f"{_day_of_month(own, now)} "
    return f"{day}{own:%H:%M} {place(user.time_zone)}"


def differ(zones: Iterable[str], now: datetime) -> bool:
    """Say whether clocks of these zones show different times."""
    return len({in_zone(now, zone).utcoffset() for zone in zones}) > 1


def zone_label(moment: datetime, zone: str, *, always: bool = False) -> str:
    """Give whose time a clock time is, to stand behind it: " EST"; nothing where it is the reader's own time.

    `always`: the reader's own time too has it, because times of other zones stand beside it.
    """
    shown, user = in_zone(moment, zone), None if always else reader.person()
    own = in_zone(moment, user.time_zone) if user is not None and user.time_zone else None
    if own is not None and own.utcoffset() == shown.utcoffset():
        return ""
    name = shown.tzname() or "UTC"
    return f" UTC{name}" if name[0] in "+-" else f" {name}"  # many zones have a number in place of a name


def stamps_in_zone(sentence: str, zone: str, now: datetime | None = None) -> str:
    """Give a sentence about a tracker's answer with its times in a zone; `tracker.language` writes them in UTC."""

    def shown(found: re.Match[str]) -> str:
        moment = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
        return to_second(moment, zone, now) + zone_label(moment, zone)

    return _STAMP.sub(shown, sentence)


def local(moment: datetime | None, zone: str = "UTC") -> str:
    """Show a time in a zone, with its name."""
    if moment is None:
        return gettext("never")
    shown = in_zone(moment, zone)
    return f"{shown:%Y-%m-%d %H:%M:%S} {shown.tzname()}"
