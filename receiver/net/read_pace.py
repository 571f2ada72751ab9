"""How many bytes a connection reads at once, and how long it waits between reads of a slow one. Pure.

A read costs the same for one packet or for five, so a slow connection is read less often.
"""

# the more a connection delivers, the more is requested; beyond 128 KiB malloc gives the freed block back to the kernel,
# and each read would pay for its pages again (measured: 420 page faults a MB)
LEAST, MOST = 8 * 1024, 128 * 1024
# a slow connection is not read until about so many bytes have come, and never later than after so many seconds
WORTH_READING, REST_MOST, REST_LEAST = 5 * 1024, 1.5, 0.3


class ReadPace:
    """The pace of one connection's reads; times in seconds of a steady clock."""

    __slots__ = ("_appetite", "_rate", "_read_at")

    def __init__(self, now: float) -> None:
        self._appetite, self._read_at = LEAST, now
        self._rate = 0.0  # bytes per second since the read before; 0: more was waiting

    def wanted(self, held: int, full_frame: int) -> int:
        """Give how many bytes to read: up to the end of a full frame, so that the reader keeps no piece of one.

        `held`: bytes that the reader holds of an unfinished frame.
        """
        return self._appetite - (self._appetite + held) % full_frame

    def note(self, size: int, wanted: int, is_all: bool, now: float) -> None:
        """Take how many bytes a read gave; `is_all`: no more were waiting."""
        if size == wanted:
            self._appetite = min(2 * self._appetite, MOST)
        elif size < self._appetite // 4:
            self._appetite = max(self._appetite // 2, LEAST)
        self._rate = size / max(now - self._read_at, 1e-6) if is_all else 0.0
        self._read_at = now

    def rest(self, missing: int) -> float:
        """Give the seconds to wait before the next read; 0 near the end of a file, which is to be answered at once.

        `missing`: bytes of the file that are still to come.
        """
        rest = min(WORTH_READING / self._rate, REST_MOST) if self._rate else 0.0
        return rest if rest > REST_LEAST and missing > 2 * self._rate * rest else 0.0
