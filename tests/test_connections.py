"""TCP connections as rows: one each for devices, few for unknown devices, and none for ever."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from provisioning.devices import registry, status_table, status_words
from provisioning.media import camera_sessions
from provisioning.models import CameraSession, db, new_id
from receiver.backend.port import SessionFacts
from receiver.endings import Ending, Reason

IMEI, UNKNOWN_IMEI = "352094082736916", "356307042441013"
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def ended(
    second: int, imei: str | None = UNKNOWN_IMEI, reason: Reason = Reason.UNKNOWN_DEVICE, **more: object
) -> SessionFacts:
    at = NOON + timedelta(seconds=second)
    facts = SessionFacts(new_id(), f"203.0.113.7:{40_000 + second % 20_000}", at, imei=imei)
    facts.ended_at, facts.ending, facts.bytes_received = at, Ending(reason), 16
    for name, value in more.items():
        setattr(facts, name, value)
    return facts


def rows() -> list[CameraSession]:
    return list(db.session.scalars(select(CameraSession).order_by(CameraSession.started_at)))


def test_a_stranger_that_comes_back_every_second_is_one_row_a_day(app: Flask) -> None:
    for second in range(0, 600, 12):
        camera_sessions.note([ended(second + n) for n in range(12)], NOON + timedelta(seconds=second))
    (row,) = rows()
    assert (row.imei, row.code, row.connections, row.bytes_received) == (
        UNKNOWN_IMEI,
        "unknown_device",
        600,
        9600,
    )
    assert (row.started_at, row.ended_at) == (NOON, NOON + timedelta(seconds=599))
    assert row.address == "203.0.113.7:40599"
    camera_sessions.note([ended(86_400)], NOON + timedelta(days=1))
    assert [row.connections for row in rows()] == [600, 1]


def test_receivers_that_count_the_same_stranger_at_once_lose_no_count(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera_sessions.note([ended(0)], NOON)
    db.session.remove()
    real, inside = camera_sessions.put_all, list[str]()

    def put_all(*given: Any, **more: Any) -> None:
        """Just before one receiver writes its count, another one does."""
        if given[0] is CameraSession and not inside:
            inside.append("another")
            with app.app_context():
                camera_sessions.note([ended(2)], NOON)
                db.session.remove()
        real(*given, **more)

    monkeypatch.setattr(camera_sessions, "put_all", put_all)
    camera_sessions.note([ended(1)], NOON)
    assert [(row.connections, row.bytes_received) for row in rows()] == [(3, 48)]


def test_a_scanner_without_imei_is_one_row_for_each_way_it_ended(app: Flask) -> None:
    for second in range(30):
        camera_sessions.note(
            [ended(second, None, (Reason.ANSWER_NOT_READ, Reason.NO_CAMERA)[second % 2])], NOON
        )
    assert sorted((row.code, row.connections) for row in rows()) == [("not_a_camera", 15), ("timeout", 15)]


def test_invented_imeis_share_one_row_beyond_the_cap(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_sessions, "UNKNOWN_A_DAY", 10)
    for first in range(0, 40, 4):
        camera_sessions.note([ended(n, f"{n:015d}") for n in range(first, first + 4)], NOON)
    found = rows()
    assert len(found) <= 10 + 4 + 1
    assert sum(row.connections for row in found) == 40
    assert max(row.connections for row in found if row.imei is None) >= 25


def test_a_device_has_a_row_for_each_connection_also_while_it_lasts(app: Flask) -> None:
    registry.add({"imei": IMEI, "phone": "+12025550111"}, NOON)
    open_now = ended(0, IMEI, ended_at=None, ending=None)
    camera_sessions.note([open_now, ended(1, IMEI, Reason.CLOSED), ended(2, IMEI, Reason.CLOSED)], NOON)
    open_now.ended_at, open_now.ending, open_now.files = NOON, Ending(Reason.NOTHING_LEFT), 1
    camera_sessions.note([open_now], NOON)
    assert sorted(str(row.code) for row in rows()) == ["done", "lost", "lost"]


def test_a_stranger_whose_files_are_kept_has_a_row_for_each_connection(app: Flask) -> None:
    camera_sessions.note([ended(n, reason=Reason.NOTHING_LEFT, files=1) for n in range(2)], NOON)
    assert [row.files for row in rows()] == [1, 1]


def test_old_connections_are_forgotten(app: Flask) -> None:
    registry.add({"imei": IMEI, "phone": "+12025550111"}, NOON)
    camera_sessions.note([ended(second, IMEI, Reason.CLOSED) for second in range(5)], NOON)
    camera_sessions.forget(NOON + timedelta(days=30), days=90)
    assert len(rows()) == 5
    camera_sessions.forget(NOON + timedelta(days=91), days=90)
    assert db.session.scalar(select(func.count()).select_from(CameraSession)) == 0


def test_a_connection_whose_receiver_was_killed_does_not_look_open_for_ever(app: Flask) -> None:
    registry.add({"imei": IMEI, "phone": "+12025550111"}, NOON)
    camera_sessions.note([ended(0, IMEI, ended_at=None, ending=None)], NOON)
    camera_sessions.close_left(NOON + timedelta(hours=1))
    assert [row.code for row in rows()] == [None]
    camera_sessions.close_left(NOON + timedelta(hours=25))
    (row,) = rows()
    assert (row.code, row.ended_at) == ("unknown", NOON)


def tracker_data(second: int, imei: str = IMEI) -> SessionFacts:
    return ended(second, imei, Reason.TRACKER_DATA)


def test_a_tracker_that_sends_its_own_data_here_is_told_at_its_device(app: Flask) -> None:
    device = registry.add({"imei": IMEI, "phone": "+12025550123"}, NOON)
    camera_sessions.note([tracker_data(second) for second in range(5)], NOON)
    item = status_table.get(device.id, "tracker.server")
    assert item is not None
    assert (item.verdict, status_words.sentence(item.note)) == ("bad", Reason.TRACKER_DATA.sentence)
    assert status_table.get(device.id, "contact.tcp") is None  # its camera did not come
    assert [(row.imei, row.code, row.connections) for row in rows()] == [(IMEI, "tracker_data", 5)]


def test_word_of_a_tracker_that_came_astray_goes_a_day_after_it_came_last(app: Flask) -> None:
    device = registry.add({"imei": IMEI, "phone": "+12025550123"}, NOON)
    camera_sessions.note([tracker_data(0)], NOON)
    camera_sessions.forget(NOON + timedelta(hours=23), 90)
    assert status_table.get(device.id, "tracker.server") is not None
    camera_sessions.forget(NOON + timedelta(hours=25), 90)
    assert status_table.get(device.id, "tracker.server") is None


def test_a_strangers_tracker_is_counted_as_a_stranger(app: Flask) -> None:
    camera_sessions.note([tracker_data(second, UNKNOWN_IMEI) for second in range(5)], NOON)
    assert [(row.peer, row.code, row.connections) for row in rows()] == [(UNKNOWN_IMEI, "tracker_data", 5)]


def test_a_device_that_reached_its_limit_of_a_day_says_so_for_a_day(app: Flask) -> None:
    device = registry.add({"imei": IMEI, "phone": "+12025550123"}, NOON)
    camera_sessions.note([ended(0, IMEI, Reason.DAY_FULL)], NOON)
    item = status_table.get(device.id, "files.day_limit")
    assert item is not None
    assert (item.value, item.verdict, item.source_kind) == ("reached", "warn", "session")
    camera_sessions.forget(NOON + timedelta(hours=25), 90)
    assert status_table.get(device.id, "files.day_limit") is None
