"""What all tests share: a migrated database on SQLite and on PostgreSQL, the app, its configuration.

A test that takes `app` runs twice, once on each database. PostgreSQL and the S3 server are started once a run, by the
first test that needs them, for all processes of the run; docs/testing.md says what is shared and how.
"""
# ruff: noqa: E402 - imports come after what holds for them

import dataclasses
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

gc.disable()  # until all tests are collected: modules are no garbage
os.environ.setdefault("SECRET_KEY", "only for tests: not a secret of anybody")
os.environ.setdefault("ENCRYPTION_KEYS", "only for tests: no key of anybody")

import apps
import chromium
import databases
import durations
import gevent.socket
import machine
import postgres_server
import pytest
import s3_server
import structlog
from argon2 import PasswordHasher
from databases import migrate  # noqa: F401 - tests take it from here
from flask import Flask
from hypothesis import settings
from machine import free_port  # noqa: F401 - tests take it from here
from page_screens import open_context, paths, signed_in  # noqa: F401 - fixtures of tests with a browser
from page_visitor import van, visitor  # noqa: F401 - fixtures of every test that visits pages

from provisioning.core.config import Config, load
from provisioning.web import users
from receiver.backend import reporter

if TYPE_CHECKING:
    from gateway_double import Phone
    from playwright.sync_api import Browser
    from stack import Stack

ROOT = Path(__file__).parent.parent
ACCOUNT_SID = "AC" + "0" * 31 + "1"
AUTH_TOKEN = "only-for-tests-auth-token"
SENDER = "+12025550100"
DEFAULTS = load()  # what an environment gives that sets nothing


# structlog's own tracebacks show all variables, for half a second of processor time each; its events go to standard
# error, as those of the product do
structlog.configure(
    logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ],
)
# a password at full cost takes a quarter of a second of processor time; test_auth.py tries that cost once
PRODUCTION_HASHER = users._hasher
users._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
users.NOBODY = users.unmatched(users._hasher)
# a receiver in a thread reports at once; the processes of the product do so each second
reporter.REPORT_SECONDS, reporter.AWAY_SECONDS, reporter.WATCHED_SECONDS = 0.02, 0.1, 0.2


def examples(number: int) -> int:
    """Give how many examples a property is tried with: few in `make test`, many times as many in `make fuzz`."""
    return number * int(os.environ.get("EXAMPLES_TIMES", "1"))


# how long an example takes is no claim of a test: the machine may be busy
settings.register_profile("ours", max_examples=examples(100), deadline=None)
settings.register_profile("deep", settings.get_profile("ours"), max_examples=10_000)  # for `make fuzz`
settings.load_profile("ours")


def wait_until(claim: Callable[[], Any], seconds: float = 60.0, every: float = 0.25) -> Any:
    """Give the claim's first true answer; fail the test when there is none in time.

    It is asked often at first, then more and more seldom, down to `every` so many seconds: asking costs both sides.
    """
    deadline, pause = time.monotonic() + seconds, 0.02
    while time.monotonic() < deadline:
        if answer := claim():
            return answer
        time.sleep(pause)
        pause = min(pause * 1.2, every)
    raise AssertionError(f"not within {seconds} s: {claim}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run write how long each test and file took."""
    parser.addoption("--durations-file", type=Path, help="where to write the seconds of each test and file")


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder that all processes of this run share, and let a kill end what was started too."""
    machine.folder()
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(machine.place()))  # where pytest makes `tmp_path`
    if path := config.getoption("durations_file"):
        is_first = not hasattr(config, "workerinput")
        config.pluginmanager.register(durations.Durations(path if is_first else None))
    if not hasattr(config, "workerinput"):
        signal.signal(signal.SIGTERM, signal.default_int_handler)


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
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated, empty database of this test's own; once on SQLite, once on PostgreSQL."""
    if request.param == "sqlite":
        yield databases.copy_sqlite(machine.folder() / f"test-{os.getpid()}.db")
    else:
        with databases.postgres() as url:
            yield url


@pytest.fixture
def config(database_url: str, tmp_path: Path) -> Config:
    """A configuration as in production, with everything under this test's folder and a made-up gateway."""
    return dataclasses.replace(
        DEFAULTS,
        database_url=databases.with_driver(database_url),
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
    app = apps.lend(config)
    with app.app_context():
        yield app
        apps.take_back()


@pytest.fixture(scope="session")
def s3() -> Iterator[s3_server.Server]:
    """An S3 server for the tests; this process finds it by its environment, as the product does."""
    server = s3_server.shared()
    with s3_server.reachable(server.environment()):
        yield server


_idle_buckets: list[str] = []


@pytest.fixture
def bucket(s3: s3_server.Server) -> Iterator[str]:
    """The name of an empty bucket of this test's own."""
    name = _idle_buckets.pop() if _idle_buckets else s3.make_bucket(f"test-{time.time_ns()}")
    yield name
    s3.empty(name)
    _idle_buckets.append(name)


@pytest.fixture
def phone(app: Flask) -> Iterator["Phone"]:
    """Join the app and the Twilio stand-in; vehicles answer when the test says so."""
    from gateway_double import Phone

    phone = Phone(app)
    yield phone
    phone.close()


_products: dict[str, "Stack"] = {}  # that run


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Stack"]:
    """The whole product as real processes on SQLite, for all tests that add vehicles of their own."""
    from stack import running

    folder = tmp_path_factory.mktemp("product")
    # some cameras of the tests never tell metadata, and are waited for
    with running(folder, f"sqlite:///{folder}/test.db", RECEIVER_METADATA_TIMEOUT="3") as stack:
        _products["product"] = stack
        yield stack


@pytest.fixture(scope="session")
def product_on_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Stack"]:
    """The same on PostgreSQL, made ready by the commands that production uses."""
    from stack import running

    url = postgres_server.create_database(postgres_server.shared(), f"product_{time.time_ns()}")
    with running(tmp_path_factory.mktemp("product"), url, as_in_production=True) as stack:
        _products["product_on_postgresql"] = stack
        yield stack


@pytest.fixture(params=["product", "product_on_postgresql"], ids=["sqlite", "postgresql"])
def either_product(request: pytest.FixtureRequest) -> "Stack":
    """Both of them, one after the other."""
    stack: Stack = request.getfixturevalue(request.param)
    return stack


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """One Chromium; a test opens pages or contexts of its own and closes them."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)

    flags = ("no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking",
             "disable-component-update", "disable-sync")  # fmt: skip
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium.program(), args=[f"--{flag}" for flag in flags]
        )
        yield browser
        browser.close()


# (an audit hook would see more, but costs a thirtieth of all processor time: it cannot be taken off again)
STARTS = (
    (subprocess.Popen, "__init__"),
    (os, "fork"),
    (os, "posix_spawn"),
    (os, "system"),
    (socket.socket, "bind"),
    (gevent.socket.socket, "bind"),
)


def _refusing(name: str) -> Callable[..., None]:
    def refuse(*_given: object, **_options: object) -> None:
        raise AssertionError(f"a quick test starts no process and no server, but calls {name}")

    return refuse


@pytest.fixture(autouse=True)
def _nothing_is_started_by_quick_tests(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.node.get_closest_marker("quick") is None:
        yield
        return
    with ExitStack() as stack:
        for where, name in STARTS:
            stack.enter_context(mock.patch.object(where, name, _refusing(name)))
        yield


def _params(item: pytest.Item) -> dict[str, object]:
    """Give the parameters of a test, also those of the fixtures that it takes."""
    return item.callspec.params if hasattr(item, "callspec") else {}


def _group(item: pytest.Item) -> str | None:
    """Give the group of tests that one process of pytest-xdist runs: those of a shared product, and marked ones."""
    params = _params(item)
    used = {*getattr(item, "fixturenames", ()), params.get("either_product")}
    for name in ("product", "product_on_postgresql"):
        if name in used:
            return name
    mark = item.get_closest_marker("xdist_group")
    return str(mark.args[0]) if mark else None


def pytest_collection_finish() -> None:
    """Look for garbage less often, and never among modules and collected tests: that took a fifteenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


def _is_left_to_sqlite(item: pytest.Item) -> bool:
    """Say whether a test is the PostgreSQL half of one marked `on_sqlite` that does not name its databases itself."""
    if item.get_closest_marker("on_sqlite") is None or _params(item).get("database_url") != "postgresql":
        return False
    return not any("database_url" in mark.args[0] for mark in item.iter_markers("parametrize"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put long tests first, so that none is left when all others are done, and tell which tests belong together.

    The process that hands out the tests collects none: it learns this from the others.
    """
    items[:] = [item for item in items if not _is_left_to_sqlite(item)]
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    if hasattr(config, "workerinput"):
        groups = {item.nodeid: group for item in items if (group := _group(item))}
        machine.once("groups", lambda: json.dumps(groups))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End a shared product with the last test of its group: idle, its worker takes a twentieth of a processor."""
    group = _group(item)
    is_last = nextitem is None or _group(nextitem) != group
    if is_last and hasattr(item.config, "workerinput") and group in _products:
        _products.pop(group).close()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out tests one by one, groups as a whole and first (`--dist loadgroup` needs an older pytest)."""
    from xdist.scheduler import LoadScopeScheduling

    gc.enable()  # this process collects no tests

    class Groups(LoadScopeScheduling):
        known: dict[str, str] | None = None

        def _split_scope(self, nodeid: str) -> str:
            if self.known is None:
                self.known = json.loads(machine.once("groups", lambda: "{}"))
            return self.known.get(nodeid, nodeid)

        def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
            """Forget a group that is done: all groups of a process are gone through at each test."""
            nodeid = self.registered_collections[node][item_index]
            scope, groups = self._split_scope(nodeid), self.assigned_work[node]
            groups[scope][nodeid] = True
            if all(groups[scope].values()):
                del groups[scope]
            self._reschedule(node)

    return Groups(config, log)
