"""What makes two offers of a device the same file: its identifier, its count and the camera's time. Pure.

A file without a time has no identity that lasts: for how long a partial one can be taken for one that is offered
now, `partial_folder` says.
"""

import hashlib

from receiver.spool.sidecar import SidecarRecord
from receiver.wire.actions import Offer


def camera_time(record: SidecarRecord) -> int:
    """Give the time that the camera named, in Unix milliseconds, 0 where it named none."""
    return (record["metadata"] or {}).get("timestamp") or 0


def offered_time(offer: Offer) -> int:
    """Give the time that the camera names with an offered file, 0 where it names none."""
    return offer.metadata.timestamp if offer.metadata else 0


def sameness(identifier: str, count: int, timestamp: int) -> str:
    """Name what makes two offers of a device the same file; `timestamp` is not 0."""
    return hashlib.blake2b(f"{identifier} {count} {timestamp}".encode(), digest_size=12).hexdigest()


def is_of(record: SidecarRecord, offer: Offer) -> bool:
    """Say whether a record is of the file that is offered: same identifier, count and time, not 0."""
    timestamp = offered_time(offer)
    same = (record["identifier"], record["count"], camera_time(record))
    return bool(timestamp) and same == (offer.identifier, offer.count, timestamp)
