"""Who waits for whom at a device's row on PostgreSQL, where rows are locked one by one.

Each test holds the lock in one transaction and works in another, in one thread: whatever waits can never get its
turn, so PostgreSQL's `lock_timeout` ends it with an error.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from upload_rows import IMEI, sidecar

from app import create_app
from provisioning.core.config import Config
from provisioning.devices import registry
from provisioning.media import camera_sessions, registration
from provisioning.models import CameraSession, Device, Upload, db, locks
from receiver.backend.port import SessionFacts

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
CONNECTION = SessionFacts("d" * 32, "203.0.113.7:40000", NOW, imei=IMEI)

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def van(app: Flask) -> Device:
    return registry.add({"imei": IMEI, "phone": "+12025550111"}, NOW)


@pytest.fixture
def impatient(app: Flask, config: Config) -> Iterator[Flask]:
    """Another process on the same database, whose waits for a lock end in an error."""
    name = config.database_url.rpartition("/")[2]
    # of all connections that are made from now on
    db.session.execute(text(f"ALTER DATABASE {name} SET lock_timeout = '500ms'"))
    db.session.commit()
    other = create_app(config)
    yield other
    with other.app_context():
        db.engine.dispose()


def sessions() -> None:
    camera_sessions.note([CONNECTION], NOW)


def stored() -> None:
    registration.register([sidecar()], NOW)


def progress() -> None:
    registration.progress([sidecar(state="receiving")], NOW)


@pytest.mark.parametrize(("tell", "row"), [(sessions, CameraSession), (stored, Upload), (progress, Upload)])
def test_what_the_receiver_tells_of_a_device_does_not_wait_for_its_unit_of_work(
    van: Device, impatient: Flask, tell: Callable[[], None], row: type[CameraSession | Upload]
) -> None:
    # it tells of many devices at once: one that waits here would hold the rows of the others, and whoever works on
    # one of those and wants a row of this device next waits for ever
    locks.lock_device(van.id)
    with impatient.app_context():
        tell()
        assert db.session.scalars(select(row)).one().device_id == van.id
    db.session.commit()


def test_two_units_of_work_on_a_device_wait_for_each_other(van: Device, impatient: Flask) -> None:
    locks.lock_device(van.id)
    with impatient.app_context(), pytest.raises(OperationalError, match="lock timeout"):
        locks.lock_device(van.id)
    db.session.commit()
    with impatient.app_context():
        assert locks.lock_device(van.id).imei == IMEI
