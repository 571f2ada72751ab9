"""SMS as the gateway saw them, the gateway's events, and how far the reconciler has read."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, and_, literal_column
from sqlalchemy.orm import Mapped, mapped_column, relationship

from provisioning.models.base import db, new_id, partial_index, utcnow
from provisioning.models.commands import Command
from provisioning.models.devices import Device
from provisioning.phrase import Phrase


class Direction(StrEnum):
    """Which way an SMS went."""

    OUT = "out"
    IN = "in"


class DeliveryStatus(StrEnum):
    """How far an SMS is, in this service's own words; each gateway translates its own."""

    SENDING = "sending"  # being handed to the gateway, which has not answered yet
    UNKNOWN = "unknown"  # the gateway did not say whether it took it
    QUEUED = "queued"  # the gateway has taken it
    SENT = "sent"  # the gateway has passed it on
    CANCELED = "canceled"
    DELIVERED = "delivered"  # the SIM has it
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    RECEIVED = "received"  # of a text that came in


# a report never moves an SMS to a lower rank, nor to another word of the same one
DELIVERY_RANK: dict[str, int] = {
    DeliveryStatus.SENDING: 0,
    DeliveryStatus.UNKNOWN: 0,
    DeliveryStatus.QUEUED: 1,
    DeliveryStatus.SENT: 2,
    DeliveryStatus.CANCELED: 3,
    DeliveryStatus.DELIVERED: 4,
    DeliveryStatus.UNDELIVERED: 4,
    DeliveryStatus.FAILED: 4,
}


class Message(db.Model):  # type: ignore[name-defined]
    """One SMS, in or out. `body` never holds credentials in clear.

    Outgoing: made when the attempt begins; `gateway_id` is filled when the gateway's answer or a report names it.
    Incoming: `claimed` says whether some command or status took it; unmatched texts are shown to people.
    """

    __tablename__ = "messages"
    __table_args__ = (
        Index("ix_messages_device_id_id", "device_id", "id"),
        Index("ix_messages_recipient_created", "recipient", "created_at"),
        # a gateway may number both directions by itself, and two gateways may use the same ids
        UniqueConstraint("gateway_id", "gateway", "direction"),
        partial_index(
            "ix_messages_being_sent",
            "created_at",
            where="gateway_id IS NULL AND status IN ('sending', 'unknown')",
        ),
        partial_index(
            "ix_messages_unclaimed",
            "id",
            where="direction = 'in' AND NOT claimed",
            on_sqlite="direction = 'in' AND claimed = 0",
        ),
        partial_index("ix_messages_priced", "id", where="price IS NOT NULL"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    direction: Mapped[str] = mapped_column(String(3))
    gateway: Mapped[str] = mapped_column(String(16))
    gateway_id: Mapped[str | None] = mapped_column(String(64))  # the gateway's own id of it
    sender: Mapped[str] = mapped_column(String(64))
    recipient: Mapped[str] = mapped_column(String(64))
    body: Mapped[str] = mapped_column(Text)
    # SHA-256 keyed with SECRET_KEY: to find it again
    body_hash: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    error_code: Mapped[str | None] = mapped_column(String(48))
    # the price of an outgoing one as the gateway reported it: an amount, in decimal digits, of a currency (ISO 4217)
    price: Mapped[str | None] = mapped_column(String(20))
    currency: Mapped[str | None] = mapped_column(String(3))
    device_id: Mapped[int | None] = mapped_column(ForeignKey("devices.id"))
    command_id: Mapped[str | None] = mapped_column(ForeignKey("commands.id"), index=True)
    claimed: Mapped[bool] = mapped_column(default=False)
    note: Mapped[Phrase | None]  # what it was read as, or why nobody claimed it
    # outgoing: attempt began; incoming: gateway's time
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    received_at: Mapped[datetime | None]  # incoming: when it reached us

    device: Mapped[Device | None] = relationship()
    command: Mapped[Command | None] = relationship()


# as their indexes say it: SQLite uses a partial index only for the same words
BEING_SENT = and_(
    Message.gateway_id.is_(None),
    Message.status.in_((literal_column("'sending'"), literal_column("'unknown'"))),
)
UNMATCHED = and_(Message.direction == literal_column("'in'"), ~Message.claimed)


class GatewayEvent(db.Model):  # type: ignore[name-defined]
    """An event of the gateway (inbound text or delivery report) in this service's own words, credentials masked.

    `token` is unique for a gateway and kind: "in:<id>" for texts, "<id>:<the gateway's word>:<error>" for reports.
    `processed_at` is None while it is unprocessed; the worker tries it again at `due_at`. A text whose
    credentials could not be hidden, because no key opens them, is kept encrypted until then.
    """

    __tablename__ = "gateway_events"
    __table_args__ = (
        UniqueConstraint("gateway", "token", "kind"),
        partial_index("ix_gateway_events_owed", "id", where="processed_at IS NULL"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(String(8))  # inbound | status
    gateway: Mapped[str] = mapped_column(String(16))
    token: Mapped[str] = mapped_column(String(160))
    payload: Mapped[dict[str, Any]]
    via: Mapped[str] = mapped_column(String(12))  # webhook | reconciler
    received_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)
    processed_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None]  # when it is tried again; None: at once
    error: Mapped[str | None] = mapped_column(Text)


RECONCILER = "reconciler"  # the cursor of the last time whose messages were listed


class Cursor(db.Model):  # type: ignore[name-defined]
    """How far something has been read, by name, e.g. the reconciler's last listed time."""

    __tablename__ = "cursors"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(Text)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
