"""Remembers which file of a device ended its last sessions, so that the next one asks for it last. Pure.

A file that the camera cannot read, or that is broken, would else keep all files behind it away for ever. Called by
`connection`; each process remembers for itself.
"""

from dataclasses import dataclass, field

KEPT_SECONDS = 40 * 60.0  # a device that failed a few times comes back after half an hour
MOST = 10_000  # files: the oldest failures are forgotten first


@dataclass(slots=True)
class FailedFiles:
    """The failed files by device, and when they failed (steady seconds)."""

    _failed: dict[tuple[str, str], float] = field(default_factory=dict)

    def note(self, imei: str, name: str, now: float) -> None:
        """Take that a file ended a session."""
        self._failed.pop((imei, name), None)
        self._failed[imei, name] = now  # last in the order
        if len(self._failed) > MOST:
            del self._failed[next(iter(self._failed))]

    def forget(self, imei: str, name: str) -> None:
        """Take that a file came after all."""
        self._failed.pop((imei, name), None)

    def of(self, imei: str, names: tuple[str, ...], now: float) -> frozenset[str]:
        """Give those of these files that failed not long ago."""
        return frozenset(n for n in names if now - self._failed.get((imei, n), float("-inf")) <= KEPT_SECONDS)
