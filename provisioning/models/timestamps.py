"""Times as the API writes them, and deadlines."""

from datetime import datetime, timedelta


def stamp(now: datetime) -> str:
    """Write a time as the API does: RFC 3339 in UTC."""
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def later(now: datetime, seconds: float) -> datetime:
    """Give the moment so many seconds after `now`."""
    return now + timedelta(seconds=seconds)
