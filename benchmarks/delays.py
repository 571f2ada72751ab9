"""How soon the worker begins what is due, and what an idle one costs.

`python benchmarks/delays.py [--database sqlite|postgresql] [--times 60] [--burst 200] [--idle 20]` runs the worker as a
process of its own, beside a stand-in for the SMS gateway. Prints JSON: milliseconds (median, 95th percentile, greatest)
from a command's row to its arrival at the gateway, and from a file's arrival to its link and to its thumbnail, one at
a time at random moments and many at once; of the idle worker its statements a second, and the shares of a processor
that it and the database take.
"""

import sys

if "--worker" in sys.argv:
    from gevent import monkey

    monkey.patch_all()  # before anything else, as the worker does

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import psutil
import rows
from flask import Flask
from gateway_double import ACCOUNT_SID, AUTH_TOKEN, SENDER, Phone
from sqlalchemy import event, func, insert, select
from sqlalchemy.engine import Engine

from provisioning.core import encryption
from provisioning.core.config import Config
from provisioning.media import registration, storage
from provisioning.models import Command, Cursor, Device, Role, Upload, db, new_id, utcnow
from provisioning.web import auth
from simulator import media

UNASKED = 9  # the trigger of periodic sending: such a file answers no request
REST = 5.0  # seconds after which a worker that was started has come to rest
PATIENCE = 300.0
Figures = dict[str, Any]
SETTINGS = {
    "twilio_account_sid": ACCOUNT_SID,
    "twilio_auth_token": AUTH_TOKEN,
    "twilio_from": SENDER,
    "sms_per_second": 1000.0,
    "sms_burst": 10_000,
    "api_requests_per_minute": 1_000_000,
}


def main() -> int:
    """Measure and print; with `--worker`, be the worker."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--times", type=int, default=60, help="commands and files one at a time")
    parser.add_argument("--burst", type=int, default=200, help="commands and files at once")
    parser.add_argument("--idle", type=float, default=20, help="seconds")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return _be_worker()
    with rows.product(options.database, **SETTINGS) as app, contextlib.closing(Phone(app)) as phone:
        count = 2 * max(options.times, options.burst)
        alike = {
            "sms_login": encryption.encrypt("fleet"),
            "sms_password": encryption.encrypt("cam11"),
            "health_until": None,  # not due: deciding it for all of them would keep the worker busy
        }
        names = [{"imei": f"{n:015d}", "phone": f"+1{n:014d}"} | alike for n in range(1, count + 1)]
        db.session.execute(insert(Device), names)
        db.session.commit()
        with _worker(app.extensions["dualcam_config"]) as process:
            found: Figures = {"database": options.database, "load": round(os.getloadavg()[0], 1)}
            found["idle"] = _idle(process, options.idle)
            found["commands"] = _commands(app, phone, names, options.times, options.burst)
            found["files"] = _files(names, options.times, options.burst)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0


def _be_worker() -> int:
    """Be the worker, and write the number of its statements whenever SIGUSR1 asks."""
    import gevent

    from provisioning import worker

    statements = 0

    def count(*_: Any) -> None:
        nonlocal statements
        statements += 1

    event.listen(Engine, "before_cursor_execute", count)
    gevent.signal_handler(signal.SIGUSR1, lambda: print(statements, flush=True))
    return worker.main()


@contextlib.contextmanager
def _worker(config: Config) -> Iterator["subprocess.Popen[str]"]:
    environment = os.environ | {
        "DATABASE_URL": config.database_url,
        "MEDIA_URL": config.media_url,
        "MEDIA_SPOOL": str(config.media_spool),
        "PUBLIC_URL": config.public_url,
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "TWILIO_FROM": SENDER,
        "TWILIO_API_BASE_URL": str(config.twilio_api_base_url),
        "SMS_PER_SECOND": "1000",
        "SMS_BURST": "10000",
    }
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", __file__, "--worker"],
        cwd=rows.ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def _idle(process: "subprocess.Popen[str]", seconds: float) -> Figures:
    _wait_until(lambda: _beats() > 0)
    time.sleep(REST)
    worker = psutil.Process(process.pid)
    servers = [child for child in psutil.Process().children() if child.name() == "postgres"]

    def look() -> tuple[int, float, float]:
        process.send_signal(signal.SIGUSR1)
        assert process.stdout
        statements = int(process.stdout.readline())
        return statements, _spent(worker), sum(_spent(one) for server in servers for one in _family(server))

    before = look()
    time.sleep(seconds)
    statements, own, database = (after - then for after, then in zip(look(), before, strict=True))
    return {
        "statements_a_second": round(statements / seconds, 1),
        "worker_processor_percent": round(100 * own / seconds, 2),
        "database_processor_percent": round(100 * database / seconds, 2),
    }


def _beats() -> int:
    count = db.session.scalar(select(func.count()).select_from(Cursor)) or 0
    db.session.rollback()
    return count


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _commands(
    app: Flask, phone: Phone, names: Sequence[dict[str, str]], times: int, burst: int
) -> dict[str, Figures]:
    client, token = app.test_client(), auth.create_token("delays", Role.INSTALLER)
    numbers = {name["imei"]: name["phone"] for name in names}
    asked: dict[str, str] = {}

    def ask(imei: str) -> None:
        answer = client.post(
            f"/api/v1/devices/{imei}/commands",
            json={"command": "getver"},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.status_code == 202, answer.text
        asked[answer.json["id"]] = numbers[imei]

    def have_arrived() -> bool:
        return len(phone.sent) >= len(asked)

    def delays() -> list[float]:
        _wait_until(have_arrived)
        arrived = {m.recipient: m.created for m in list(phone.twilio.messages.values())}
        queued = db.session.execute(select(Command.id, Command.created_at).where(Command.id.in_(asked))).all()
        db.session.rollback()
        found = [_milliseconds(arrived[asked[row.id]], row.created_at) for row in queued]
        asked.clear()
        phone.twilio.messages.clear()
        return found

    imeis = iter(numbers)
    for _ in range(times):
        ask(next(imeis))
        time.sleep(random.uniform(0.2, 0.8))
    one_at_a_time = delays()
    for _ in range(burst):
        ask(next(imeis))
    return {"one at a time": _summary(one_at_a_time), "at once": _summary(delays())}


def _files(names: Sequence[dict[str, str]], times: int, burst: int) -> dict[str, Figures]:
    photo = media.photo("front", "Van", 1_795_500_000, 3, 90)
    imeis = [name["imei"] for name in names]
    singly = []
    for number in range(times):
        # every other one may answer a request: it is linked device by device
        record = _record(photo, imeis[number], UNASKED if number % 2 else 0)
        registration.register([record], utcnow())
        singly.append(record["upload"])
        time.sleep(random.uniform(0.2, 0.8))
    found = _since_arrival("one at a time", singly)
    records = [_record(photo, imeis[number], UNASKED) for number in range(burst)]
    registration.register(records, utcnow())
    return found | _since_arrival("at once", [record["upload"] for record in records])


def _record(photo: bytes, imei: str, trigger: int) -> dict[str, Any]:
    """Store a photo as the receiver does; give its sidecar."""
    record = rows.record(new_id(), imei, trigger)
    path = storage.media().root / record["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(photo)
    return record


def _since_arrival(name: str, idents: Sequence[str]) -> dict[str, Figures]:
    wanted = select(Upload.received_at, Upload.linked_at, Upload.updated_at).where(
        Upload.id.in_(idents), Upload.thumbnail_state == "ready"
    )

    def seen() -> Any:
        found = db.session.execute(wanted).all()
        db.session.rollback()
        return found if len(found) == len(idents) else None

    found = _wait_until(seen)
    return {
        f"linked, {name}": _summary([_milliseconds(row.linked_at, row.received_at) for row in found]),
        f"thumbnail, {name}": _summary([_milliseconds(row.updated_at, row.received_at) for row in found]),
    }


def _milliseconds(after: datetime, before: datetime) -> float:
    return 1000 * (after - before).total_seconds()


def _summary(delays: Sequence[float]) -> Figures:
    ordered = sorted(delays)
    return {
        "p50": round(statistics.median(ordered)),
        "p95": round(ordered[round(0.95 * (len(ordered) - 1))]),
        "max": round(ordered[-1]),
    }


def _wait_until(claim: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (answer := claim()):
        if time.monotonic() > deadline:
            raise TimeoutError(claim)
        time.sleep(0.2)
    return answer


if __name__ == "__main__":
    sys.exit(main())
