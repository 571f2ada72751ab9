"""How vehicles reach the receiver: the newest connections of known vehicles, and the receiver's TLS certificate.

For administrators. What one device's own setting says is in `camera_server`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from sqlalchemy import ColumnElement, and_, case, func, or_, select

from provisioning.devices.health import HealthState
from provisioning.models import CameraSession, Device, db
from provisioning.translation import gettext

RECENT, HOUR = timedelta(hours=24), timedelta(hours=1)
MOST = 20  # vehicles of one kind on the page
ENDS_SOON = timedelta(days=21)  # long enough to renew by hand
# the receiver writes addresses without brackets
_FROM_THIS_MACHINE = or_(CameraSession.address.like("127.%"), CameraSession.address.like("::1:%"))


@dataclass(frozen=True, slots=True)
class Connections:
    """The newest connection of a known vehicle, and how many vehicles connected in the last 24 hours and the last hour.

    Connections of this machine prove nothing about the way from outside: the `local` ones are those.
    """

    last_at: datetime | None
    vehicles: int
    vehicles_of_hour: int
    last_local_at: datetime | None
    local_vehicles: int
    local_vehicles_of_hour: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """The TLS certificate as its file has it now; `problem` where it cannot be read."""

    last_moment: datetime | None = None
    problem: str | None = None

    def has_ended(self, now: datetime) -> bool:
        """Say whether devices that check it refuse it."""
        return self.last_moment is not None and self.last_moment < now

    def ends_soon(self, now: datetime) -> bool:
        """Say whether it is time to renew it."""
        return self.last_moment is not None and self.last_moment - now < ENDS_SOON


def connections(now: datetime) -> Connections:
    """Give the newest connection from outside and from this machine, and the vehicles of the last 24 hours.

    One statement where some came from outside lately. Old ones of this machine are sought only where none ever did.
    """
    lately = select(*_lately(~_FROM_THIS_MACHINE, now), *_lately(_FROM_THIS_MACHINE, now))
    times = CameraSession.started_at
    last_at, in_day, in_hour, last_local_at, *local = db.session.execute(
        lately.where(CameraSession.device_id.is_not(None), times >= now - RECENT)
    ).one()
    last_at = last_at or _newest(~_FROM_THIS_MACHINE)
    if last_at is None:
        last_local_at = last_local_at or _newest(_FROM_THIS_MACHINE)
    return Connections(last_at, in_day, in_hour, last_local_at, *local)


def _lately(condition: ColumnElement[bool], now: datetime) -> tuple[ColumnElement[Any], ...]:
    """Name the newest of some connections, and how many vehicles made them: in all rows, and in the last hour."""
    times, vehicle = CameraSession.started_at, CameraSession.device_id
    of_hour = and_(condition, times >= now - HOUR)
    return (
        func.max(case((condition, times))),
        func.count(case((condition, vehicle)).distinct()),
        func.count(case((of_hour, vehicle)).distinct()),
    )


def _newest(condition: ColumnElement[bool]) -> datetime | None:
    """Give when the newest of some connections of known vehicles began."""
    times = CameraSession.started_at
    query = select(times).where(CameraSession.device_id.is_not(None), condition)
    return db.session.scalar(query.order_by(times.desc()).limit(1))


def unreachable() -> list[Device]:
    """Give live vehicles that cannot reach this service, by name; one more than `MOST` where there are more."""
    query = select(Device).where(
        Device.archived_at.is_(None),
        Device.health_state == HealthState.BROKEN,
        Device.health_code == "server_unreachable",
    )
    return list(db.session.scalars(query.order_by(Device.name, Device.id).limit(MOST + 1)))


def certificate(path: Path) -> Certificate:
    """Read until when the first certificate of a PEM file is valid."""
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        return Certificate(
            problem=gettext("This process cannot read the file: %(error)s.", error=error.strerror)
        )
    except ValueError:
        return Certificate(problem=gettext("The file holds no certificate."))
    return Certificate(found.not_valid_after_utc)
