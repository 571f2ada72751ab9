"""How many files the media store holds, as the worker last counted them."""

from datetime import datetime

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.models.base import db


class StoredAmount(db.Model):  # type: ignore[name-defined]
    """One amount of stored files by its name (media.storage_use): how many, their bytes, and when they were counted."""

    __tablename__ = "stored_amounts"

    name: Mapped[str] = mapped_column(String(8), primary_key=True)
    files: Mapped[int]
    size: Mapped[int] = mapped_column(BigInteger)
    counted_at: Mapped[datetime]
