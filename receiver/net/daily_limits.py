"""Limits how much a known device may send in a day (UTC), so that one IMEI cannot fill the disk. Pure.

Each process counts what it takes. What all processes took is asked when a device first comes, and again after each
sixty-fourth of the limit: a restart forgets nothing, and each process beside the first lets a device send at most
that much more. While nobody can be asked, a process goes by its own count.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from math import inf

MOST = 50_000  # devices counted at once; those counted first are asked about again
SHARE = 64  # what is asked more often costs the database more


@dataclass(slots=True)
class Sent:
    """What a device has sent today, as far as is known here, and at which counts that is asked again."""

    files: int = 0
    size: int = 0  # bytes
    files_due: float = 0
    size_due: float = 0


@dataclass(slots=True)
class DailyLimits:
    """The limits of a device and day, and what has been sent; 0: no limit."""

    files: int
    size: int  # bytes
    _day: date = date.min
    _sent: dict[str, Sent] = field(default_factory=dict)

    def allows(self, imei: str, more: int, now: datetime, ask: Callable[[], tuple[int, int] | None]) -> bool:
        """Say whether a device may send so many bytes more. `ask`: how much it has sent today; None: nobody knows."""
        if not (self.files or self.size):
            return True
        sent = self._of(imei, now)
        if (sent.files >= sent.files_due or sent.size >= sent.size_due) and (counted := ask()) is not None:
            sent.files, sent.size = max(sent.files, counted[0]), max(sent.size, counted[1])
            sent.files_due, sent.size_due = sent.files + _share(self.files), sent.size + _share(self.size)
        return not (self.files and sent.files >= self.files) and not (
            self.size and sent.size + more > self.size
        )

    def add(self, imei: str, size: int, now: datetime) -> None:
        """Count a stored file."""
        sent = self._of(imei, now)
        sent.files, sent.size = sent.files + 1, sent.size + size

    def _of(self, imei: str, now: datetime) -> Sent:
        if now.date() != self._day:
            self._day, self._sent = now.date(), {}
        if imei not in self._sent:
            if len(self._sent) >= MOST:
                del self._sent[next(iter(self._sent))]
            self._sent[imei] = Sent()
        return self._sent[imei]


def _share(limit: int) -> float:
    return max(limit // SHARE, 1) if limit else inf
