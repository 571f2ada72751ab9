"""Commands: one row from submission to its end, and the transitions between its states."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from provisioning.models.base import db, new_id, partial_index, utcnow
from provisioning.models.devices import Device


class State(StrEnum):
    """A command's life (design: queued, sending, sent, delivered, answered, done; and five ends or pauses)."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    ANSWERED = "answered"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


OPEN = frozenset({State.QUEUED, State.SENDING, State.SENT, State.DELIVERED, State.ANSWERED, State.UNKNOWN})
ENDED = frozenset(State) - OPEN

# From each state, where it may go. A reply or a file may overtake the gateway's own reports, so every open
# state may become answered or done; an end may still become done (a file that comes late), and done may be
# withdrawn when a person unlinks its file.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.SENDING, State.FAILED, State.EXPIRED, State.CANCELLED, State.DONE}),
    State.SENDING: frozenset(State) - {State.SENDING},
    State.SENT: frozenset(State) - {State.QUEUED, State.SENDING, State.SENT, State.UNKNOWN},
    State.DELIVERED: frozenset({State.ANSWERED, State.DONE, State.FAILED, State.EXPIRED, State.CANCELLED}),
    State.ANSWERED: frozenset({State.DONE, State.FAILED, State.EXPIRED, State.CANCELLED}),
    State.UNKNOWN: frozenset(State) - {State.UNKNOWN, State.SENDING},
    State.DONE: frozenset({State.ANSWERED, State.FAILED, State.EXPIRED, State.CANCELLED}),
    State.FAILED: frozenset({State.DONE, State.ANSWERED}),
    State.EXPIRED: frozenset({State.DONE, State.ANSWERED, State.FAILED}),
    State.CANCELLED: frozenset({State.DONE}),
}


BY_CHECK = "checklist, "  # begins what `requested_by` says of a command that a check has sent


class Command(db.Model):  # type: ignore[name-defined]
    """Something asked of a device by one SMS.

    `kind` and `arguments` are the typed command (TypedCommand.as_arguments); `text` is the SMS with
    credentials as dots, the true text is composed when it is sent. `in_flight`: holds the device's one SMS
    place; `capturing`: holds its capture place (camreq until its files are linked or it ends).
    """

    __tablename__ = "commands"
    __table_args__ = (
        partial_index(
            "uq_commands_in_flight", "device_id", unique=True, where="in_flight", on_sqlite="in_flight = 1"
        ),
        partial_index(
            "uq_commands_capturing", "device_id", unique=True, where="capturing", on_sqlite="capturing = 1"
        ),
        Index("ix_commands_device_id_id", "device_id", "id"),
        partial_index("ix_commands_settings", "device_id", "id", where="kind IN ('setparam', 'getparam')"),
        Index("ix_commands_device_sending", "device_id", "sending_at"),
        Index("ix_commands_device_state_due", "device_id", "state", "due_at"),
        Index("ix_commands_state_due", "state", "due_at"),
        Index("ix_commands_state_id", "state", "id"),
        partial_index("ix_commands_unanswered", "sending_at", where="answered_at IS NULL"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"))
    kind: Mapped[str] = mapped_column(String(24))
    arguments: Mapped[dict[str, Any]]
    text: Mapped[str] = mapped_column(Text)
    length: Mapped[int]
    # a camreq whose files go to another server than ours, as was decided when it was asked
    foreign_server: Mapped[bool] = mapped_column(default=False, server_default=false())
    credentials: Mapped[str] = mapped_column(String(8), default="current")  # current | pending
    sent_with: Mapped[str | None] = mapped_column(
        String(32)
    )  # keyed hash of the pair that it was handed over with
    state: Mapped[str] = mapped_column(String(12), default=State.QUEUED)
    in_flight: Mapped[bool] = mapped_column(default=False)
    capturing: Mapped[bool] = mapped_column(default=False)

    # sending: when it may next be looked at, how often it was handed to the gateway, who holds it until when
    due_at: Mapped[datetime] = mapped_column(default=utcnow)
    attempts: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    # times of its life
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
    sending_at: Mapped[datetime | None]  # handed over (the last attempt began)
    answered_at: Mapped[datetime | None]  # first reply
    ended_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]  # at which its present wait ends
    last_reply_at: Mapped[datetime | None]

    reply: Mapped[str | None] = mapped_column(Text)  # the device's words, credentials masked, one text a line
    result: Mapped[dict[str, Any] | None]  # typed: values, versions, accepted, file_timestamps …
    error_code: Mapped[str | None] = mapped_column(String(48))
    error_message: Mapped[str | None] = mapped_column(Text)
    error_retry: Mapped[bool | None]
    note: Mapped[str | None] = mapped_column(Text)  # what a person should know now, e.g. why it waits
    history: Mapped[list[Any]] = mapped_column(default=list)  # [{"at", "state", "note"}]
    late: Mapped[bool] = mapped_column(default=False)  # became done after it had ended
    match: Mapped[str | None] = mapped_column(String(8))  # how its reply was matched: certain | probable

    requested_by: Mapped[str] = mapped_column(
        String(300), default=""
    )  # user's e-mail, "token NAME", "service"
    batch: Mapped[str | None] = mapped_column(String(32), index=True)  # commands of one provision
    parent_id: Mapped[str | None] = mapped_column(
        ForeignKey("commands.id"), index=True
    )  # read-back of a setparam

    device: Mapped[Device] = relationship()


class SenderBucket(db.Model):  # type: ignore[name-defined]
    """Token bucket of one sender number: one atomic UPDATE takes a token (provisioning.commands.submission)."""

    __tablename__ = "sender_buckets"

    sender: Mapped[str] = mapped_column(String(64), primary_key=True)
    tokens: Mapped[float]
    at: Mapped[float]  # Unix seconds of the last change
