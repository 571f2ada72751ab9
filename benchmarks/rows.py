"""What sweeps, new files, replies and pages cost over a database that has grown.

`python benchmarks/rows.py [--rows 500000] [--database sqlite|postgresql]` fills a fresh database: so many uploads, a
twentieth of them of one device, and connections, texts and commands in proportion. Prints milliseconds as JSON, and
what rows cost that are reported in bulk.
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
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ.setdefault("SECRET_KEY", "only for benchmarks: not a secret of anybody")
os.environ.setdefault("ENCRYPTION_KEYS", "only for benchmarks: no key of anybody")

import flask_migrate  # noqa: E402
import postgres_server  # noqa: E402
from flask import Flask  # noqa: E402
from sqlalchemy import func, insert, select, text  # noqa: E402

from app import create_app  # noqa: E402
from provisioning import schedule  # noqa: E402
from provisioning.core.config import load  # noqa: E402
from provisioning.devices import registry  # noqa: E402
from provisioning.media import camera_sessions, previews, registration, settlement  # noqa: E402
from provisioning.models import (  # noqa: E402
    CameraSession,
    Command,
    Device,
    GatewayEvent,
    Message,
    Role,
    Upload,
    db,
    new_id,
    utcnow,
)
from provisioning.sms import inbound  # noqa: E402
from provisioning.sms.gateway import InboundSms  # noqa: E402
from provisioning.web import auth, sign_in, users  # noqa: E402
from receiver.backend.port import SessionFacts  # noqa: E402
from receiver.endings import Ending, Reason  # noqa: E402
from receiver.store.durability import new_id as id_of  # noqa: E402
from receiver.wire.actions import Offer  # noqa: E402
from receiver.wire.protocol import Metadata  # noqa: E402

DEVICES = 10_000
BUSY, NUMBER = "352094082736916", "+12025550111"  # the device with a twentieth of all
TIMES = 9
TOLD, REPORT = 20_000, 200  # rows, and how many at once
ASKED = 1_000  # files of as many devices, which a request may have made
TODAY = 3_000  # files that the busy device took by itself in the last hours
PHOTO = {"file_type": "photo", "source": "front"}
Rows = Iterator[tuple[Any, dict[str, Any]]]


@contextlib.contextmanager
def product(database: str, **settings: Any) -> Iterator[Flask]:
    """Make the app over a fresh, migrated database; `settings` are fields of Config."""
    with contextlib.ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="dualcam-rows-")))
        url = f"sqlite:///{folder}/rows.db"
        if database == "postgresql":
            server = closing.enter_context(postgres_server.running(durable=True))
            url = postgres_server.create_database(server, "rows")
        places = {
            "database_url": url.replace("postgresql://", "postgresql+psycopg://"),
            "media_url": f"file://{folder}/media",
            "media_spool": folder / "spool", "public_url": "http://dualcam.test",
        }  # fmt: skip
        app = create_app(dataclasses.replace(load(), **places, **settings))
        with app.app_context():
            flask_migrate.upgrade(directory=str(ROOT / "migrations"))
            yield app
            db.session.remove()
            db.engine.dispose()


def upload_row(at: datetime, device: int, imei: str, command: str | None, number: int) -> dict[str, Any]:
    """Give a file that was stored at that time, taken by itself."""
    return {
        "id": id_of(at), "command_id": command, "imei": imei, "device_id": device, "identifier": "%photof",
        "file_type": "photo", "source": "front", "state": "stored", "has_metadata": True, "trigger": 9,
        "timestamp": at, "announced": 54, "packets": 54, "received_packets": 54, "size": 55_000,
        "sha256": f"{number:064x}", "path": f"{imei}/{number}.jpg", "started_at": at, "updated_at": at,
        "received_at": at, "thumbnail_state": "ready",
    }  # fmt: skip


def old_rows(count: int, ids: list[int]) -> Rows:
    """Give rows of the past, ten seconds apart, the newest two days old: more than any window looks back."""
    end = utcnow() - timedelta(days=2)
    for number in range(count):
        at, device = end - timedelta(seconds=10 * (count - number)), ids[number % len(ids)]
        imei = f"{number % len(ids):015d}"
        if number % 20 == 0:
            device, imei = ids[0], BUSY
        command = id_of(at) if number % 10 == 0 else None
        if command:
            yield Command, {
                "id": command, "device_id": device, "kind": "camreq", "arguments": PHOTO, "text": "camreq:1,1",
                "length": 10, "state": "done", "due_at": at, "created_at": at, "sending_at": at, "answered_at": at,
                "ended_at": at, "history": [{"at": at.isoformat(), "state": "done", "note": None}],
            }  # fmt: skip
            yield Message, {
                "id": id_of(at), "direction": "out", "gateway": "twilio", "gateway_id": f"SM{number:032x}",
                "sender": "+12025550100", "recipient": NUMBER, "body": "…", "status": "delivered",
                "device_id": device, "command_id": command, "claimed": True, "created_at": at,
            }  # fmt: skip
            yield GatewayEvent, {
                "id": id_of(at), "kind": "status", "gateway": "twilio", "token": f"SM{number:032x}:delivered:",
                "payload": {}, "via": "webhook", "received_at": at, "processed_at": at,
            }  # fmt: skip
        yield Upload, upload_row(at, device, imei, command, number)
        if number % 2 == 0:
            yield CameraSession, {
                "id": id_of(at), "imei": imei, "device_id": device, "address": "127.0.0.1", "started_at": at,
                "ended_at": at, "code": "done",
            }  # fmt: skip


def fill(count: int) -> None:
    """Put the past into the database, 5000 rows at once."""
    db.session.execute(
        insert(Device),
        [{"imei": f"{n:015d}", "phone": f"+1{n:014d}", "name": f"Vehicle {n}"} for n in range(1, DEVICES)],
    )
    busy = registry.add({"imei": BUSY, "phone": NUMBER}, utcnow())
    ids = [busy.id, *db.session.scalars(text("SELECT id FROM devices ORDER BY id LIMIT 9999"))]
    waiting: dict[Any, list[dict[str, Any]]] = {}
    for model, row in old_rows(count, ids):
        rows = waiting.setdefault(model, [])
        rows.append(row)
        if len(rows) == 5000:
            _put(waiting)
    _put(waiting)
    if db.engine.dialect.name == "postgresql":  # as its autovacuum does; nobody does on SQLite
        db.session.execute(text("ANALYZE"))
    db.session.commit()


def today(van: Device) -> None:
    """Put what the busy device took by itself in the last hours, linked already."""
    now = utcnow()
    files = [
        upload_row(now - timedelta(seconds=10 * number + 60), van.id, BUSY, None, 10**9 + number)
        for number in range(TODAY)
    ]
    db.session.execute(insert(Upload), files)
    db.session.commit()


def _put(waiting: dict[Any, list[dict[str, Any]]]) -> None:
    for model in (Command, Upload, CameraSession, Message, GatewayEvent):
        if rows := waiting.pop(model, None):
            db.session.execute(insert(model), rows)
    db.session.commit()


def took(work: Callable[[], object]) -> float:
    """Give the median of some runs in milliseconds."""
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - began))
        db.session.rollback()
    return round(statistics.median(times), 2)


def record(ident: str, imei: str = BUSY, trigger: int = 0) -> dict[str, Any]:
    """Give the sidecar of a file that came just now."""
    now = utcnow()
    metadata = dataclasses.asdict(Metadata(4, 4, int(now.timestamp() * 1000), trigger, 0))
    return {
        "upload": ident, "imei": imei, "session": new_id(), "admission": "known", "identifier": "%photof",
        "file_type": "photo", "source": "front", "metadata": metadata, "packets": 3, "received_packets": 3,
        "size": 2500, "sha256": ident * 2, "path": f"{imei}/{ident}.jpg", "state": "stored",
        "started_at": now.isoformat(),
        "received_at": now.isoformat(), "updated_at": now.isoformat(), "resumes": 0, "crc_errors": 0, "count": 3,
        "by_path": False,
    }  # fmt: skip


def bulk(name: str, tell: Callable[[list[Any]], object], things: list[Any]) -> dict[str, float]:
    """Tell rows as the receiver does, in reports of 200: what one costs, and what a second takes."""
    began, busy = time.perf_counter(), time.process_time()
    for at in range(0, len(things), REPORT):
        tell(things[at : at + REPORT])
    took, busy = time.perf_counter() - began, time.process_time() - busy
    return {
        f"{name} reported in bulk, processor ms a row": round(1000 * busy / len(things), 3),
        f"{name} reported in bulk, rows a second": round(len(things) / took),
    }


def told_in_bulk() -> dict[str, float]:
    """Tell files and sessions of many devices, and weigh what PostgreSQL keeps of them."""
    now = utcnow()
    imeis = [f"{n:015d}" for n in range(1, DEVICES)]
    files = [record(new_id(), imeis[n % len(imeis)], trigger=9) for n in range(TOLD)]
    lines = [
        SessionFacts(
            new_id(), "127.0.0.1:50000", now, imei=imeis[n % len(imeis)], ended_at=now,
            ending=Ending(Reason.NOTHING_LEFT), files=1, bytes_received=56_000,
        )
        for n in range(TOLD)
    ]  # fmt: skip
    seen = bulk("files", lambda some: registration.register(some, utcnow()), files)
    seen |= bulk("sessions", lambda some: camera_sessions.note(some, utcnow()), lines)
    if db.engine.dialect.name == "postgresql":
        for model in (Upload, CameraSession):
            size = db.session.scalar(select(func.pg_total_relation_size(model.__tablename__)))
            rows = db.session.scalar(select(func.count()).select_from(model))
            seen[f"bytes a row of {model.__tablename__}, with indexes"] = round(size / rows)
    db.session.rollback()
    seen |= linked("files taken by themselves", TOLD)
    registration.register([record(new_id(), imeis[n]) for n in range(ASKED)], utcnow())
    return seen | linked("files that a request may have made", ASKED)


def linked(name: str, count: int) -> dict[str, float]:
    """Settle what was reported and make its events, as the worker does."""
    began, busy = time.perf_counter(), time.process_time()
    settlement.settle_all(utcnow)
    took, busy = time.perf_counter() - began, time.process_time() - busy
    return {
        f"{name} linked, with events, processor ms each": round(1000 * busy / count, 2),
        f"{name} linked, with events, a second": round(count / took),
    }


def measure(app: Flask) -> dict[str, float]:
    """Do what the service does all day."""
    app.testing = True
    client, token = app.test_client(), auth.create_token("benchmark", Role.VIEWER)
    user = users.create("viewer@example.com", Role.VIEWER, "a long enough password")
    made = sign_in.begin(user, "127.0.0.1", "benchmark", utcnow())
    with client.session_transaction() as session:
        session["_user_id"], session["_fresh"] = made.key, True
    van = db.session.scalars(select(Device).where(Device.imei == BUSY)).one()
    offer = Offer("%photof", False, 3, Metadata(4, 4, int(time.time() * 1000), 0, 0))
    db.session.add(
        Command(
            device_id=van.id, kind="camreq", arguments=PHOTO, text="camreq:1,1", length=10, state="in_progress",
            in_flight=True, capturing=True, sending_at=utcnow(), expires_at=utcnow() + timedelta(hours=1),
        )
    )  # fmt: skip
    db.session.commit()

    def new_file() -> None:
        registration.register([record(new_id())], utcnow())
        settlement.settle_all(utcnow)

    def reply() -> None:
        sms = InboundSms("twilio", new_id(), NUMBER, "+12025550100", "words of nobody")
        inbound.receive(sms, utcnow(), via="webhook")

    def get(path: str) -> Callable[[], None]:
        def read() -> None:
            headers = {"Authorization": f"Bearer {token}"} if path.startswith("/api") else {}
            answer = client.get(path, headers=headers)
            assert answer.status_code == 200, (path, answer.status_code)

        return read

    today(van)
    seen = {
        "was this file stored before (receiver)": took(
            lambda: registration.recall(db.session.connection(), [(BUSY, offer)])
        ),
        "a new file, registered and linked": took(new_file),
        "a reply by SMS": took(reply),
        "the sweep of each three seconds": took(
            lambda: (
                settlement.settle_all(utcnow),
                schedule.sweep(utcnow),
                previews.due("photo", 25, utcnow()),
            )
        ),
    }
    for path in (
        "/", f"/vehicles/{BUSY}", f"/vehicles/{BUSY}/log", f"/media?vehicle={BUSY}", "/inbox", "/media", "/metrics",
        "/api/v1/devices", "/api/v1/uploads", f"/api/v1/uploads?imei={BUSY}", "/api/v1/uploads?state=damaged",
        "/api/v1/commands", f"/api/v1/commands?imei={BUSY}", "/api/v1/sessions", "/api/v1/messages",
    ):  # fmt: skip
        seen[f"GET {path}"] = took(get(path))
    return seen | told_in_bulk()


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    options = parser.parse_args()
    with product(options.database) as app:
        fill(options.rows)
        print(json.dumps({"rows": options.rows, "database": options.database} | measure(app), indent=1))


if __name__ == "__main__":
    main()
