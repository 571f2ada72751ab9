"""What open pages are notified of: rows written in the transaction of the change; `core.change_feed` reads them."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import String, insert
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.models.base import db, utcnow


class Change(db.Model):  # type: ignore[name-defined]
    """Something that open pages show has changed (provisioning.core.change_feed); swept away after minutes."""

    __tablename__ = "changes"

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[int | None]
    # commands | uploads | events | status | messages | checklist | devices | health
    topic: Mapped[str] = mapped_column(String(24))
    at: Mapped[datetime] = mapped_column(default=utcnow, index=True)


def publish(device_id: int | None, topic: str) -> None:
    """Notify open pages that something changed; in the caller's transaction, once per topic and unit of work."""
    pending = {(c.device_id, c.topic) for c in db.session.new if isinstance(c, Change)}
    if (device_id, topic) not in pending:
        db.session.add(Change(device_id=device_id, topic=topic, at=utcnow()))


def publish_all(device_ids: Iterable[int | None], topic: str) -> None:
    """Notify open pages that something changed at many devices; in the caller's transaction."""
    now = utcnow()
    if rows := [{"device_id": ident, "topic": topic, "at": now} for ident in set(device_ids)]:
        db.session.connection().execute(insert(Change), rows)
