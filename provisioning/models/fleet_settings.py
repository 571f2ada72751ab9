"""What an administrator sets on the pages of Settings, in place of the server's environment."""

from datetime import datetime

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.models.base import db, utcnow

THE_ROW = 1


class FleetSettings(db.Model):  # type: ignore[name-defined]
    """One row, with the id THE_ROW; a column that is NULL was never set."""

    __tablename__ = "fleet_settings"

    id: Mapped[int] = mapped_column(primary_key=True)
    # what most trackers of the fleet have, encrypted: suggested for a new vehicle
    sms_login: Mapped[str | None] = mapped_column(Text)
    sms_password: Mapped[str | None] = mapped_column(Text)
    country_code: Mapped[str | None] = mapped_column(String(5))  # of phone numbers, as "+370"
    # for how many days files are kept, 0: for ever; nothing where RETENTION_DAYS_UPLOADS is set
    photo_days: Mapped[int | None]
    video_days: Mapped[int | None]
    updated_at: Mapped[datetime] = mapped_column(default=utcnow)
