"""The log of who did and saw what."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.models.base import db


class AuditEntry(db.Model):  # type: ignore[name-defined]
    """One thing that somebody did or saw. Rows are added and, when they are old, removed; a trigger refuses changes.

    `who`: a user's e-mail, "token NAME", "command line" or "unknown"; `object`: "upload:ID", "device:IMEI" …;
    `imei`: of the device that it concerns; `viewing`: the same for all requests of one viewing, which has one row.
    """

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_who_id", "who", "id"),
        Index("ix_audit_entries_object_id", "object", "id"),
        Index("ix_audit_entries_imei_id", "imei", "id"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(String(254))
    address: Mapped[str] = mapped_column(String(45))
    action: Mapped[str] = mapped_column(String(20))
    object: Mapped[str | None] = mapped_column(String(300))
    imei: Mapped[str | None] = mapped_column(String(15))
    detail: Mapped[dict[str, Any] | None]
    viewing: Mapped[str | None] = mapped_column(String(64), unique=True)
