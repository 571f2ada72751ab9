"""How vehicles reach the receiver: the newest connections of known vehicles, and the receiver's TLS certificate.

For administrators. What one device's own setting says is in `camera_server`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from sqlalchemy import and_, func, or_, select

from provisioning.models import CameraSession, db
from provisioning.translation import gettext

RECENT = timedelta(hours=24)
ENDS_SOON = timedelta(days=21)  # long enough to renew by hand
# the receiver writes addresses without brackets
_FROM_THIS_MACHINE = or_(CameraSession.address.like("127.%"), CameraSession.address.like("::1:%"))


@dataclass(frozen=True, slots=True)
class Connections:
    """The newest connection of a known vehicle, and how many vehicles connected lately.

    Connections of this machine prove nothing about the way from outside: `last_local_at` is the newest of those.
    """

    last_at: datetime | None
    vehicles: int
    last_local_at: datetime | None


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
    vehicles = select(func.count(CameraSession.device_id.distinct())).where(
        outside, CameraSession.started_at >= now - RECENT
    )
    last_at, last_local_at = (
        db.session.scalar(
            select(CameraSession.started_at)
            .where(condition)
            .order_by(CameraSession.started_at.desc())
            .limit(1)
        )
        for condition in (outside, and_(known, _FROM_THIS_MACHINE))
    )
    return Connections(last_at, db.session.scalar(vehicles) or 0, last_local_at)


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
