"""Runs of the diagnostics checklist."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, String, and_
from sqlalchemy.orm import Mapped, mapped_column, relationship

from provisioning.models.base import db, new_id, partial_index, utcnow
from provisioning.models.devices import Device

NO_VERDICT = frozenset({"stopped", "left", "not_set"})  # how a run ends that has no verdict


class ChecklistRun(db.Model):  # type: ignore[name-defined]
    """One run of the checklist on a device: findings and answers by step id; left and resumed at will."""

    __tablename__ = "checklist_runs"
    __table_args__ = (partial_index("ix_checklist_runs_open", "id", where="ended_at IS NULL"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"), index=True)
    steps: Mapped[dict[str, Any]] = mapped_column(default=dict)
    verdict: Mapped[str | None] = mapped_column(String(48))  # or one of NO_VERDICT
    # ids of the commands whose settings the device has to confirm before anything is asked; None: nothing is waited for
    begins_after: Mapped[list[Any] | None]
    started_by: Mapped[str] = mapped_column(String(300), default="")
    started_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
    ended_at: Mapped[datetime | None]
    waits_for_person: Mapped[bool] = mapped_column(default=False)  # nothing to do until somebody answers
    # the verdict if nobody can answer its question, where that is a bad one, and since when the steps say so
    likely_verdict: Mapped[str | None] = mapped_column(String(48))
    likely_at: Mapped[datetime | None]

    device: Mapped[Device] = relationship()


# nothing goes on before somebody answers its question
WAITS_FOR_ANSWER: ColumnElement[bool] = and_(ChecklistRun.ended_at.is_(None), ChecklistRun.waits_for_person)
