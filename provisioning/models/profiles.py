"""Presets: named, versioned parameter sets. The API and the table call them profiles."""

from datetime import datetime
from typing import Any

from sqlalchemy import String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.models.base import db, utcnow


class Profile(db.Model):  # type: ignore[name-defined]
    """One version of a named parameter set; a change makes a new version, old ones stay."""

    __tablename__ = "profiles"
    __table_args__ = (UniqueConstraint("name", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    version: Mapped[int] = mapped_column(default=1)
    description: Mapped[str] = mapped_column(Text, default="")
    parameters: Mapped[dict[str, Any]]
    created_by: Mapped[str] = mapped_column(String(300), default="")
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
