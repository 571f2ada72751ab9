"""The port to the product: what the receiver needs of it, and the facts that cross. `database_product` fills it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from receiver.endings import Ending
from receiver.spool.sidecar import SidecarRecord, StoredFile
from receiver.wire.actions import Offer


class RecordRefused(Exception):
    """The product is there and cannot take what it was given: it would not fit the next time either.

    Of many things it may be a single one. Nothing of them was taken.
    """


class Admission(Enum):
    """What is known of a device."""

    KNOWN = "known"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class SessionFacts:
    """What is stored of one connection, at its beginning and at its end."""

    id: str
    address: str
    started_at: datetime
    imei: str | None = None
    ended_at: datetime | None = None
    ending: Ending | None = None
    files: int = 0
    bytes_received: int = 0
    crc_errors: int = 0
    resumes: int = 0

    @property
    def code(self) -> str | None:
        """Give the code for programs of how it ended; None while it lasts."""
        return self.ending.code if self.ending else None


class Product(Protocol):
    """Every call is one short unit of work; it may raise anything while the database is away, and be repeated.

    `stored`, `progress` and `sessions` raise Refused where nobody is away.
    """

    def admit(self, imei: str) -> Admission:
        """Say whether a device may send files; never from a cache."""

    def recall(self, imei: str, offer: Offer) -> StoredFile | None:
        """Give a stored file with this identifier, count and timestamp."""

    def sent_today(self, imei: str) -> tuple[int, int]:
        """Give how many files, and bytes of them, a device has sent since midnight (UTC)."""

    def stored(self, records: Sequence[SidecarRecord]) -> list[SidecarRecord]:
        """Take stored files, each once; give their records with the paths they have now."""

    def progress(self, records: Sequence[SidecarRecord]) -> None:
        """Take how far files have come."""

    def watched(self) -> set[str]:
        """Give the devices that somebody looks at now."""

    def sessions(self, facts: Sequence[SessionFacts]) -> None:
        """Take connections that began or ended."""

    def expired(self, idents: Sequence[str]) -> None:
        """Take uploads that were given up."""

    def superseded(self, idents: Sequence[str]) -> None:
        """Take that partial files were thrown away: the same files are stored, or others came in their place."""

    # for several machines

    def lease(self, imei: str, identifier: str, token: str, machine: str, force: bool) -> bool:
        """Give a file of a device to a session, unless another machine's has it; that one is asked to end."""

    def holds(self, token: str) -> bool:
        """Say whether a session still has its file."""

    def wanted(self) -> set[str]:
        """Give the leases that newer sessions wait for."""

    def release(self, tokens: Sequence[str]) -> None:
        """Give leases back."""
