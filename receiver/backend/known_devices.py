"""A cache of known IMEIs for the time when the database cannot be asked. Pure.

A device that is asked about and is unknown (deleted, say) is forgotten at once. Nothing is asked here as long as the
product answers.
"""

from dataclasses import dataclass, field

KEPT_SECONDS = 7 * 24 * 3600.0  # a vehicle that stands over a week-end is still known
MOST = 50_000  # devices, about 10 MiB: those seen longest ago are forgotten first


@dataclass(slots=True)
class KnownDevices:
    """The devices that the database named as known, and when (seconds of a steady clock)."""

    _seen: dict[str, float] = field(default_factory=dict)

    def note(self, imei: str, known: bool, now: float) -> None:
        """Take what the product says of a device."""
        self._seen.pop(imei, None)
        if known:
            self._seen[imei] = now  # last in the order: seen last
            if len(self._seen) > MOST:
                del self._seen[next(iter(self._seen))]

    def has(self, imei: str, now: float) -> bool:
        """Say whether a device was known when the product was last asked, and not too long ago."""
        return now - self._seen.get(imei, float("-inf")) <= KEPT_SECONDS
