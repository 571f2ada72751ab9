"""How quick the list of a large fleet is: `python benchmarks/fleet.py [--vehicles 50000 --commands 5000000]`.

Fills a database of its own by SQL in bulk, then asks the pages as people do: every filter, order and kind of search,
deep pages, and somebody who is limited to a tag. Prints JSON, in milliseconds of each address on the server, without
the network: median, 95th percentile, and the median of this process's own processor time, which a busy machine changes
less (with SQLite the database is in it). With `--plans` also how the database finds the rows of each statement.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ.setdefault("SECRET_KEY", "only for this benchmark: not a secret of anybody")
os.environ.setdefault("ENCRYPTION_KEYS", "only for this benchmark: no key of anybody")

import databases  # noqa: E402
from flask import Flask, g  # noqa: E402
from flask.testing import FlaskClient  # noqa: E402
from sqlalchemy import event, text  # noqa: E402

from app import create_app  # noqa: E402
from provisioning.core.config import load  # noqa: E402
from provisioning.models import Role, db, utcnow  # noqa: E402
from provisioning.web import sign_in, users  # noqa: E402

TAGS = 20
OPEN = 500  # requests that have not ended
ROUNDS = 20
ADDRESSES = {
    "worst first": "/",
    "broken and limited": "/?state=broken,limited",
    "working": "/?state=working",
    "one tag": "/?tag=depot+7",
    "one tag, working, by name": "/?tag=depot+7&state=working&sort=name",
    "by name": "/?sort=name",
    "by last sign of life": "/?sort=seen",
    "by last picture": "/?sort=pictures",
    "broken, by last picture": "/?state=broken&sort=pictures",
    "last page": "/?page=100000",
    "last page by name": "/?sort=name&page=100000",
    "search for a name": "/?q=truck+00042",
    "search for a word in all names": "/?q=truck",
    "search for the end of an IMEI": "/?q=04242",
    "search for a plate": "/?q=klm+042",
    "search for nothing there is": "/?q=nobody",
    "search in a tag, by sign of life": "/?q=truck&tag=depot+7&sort=seen",
    "search field": "/search?q=00042",
}
# the same for both databases but for what is written in {}: how each writes a hex id and a time
DEVICES = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
INSERT INTO devices (id, imei, phone, name, plate, model, time_zone, camera_server_configured, health_state,
    health_code, health_arguments, health_since, seen_at, connected_at, file_at, created_at, updated_at)
SELECT i, CAST(352094000000000 + i AS VARCHAR(15)), '+1' || CAST(2025550000 + i AS VARCHAR(15)),
    'Truck ' || substr(CAST(100000 + i AS VARCHAR(6)), 2),
    'KLM ' || substr(CAST(100000 + i AS VARCHAR(6)), 2), 'FMC125', 'UTC', FALSE,
    CASE WHEN i % 50 = 0 THEN 'broken' WHEN i % 25 = 1 THEN 'limited' WHEN i % 33 = 2 THEN 'silent'
        WHEN i % 17 = 3 THEN 'unchecked' ELSE 'working' END,
    CASE WHEN i % 50 = 0 THEN 'wrong_mode' WHEN i % 25 = 1 THEN 'no_card' WHEN i % 33 = 2 THEN 'silent'
        WHEN i % 17 = 3 THEN 'never_checked' ELSE 'proved' END,
    '{{}}', {now}, {now}, {now}, {now}, {now}, {now} FROM n
"""
DEVICE_TAGS = """
INSERT INTO device_tags (device_id, tag) SELECT id, 'depot ' || CAST(id % {tags} AS VARCHAR(3)) FROM devices
"""
COMMANDS = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
INSERT INTO commands (id, device_id, kind, arguments, text, length, credentials, state, in_flight, capturing, due_at,
    attempts, created_at, updated_at, sending_at, answered_at, ended_at, history, late, requested_by)
SELECT {hex}, 1 + i % {vehicles}, 'camreq', '{{"file_type": "photo", "source": "front"}}', 'camreq:1,1', 20, 'current',
    CASE WHEN i <= {open} THEN 'answered' ELSE 'done' END, FALSE, FALSE, {now}, 1, {now}, {now}, {now}, {now},
    {now}, '[]', FALSE, 'benchmark' FROM n
"""
UPLOADS = """
INSERT INTO uploads (id, imei, device_id, identifier, file_type, source, state, has_metadata, announced, packets,
    received_packets, size, crc_errors, resumes, started_at, updated_at, link_fixed, settle_due, thumbnail_state,
    derive_attempts, playback_assumed{more})
SELECT {hex}, imei, id, '%photof', 'photo', '{source}', 'stored', TRUE, 0, 10, 10, 51200, 0, 0, {now}, {now}, FALSE,
    FALSE, 'ready', 0, FALSE{values} FROM devices
"""


def main() -> int:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--vehicles", type=int, default=5_000)
    parser.add_argument("--commands", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--plans", action="store_true", help="print how the rows of each statement are found")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, database(given.database, Path(folder)) as url:
        app = create_app(configured(url, Path(folder)))
        with app.app_context():
            began = time.monotonic()
            fill(given.vehicles, given.commands)
            found: dict[str, Any] = {"filled in seconds": round(time.monotonic() - began)}
            clients = {"whole fleet": signed_in(app, None), "limited to a tag": signed_in(app, ["depot 7"])}
            found["milliseconds"] = {
                f"{name} ({who})": measure(client, address, given.rounds)
                for who, client in clients.items()
                for name, address in ADDRESSES.items()
                if who == "whole fleet" or name in ("worst first", "search for a word in all names")
            }
            if given.plans:
                found["plans"] = {
                    name: plans(clients["whole fleet"], path) for name, path in ADDRESSES.items()
                }
            db.session.remove()
            db.engine.dispose()
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0


@contextlib.contextmanager
def database(name: str, folder: Path) -> Iterator[str]:
    """Make a migrated database, for as long as this runs."""
    if name == "sqlite":
        yield databases.copy_sqlite(folder / "fleet.db")
    else:
        with databases.postgres() as url:
            yield url


def configured(url: str, folder: Path) -> Any:
    """Give a configuration on this database."""
    media = {"media_url": f"file://{folder}/media", "media_spool": folder / "spool"}
    return dataclasses.replace(load(), database_url=databases.with_driver(url), **media)


def fill(vehicles: int, commands: int) -> None:
    """Make the fleet and what was asked of it."""
    is_sqlite = db.engine.dialect.name == "sqlite"
    stamp = f"{utcnow() - timedelta(days=1):%Y-%m-%d %H:%M:%S.%f}"
    now = f"'{stamp}'" if is_sqlite else f"TIMESTAMPTZ '{stamp}+00'"

    def hex_of(number: str) -> str:
        return f"printf('%032x', {number})" if is_sqlite else f"lpad(to_hex({number}), 32, '0')"

    run(DEVICES.format(count=vehicles, now=now))
    run(DEVICE_TAGS.format(tags=TAGS))
    run(COMMANDS.format(count=commands, vehicles=vehicles, hex=hex_of("i"), open=OPEN, now=now))
    columns = {
        row[0] for row in db.session.execute(text("SELECT * FROM uploads WHERE 1 = 0")).cursor.description
    }
    more = [name for name in ("event_due",) if name in columns]
    for number, source in enumerate(("front", "rear")):
        ident = hex_of(f"id * 2 + {number}")
        extra = {"more": "".join(f", {name}" for name in more), "values": ", FALSE" * len(more)}
        run(UPLOADS.format(hex=ident, source=source, now=now, **extra))
    db.session.execute(text("ANALYZE"))
    db.session.commit()


def run(statement: str) -> None:
    """Execute one statement as it stands."""
    db.session.connection().exec_driver_sql(statement)
    db.session.commit()


def signed_in(app: Flask, tags: list[str] | None) -> FlaskClient:
    """Give a browser in which somebody is signed in, who sees the whole fleet or is limited to tags."""
    email = f"{'limited' if tags else 'all'}@example.com"
    user = users.create(email, Role.SUPPORT, "seven tall lanterns wait", tags)
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"] = sign_in.begin(user, "127.0.0.1", "benchmark", utcnow()).key
        session["_fresh"] = True
    return client


def ask(client: FlaskClient, path: str) -> tuple[float, float]:
    """Ask for a page as one request does, with a session of its own; give milliseconds, and those of the processor."""
    for name in list(g):
        g.pop(name)
    db.session.remove()
    began, used = time.perf_counter(), time.process_time()
    answer = client.get(path)
    assert answer.status_code in (200, 302), (path, answer.status_code)
    return (time.perf_counter() - began) * 1000, (time.process_time() - used) * 1000


def measure(client: FlaskClient, path: str, rounds: int) -> dict[str, float]:
    """Give the figures of some rounds, after one that warms up."""
    ask(client, path)
    took = [ask(client, path) for _ in range(rounds)]
    times = sorted(time for time, _ in took)
    return {
        "median": round(statistics.median(times), 1),
        "p95": round(times[max(0, int(rounds * 0.95) - 1)], 1),
        "processor": round(statistics.median(used for _, used in took), 1),
    }


def plans(client: FlaskClient, path: str) -> list[str]:
    """Give how the database finds the rows of each statement that a page runs on vehicles."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT") and "devices" in statement:
            seen.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    ask(client, path)
    event.remove(db.engine, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if db.engine.dialect.name == "sqlite" else "EXPLAIN "
    return [
        " | ".join(
            str(row[-1]).strip() for row in db.session.connection().exec_driver_sql(explain + one, given)
        )
        for one, given in seen
    ]


if __name__ == "__main__":
    sys.exit(main())
