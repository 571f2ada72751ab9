"""How long photos and clips are kept, and which files that leaves to be removed.

The server's environment decides where it says so (RETENTION_DAYS_UPLOADS); else an administrator does, on a page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select

from provisioning.core import fleet_settings
from provisioning.core.config import Config, current_config
from provisioning.models import Event, Upload, UploadState, first_id

LINK_WINDOWS = 5  # links of the last four are still decided anew: what they rest on must be there


@dataclass(frozen=True, slots=True)
class KeptDays:
    """Days for which files are kept, 0: for ever."""

    photo: int
    video: int

    def by_type(self) -> Mapping[str, int]:
        """Give the days by the type of file."""
        return {"photo": self.photo, "video": self.video}


def on_server(config: Config) -> KeptDays | None:
    """Give what the environment says; None where it says nothing."""
    days = config.retention_days_uploads
    return None if days is None else KeptDays(days, days)


def kept_days() -> KeptDays:
    """Give for how long files are kept now."""
    row = fleet_settings.current()
    return on_server(current_config()) or KeptDays(row.photo_days or 0, row.video_days or 0)


def least_days(config: Config) -> int:
    """Give for how many days files are kept at least, since links to requests are still decided by them."""
    return -(-LINK_WINDOWS * config.link_window // 86_400)


def oldest(days: int, now: datetime) -> datetime:
    """Give before when files are removed that are kept for so many days."""
    window = timedelta(seconds=current_config().link_window)
    return now - max(timedelta(days=days), LINK_WINDOWS * window)


def is_due(before: Mapping[str, datetime]) -> ColumnElement[bool]:
    """Condition: the file is older than the time of its type, whole or given up, and no saved event has it."""
    is_saved = select(Event.id).where(Event.id == Upload.event_id, Event.saved_at.is_not(None)).exists()
    is_old = (
        and_(Upload.file_type == file_type, Upload.id < first_id(time), Upload.updated_at < time)
        for file_type, time in before.items()
    )
    return and_(
        Upload.id < first_id(max(before.values())),
        or_(*is_old),
        Upload.state.in_((UploadState.STORED, UploadState.DAMAGED)),
        ~is_saved,
    )
