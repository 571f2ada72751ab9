"""Limits the log lines and session rows of one peer; the surplus is counted and reported in one line. Pure.

A device that is refused and comes back every second, or a scanner, must not fill the log and the database.
"""

from dataclasses import dataclass, field

WINDOW_SECONDS = 60.0
PEERS = 10_000  # remembered at once; all others share one quota, so that memory is bounded


@dataclass(slots=True)
class LogQuota:
    """`most` of each peer in a minute; 0: no limit."""

    most: int
    _counts: dict[str, int] = field(default_factory=dict)

    def allows(self, peer: str) -> bool:
        """Count one event of a peer; say whether it may be logged and stored."""
        if not self.most:
            return True
        if peer not in self._counts and len(self._counts) >= PEERS:
            peer = "others"
        self._counts[peer] = count = self._counts.get(peer, 0) + 1
        return count <= self.most

    def turn(self) -> dict[str, int]:
        """Begin a new minute; give how many things of whom were left out."""
        left_out = {peer: n - self.most for peer, n in self._counts.items() if n > self.most}
        self._counts = {}
        return left_out
