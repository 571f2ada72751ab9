"""Wall boards: links by which a screen without a user shows how the fleet is."""

from datetime import datetime

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.models.base import db, utcnow


class WallLink(db.Model):  # type: ignore[name-defined]
    """An address that opens the wall board and nothing else; only the SHA-256 of its token is kept."""

    __tablename__ = "wall_links"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    tags: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))  # NULL: the whole fleet
    created_by: Mapped[str] = mapped_column(String(300))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    opened_at: Mapped[datetime | None]  # last, to the minute
    revoked_at: Mapped[datetime | None]
