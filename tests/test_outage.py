"""What is away while devices go on, over real processes. The web: what Twilio could not bring is fetched by the
reconciler, everything once. The database: files of devices that were known just before are taken without caps.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from camera_model import CameraModel
from conftest import wait_until
from receiver_under_test import IMEI, UNKNOWN, content
from sqlalchemy import create_engine, text
from stack import Stack

from trials.evidence import Database

FLEET = {
    "352094080970012": "+12025550195",
    "352094080970020": "+12025550196",
    "352094080970038": "+12025550197",
}
QUESTIONS: tuple[dict[str, Any], ...] = (
    {"command": "getver"},
    {"command": "getparam", "parameters": [151, 66000, 66001]},
    {"command": "camreq", "file_type": "photo", "source": "front"},
)


def add_vehicles(stack: Stack) -> None:
    """Add vehicles whose cameras are switched on."""
    ready = {"parameters": {"150": "1", "151": "18", "66020": "1"}, "ignition": True}
    for imei, phone in FLEET.items():
        vehicle = {"imei": imei, "phone": phone, "sms_login": "fleet", "sms_password": "cam97"}
        stack.control("POST", "/vehicles", vehicle | ready)
        stack.api("POST", "/devices", vehicle | {"model": "FMC125"}, status=201)


def texts(stack: Stack, direction: str) -> dict[str, str]:
    """Give the gateway's messages from or to our vehicles: text by SID."""
    items = stack.control("GET", "/messages")["items"]
    ours = set(FLEET.values())
    return {
        m["id"]: m["body"]
        for m in items
        if m["direction"].startswith(direction) and ours & {m["from"], m["to"]}
    }


def test_replies_and_reports_while_the_web_is_down_are_found_afterwards_each_once(
    either_product: Stack,
) -> None:
    stack, database_url = either_product, either_product.environment["DATABASE_URL"]
    add_vehicles(stack)
    asked = [
        stack.api("POST", f"/devices/{imei}/commands", question, status=202)["id"]
        for question in QUESTIONS
        for imei in FLEET
    ]
    stack.kill("web")
    # the worker goes on: it sends, and learns of every answer by listing the gateway's messages
    wait_until(lambda: len(texts(stack, "outbound")) == len(asked), seconds=120, every=0.2)
    wait_until(lambda: len(texts(stack, "inbound")) >= len(asked), seconds=120, every=0.2)
    stack.start("web")
    ended = [stack.ended(ident, seconds=120) for ident in asked]
    assert {command["state"] for command in ended} == {"done"}, ended

    replies = texts(stack, "inbound")
    wait_until(lambda: set(replies) <= set(taken(database_url)), seconds=60, every=0.5)
    assert len(texts(stack, "outbound")) == len(asked), "nothing was sent twice"
    assert max(Counter(taken(database_url)).values()) == 1, "no reply was taken twice"
    assert "reconciler" in ways(database_url)
    for command in (
        stack.ended(ident) for ident in asked
    ):  # a file may have ended one before its reply was found
        lines = (command["reply"] or "").split("\n")
        assert len(lines) == len(set(lines)), command["reply"]
        assert lines != [""]


def taken(database_url: str) -> list[str]:
    """Give the SIDs of all inbound texts that were kept."""
    return _column(database_url, "SELECT gateway_id FROM messages WHERE direction = 'in'")


def ways(database_url: str) -> set[str]:
    """Give how inbound texts reached us."""
    return set(_column(database_url, "SELECT DISTINCT via FROM gateway_events WHERE kind = 'inbound'"))


def _column(database_url: str, statement: str) -> list[str]:
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as connection:
            return list(connection.execute(text(statement)).scalars())
    finally:
        engine.dispose()


@contextmanager
def database_away(url: str) -> Iterator[None]:
    """Cut all connections to a PostgreSQL database, and refuse new ones until the end of the block."""
    server, _, name = url.rpartition("/")

    def tell(statement: str) -> None:
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]

    tell(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    tell(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        yield
    finally:
        tell(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def sent(stack: Stack, imei: str, *numbers: int) -> int:
    """Have a camera offer photos, one after the other; give how many were acknowledged."""
    acknowledged = 0
    for number in numbers:
        camera = CameraModel(
            imei, {"%photof": content(3000, number)}, {"%photof": 1_795_600_000_000 + 1000 * number}
        )
        camera.run(stack.receiver_port)
        acknowledged += len(camera.acknowledged)
    return acknowledged


@pytest.mark.long
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite can be read whoever locks it
def test_while_the_database_is_away_caps_hold_for_strangers_and_not_for_known_devices(
    tmp_path: Path, database_url: str
) -> None:
    stack = Stack(tmp_path, database_url, QUARANTINE_FILES_PER_DEVICE="2")
    try:
        stack.prepare()
        Database(database_url).register([IMEI])
        stack.start("receiver")
        assert sent(stack, IMEI, 0) == 1
        assert sent(stack, UNKNOWN, 0) == 0
        wait_until(lambda: _column(database_url, "SELECT id FROM uploads"))
        with database_away(database_url):
            assert sent(stack, IMEI, *range(1, 7)) == 6
            assert sent(stack, UNKNOWN, *range(1, 7)) == 2
        states = "SELECT imei || ' ' || state FROM uploads"
        expected = {f"{IMEI} stored": 7, f"{UNKNOWN} quarantined": 2}
        wait_until(lambda: Counter(_column(database_url, states)) == expected)
    finally:
        stack.close()
