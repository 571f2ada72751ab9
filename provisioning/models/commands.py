"""Commands: one row from submission to its end, and the transitions between its states.

How a command travels is a matter of its attempts (`attempts`).
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from provisioning.models.attempts import Attempt, Passage
from provisioning.models.base import db, new_id, partial_index, utcnow
from provisioning.models.devices import Device
from provisioning.phrase import Phrase


class State(StrEnum):
    """What has become of a command, however it travels."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"  # its attempt says how far it is
    ANSWERED = "answered"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


OPEN = frozenset({State.QUEUED, State.IN_PROGRESS, State.ANSWERED})
ENDED = frozenset(State) - OPEN

# From each state, where it may go. A file may come before any reply, so every open state may become done; an end may
# still become done (a file that comes late), and done may be withdrawn when a person unlinks its file. Back into the
# queue goes only what certainly was not sent.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.IN_PROGRESS, State.FAILED, State.EXPIRED, State.CANCELLED, State.DONE}),
    State.IN_PROGRESS: frozenset(State) - {State.IN_PROGRESS},
    State.ANSWERED: frozenset({State.DONE, State.FAILED, State.EXPIRED, State.CANCELLED}),
    State.DONE: frozenset({State.ANSWERED, State.FAILED, State.EXPIRED, State.CANCELLED}),
    State.FAILED: frozenset({State.DONE, State.ANSWERED}),
    State.EXPIRED: frozenset({State.DONE, State.ANSWERED, State.FAILED}),
    State.CANCELLED: frozenset({State.DONE}),
}


class ShownState(StrEnum):
    """The state of a command as programs and people are shown it: one word for its state and how far its attempt is."""

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


# what a command in progress is shown as; one whose attempt has failed is moved on in the same transaction
SHOWN: dict[Passage, ShownState] = {
    Passage.SENDING: ShownState.SENDING,
    Passage.UNCLEAR: ShownState.UNKNOWN,
    Passage.SENT: ShownState.SENT,
    Passage.DELIVERED: ShownState.DELIVERED,
    Passage.NOT_SENT: ShownState.SENDING,
    Passage.LOST: ShownState.SENT,
}


BY_CHECK = "checklist, "  # begins what `requested_by` says of a command that a check has sent


class Command(db.Model):  # type: ignore[name-defined]
    """Something asked of a device, which one SMS can carry; each try to carry it is an attempt.

    `kind` and `arguments` are the typed command (TypedCommand.as_arguments); `text` is the SMS with
    credentials as dots, the true text is composed when it is sent. `in_flight`: holds the device's one SMS
    slot; `capturing`: holds its capture slot (camreq until its files are linked or it ends).
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
        Index("ix_commands_device_state_id", "device_id", "state", "id"),
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
    state: Mapped[str] = mapped_column(String(12), default=State.QUEUED)
    in_flight: Mapped[bool] = mapped_column(default=False)
    capturing: Mapped[bool] = mapped_column(default=False)

    due_at: Mapped[datetime] = mapped_column(default=utcnow)  # when it may next be sent, or be looked up
    # times of its life
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
    # when the last attempt began, for the indexes that find it by device and time
    sending_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]  # first reply
    ended_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]  # at which its present wait ends
    last_reply_at: Mapped[datetime | None]

    reply: Mapped[str | None] = mapped_column(Text)  # the device's words, credentials masked, one text a line
    result: Mapped[dict[str, Any] | None]  # typed: values, versions, accepted, file_timestamps …
    error_code: Mapped[str | None] = mapped_column(String(48))
    error: Mapped[Phrase | None]
    error_retry: Mapped[bool | None]
    note: Mapped[Phrase | None]  # what a person should know now, e.g. why it waits
    history: Mapped[list[Any]] = mapped_column(default=list)  # [{"at", "state", "note": a phrase or None}]
    late: Mapped[bool] = mapped_column(default=False)  # became done after it had ended
    match: Mapped[str | None] = mapped_column(String(8))  # how its reply was matched: certain | probable

    # user's e-mail, "token NAME", "service"
    requested_by: Mapped[str] = mapped_column(String(300), default="")
    batch: Mapped[str | None] = mapped_column(String(32), index=True)  # commands of one provision
    # read-back of a setparam
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("commands.id"), index=True)

    device: Mapped[Device] = relationship()
    attempts: Mapped[list[Attempt]] = relationship(order_by=Attempt.id)

    @property
    def attempt(self) -> Attempt | None:
        """The last attempt, if there was one."""
        return self.attempts[-1] if self.attempts else None

    @property
    def passage(self) -> Passage | None:
        """How far the last attempt is; None: there was none."""
        return Passage(self.attempts[-1].outcome) if self.attempts else None

    @property
    def shown_state(self) -> ShownState:
        """The state as programs and people are shown it."""
        if self.state == State.IN_PROGRESS:
            return SHOWN[self.passage or Passage.SENDING]
        return ShownState(self.state)


class SenderBucket(db.Model):  # type: ignore[name-defined]
    """Token bucket of one sender number: one atomic UPDATE takes a token (provisioning.sms.sender_bucket)."""

    __tablename__ = "sender_buckets"

    sender: Mapped[str] = mapped_column(String(64), primary_key=True)
    tokens: Mapped[float]
    at: Mapped[float]  # Unix seconds of the last change
