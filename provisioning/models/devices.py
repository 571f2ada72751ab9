"""Devices, the phone numbers they had, what is known of them (status), and records from telematics platforms."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, and_, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from provisioning.models.base import db, partial_index, utcnow
from provisioning.models.profiles import Profile
from provisioning.phrase import Phrase

LIVE = "archived_at IS NULL"


class Device(db.Model):  # type: ignore[name-defined]
    """A tracker with its DualCam.

    IMEI and phone are unique among devices that are not archived. SMS credentials are encrypted
    (provisioning.core.encryption); `sms_*` are in use, `pending_*` the other pair that the device may hold.
    """

    __tablename__ = "devices"
    __table_args__ = (
        partial_index("uq_devices_live_imei", "imei", unique=True, where=LIVE),
        partial_index("uq_devices_live_phone", "phone", unique=True, where=LIVE),
        # lists sort by these, and count by the first
        # with archived_at, though it is NULL in all of its rows: SQLite counts by the index alone only then
        partial_index(
            "ix_devices_live_health", "health_state", "name", "id", "archived_at", "proved_at", where=LIVE
        ),
        partial_index("ix_devices_archived", "id", where="archived_at IS NOT NULL"),
        partial_index("ix_devices_live_name", "name", "id", where=LIVE),
        partial_index("ix_devices_live_seen", "seen_at", "id", where=LIVE),
        partial_index("ix_devices_live_connected", "connected_at", where=LIVE),
        partial_index("ix_devices_live_file", "file_at", "id", where=LIVE),
        partial_index("ix_devices_health_due", "health_until", where=LIVE),
        # with columns that are NULL in all of its rows, for the same reason
        partial_index(
            "ix_devices_unfinished",
            "id",
            "health_state",
            "archived_at",
            "proved_at",
            where=f"{LIVE} AND proved_at IS NULL",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    imei: Mapped[str] = mapped_column(String(15), index=True)
    phone: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(100), default="")
    model: Mapped[str] = mapped_column(String(32), default="")
    time_zone: Mapped[str] = mapped_column(String(64), default="UTC")
    sms_login: Mapped[str | None] = mapped_column(Text)
    sms_password: Mapped[str | None] = mapped_column(Text)
    pending_login: Mapped[str | None] = mapped_column(Text)
    pending_password: Mapped[str | None] = mapped_column(Text)
    # devices.credential_phases.Phase; NULL: at rest (with a pending pair: it is kept until an answer leaves no doubt)
    credentials_state: Mapped[str | None] = mapped_column(String(16))
    # the newest change of credentials that was handed over, until a person says what the device holds
    credentials_change: Mapped[str | None] = mapped_column(String(32))
    # the camera's server is set in the device itself (by Configurator or by parameters): camreq names none
    camera_server_configured: Mapped[bool] = mapped_column(default=False)
    # nothing of the cabin is taken: the rear camera is refused in requests, settings and presets
    cabin_private: Mapped[bool] = mapped_column(default=False, server_default=false())
    plate: Mapped[str | None] = mapped_column(String(20))
    card_gb: Mapped[int | None]  # size of the SD card of each camera, as people say
    firmware: Mapped[str | None] = mapped_column(String(64))
    # the version of a preset that its settings should be
    profile_id: Mapped[int | None] = mapped_column(ForeignKey("profiles.id"))
    # the camera takes no requests until then (after a confirmed restart, or change of a parameter that reconfigures it)
    reconfiguring_until: Mapped[datetime | None]
    # devices.health: the state, why (a code with arguments), since when, and when it has to be decided anew
    health_state: Mapped[str] = mapped_column(String(9), default="unchecked", server_default="unchecked")
    health_code: Mapped[str] = mapped_column(
        String(24), default="never_checked", server_default="never_checked"
    )
    health_arguments: Mapped[dict[str, Any] | None] = mapped_column(default=dict)
    health_since: Mapped[datetime | None] = mapped_column(default=utcnow)
    health_until: Mapped[datetime | None] = mapped_column(default=utcnow)
    # last sign of life (SMS, connection or record), last connection, when the newest picture was recorded; kept
    # together with the health
    seen_at: Mapped[datetime | None]
    connected_at: Mapped[datetime | None]
    file_at: Mapped[datetime | None]
    # when something first proved its cameras; NULL: its installation is not finished
    proved_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
    archived_at: Mapped[datetime | None]

    tag_rows: Mapped[list["DeviceTag"]] = relationship(order_by="DeviceTag.tag", cascade="all, delete-orphan")
    phones: Mapped[list["DevicePhone"]] = relationship(back_populates="device", order_by="DevicePhone.since")
    profile: Mapped[Profile | None] = relationship()

    @property
    def tags(self) -> list[str]:
        """Give the tags in the order of their words."""
        return [row.tag for row in self.tag_rows]


# a vehicle that was added, and whose cameras nothing has proved yet
UNFINISHED = and_(Device.archived_at.is_(None), Device.proved_at.is_(None))


class DeviceTag(db.Model):  # type: ignore[name-defined]
    """A word that a fleet sorts its vehicles by: depot, customer, purpose."""

    __tablename__ = "device_tags"
    __table_args__ = (Index("ix_device_tags_tag_device_id", "tag", "device_id"),)

    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(40), primary_key=True)


class DevicePhone(db.Model):  # type: ignore[name-defined]
    """A number that a device had from `since` until `until` (None: still): replies match as of their time."""

    __tablename__ = "device_phones"

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"), index=True)
    phone: Mapped[str] = mapped_column(String(16), index=True)
    since: Mapped[datetime] = mapped_column(default=utcnow)
    until: Mapped[datetime | None]

    device: Mapped[Device] = relationship(back_populates="phones")


class Verdict(StrEnum):
    """How good a status item is."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    UNKNOWN = "unknown"


class StatusItem(db.Model):  # type: ignore[name-defined]
    """One thing known of a device: value, verdict, since when, from which command, upload or record.

    Items: "parameter.66000" (asked = what we want, value = what the device confirmed), "camera.front.version",
    "camera.rear.version", "camera.front.state", "camera.rear.state", "ignition", "sos", "firmware",
    "contact.sms", "contact.tcp", "tracker.server", "upload.last", "error.last", and those that info commands give
    ("info.…"). The values of "error.last" and of those that name a file (`status_table.FILES`) are phrases, as text.
    """

    __tablename__ = "status_items"
    __table_args__ = (UniqueConstraint("device_id", "item"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"))
    item: Mapped[str] = mapped_column(String(64))
    value: Mapped[str | None] = mapped_column(Text)
    asked: Mapped[str | None] = mapped_column(Text)
    verdict: Mapped[str] = mapped_column(String(8), default=Verdict.UNKNOWN)
    note: Mapped[Phrase | None]
    since: Mapped[datetime] = mapped_column(default=utcnow)  # when the value became what it is
    checked_at: Mapped[datetime] = mapped_column(default=utcnow)  # when it was last seen so
    # command | upload | record | session | message
    source_kind: Mapped[str | None] = mapped_column(String(16))
    source_id: Mapped[str | None] = mapped_column(String(64))


class TelemetryRecord(db.Model):  # type: ignore[name-defined]
    """A record of the customer's telematics platform: AVL values 497, 498, 499, 239 by id, at a device time."""

    __tablename__ = "records"
    __table_args__ = (UniqueConstraint("device_id", "timestamp", "fingerprint"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"), index=True)
    timestamp: Mapped[datetime]
    values: Mapped[dict[str, Any]]
    fingerprint: Mapped[str] = mapped_column(String(64))  # of the values: the same record twice is one
    received_at: Mapped[datetime] = mapped_column(default=utcnow)
