"""What a wall board shows: how many vehicles are in each state, the worst of them, and what came in the last hour.

Only rows that the present limit lets through are read (`models.visibility`). The answer holds no rows: it is shown
after the limit has ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import joinedload

from provisioning.devices import health_view, listing
from provisioning.devices.health import HealthState
from provisioning.models import NEEDS_A_LOOK, Device, Event, Upload, UploadState, db, first_id, in_state

NEEDS_SOMEBODY = (HealthState.BROKEN, HealthState.LIMITED, HealthState.SILENT)
WORST = 10
LATELY = timedelta(hours=1)
NEWEST = 8  # vehicles among what came
READ = 200  # files, of which these are found


@dataclass(frozen=True, slots=True)
class BadVehicle:
    """A vehicle that needs somebody: its name, its state, why, and since when."""

    name: str
    state: HealthState
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Arrival:
    """What came of one vehicle in the last hour, and when the newest of it began."""

    name: str
    photos: int
    clips: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Board:
    """Everything that the board shows, as it was at one moment."""

    at: datetime
    counts: dict[HealthState, int]
    worst: Sequence[BadVehicle]
    photos: int
    clips: int
    vehicles: int  # of which these came
    arrivals: Sequence[Arrival]
    unseen: int  # crashes and towing that nobody has looked at

    @property
    def total(self) -> int:
        """Count all vehicles."""
        return sum(self.counts.values())

    @property
    def more_arrivals(self) -> int:
        """Count the vehicles of which something came and that are not listed."""
        return max(0, self.vehicles - len(self.arrivals))


def of(now: datetime) -> Board:
    """Give the board of the vehicles that may be seen."""
    photos, clips, vehicles = _came(now)
    counts, _ = listing.counted(listing.Filter())
    unseen = db.session.scalar(select(func.count()).select_from(Event).where(NEEDS_A_LOOK)) or 0
    return Board(now, counts, _worst(now), photos, clips, vehicles, _arrivals(now), unseen)


def _worst(now: datetime) -> list[BadVehicle]:
    order = Device.health_state, Device.health_since.desc(), Device.id
    query = listing.select_devices(listing.Filter(NEEDS_SOMEBODY)).order_by(*order).limit(WORST)
    rows = db.session.scalars(query).all()
    health = health_view.of(rows, now)
    return [
        BadVehicle(row.name or row.imei, view.state, view.reason, view.since)
        for row in rows
        for view in (health[row.id],)
    ]


def _lately(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Give the condition of files that are here and began to come in the last hour, which their ids tell."""
    return (
        Upload.id >= first_id(now - LATELY),
        in_state(UploadState.STORED),
        Upload.looked_like.is_(None),
        Upload.device_id.is_not(None),
    )


def _came(now: datetime) -> tuple[int, int, int]:
    """Count photos, clips, and the vehicles of which they are."""
    rows = db.session.execute(
        select(Upload.file_type, Upload.device_id, func.count())
        .where(*_lately(now))
        .group_by(Upload.file_type, Upload.device_id)
    ).all()
    photos = sum(row[2] for row in rows if row[0] == "photo")
    return photos, sum(row[2] for row in rows) - photos, len({row[1] for row in rows})


def _arrivals(now: datetime) -> list[Arrival]:
    query = select(Upload).options(joinedload(Upload.device)).where(*_lately(now))
    found: dict[int, list[Upload]] = {}
    for upload in db.session.scalars(query.order_by(Upload.id.desc()).limit(READ)):
        found.setdefault(upload.device_id or 0, []).append(upload)
    return [_arrival(files) for files in list(found.values())[:NEWEST]]


def _arrival(files: Sequence[Upload]) -> Arrival:
    device, photos = files[0].device, sum(file.file_type == "photo" for file in files)
    name = device.name or device.imei if device else files[0].imei
    return Arrival(name, photos, len(files) - photos, files[0].started_at)
