"""Shares: links with an end, by which people without an account see one object."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from provisioning.models.base import db, utcnow
from provisioning.models.devices import Device


class Share(db.Model):  # type: ignore[name-defined]
    """A link to one object, an event, until it ends or somebody ends it; only the SHA-256 of its token is kept."""

    __tablename__ = "shares"
    __table_args__ = (Index("ix_shares_object_id", "object_id", "id"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    object_kind: Mapped[str] = mapped_column(String(8))  # "event"
    object_id: Mapped[str] = mapped_column(String(32))
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"))
    password_hash: Mapped[str | None] = mapped_column(String(255))
    created_by: Mapped[str] = mapped_column(String(300))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]  # by a person, before its time
    views: Mapped[int] = mapped_column(default=0)
    viewed_at: Mapped[datetime | None]

    device: Mapped[Device] = relationship()

    def is_open(self, now: datetime) -> bool:
        """Say whether the link still leads to its object."""
        return self.ended_at is None and now < self.expires_at
