"""Profiles (named, versioned parameter sets) and runs of the diagnostics checklist."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from provisioning.models.base import db, new_id, partial_index, utcnow
from provisioning.models.devices import Device


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


class ChecklistRun(db.Model):  # type: ignore[name-defined]
    """One run of the checklist on a device: step results and answers by step id; left and resumed at will."""

    __tablename__ = "checklist_runs"
    __table_args__ = (partial_index("ix_checklist_runs_open", "id", where="ended_at IS NULL"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"), index=True)
    steps: Mapped[dict[str, Any]] = mapped_column(default=dict)
    verdict: Mapped[str | None] = mapped_column(String(48))
    verdict_text: Mapped[str | None] = mapped_column(Text)
    started_by: Mapped[str] = mapped_column(String(300), default="")
    started_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
    ended_at: Mapped[datetime | None]
    waits_for_person: Mapped[bool] = mapped_column(default=False)  # nothing to do until somebody answers

    device: Mapped[Device] = relationship()


class Change(db.Model):  # type: ignore[name-defined]
    """Something that open pages show has changed (provisioning.core.change_feed); swept away after minutes."""

    __tablename__ = "changes"

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[int | None]
    topic: Mapped[str] = mapped_column(
        String(24)
    )  # commands | uploads | status | messages | checklist | devices
    at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
