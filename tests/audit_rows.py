"""Entries of the log of people, and a file of which they speak."""

from pathlib import Path
from typing import Any

from sqlalchemy import select

from provisioning.models import AuditEntry, Device, Upload, UploadState, db, new_id


def entries(**wanted: Any) -> list[AuditEntry]:
    db.session.rollback()
    return list(db.session.scalars(select(AuditEntry).filter_by(**wanted).order_by(AuditEntry.id)))


def audited(**wanted: Any) -> list[tuple[str, str, str | None]]:
    return [(row.who, row.action, row.object) for row in entries(**wanted)]


def add_photo(van: Device, media_url: str) -> Upload:
    """Add a photo of a vehicle, with its bytes in the media folder."""
    upload = Upload(
        id=new_id(), imei=van.imei, device_id=van.id, identifier="%photof", file_type="photo", source="front",
        state=UploadState.STORED, path="2026/photo.jpg", sha256="0" * 64, thumbnail_state="failed",
    )  # fmt: skip
    db.session.add(upload)
    db.session.commit()
    path = Path(media_url.removeprefix("file://")) / "2026" / "photo.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xff\xd8" + bytes(2000))
    return upload
