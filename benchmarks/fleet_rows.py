"""Fills a database with a large fleet and what it did in a year, by SQL in bulk, for `fleet.py`.

One statement a table: the database itself makes the rows, while the indexes of the table are away and foreign keys are
not looked at. Ids, times and states are spread as a fleet of years has them, the same on SQLite and PostgreSQL.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Boolean, Connection, Integer, NullPool, Table, create_engine, text

from provisioning.models import db

YEAR_MS = 365 * 86_400_000
FIRST_IMEI = 352094000000000
OPEN = 500  # requests that have not ended
UNMATCHED = 30  # texts that nobody claimed
RARE = 5  # vehicles with the tag that few have
NUMBERED = ("devices", "device_phones", "status_items", "health_changes")
HISTORY = '[{"at": "2026-01-02T03:04:05Z", "state": "done", "note": "All files are here."}]'
PAGES_AT_ONCE = -1_000_000  # kiB that SQLite may keep in memory while it fills


@dataclass(frozen=True, slots=True)
class Fleet:
    """How large the fleet is; what cameras and people did is in proportion to the requests."""

    vehicles: int
    commands: int

    @property
    def files(self) -> int:
        """Count the files of cameras; half as many events hold them."""
        return self.commands // 5


def fill(url: str, fleet: Fleet) -> float:
    """Make the fleet in an empty, migrated database, unless it holds vehicles; give the seconds."""
    began = time.monotonic()
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if connection.scalar(text("SELECT count(*) FROM devices")):
            return 0.0
        _Filling(connection, fleet).make_all()
    engine.dispose()
    return time.monotonic() - began


class _Filling:
    """One fill: writes SQL for its database."""

    def __init__(self, connection: Connection, fleet: Fleet) -> None:
        self.connection, self.fleet = connection, fleet
        self.is_sqlite = connection.dialect.name == "sqlite"
        self.now = int(time.time() * 1000)

    def make_all(self) -> None:
        """Make all rows, then what the database needs to know of them."""
        settings = (
            ("PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", "PRAGMA foreign_keys=OFF",
             f"PRAGMA cache_size={PAGES_AT_ONCE}", "PRAGMA temp_store=MEMORY")
            if self.is_sqlite
            else ("SET session_replication_role = replica", "SET maintenance_work_mem = '1GB'")
        )  # fmt: skip
        for one in settings:
            self.run(one)
        self.make_devices()
        self.make_requests()
        self.make_media()
        self.make_facts()
        if self.is_sqlite:
            self.run("PRAGMA journal_mode=WAL")  # and no ANALYZE: the product runs none
        else:
            for name in NUMBERED:
                self.run(
                    f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT max(id) FROM {name}))"
                )
            self.run("VACUUM (ANALYZE)")  # as autovacuum does

    def make_devices(self) -> None:
        """Make vehicles in all states of health, with two tags each, and a tag that few have."""
        at = f"{self.now} - i * 61000 % {30 * 86_400_000}"
        self.add("devices", self.fleet.vehicles, {
            "id": "i + 1", "imei": self.text(f"{FIRST_IMEI} + i + 1", 15),
            "phone": f"'+1' || {self.text('2025550001 + i', 15)}",
            "name": f"'Truck ' || {self.padded('i + 1')}", "plate": f"'KLM ' || {self.padded('i + 1')}",
            "model": "'FMC125'", "time_zone": "'UTC'",
            "health_state": """CASE WHEN i % 50 = 0 THEN 'broken' WHEN i % 25 = 1 THEN 'limited'
                WHEN i % 33 = 2 THEN 'silent' WHEN i % 17 = 3 THEN 'unchecked' ELSE 'working' END""",
            "health_code": """CASE WHEN i % 50 = 0 THEN 'server_unreachable' WHEN i % 25 = 1 THEN 'no_card'
                WHEN i % 33 = 2 THEN 'silent' WHEN i % 17 = 3 THEN 'never_checked' ELSE 'proved' END""",
            "health_arguments": "'{}'", "health_since": self.moment(at),
            "seen_at": f"CASE WHEN i % 40 = 7 THEN NULL ELSE {self.moment(at)} END",
            "connected_at": self.moment(f"{self.now} - i * 700 % 86400000"),
            "file_at": f"CASE WHEN i % 30 = 7 THEN NULL ELSE {self.moment(at)} END",
            "proved_at": "CASE WHEN i % 17 = 3 THEN NULL ELSE " + self.moment(str(self.now - YEAR_MS)) + " END",
            "archived_at": f"CASE WHEN i % 500 = 499 THEN {self.moment(at)} END",
            "created_at": self.moment(str(self.now - YEAR_MS)), "updated_at": self.moment(at),
        })  # fmt: skip
        for tag, rows in (
            (f"'depot ' || {self.text('i % 20', 3)}", self.fleet.vehicles),
            ("CASE WHEN i % 2 = 0 THEN 'box' ELSE 'flatbed' END", self.fleet.vehicles),
            ("'lent out'", RARE),
        ):
            self.add("device_tags", rows, {"device_id": "i + 1", "tag": tag})
        self.add("device_phones", self.fleet.vehicles, {
            "id": "i + 1", "device_id": "i + 1", "phone": f"'+1' || {self.text('2025550001 + i', 15)}",
            "since": self.moment(str(self.now - YEAR_MS)),
        })  # fmt: skip

    def make_requests(self) -> None:
        """Make requests and settings, of which the newest are open, an attempt each for some, and their texts."""
        rows, at = self.fleet.commands, self.moment("ms")
        is_open = f"i >= {rows - OPEN}"
        self.add("commands", rows, {
            "id": self.ident("ms", "i"), "device_id": "device",
            "kind": "CASE i % 10 WHEN 7 THEN 'setparam' WHEN 8 THEN 'getparam' WHEN 9 THEN 'getver' ELSE 'camreq' END",
            "arguments": """CASE i % 10 WHEN 7 THEN '{"parameters": {"66000": 2}}' WHEN 8 THEN '{"parameters": [66000]}'
                WHEN 9 THEN '{}' ELSE '{"file_type": "photo", "source": "front"}' END""",
            "text": "'••••• ••••• camreq:1,1'", "length": "22", "credentials": "'current'",
            "state": f"""CASE WHEN {is_open} AND i % 2 = 0 THEN 'queued' WHEN {is_open} THEN 'answered'
                WHEN i % 20 = 0 THEN 'failed' WHEN i % 20 = 1 THEN 'expired' ELSE 'done' END""",
            "error_code": "CASE WHEN i % 20 = 0 THEN 'no_device' END", "due_at": at, "created_at": at,
            "updated_at": at, "sending_at": f"CASE WHEN NOT ({is_open} AND i % 2 = 0) THEN {at} END",
            "answered_at": f"CASE WHEN NOT ({is_open} AND i % 2 = 0) AND i % 20 > 1 THEN {at} END",
            "ended_at": f"CASE WHEN NOT {is_open} THEN {at} END", "history": f"'{HISTORY}'",
            "requested_by": "'benchmark'",
        })  # fmt: skip
        rows = self.fleet.files
        self.add("messages", rows, {
            "id": self.ident("ms", "i + 1"), "direction": "CASE WHEN i % 2 = 0 THEN 'out' ELSE 'in' END",
            "gateway": "'twilio'", "gateway_id": "'SM' || " + self.ident("ms", "i + 1"),
            "sender": "'+12025550100'", "recipient": f"'+1' || {self.text('2025550000 + device', 15)}",
            "body": "'Photo request accepted, sending starts soon'",
            "status": "CASE WHEN i % 2 = 0 THEN 'delivered' ELSE 'received' END",
            "device_id": f"CASE WHEN i >= {rows - UNMATCHED} THEN NULL ELSE device END",
            "claimed": f"i % 2 = 1 AND i < {rows - UNMATCHED}", "created_at": at, "received_at": at,
        })  # fmt: skip

    def make_media(self) -> None:
        """Make files, most of two for each event and one for each request, their events, and connections."""
        rows, at = self.fleet.files, self.moment("ms")
        pair = f"{self.now - YEAR_MS} + i / 2 * 2 * {YEAR_MS // rows}"  # the moment of an event
        vehicle = f"i / 2 * 7919 % {self.fleet.vehicles}"
        self.add("uploads", rows, {
            "id": self.ident("ms", "i + 2"), "device_id": f"{vehicle} + 1",
            "imei": self.text(f"{FIRST_IMEI} + {vehicle} + 1", 15),
            "identifier": "CASE WHEN i % 2 = 0 THEN '%photof' ELSE '%photor' END",
            "file_type": "CASE WHEN i % 10 < 2 THEN 'video' ELSE 'photo' END",
            "source": "CASE WHEN i % 2 = 0 THEN 'front' ELSE 'rear' END",
            "state": f"""CASE WHEN i < {rows - 50} THEN 'stored' WHEN i % 3 = 0 THEN 'receiving'
                WHEN i % 3 = 1 THEN 'partial' ELSE 'stored' END""",
            "has_metadata": "TRUE", "trigger": "CASE WHEN i % 10 < 2 THEN 9 ELSE 0 END", "timestamp": at,
            "recorded_at": at, "packets": "40",
            "received_packets": "CASE WHEN i % 3 = 2 THEN 40 ELSE 17 END", "size": "40000",
            "started_at": at, "updated_at": at, "received_at": at, "event_id": self.ident(pair, "i / 2"),
            "thumbnail_state": f"CASE WHEN i < {rows - 50} THEN 'ready' END",
            "looked_like": "CASE WHEN i % 50000 = 9 THEN 'another request' END",
        }, device=vehicle + " + 1")  # fmt: skip
        rows //= 2
        self.add("events", rows, {
            "id": self.ident(f"{self.now - YEAR_MS} + i * 2 * {YEAR_MS // (2 * rows)}", "i"),
            "device_id": f"i * 7919 % {self.fleet.vehicles} + 1",
            "kind": """CASE WHEN i % 1000 = 0 THEN 'crash' WHEN i % 1000 = 1 THEN 'tow' WHEN i % 100 = 2 THEN 'harsh'
                WHEN i % 50 = 3 THEN 'check' WHEN i % 5 = 4 THEN 'periodic' ELSE 'asked' END""",
            "at": at, "cameras": "'both'", "file_types": "CASE WHEN i % 5 = 0 THEN 'video' ELSE 'photo' END",
            "seen_at": f"CASE WHEN i % 10 < 7 OR i % 1000 < 2 AND i < {rows * 9 // 10} THEN {at} END",
            "saved_at": f"CASE WHEN i % 5000 = 4 THEN {at} END",
        })  # fmt: skip
        unknown = f"i % {rows // 20 + 1} = 0"
        self.add("sessions", rows, {
            "id": self.ident("ms", "i + 3"), "device_id": f"CASE WHEN NOT {unknown} THEN device END",
            "imei": f"CASE WHEN {unknown} THEN {self.text('862000000000000 + i', 15)} "
            f"ELSE {self.text(f'{FIRST_IMEI} + device', 15)} END",
            "address": "'192.0.2.7:4711'", "started_at": at, "ended_at": at, "code": "'done'", "files": "2",
            "connections": "1",
        })  # fmt: skip

    def make_facts(self) -> None:
        """Make what is known of each vehicle, how its health changed, checks, and who did what."""
        vehicles, at = self.fleet.vehicles, self.moment("ms")
        self.add("status_items", vehicles * 20, {
            "id": "i + 1", "device_id": f"i % {vehicles} + 1",
            "item": f"'parameter.' || {self.text(f'66000 + i / {vehicles}', 8)}",
            "value": "'2'", "verdict": "'good'", "since": at, "checked_at": at,
        })  # fmt: skip
        self.add("health_changes", vehicles * 10, {
            "id": "i + 1", "device_id": "device", "state": "CASE WHEN i % 2 = 0 THEN 'working' ELSE 'silent' END",
            "code": "CASE WHEN i % 2 = 0 THEN 'proved' ELSE 'silent' END", "since": at, "at": at,
        })  # fmt: skip
        self.add("checklist_runs", vehicles, {
            "id": self.ident("ms", "i + 4"), "device_id": "i + 1", "started_by": "'benchmark'", "started_at": at,
            "updated_at": at, "ended_at": f"CASE WHEN i >= 20 THEN {at} END", "waits_for_person": "i < 20",
        })  # fmt: skip
        self.add("audit_entries", self.fleet.files // 2, {
            "id": self.ident("ms", "i + 5"), "at": at, "address": "'192.0.2.8'",
            "who": f"'user' || {self.text('i % 200', 3)} || '@example.com'",
            "action": "CASE WHEN i % 3 = 0 THEN 'saw' ELSE 'asked' END",
            "object": f"'device:' || {self.text(f'{FIRST_IMEI} + device', 15)}",
            "imei": self.text(f"{FIRST_IMEI} + device", 15),
        })  # fmt: skip

    def add(self, name: str, rows: int, given: Mapping[str, str], device: str = "") -> None:
        """Insert rows by expressions of `i`, counted from 0, `ms`, the time of row i, and `device`, its vehicle's id.

        A column that must have a value and is given none gets FALSE, 0, '{}' or ''.
        """
        table = db.metadata.tables[name]
        values = {
            column.name: _nothing(column.type) for column in table.columns if not column.nullable
        } | given
        if not self.is_sqlite:
            values |= {
                name: f"CAST({value} AS JSON)"
                for name, value in values.items()
                if isinstance(table.c[name].type, JSON)
            }
        columns = ", ".join(f'"{column}"' for column in values)
        step = max(1, YEAR_MS // rows)
        device = device or f"i * 7919 % {self.fleet.vehicles} + 1"
        with self.without_indexes(table):
            self.run(
                f"INSERT INTO {name} ({columns}) SELECT {', '.join(values.values())} FROM (WITH RECURSIVE n(i) AS ("
                f"SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {rows}) "
                f"SELECT i, {self.now} - ({rows} - i) * {step} AS ms, {device} AS device FROM n) AS r"
            )

    @contextmanager
    def without_indexes(self, table: Table) -> Iterator[None]:
        """Take the indexes of a table away, but those of constraints, and make them anew after the block."""
        query = (
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = :table"
            if self.is_sqlite
            else "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = :table "
            "AND indexname NOT IN (SELECT conname FROM pg_constraint)"
        )
        indexes = self.connection.execute(text(query), {"table": table.name}).all()
        for name, _ in indexes:
            self.run(f"DROP INDEX {name}")
        yield
        for _, made_by in indexes:
            self.run(made_by)

    def run(self, statement: str) -> None:
        """Execute one statement as it stands."""
        self.connection.exec_driver_sql(statement.replace("%", "%%") if not self.is_sqlite else statement)

    def moment(self, ms: str) -> str:
        """Give a time, by milliseconds since 1970, as the database keeps it."""
        if self.is_sqlite:
            return f"strftime('%Y-%m-%d %H:%M:%f000', ({ms}) / 1000.0, 'unixepoch')"
        return f"to_timestamp(({ms}) / 1000.0)"

    def ident(self, ms: str, number: str) -> str:
        """Give an id of that time."""
        if self.is_sqlite:
            return f"printf('%012x%020x', {ms}, {number})"
        return (
            f"lpad(to_hex(CAST({ms} AS BIGINT)), 12, '0') || lpad(to_hex(CAST({number} AS BIGINT)), 20, '0')"
        )

    def text(self, number: str, length: int) -> str:
        """Give a number as text."""
        return f"CAST({number} AS VARCHAR({length}))"

    def padded(self, number: str) -> str:
        """Give a number as text of five digits."""
        return f"substr({self.text(f'100000 + {number}', 7)}, 2)"


def _nothing(kind: Any) -> str:
    """Give a value for a column that must have one."""
    if isinstance(kind, Boolean):
        return "FALSE"
    if isinstance(kind, JSON):
        return "'{}'"
    return "0" if isinstance(kind, Integer) else "''"
