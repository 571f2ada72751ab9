"""How the health of devices changed, and whose health the worker is to decide anew."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.models.base import db, utcnow


class HealthChange(db.Model):  # type: ignore[name-defined]
    """A change of a device's health: what it became, why, since when, and when that was noticed."""

    __tablename__ = "health_changes"
    __table_args__ = (
        Index("ix_health_changes_device_id_id", "device_id", "id"),
        Index("ix_health_changes_device_at", "device_id", "at", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"))
    state: Mapped[str] = mapped_column(String(9))
    code: Mapped[str] = mapped_column(String(24))
    arguments: Mapped[dict[str, Any]] = mapped_column(default=dict)
    since: Mapped[datetime]
    at: Mapped[datetime] = mapped_column(default=utcnow, index=True)


class HealthDue(db.Model):  # type: ignore[name-defined]
    """A device that a fact came of whose transaction did not hold the device's lock."""

    __tablename__ = "health_due"

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[int]
