"""How much each known device may send in a day (UTC), so that one IMEI cannot fill the disk. Pure.

Counted in each process. What a device has sent before, to whichever process, is asked once a day: a restart forgets
nothing, and what several processes took at the same time is the most that a device gets beyond.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime

MOST = 50_000  # devices counted at once; those counted first are asked about again


@dataclass(slots=True)
class Daily:
    """The limits of a device and day, and what has been sent; 0: no limit."""

    files: int
    size: int  # bytes
    _day: date = date.min
    _sent: dict[str, tuple[int, int]] = field(default_factory=dict)  # files, bytes

    def allows(self, imei: str, more: int, now: datetime, before: Callable[[], tuple[int, int]]) -> bool:
        """Say whether a device may send so many bytes more. `before`: asks how much it has sent today."""
        if not (self.files or self.size):
            return True
        self._turn(now)
        if imei not in self._sent:
            self._put(imei, before())
        files, size = self._sent[imei]
        return not (self.files and files >= self.files) and not (self.size and size + more > self.size)

    def add(self, imei: str, size: int, now: datetime) -> None:
        """Count a stored file."""
        self._turn(now)
        if imei in self._sent:
            files, before = self._sent[imei]
            self._sent[imei] = files + 1, before + size

    def _turn(self, now: datetime) -> None:
        if now.date() != self._day:
            self._day, self._sent = now.date(), {}

    def _put(self, imei: str, sent: tuple[int, int]) -> None:
        if len(self._sent) >= MOST:
            del self._sent[next(iter(self._sent))]
        self._sent[imei] = sent
