"""What all tests share: a migrated database on SQLite and on PostgreSQL, the app, its configuration.

A test that takes `app` runs twice, once on each database. PostgreSQL is a server of our own in a temporary
folder, started once a run; each test gets its own database, copied from a migrated template.
"""

import dataclasses
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import postgres_server
import psycopg
import pytest
import s3_server
from flask import Flask

os.environ.setdefault("SECRET_KEY", "only for tests: not a secret of anybody")
os.environ.setdefault("ENCRYPTION_KEYS", "only for tests: no key of anybody")

from postgres_server import free_port  # noqa: F401 - tests take it from here

from app import create_app
from provisioning.config import Config, load
from provisioning.models import db

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


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Run a PostgreSQL server for the tests; give its URL without a database name."""
    with postgres_server.running(durable=False) as url:
        yield url


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
        connection.execute(statement)


def migrate(url: str) -> None:
    """Bring a database to the newest revision, as `flask db upgrade` does."""
    import flask_migrate

    app = create_app(dataclasses.replace(load(), database_url=_with_driver(url)))
    with app.app_context():
        flask_migrate.upgrade(directory=str(ROOT / "migrations"))
        db.engine.dispose()


def _with_driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: str) -> str:
    """The name of a migrated PostgreSQL database, to be copied."""
    _execute(postgres, "CREATE DATABASE template_dualcam")
    migrate(f"{postgres}/template_dualcam")
    return "template_dualcam"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty database of this test's own; once on SQLite, once on PostgreSQL."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "test.db")
        yield f"sqlite:///{tmp_path}/test.db"
        return
    server, template = request.getfixturevalue("postgres"), request.getfixturevalue("postgres_template")
    name = f"test_{time.time_ns()}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield f"{server}/{name}"
    _execute(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def config(database_url: str, tmp_path: Path) -> Config:
    """A configuration as in production, with everything under this test's folder and a made-up gateway."""
    return dataclasses.replace(
        load(),
        database_url=_with_driver(database_url),
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
    """Run an S3 server for the tests; this process finds it by its environment, as the product does."""
    with s3_server.running() as server, s3_server.reachable(server.environment()):
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
