"""What all tests share: a migrated database on SQLite and on PostgreSQL, the app, its configuration.

A test that takes `app` runs twice, once on each database. PostgreSQL and the S3 server are started once a run, by the
first test that needs them, for all processes of the run; docs/testing.md says what is shared and how.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("SECRET_KEY", "only for tests: not a secret of anybody")
os.environ.setdefault("ENCRYPTION_KEYS", "only for tests: no key of anybody")

import databases
import machine
import postgres_server
import pytest
import s3_server
from databases import migrate  # noqa: F401 - tests take it from here
from flask import Flask
from hypothesis import settings
from machine import free_port  # noqa: F401 - tests take it from here

from app import create_app
from provisioning.config import Config, load
from provisioning.models import db

settings.register_profile("deep", max_examples=4000)  # for `make fuzz`

if TYPE_CHECKING:
    from gateway_double import Phone

ROOT = Path(__file__).parent.parent
ACCOUNT_SID = "AC" + "0" * 31 + "1"
AUTH_TOKEN = "only-for-tests-auth-token"
SENDER = "+12025550100"


def wait_until(claim: Callable[[], Any], seconds: float = 20.0, every: float = 0.02) -> Any:
    """Give the claim's first true answer; fail the test when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := claim():
            return answer
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s: {claim}")


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder that all processes of this run share."""
    machine.folder()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the shared servers after the last test; the processes of pytest-xdist leave that to the first."""
    if not hasattr(config, "workerinput"):
        machine.leave(str(machine.folder()))


@pytest.fixture(scope="session")
def postgres() -> str:
    """The URL, without a database name, of a PostgreSQL server for the tests."""
    return postgres_server.shared()


@pytest.fixture(scope="session")
def sqlite_template() -> Path:
    """A migrated SQLite file, to be copied."""
    return databases.sqlite_template()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty database of this test's own; once on SQLite, once on PostgreSQL."""
    if request.param == "sqlite":
        yield databases.copy_sqlite(tmp_path / "test.db")
    else:
        with databases.postgres() as url:
            yield url


@pytest.fixture
def config(database_url: str, tmp_path: Path) -> Config:
    """A configuration as in production, with everything under this test's folder and a made-up gateway."""
    return dataclasses.replace(
        load(),
        database_url=databases.with_driver(database_url),
        queue_url=f"sqlite:///{tmp_path}/queue.db",
        media_url=f"file://{tmp_path}/media",
        media_spool=tmp_path / "spool",
        public_url="http://dualcam.test",
        twilio_account_sid=ACCOUNT_SID,
        twilio_auth_token=AUTH_TOKEN,
        twilio_from=SENDER,
        twilio_api_base_url="http://127.0.0.1:9",  # nobody listens: a test that sends names its own gateway
    )


@pytest.fixture
def app(config: Config) -> Iterator[Flask]:
    """The app on this test's database, with its context pushed."""
    app = create_app(config)
    app.testing = True
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture(scope="session")
def s3() -> Iterator[s3_server.Server]:
    """An S3 server for the tests; this process finds it by its environment, as the product does."""
    server = s3_server.shared()
    with s3_server.reachable(server.environment()):
        yield server


@pytest.fixture
def bucket(s3: s3_server.Server) -> str:
    """The name of an empty bucket of this test's own."""
    return s3.make_bucket(f"test-{time.time_ns()}")


@pytest.fixture
def phone(app: Flask) -> Iterator["Phone"]:
    """Join the app and the Twilio stand-in; vehicles answer when the test says so."""
    from gateway_double import Phone

    phone = Phone(app)
    yield phone
    phone.close()
