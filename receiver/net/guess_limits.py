"""Addresses that try many IMEIs that no device has: their refusals come later and later. Bounded; needs gevent.

A known IMEI is answered at once from wherever it comes, since a whole fleet may share one address. Called by
`connection`, which gives up its place among the connections before it waits here.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from gevent.event import Event

FREE = 5  # IMEIs of an address that are refused at once: devices that nobody has added yet
FIRST_SECONDS, MOST_SECONDS = 0.5, 30.0
FORGOTTEN_SECONDS = 3600.0  # after the last try of an address
ADDRESSES = 10_000  # remembered at once; those that tried longest ago are forgotten first
WAITING = 256  # refusals that wait at once, in one process: beyond it the oldest is told early


@dataclass(slots=True)
class _Tries:
    imeis: set[str] = field(default_factory=set)  # the first of them, up to FREE
    beyond: int = 0
    at: float = 0.0


class Guesses:
    """The addresses that tried unknown IMEIs, and the refusals that wait."""

    def __init__(self, free: int = FREE) -> None:
        self.free = free
        self._tries: OrderedDict[str, _Tries] = OrderedDict()
        self._waiting: OrderedDict[Event, None] = OrderedDict()

    def delay(self, address: str, imei: str, now: float) -> float:
        """Take that an address tried an unknown IMEI; give how long its refusal waits. All in seconds."""
        tries = self._tries.pop(address, None)
        if tries is None or now - tries.at > FORGOTTEN_SECONDS:
            tries = _Tries()
        self._tries[address] = tries
        if len(self._tries) > ADDRESSES:
            self._tries.popitem(last=False)
        tries.at = now
        if imei in tries.imeis:
            return 0.0
        if len(tries.imeis) < self.free:
            tries.imeis.add(imei)
            return 0.0
        tries.beyond += 1
        return float(min(FIRST_SECONDS * 2 ** min(tries.beyond - 1, 10), MOST_SECONDS))

    def wait(self, seconds: float) -> None:
        """Wait; other greenlets run meanwhile."""
        own = Event()
        self._waiting[own] = None
        if len(self._waiting) > WAITING:
            next(iter(self._waiting)).set()
        own.wait(seconds)
        self._waiting.pop(own, None)

    def release(self) -> None:
        """End all waits."""
        for event in list(self._waiting):
            event.set()
