"""Estimates how long files take at a given speed, and what fits into a time-out. Pure.

Source: vendor: a photo of 1280x720 is about 50 kB, a video of 20 s in 720p about 6 MB.
"""

from datetime import datetime

from provisioning.phrase import Phrase
from provisioning.translation import decimal

PHOTO_BYTES = 50_000
VIDEO_BYTES_PER_SECOND = 6_000_000 // 20
CLIP_SECONDS = 10  # the clip whose time is shown for a speed
SLOW_RATE = 2000.0  # bytes per second: below this a connection is slow; that clip takes 25 minutes
MEASURED_BYTES = 8000  # the times of smaller files are waits rather than transfer


def size(file_type: str, duration: int | None, cameras: int) -> int:
    """Give about how many bytes a request brings."""
    one = PHOTO_BYTES if file_type == "photo" else VIDEO_BYTES_PER_SECOND * (duration or 0)
    return one * cameras


def measured(size_in_bytes: int, began: datetime, ended: datetime) -> float:
    """Give the speed of a file that came without a break, in bytes per second."""
    return size_in_bytes / max((ended - began).total_seconds(), 0.001)


def clip_takes(bytes_per_second: float) -> float:
    """Give how many seconds a clip of CLIP_SECONDS of one camera takes."""
    return size("video", CLIP_SECONDS, 1) / max(bytes_per_second, 1.0)


def is_slow(bytes_per_second: float) -> bool:
    """Say whether a connection is slow."""
    return bytes_per_second < SLOW_RATE


def rate(bytes_per_second: float) -> str:
    """Say a speed."""
    return decimal(f"{bytes_per_second / 1000:.{1 if bytes_per_second < 10_000 else 0}f}") + " kB/s"


def about(seconds: float) -> str:
    """Say a time in the unit that people would use."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"


def too_long(seconds: int, size_in_bytes: int, bytes_per_second: float, wait: float) -> Phrase | None:
    """Say that files cannot come within the wait, and how much can; None where they can.

    `seconds`: how many a clip shows, of all cameras together; 0 for photos.
    """
    takes = size_in_bytes / max(bytes_per_second, 1.0)
    if takes <= wait:
        return None
    comes = int(seconds * wait / takes)
    return Phrase(
        "too_slow", {"bytes_per_second": bytes_per_second, "takes": takes, "waits": wait, "comes": comes}
    )
