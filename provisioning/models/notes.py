"""What people write down about a vehicle."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.models.base import db, new_id, utcnow


class VehicleNote(db.Model):  # type: ignore[name-defined]
    """A note of somebody about a device; it is never changed."""

    __tablename__ = "notes"
    __table_args__ = (Index("ix_notes_device_id_id", "device_id", "id"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"))
    who: Mapped[str] = mapped_column(String(300))  # user's e-mail, "token NAME"
    text: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(default=utcnow)
