"""Attempts: one row for each try to carry a command to its device, by whatever transport.

How far a command has travelled is a matter of its attempt; what has become of it, one of the command (`commands`).
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, literal_column
from sqlalchemy.orm import Mapped, mapped_column

from provisioning.models.base import db, new_id, partial_index, utcnow


class Transport(StrEnum):
    """By what an attempt carries its command."""

    SMS = "sms"


class Passage(StrEnum):
    """How far an attempt is."""

    SENDING = "sending"  # being handed over, by the process that holds the lease
    UNCLEAR = "unclear"  # it may have gone out
    SENT = "sent"
    DELIVERED = "delivered"  # the device, or its SIM, has it
    NOT_SENT = "not_sent"  # it certainly did not go out
    LOST = "lost"  # it went out and will not arrive


# From each passage, where an attempt may go; what comes late or twice changes nothing.
PASSAGES: dict[Passage, frozenset[Passage]] = {
    Passage.SENDING: frozenset(Passage) - {Passage.SENDING},
    Passage.UNCLEAR: frozenset({Passage.SENT, Passage.DELIVERED, Passage.NOT_SENT, Passage.LOST}),
    Passage.SENT: frozenset({Passage.DELIVERED, Passage.LOST}),
    Passage.DELIVERED: frozenset(),
    Passage.NOT_SENT: frozenset(),
    Passage.LOST: frozenset(),
}


class Attempt(db.Model):  # type: ignore[name-defined]
    """One try to carry a command. `lease_until`: until when the process that hands it over is not taken for dead."""

    __tablename__ = "attempts"
    __table_args__ = (
        Index("ix_attempts_command_id_id", "command_id", "id"),
        partial_index("ix_attempts_unsettled", "lease_until", where="outcome IN ('sending', 'unclear')"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    command_id: Mapped[str] = mapped_column(ForeignKey("commands.id", ondelete="CASCADE"))
    transport: Mapped[str] = mapped_column(String(8), default=Transport.SMS)
    began_at: Mapped[datetime] = mapped_column(default=utcnow)
    lease_until: Mapped[datetime | None]
    outcome: Mapped[str] = mapped_column(String(12), default=Passage.SENDING)
    # by SMS: the message, until it is too old to be kept, and a keyed hash of the login and password in it
    message_id: Mapped[str | None] = mapped_column(ForeignKey("messages.id", ondelete="SET NULL"), index=True)
    sent_with: Mapped[str | None] = mapped_column(String(32))


# as its index says it: SQLite uses a partial index only for the same words
UNSETTLED = Attempt.outcome.in_((literal_column("'sending'"), literal_column("'unclear'")))
