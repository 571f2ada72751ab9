"""How quick pages and lists of a large fleet are: `python benchmarks/fleet.py [--vehicles 50000 --commands 5000000]`.

Fills a database of its own (`fleet_rows`), or the one of `--url` where that holds no vehicle yet, and asks as people
and programs do: the list of the fleet by every filter, order and kind of search, on its first page and deep ones; the
API's list of devices, the other pages and lists; whole fleet and limited to tags. `--every` takes one address of the
list in so many. Prints JSON: milliseconds of processor time of this process and, on PostgreSQL, of the database's own,
which a busy machine changes less than the time on the clock, which stands beside it. `--plans` adds how the database
finds the rows of the statements of the slowest addresses, on PostgreSQL with their times.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ.setdefault("SECRET_KEY", "only for this benchmark: not a secret of anybody")
os.environ.setdefault("ENCRYPTION_KEYS", "only for this benchmark: no key of anybody")

import databases  # noqa: E402
import fleet_addresses  # noqa: E402
import fleet_rows  # noqa: E402
from flask import Flask, g  # noqa: E402
from flask.testing import FlaskClient  # noqa: E402
from sqlalchemy import event, select, text  # noqa: E402

from app import create_app  # noqa: E402
from provisioning.core import logging_setup  # noqa: E402
from provisioning.core.config import load  # noqa: E402
from provisioning.models import Device, DeviceTag, Role, User, db, utcnow  # noqa: E402
from provisioning.web import auth, sign_in, users, wall_links  # noqa: E402

ROUNDS = 5
SLOWEST = 12  # addresses of the list that are named
# who asks: None sees the whole fleet
PEOPLE: dict[str, list[str] | None] = {
    "whole fleet": None, "half of the fleet": ["box"], "a depot": ["depot 7"], "five vehicles": ["lent out"],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds of some rounds: processor time, the least and the middle; the least on the clock."""

    least: float
    median: float
    clock: float

    def figures(self) -> dict[str, float]:
        """Give them by their names."""
        return {"least": self.least, "median": self.median, "on the clock": self.clock}


def main() -> int:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--url", help="a database to fill or, where it holds vehicles, to ask; it is kept")
    parser.add_argument("--vehicles", type=int, default=5_000)
    parser.add_argument("--commands", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--every", type=int, default=1, help="ask one of so many addresses of the list")
    parser.add_argument("--only", choices=["list", "pages"], help="measure a part")
    parser.add_argument("--plans", action="store_true", help="print how the rows of each statement are found")
    given = parser.parse_args()
    logging_setup.configure()  # what people do is logged: not among the figures
    with tempfile.TemporaryDirectory() as folder, database(given, Path(folder)) as url:
        databases.migrate(url)
        filled = fleet_rows.fill(databases.with_driver(url), fleet_rows.Fleet(given.vehicles, given.commands))
        app = create_app(configured(url, Path(folder)))
        with app.app_context():
            people = [Person(app, who, tags) for who, tags in PEOPLE.items()]
            figures: dict[str, Any] = {"filled in seconds": round(filled)}
            if given.only != "pages":
                figures["list"] = list_figures(people, given.rounds, given.every)
            if given.only != "list":
                figures["pages"] = page_figures(people, given.rounds)
            if given.plans:
                figures["plans"] = slowest_plans(people, figures)
            db.session.remove()
            db.engine.dispose()
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    return 0


@contextlib.contextmanager
def database(given: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Give a database: that of `--url`, or one for as long as this runs."""
    if given.url:
        yield given.url
    elif given.database == "sqlite":
        yield databases.copy_sqlite(folder / "fleet.db")
    else:
        with databases.postgres() as url:
            yield url


def configured(url: str, folder: Path) -> Any:
    """Give a configuration on this database."""
    media = {"media_url": f"file://{folder}/media", "media_spool": folder / "spool"}
    return replace(load(), database_url=databases.with_driver(url), **media)


def signed_in(app: Flask, tags: list[str] | None) -> FlaskClient:
    """Give a browser in which somebody is signed in: an administrator, or an installer limited to tags."""
    email = f"{tags[0].replace(' ', '-') if tags else 'all'}@example.com"
    user = db.session.scalar(select(User).where(User.email == email))
    user = user or users.create(
        email, Role.INSTALLER if tags else Role.ADMIN, "seven tall lanterns wait", tags
    )
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"] = sign_in.begin(user, "127.0.0.1", "benchmark", utcnow()).key
        session["_fresh"] = True
    return client


class Person:
    """Somebody who asks, by a browser and by a program with a token."""

    def __init__(self, app: Flask, who: str, tags: list[str] | None) -> None:
        self.who, self.tags, self.browser, self.program = who, tags, signed_in(app, tags), app.test_client()
        role = Role.VIEWER if tags else Role.ADMIN
        token = auth.create_token(f"benchmark {who} {time.time_ns()}", role, tags=tags)
        self.program.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"

    def client(self, path: str) -> FlaskClient:
        """Give what asks for this address."""
        return self.program if path.startswith("/api/") else self.browser

    @property
    def imei(self) -> str:
        """Give the IMEI of a vehicle that the person sees."""
        query = (
            select(Device.imei).join(DeviceTag, DeviceTag.device_id == Device.id).order_by(Device.id).limit(1)
        )
        return str(db.session.scalar(query.where(DeviceTag.tag.in_(self.tags)) if self.tags else query))


def list_figures(people: list[Person], rounds: int, every: int) -> dict[str, Any]:
    """Give the figures of the list of the fleet by everything that can be chosen: by person and by kind of search."""
    found: list[tuple[Person, str, str, Measured]] = []
    for person in people:
        addresses = islice(fleet_addresses.of_list(), 0, None, every)
        found += [(person, kind, path, measure(person, path, rounds)) for kind, path in addresses]
    groups: dict[str, list[Measured]] = {}
    for person, kind, _, one in found:
        for name in (person.who, f"{kind} ({person.who})"):
            groups.setdefault(name, []).append(one)
    found.sort(key=lambda row: -row[-1].least)
    slowest = {f"{path} ({person.who})": one.figures() for person, _, path, one in found[:SLOWEST]}
    return {"slowest": slowest} | {name: summary(some) for name, some in groups.items()}


def summary(measured: Iterable[Measured]) -> dict[str, float]:
    """Give the middle, the 95th percentile and the most of processor time, and the percentile on the clock."""
    all_of_them = [*measured]
    ordered, by_clock = (
        sorted(times) for times in zip(*((one.least, one.clock) for one in all_of_them), strict=True)
    )
    at = max(0, -(-len(ordered) * 95 // 100) - 1)
    middle = round(statistics.median(ordered), 1)
    figures = {"addresses": len(ordered), "median": middle, "p95": ordered[at], "most": ordered[-1]}
    return figures | {"p95 on the clock": by_clock[at]}


def page_figures(people: list[Person], rounds: int) -> dict[str, Any]:
    """Give the figures of the other pages and of the lists of the API."""
    found: dict[str, Measured] = {}
    for person in people:
        board = wall_links.create("Hall", person.tags, "benchmark", utcnow())
        given = {"imei": person.imei, "whole_fleet": person.tags is None}
        for path in (*fleet_addresses.other_pages(**given), *fleet_addresses.api_lists(**given)):
            found[f"{path} ({person.who})"] = measure(person, path, rounds)
        found[f"/wall/… ({person.who})"] = measure(person, f"/wall/{board}", rounds)
    ordered = sorted(found.items(), key=lambda item: -item[1].least)
    return {"all": summary(found.values())} | {path: one.figures() for path, one in ordered}


def ask(client: FlaskClient, path: str) -> tuple[float, float]:
    """Ask as one request does, with a session of its own; give the milliseconds of processor time and on the clock."""
    for name in list(g):
        g.pop(name)
    db.session.remove()
    servers = database_processes()
    began, at = processor(servers), time.perf_counter()
    answer = client.get(path)
    took, clock = processor(servers) - began, time.perf_counter() - at
    assert answer.status_code in (200, 302, 404), (path, answer.status_code)
    return took * 1000, clock * 1000


def processor(servers: Iterable[int]) -> float:
    """Give the seconds of processor time of this process and of processes of the database."""
    # Linux keeps a clock for each process, which has this number
    return time.process_time() + sum(time.clock_gettime(~pid << 3 | 2) for pid in servers)


_servers: list[int] = []


def database_processes() -> list[int]:
    """Give the processes of PostgreSQL that serve this one: one for each connection, and they are kept."""
    if db.engine.dialect.name != "sqlite":
        own = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
        _servers[:] = db.session.scalars(text(own)).all()
        db.session.remove()
    return _servers


def measure(person: Person, path: str, rounds: int) -> Measured:
    """Give the figures of some rounds, after one that warms up."""
    client = person.client(path)
    ask(client, path)
    took, clock = zip(*(ask(client, path) for _ in range(rounds)), strict=True)
    return Measured(round(min(took), 1), round(statistics.median(took), 1), round(min(clock), 1))


def slowest_plans(people: list[Person], figures: dict[str, Any]) -> dict[str, list[str]]:
    """Give the plans of the slowest addresses of the list and of the slowest pages."""
    by_name = {person.who: person for person in people}
    pages = [path for path in figures.get("pages", {}) if path != "all" and "/wall/" not in path]
    found = {}
    for one in (*figures.get("list", {}).get("slowest", {}), *pages[:SLOWEST]):
        path, _, who = one.partition(" (")
        found[one] = plans(by_name[who.rstrip(")")].client(path), path)
    return found


def plans(client: FlaskClient, path: str) -> list[str]:
    """Give how the database finds the rows of each statement that a page runs."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            seen.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    ask(client, path)
    event.remove(db.engine, "before_cursor_execute", note)
    is_sqlite = db.engine.dialect.name == "sqlite"
    explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) "
    return [
        " | ".join(
            str(row[-1]).strip() for row in db.session.connection().exec_driver_sql(explain + one, given)
        )
        for one, given in seen
    ]


if __name__ == "__main__":
    sys.exit(main())
