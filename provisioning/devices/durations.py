"""How long it takes from a request to its stored files, estimated from files that came before. Pure.

An estimate rests on the vehicle's own files where there are enough, else on the files of the fleet, else on the
vendor's figures, and says which. `measured_times` reads the files from the database.
Source of the vendor's figures: a photo of about 50 kB takes 18 s, a video of about 6 MB takes 320 s.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from provisioning.devices import transfer_times
from provisioning.translation import gettext

ENOUGH = 3  # files or replies from which an estimate may be made
VENDOR_PHOTO = (50_000, 18.0)  # bytes, seconds
VENDOR_VIDEO = (6_000_000, 320.0)
# the straight line through these two points: its slope is the speed, what is left at 0 bytes the start-up time
VENDOR_RATE = (VENDOR_VIDEO[0] - VENDOR_PHOTO[0]) / (VENDOR_VIDEO[1] - VENDOR_PHOTO[1])
VENDOR_START = VENDOR_PHOTO[1] - VENDOR_PHOTO[0] / VENDOR_RATE
VENDOR_SPREAD = 2.0  # the vendor's own figures disagree by about this factor
REPLY_SECONDS = (
    10.0  # for one SMS and its reply, until replies were measured; an assumption, no source tells it
)


class Basis(StrEnum):
    """What an estimate rests on."""

    VEHICLE = "vehicle"
    FLEET = "fleet"
    VENDOR = "vendor"


@dataclass(frozen=True, slots=True)
class FinishedFile:
    """A file that came without a break.

    `transfer` are the seconds from its first to its last byte. `start` are the seconds from handing over the request
    to the first byte of the request's first file; None for other files.
    """

    file_type: str
    size: int
    duration: int | None
    transfer: float
    start: float | None = None

    @property
    def rate(self) -> float:
        """Give the speed in bytes per second."""
        return self.size / max(self.transfer, 0.001)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: "photo" or "video" (of so many seconds), of so many cameras, by so many requests in turn."""

    file_type: str
    duration: int | None
    cameras: int
    requests: int = 1

    @property
    def camera_seconds(self) -> int:
        """Give the seconds of all cameras of one request together; 0 for photos."""
        return (self.duration or 0) * self.cameras


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured, newest first: files, or the seconds that replies took, of the vehicle and of the fleet."""

    vehicle: Sequence[FinishedFile] = ()
    fleet: Sequence[FinishedFile] = ()
    vehicle_replies: Sequence[float] = ()
    fleet_replies: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds from the request to its last file or reply: the likely value, and the bounds of what was seen before."""

    seconds: int
    low: int
    high: int
    basis: Basis


def expected_bytes(wanted: Wanted, measured: Measured) -> int:
    """Give about how many bytes a request brings: as the files of the vehicle, of the fleet, else the vendor's."""
    for files in (measured.vehicle, measured.fleet):
        if sizes := [size for file in files if (size := _size_like(file, wanted)) is not None]:
            return round(statistics.median(sizes)) * wanted.cameras
    return transfer_times.size(wanted.file_type, wanted.duration, wanted.cameras)


def ready_in(wanted: Wanted, measured: Measured) -> Estimate:
    """Estimate how long the files of a request take."""
    size = expected_bytes(wanted, measured)
    for basis, files in ((Basis.VEHICLE, measured.vehicle), (Basis.FLEET, measured.fleet)):
        if len(files) >= ENOUGH:
            starts = _starts(wanted.file_type, files, measured.fleet)
            rates = _rates(files)
            return _estimate(
                basis,
                statistics.median(starts) * wanted.requests + size / statistics.median(rates),
                min(starts) * wanted.requests + size / max(rates),
                max(starts) * wanted.requests + size / min(rates),
            )
    seconds = VENDOR_START * wanted.cameras * wanted.requests + size / VENDOR_RATE
    return _estimate(Basis.VENDOR, seconds, seconds / VENDOR_SPREAD, seconds * VENDOR_SPREAD)


def answered_in(count: int, measured: Measured) -> Estimate:
    """Estimate how long it takes until this many SMS, one after the other, are answered."""
    for basis, replies in ((Basis.VEHICLE, measured.vehicle_replies), (Basis.FLEET, measured.fleet_replies)):
        if len(replies) >= ENOUGH:
            likely = statistics.median(replies)
            return _estimate(basis, likely * count, min(replies) * count, max(replies) * count)
    seconds = REPLY_SECONDS * count
    return _estimate(Basis.VENDOR, seconds, seconds / VENDOR_SPREAD, seconds * VENDOR_SPREAD)


def words(estimate: Estimate) -> str:
    """Say an estimate: "about 11 min on this vehicle's line (measured)"."""
    time = transfer_times.about(estimate.seconds)
    match estimate.basis:
        case Basis.VEHICLE:
            return gettext("about %(time)s on this vehicle's line (measured)", time=time)
        case Basis.FLEET:
            return gettext("about %(time)s, as other vehicles take (this one is not measured yet)", time=time)
        case Basis.VENDOR:
            return gettext("about %(time)s by the vendor's figures (nothing is measured yet)", time=time)


def _size_like(file: FinishedFile, wanted: Wanted) -> float | None:
    """Give the bytes of the wanted file if it is like this one; None where this one is of another kind."""
    if file.file_type != wanted.file_type:
        return None
    if wanted.file_type == "photo":
        return float(file.size)
    return file.size / file.duration * (wanted.duration or 0) if file.duration else None


def _rates(files: Sequence[FinishedFile]) -> list[float]:
    """Give the speeds of files that are large enough to tell of the line, of all files where too few are."""
    large = [file.rate for file in files if file.size >= transfer_times.MEASURED_BYTES]
    return large if len(large) >= ENOUGH else [file.rate for file in files]


def _starts(file_type: str, files: Iterable[FinishedFile], fleet: Iterable[FinishedFile]) -> list[float]:
    """Give start-up times: of these files, else of the fleet's, else the vendor's.

    Those of the same type count first: a camera cuts a clip before it sends it.
    """
    for some in (files, fleet):
        found = [(file.file_type, file.start) for file in some if file.start is not None]
        same = [start for kind, start in found if kind == file_type]
        if found:
            return same or [start for _, start in found]
    return [VENDOR_START]


def _estimate(basis: Basis, seconds: float, low: float, high: float) -> Estimate:
    """Give an estimate in whole seconds, whose bounds hold the likely value."""
    likely = max(1, round(seconds))
    return Estimate(likely, max(1, min(math.floor(low), likely)), max(math.ceil(high), likely), basis)
