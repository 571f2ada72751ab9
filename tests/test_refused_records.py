"""Records that the database does not take, among others that it does: how they are reported, and the real receiver."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from camera_model import CameraModel, LineDropped
from conftest import wait_until
from receiver_under_test import QUICK, Notes, Running, content
from sqlalchemy import create_engine, text
from stack import Stack
from upload_rows import IMEI, sidecar

from receiver.backend import bisecting, reporter
from receiver.backend.port import RecordRefused, SessionFacts
from receiver.net.settings import Settings
from receiver.spool.sidecar import SidecarRecord


class Table:
    """Takes numbers but those in `bad`; is away from the call named on."""

    def __init__(self, bad: set[int], away_at: int = 0) -> None:
        self.bad, self.calls, self.away_at = bad, 0, away_at
        self.taken: list[int] = []
        self.refused: list[int] = []

    def take(self, numbers: list[int]) -> None:
        self.calls += 1
        if self.calls == self.away_at:
            raise ConnectionError
        if self.bad & set(numbers):
            raise RecordRefused("one of them")
        self.taken += numbers

    def tell(self, queue: list[int], most: int = 8) -> None:
        def done(numbers: list[int]) -> None:
            assert queue[: len(numbers)] == numbers
            del queue[: len(numbers)]

        bisecting.deliver(
            lambda most: queue[:most], self.take, done, lambda number, _: self.refused.append(number), most
        )


@pytest.mark.parametrize("bad", [set(), {0}, {7}, {3, 4}, {19}, {5, 13, 14}, set(range(20))])
def test_each_is_taken_once_and_each_bad_one_is_refused_alone(bad: set[int]) -> None:
    table, queue = Table(bad), list(range(20))
    table.tell(queue)
    assert table.taken == [number for number in range(20) if number not in bad]
    assert (table.refused, queue) == (sorted(bad), [])


def test_one_bad_thing_costs_a_few_calls_and_not_one_for_each() -> None:
    table = Table({500})
    table.tell(list(range(1000)), most=200)
    assert table.calls < 40


@pytest.mark.parametrize("away_at", range(1, 12))
def test_while_the_database_is_away_nothing_is_refused_and_nothing_told_twice(away_at: int) -> None:
    table, queue = Table({3, 12}, away_at), list(range(20))
    with pytest.raises(ConnectionError):
        table.tell(queue)
    assert sorted(table.taken + table.refused + queue) == list(range(20))
    table.tell(queue)
    assert table.taken == [number for number in range(20) if number not in (3, 12)]
    assert table.refused == [3, 12]


def test_what_another_process_did_at_the_same_moment_is_not_refused() -> None:
    table, queue = Table({1}), [1]
    first = table.take

    def race(numbers: list[int]) -> None:
        try:
            first(numbers)
        finally:
            table.bad.clear()

    table.take = race  # type: ignore[method-assign]
    table.tell(queue)
    assert (table.taken, table.refused) == ([1], [])


class Strict(Notes):
    """Refuses front photos until they fit, and sessions of what is no camera."""

    fits = False
    tries = 0

    def stored(self, records: Sequence[SidecarRecord]) -> list[SidecarRecord]:
        if not self.fits and any(record["identifier"] == "%photof" for record in records):
            self.tries += 1
            raise RecordRefused("it does not fit")
        return super().stored(records)

    def progress(self, records: Sequence[SidecarRecord]) -> None:
        self._reach()  # what is away refuses nothing
        if any(record["identifier"] == "%photof" for record in records):
            raise RecordRefused("it does not fit")
        super().progress(records)

    def sessions(self, facts: Sequence[SessionFacts]) -> None:
        self._reach()
        if any(fact.code == "not_a_camera" for fact in facts):
            raise RecordRefused("it does not fit")
        super().sessions(facts)


def test_partial_files_and_sessions_that_are_refused_hold_up_no_others(tmp_path: Path) -> None:
    running = Running(tmp_path, Settings(QUICK), notes=(notes := Strict()))
    notes.away = True  # so that all wait together
    running.raw(b"GET / HTTP/1.1\r\n\r\n")
    for name in ("%photof", "%photor"):
        with pytest.raises(LineDropped):
            CameraModel(files={name: content(9000)}, drop_at=4).run(running.port)
    wait_until(lambda: len(running.server.reporter._partials) == 2)
    notes.away = False
    wait_until(lambda: [record["identifier"] for record in notes.partial.values()] == ["%photor"])
    wait_until(lambda: notes.codes == ["lost", "lost"])
    assert not running.server.reporter._partials
    running.stop()


def test_a_file_whose_record_was_refused_is_tried_again_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "REFUSED_SECONDS", 0.5)
    monkeypatch.setattr(reporter, "LEFT_SECONDS", 0.2)
    running = Running(tmp_path, Settings(QUICK), notes=(notes := Strict()))
    CameraModel(files={"%photof": content(2000), "%photor": content(3000)}).run(running.port)
    wait_until(lambda: [r["identifier"] for r in notes.stored_files.values()] == ["%photor"])
    wait_until(lambda: notes.tries >= 4)
    notes.fits = True
    wait_until(lambda: len(notes.stored_files) == 2)
    wait_until(lambda: running.server.reporter.refused == {})
    running.stop()


# what passes for a sidecar and fits no row: of a number, a text, a place, a thing that is no text
DAMAGED: tuple[dict[str, Any], ...] = (
    {"crc_errors": 2**63}, {"session": "\ud800"}, {"latitude": "north"}, {"session": {"id": 1}},
)  # fmt: skip
DAMAGED_FOR_POSTGRESQL: tuple[dict[str, Any], ...] = ({"session": "\0"}, {"file_type": "photograph"})
GOOD = 5


@pytest.fixture
def stack(tmp_path: Path, database_url: str) -> Iterator[Stack]:
    stack = Stack(tmp_path, database_url, RECEIVER_UNKNOWN_DEVICES="quarantine")
    stack.prepare()
    yield stack
    stack.close()


def leave(stack: Stack, number: int, **changes: Any) -> str:
    """Leave a stored file as a killed receiver does; give its upload."""
    data, upload = b"picture %d" % number, f"{number:032x}"
    path = f"2026/11/24/12/{IMEI}_{upload}.jpg"
    given = {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()} | changes
    timestamp = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp() * 1000) + number
    file, waiting = (
        stack.folder / "media" / path,
        stack.folder / "spool" / "pending" / f"{IMEI}_{upload}.json",
    )
    for place in (file, waiting):
        place.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    waiting.write_text(json.dumps(sidecar(upload, timestamp=timestamp, **given)))
    return upload


def rows(stack: Stack) -> set[str]:
    engine = create_engine(
        stack.environment["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
    )
    try:
        with engine.connect() as connection:
            return set(
                connection.execute(text("SELECT id FROM uploads WHERE state <> 'receiving'")).scalars()
            )
    finally:
        engine.dispose()


def waiting(stack: Stack) -> set[str]:
    return {path.name for path in (stack.folder / "spool" / "pending").iterdir()}


@pytest.mark.long
def test_a_damaged_sidecar_holds_up_no_other_and_stays(stack: Stack, database_url: str) -> None:
    damaged = DAMAGED + (DAMAGED_FOR_POSTGRESQL if database_url.startswith("postgresql") else ())
    bad = [leave(stack, number, **changes) for number, changes in enumerate(damaged)]
    good = {leave(stack, 100 + number) for number in range(GOOD)}
    stack.start("receiver")
    wait_until(lambda: rows(stack) == good)
    wait_until(lambda: waiting(stack) == {f"{IMEI}_{upload}.json" for upload in bad})
    lines = stack.log("receiver").splitlines()
    assert sorted(upload for line in lines for upload in bad if upload in line) == bad, (
        "reported once, not in a hot loop"
    )
    metrics = requests.get(f"http://127.0.0.1:{stack.health_port}/metrics", timeout=5).text
    assert f"dualcam_receiver_refused_files {len(bad)}.0" in metrics

    CameraModel(files={"%photof": b"one more"}).run(stack.receiver_port)
    wait_until(lambda: len(rows(stack)) == GOOD + 1)


@pytest.mark.long
def test_a_sidecar_that_a_person_copied_is_one_file(stack: Stack) -> None:
    uploads = {leave(stack, number) for number in range(GOOD)}
    pending = stack.folder / "spool" / "pending"
    for path in list(pending.iterdir()):
        (pending / f"copy of {path.name}").write_bytes(path.read_bytes())
    stack.start("receiver")
    wait_until(lambda: rows(stack) == uploads)
    wait_until(lambda: waiting(stack) == set())
    assert "refuse" not in stack.log("receiver")
