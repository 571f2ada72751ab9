"""Ids that sort by time: 32 hex characters, of 48 bits Unix milliseconds and 80 random bits.

Receiver and product make their ids here, so that rows of both sort alike. Ids are names, not secrets.
"""

import os
import threading

RANDOM_BITS = 80
STEP_BITS = 64  # an id after another one of the same millisecond lies at most so far behind it
BACKWARDS = 1000  # milliseconds: a clock set back by less is waited out, by more it is followed


class Ids:
    """Makes ids of which each is greater than the one before, also within one millisecond and over all threads."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def make(self, milliseconds: int) -> str:
        """Make the next id for a time in Unix milliseconds."""
        fresh = milliseconds << RANDOM_BITS | int.from_bytes(os.urandom(RANDOM_BITS // 8))
        with self._lock:
            behind = (self._last >> RANDOM_BITS) - milliseconds
            if fresh <= self._last and behind < BACKWARDS:
                # a random step: two processes that were forked from one do not make the same ids
                fresh = self._last + 1 + int.from_bytes(os.urandom(STEP_BITS // 8))
            self._last = fresh
        return f"{fresh:032x}"
