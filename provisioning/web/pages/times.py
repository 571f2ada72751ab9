"""How pages show times: short on their day, to the second, or how long ago."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from provisioning.models import utcnow


def short_time(moment: datetime, zone: str = "UTC", now: datetime | None = None) -> str:
    """Give a time as short as it is clear on its day: "22:34", "yesterday 22:34", "Thu 27 Nov 22:34"."""
    shown = moment.astimezone(ZoneInfo(zone))
    today = (now or utcnow()).astimezone(shown.tzinfo).date()
    days = (today - shown.date()).days
    if days == 0:
        return f"{shown:%H:%M}"
    if days in (1, -1):
        return f"{'yesterday' if days == 1 else 'tomorrow'} {shown:%H:%M}"
    return (
        f"{shown:%a} {shown.day} {shown:%b %H:%M}" if abs(days) < 300 else f"{shown.day} {shown:%b %Y %H:%M}"
    )


def clock(moment: datetime, zone: str = "UTC") -> str:
    """Give the time of day: "22:34"."""
    return f"{moment.astimezone(ZoneInfo(zone)):%H:%M}"


def ago(moment: datetime, now: datetime) -> str:
    """Say how long ago a time is: "4 min ago", as pages count it on."""
    seconds = max(0, int((now - moment).total_seconds()))
    for limit, length, unit in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h")):
        if seconds < limit:
            return f"{seconds // length} {unit} ago"
    return f"{seconds // 86_400} d ago"


def short_day(moment: datetime, zone: str = "UTC", now: datetime | None = None) -> str:
    """Give the day of a time: "Today", "Yesterday", "Thu 27 Nov", "27 Nov 2025"."""
    shown = moment.astimezone(ZoneInfo(zone))
    days = ((now or utcnow()).astimezone(shown.tzinfo).date() - shown.date()).days
    if days in (0, 1):
        return ("Today", "Yesterday")[days]
    return f"{shown:%a} {shown.day} {shown:%b}" if abs(days) < 300 else f"{shown.day} {shown:%b %Y}"


def full_day(moment: datetime, zone: str = "UTC") -> str:
    """Give the day of a time in a zone: "28 November 2026"."""
    shown = moment.astimezone(ZoneInfo(zone))
    return f"{shown.day} {shown:%B %Y}"


def full_time(moment: datetime, zone: str = "UTC") -> str:
    """Give a time to the second in a zone, and in UTC beside it where that differs."""
    shown = moment.astimezone(ZoneInfo(zone))
    text = f"{shown:%Y-%m-%d %H:%M:%S} {shown.tzname()}"
    return text if not shown.utcoffset() else f"{text} ({moment.astimezone(UTC):%H:%M} UTC)"


def local(moment: datetime | None, zone: str = "UTC") -> str:
    """Show a time in a zone, with its name."""
    if moment is None:
        return "never"
    shown = moment.astimezone(ZoneInfo(zone))
    return f"{shown:%Y-%m-%d %H:%M:%S} {shown.tzname()}"
