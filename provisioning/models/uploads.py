"""Uploads, and the TCP connections that brought them."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, ForeignKey, Index, String, Text, and_, false, literal_column
from sqlalchemy.orm import Mapped, mapped_column, relationship

from provisioning.models.base import db, partial_index, utcnow
from provisioning.models.commands import Command
from provisioning.models.devices import Device
from provisioning.phrase import Phrase
from provisioning.translation import N_


class UploadState(StrEnum):
    """Where a file is in its life."""

    RECEIVING = "receiving"
    PARTIAL = "partial"
    STORED = "stored"
    DAMAGED = "damaged"
    QUARANTINED = "quarantined"


class Certainty(StrEnum):
    """How sure a link is."""

    CERTAIN = "certain"
    PROBABLE = "probable"
    LOW = "low"
    MANUAL = "manual"


TRIGGERS = {
    0: N_("server request"),
    1: "DIN1",
    2: "DIN2",
    3: N_("crash"),
    4: N_("towing"),
    5: N_("idling"),
    6: N_("geofence"),
    7: N_("unplug"),
    8: N_("green driving"),
    9: N_("periodic"),
    10: "DIN3",
    11: "DIN4",
}


COPIES_DUE = "state = 'stored' AND thumbnail_state IS NULL"


class Upload(db.Model):  # type: ignore[name-defined]
    """One file of a camera. `path` is relative to the media store; times of the camera are UTC.

    `link_fixed`: a person decided the link (also "to nothing"), no rule changes it any more.
    """

    __tablename__ = "uploads"
    __table_args__ = (
        Index("ix_uploads_imei_id", "imei", "id"),
        Index("ix_uploads_imei_timestamp", "imei", "timestamp"),
        Index("ix_uploads_sha256", "sha256"),
        Index("ix_uploads_type_id", "file_type", "id"),
        partial_index("ix_uploads_unstored", "state", "id", where="state <> 'stored'"),
        partial_index("ix_uploads_coming", "imei", where="state IN ('receiving', 'partial')"),
        partial_index("ix_uploads_quarantined", "imei", where="state = 'quarantined'"),
        partial_index(
            "ix_uploads_pictures",
            "device_id",
            "source",
            "recorded_at",
            "id",
            where="thumbnail_state = 'ready' AND looked_like IS NULL",
        ),
        partial_index("ix_uploads_copies_due", "file_type", "id", where=COPIES_DUE),
        partial_index(
            "ix_uploads_copies_asked", "file_type", "id", where=f"{COPIES_DUE} AND command_id IS NOT NULL"
        ),
        partial_index("ix_uploads_doubtful", "imei", "id", where="looked_like IS NOT NULL"),
        partial_index("ix_uploads_all_doubtful", "id", where="looked_like IS NOT NULL"),
        partial_index("ix_uploads_settle_due", "id", where="settle_due", on_sqlite="settle_due = 1"),
        partial_index("ix_uploads_event_due", "id", where="event_due", on_sqlite="event_due = 1"),
        partial_index("ix_uploads_event_id", "event_id", where="event_id IS NOT NULL"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    imei: Mapped[str] = mapped_column(String(20))
    device_id: Mapped[int | None] = mapped_column(ForeignKey("devices.id"))
    session_id: Mapped[str | None] = mapped_column(String(32))
    identifier: Mapped[str] = mapped_column(String(255))  # "%photof" …, or the path it was offered by
    file_type: Mapped[str] = mapped_column(String(8))
    source: Mapped[str] = mapped_column(String(8))
    state: Mapped[str] = mapped_column(String(12))

    has_metadata: Mapped[bool] = mapped_column(default=False)
    trigger: Mapped[int | None]
    timestamp: Mapped[datetime | None]
    # when it was recorded, as far as the camera's clock is believed (media.camera_clock), else when it began to come
    recorded_at: Mapped[datetime | None] = mapped_column(default=utcnow)
    trigger_timestamp: Mapped[datetime | None]
    duration: Mapped[int | None]
    frame_rate: Mapped[int | None]
    camera_time_zone: Mapped[int | None]  # minutes
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]

    details: Mapped[dict[str, Any] | None]  # what a camera of the path flow sends beyond that

    announced: Mapped[int] = mapped_column(BigInteger, default=0)  # packets; bytes for a file offered by path
    packets: Mapped[int] = mapped_column(default=0)
    received_packets: Mapped[int] = mapped_column(default=0)
    size: Mapped[int] = mapped_column(BigInteger, default=0)
    sha256: Mapped[str | None] = mapped_column(String(64))
    path: Mapped[str | None] = mapped_column(Text)
    crc_errors: Mapped[int] = mapped_column(default=0)
    resumes: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow)
    received_at: Mapped[datetime | None]
    address: Mapped[str | None] = mapped_column(String(64))  # from where its last bytes came
    other_network: Mapped[bool | None]  # than the device's files had come from before; None: not known

    command_id: Mapped[str | None] = mapped_column(ForeignKey("commands.id"), index=True)
    link_reason: Mapped[Phrase | None]
    link_certainty: Mapped[str | None] = mapped_column(String(10))
    link_fixed: Mapped[bool] = mapped_column(default=False)
    linked_at: Mapped[datetime | None]
    # the request that it looked like the answer to, though the certain answer came too: it may be of another sender
    looked_like: Mapped[str | None] = mapped_column(String(32))
    # settings and parameters that count for its link, as they were when it was first decided (media.link_service)
    link_basis: Mapped[dict[str, Any] | None]
    record_id: Mapped[str | None] = mapped_column(ForeignKey("records.id"), index=True)

    settle_due: Mapped[bool] = mapped_column(default=False)  # the worker has still to link it
    event_id: Mapped[str | None] = mapped_column(String(32))  # models.events
    # its event is to be made anew
    event_due: Mapped[bool] = mapped_column(default=False, server_default=false())

    # derived files: None not yet made, "ready", "failed" (and why)
    thumbnail_state: Mapped[str | None] = mapped_column(String(8))
    video_state: Mapped[str | None] = mapped_column(String(8))
    derived_error: Mapped[Phrase | None]
    derive_attempts: Mapped[int] = mapped_column(default=0)
    derive_lease_until: Mapped[datetime | None]
    playback_frame_rate: Mapped[int | None]
    playback_assumed: Mapped[bool] = mapped_column(default=False)

    device: Mapped[Device | None] = relationship()
    command: Mapped[Command | None] = relationship()


def files_of(device: Device) -> ColumnElement[bool]:
    """Give the condition that an upload is of a device, whose IMEI an archived one may have had before.

    By the IMEI first: its index is in the order of the ids, in which files began.
    """
    return and_(Upload.imei == device.imei, Upload.device_id == device.id)


def in_state(*states: UploadState) -> ColumnElement[bool]:
    """Give the condition that an upload is in one of these states, spelled out: a partial index has to see it."""
    words: list[ColumnElement[str]] = [literal_column(f"'{state}'") for state in states]
    return Upload.state == words[0] if len(words) == 1 else Upload.state.in_(words)


# a file that has a small picture and is the vehicle's own, as the index says it
IS_PICTURE = and_(Upload.thumbnail_state == literal_column("'ready'"), Upload.looked_like.is_(None))
UNSTORED = Upload.state != literal_column(f"'{UploadState.STORED}'")  # few, and by an index


class DeviceNetwork(db.Model):  # type: ignore[name-defined]
    """A network (`receiver.addresses.origin`) that a device's files came from, and when the first and the last did."""

    __tablename__ = "device_networks"

    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"), primary_key=True)
    network: Mapped[str] = mapped_column(String(64), primary_key=True)
    first_at: Mapped[datetime]
    last_at: Mapped[datetime] = mapped_column(index=True)


class CameraSession(db.Model):  # type: ignore[name-defined]
    """One TCP connection of a device and how it ended.

    Or a count: the connections of one day of an unknown device (`peer`) that brought no file.
    """

    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_imei_id", "imei", "id"),
        Index("ix_sessions_device_id_id", "device_id", "id"),
        partial_index("ix_sessions_strangers", "imei", where="device_id IS NULL"),
        partial_index("ix_sessions_open", "started_at", where="ended_at IS NULL"),
        partial_index("ix_sessions_peer_started", "peer", "started_at", where="peer IS NOT NULL"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    imei: Mapped[str | None] = mapped_column(String(20))
    device_id: Mapped[int | None] = mapped_column(ForeignKey("devices.id"))
    address: Mapped[str] = mapped_column(String(64))
    started_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
    ended_at: Mapped[datetime | None]
    reason: Mapped[Phrase | None]  # why it ended
    code: Mapped[str | None] = mapped_column(String(32))  # why it ended, for programs: done, unknown_device …
    files: Mapped[int] = mapped_column(default=0)
    bytes_received: Mapped[int] = mapped_column(BigInteger, default=0)
    crc_errors: Mapped[int] = mapped_column(default=0)
    resumes: Mapped[int] = mapped_column(default=0)
    connections: Mapped[int] = mapped_column(default=1)  # how many this row stands for
    # IMEI or address of an unknown device, where connections are counted
    peer: Mapped[str | None] = mapped_column(String(64))

    device: Mapped[Device | None] = relationship()


class Lease(db.Model):  # type: ignore[name-defined]
    """Which session has a file of a device in hand, where several machines receive into one media store.

    `token` is a new one each time a file is opened; `wanted_at`: a newer session on another machine waits for it.
    """

    __tablename__ = "leases"
    __table_args__ = (partial_index("ix_leases_wanted_at", "wanted_at", where="wanted_at IS NOT NULL"),)

    imei: Mapped[str] = mapped_column(String(20), primary_key=True)
    identifier: Mapped[str] = mapped_column(String(255), primary_key=True)
    token: Mapped[str] = mapped_column(String(32), unique=True)
    machine: Mapped[str] = mapped_column(String(128))
    at: Mapped[datetime] = mapped_column(default=utcnow)
    wanted_at: Mapped[datetime | None]


class Watch(db.Model):  # type: ignore[name-defined]
    """Somebody looks at this device until then: the receiver reports its progress often."""

    __tablename__ = "watches"

    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"), primary_key=True)
    until: Mapped[datetime]
