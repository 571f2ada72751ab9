"""How vehicles reach the receiver: the newest connections of known vehicles, and the receiver's TLS certificate.

For administrators. What one device's own setting says is in `camera_server`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from sqlalchemy import ColumnElement, and_, func, or_, select

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
    """Give the newest connection from outside and from this machine, and the vehicles of the last 24 hours."""
    known = CameraSession.device_id.is_not(None)
    outside = and_(known, ~_FROM_THIS_MACHINE)
    return Connections(*_of(outside, now), *_of(and_(known, _FROM_THIS_MACHINE), now))


def _of(condition: ColumnElement[bool], now: datetime) -> tuple[datetime | None, int, int]:
    """Give the newest of some connections, and how many vehicles made such ones in each of the two times."""
    times = CameraSession.started_at
    last_at = db.session.scalar(select(times).where(condition).order_by(times.desc()).limit(1))
    vehicles = select(func.count(CameraSession.device_id.distinct())).where(condition)
    in_day, in_hour = (db.session.scalar(vehicles.where(times >= now - span)) or 0 for span in (RECENT, HOUR))
    return last_at, in_day, in_hour


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
