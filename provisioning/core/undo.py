"""For how long a person who ended something by the wrong button can take that back."""

from datetime import datetime, timedelta

UNDO = timedelta(minutes=5)


def may_be_undone(ended_at: datetime | None, now: datetime) -> bool:
    """Say whether something was ended, within `UNDO`."""
    return ended_at is not None and now - ended_at < UNDO
