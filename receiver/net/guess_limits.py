"""Delays the refusals of addresses that try many unknown IMEIs. Memory is bounded. Needs gevent.

A known IMEI is answered at once from wherever it comes, since a whole fleet may share one address. Called by
`connection`, which gives up its place among the connections before it waits here.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from gevent.event import Event

FREE = 5  # IMEIs of an address that are refused at once: devices that nobody has added yet
FIRST_SECONDS, MOST_SECONDS = 0.5, 30.0
FORGOTTEN_SECONDS = 3600.0  # after the last try of an address
# what is remembered at once, about 10 MiB; the address that tried longest ago is forgotten first
ADDRESSES, IMEIS = 10_000, 50_000
IMEIS_OF_AN_ADDRESS = 200  # a fleet behind one address, of which no device has been added
WAITING = 256  # refusals that wait at once, in one process: beyond it the oldest is answered early


@dataclass(slots=True)
class _Tries:
    """What one address tried: so many IMEIs, and when the refusal of each is due; the last that was tried last."""

    count: int = 0
    due: dict[str, float] = field(default_factory=dict)
    at: float = 0.0


class GuessLimits:
    """The addresses that tried unknown IMEIs, and the refusals that wait."""

    def __init__(self, free: int = FREE) -> None:
        self.free = free
        self._tries: OrderedDict[str, _Tries] = OrderedDict()
        self._imeis = 0  # remembered, of all addresses
        self._waiting: OrderedDict[Event, None] = OrderedDict()

    def delay(self, address: str, imei: str, now: float) -> float:
        """Take that an address tried an unknown IMEI; give how long its refusal waits. All in seconds.

        An IMEI that the address tried before is no further guess: it waits until its first refusal is due, so that
        breaking the connection off is no way around the wait.
        """
        tries = self._remembered(address, now)
        due = tries.due.pop(imei, None)
        if due is None:
            tries.count += 1
            beyond = tries.count - self.free
            due = now
            if beyond > 0:
                due += min(FIRST_SECONDS * 2 ** min(beyond - 1, 10), MOST_SECONDS)
            self._make_room(tries)
        tries.due[imei] = due
        return max(0.0, due - now)

    def _remembered(self, address: str, now: float) -> _Tries:
        """Give what an address tried, as the one that tried last; nothing where that was long ago."""
        tries = self._tries.get(address)
        if tries is not None and now - tries.at > FORGOTTEN_SECONDS:
            self._imeis -= len(tries.due)
            tries = None
        tries = tries or _Tries()
        self._tries[address] = tries
        self._tries.move_to_end(address)
        tries.at = now
        return tries

    def _make_room(self, tries: _Tries) -> None:
        """Count one more IMEI of an address; forget what is too much."""
        self._imeis += 1
        if len(tries.due) == IMEIS_OF_AN_ADDRESS:
            del tries.due[next(iter(tries.due))]
            self._imeis -= 1
        while len(self._tries) > ADDRESSES or self._imeis > IMEIS:
            _, oldest = self._tries.popitem(last=False)
            self._imeis -= len(oldest.due)

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
