"""The state of each periodic job, for health endpoints."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.models.base import db


class JobState(db.Model):  # type: ignore[name-defined]
    """One periodic job: when it last ended, how much of it failed in all, and since when it has been failing.

    `error` names the kind of the last failure and never a value: /readyz shows it to everybody.
    """

    __tablename__ = "jobs"

    name: Mapped[str] = mapped_column(String(48), primary_key=True)
    ended_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)
    failing_since: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(String(64))
