"""Times on pages: in the zone of the device, and those that a person types."""

import re
from datetime import UTC, datetime

import pytest
from flask import Flask
from page_visitor import IMEI, Visitor, add_van, command
from sqlalchemy import func, select

from provisioning.devices import status_table
from provisioning.media import request_progress
from provisioning.models import Command, Device, Role, Verdict, db, utcnow


@pytest.fixture
def van(app: Flask) -> Device:
    return add_van()


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app, Role.ADMIN)


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (datetime(2026, 11, 26, 20, 34, tzinfo=UTC), "22:34 EET"),
        (datetime(2026, 11, 27, 20, 34, tzinfo=UTC), "tomorrow 22:34 EET"),
        (datetime(2026, 11, 26, 22, 30, tzinfo=UTC), "tomorrow 00:30 EET"),
        (datetime(2026, 11, 28, 20, 34, tzinfo=UTC), "2026-11-28 22:34 EET"),
    ],
)
def test_a_time_of_another_day_says_which_day(moment: datetime, words: str) -> None:
    assert (
        request_progress.clock(moment, "Europe/Vilnius", datetime(2026, 11, 26, 20, 0, tzinfo=UTC)) == words
    )


def test_a_page_holds_no_time_that_only_counts_on_with_javascript(van: Device, visitor: Visitor) -> None:
    command(van)
    status_table.note(
        van, "contact.sms", None, Verdict.GOOD, now=utcnow(), source_kind="message", source_id=None
    )
    db.session.commit()
    for path in ("/", f"/vehicles/{IMEI}", f"/vehicles/{IMEI}/footage"):
        page = visitor.get(path).text
        assert "<time" in page
        assert not re.search(r"\d+ (s|min|h|d) ago", page)


def test_a_video_from_a_moment_to_come_is_refused_in_the_devices_time(van: Device, visitor: Visitor) -> None:
    answer = visitor.send(
        f"/vehicles/{IMEI}/footage", f"/vehicles/{IMEI}/ask", file_type="video", source="front", duration="10",
        **{"from": "2099-01-01T10:00:00"},
    )  # fmt: skip
    assert answer.status_code == 422
    assert "would end at 2099-01-01 10:00:10 EET, which has not come yet" in answer.text
    assert 'value="2099-01-01T10:00:00"' in answer.text
    assert db.session.scalar(select(func.count()).select_from(Command)) == 0


@pytest.mark.parametrize("begin", ["9999-12-31T23:59:59", "0001-01-01T00:00:00"])
def test_a_time_at_the_edge_of_the_calendar_is_refused_like_any_other(
    van: Device, visitor: Visitor, begin: str
) -> None:
    answer = visitor.send(
        f"/vehicles/{IMEI}/footage", f"/vehicles/{IMEI}/ask", file_type="video", source="front", duration="10",
        **{"from": begin},
    )  # fmt: skip
    assert answer.status_code == 422
    assert db.session.scalar(select(func.count()).select_from(Command)) == 0


def test_an_hour_that_the_clock_skipped_is_refused(van: Device, visitor: Visitor) -> None:
    answer = visitor.send(
        f"/vehicles/{IMEI}/footage", f"/vehicles/{IMEI}/ask", file_type="video", source="front", duration="10",
        **{"from": "2026-03-29T03:30:00"},
    )  # fmt: skip
    assert "This time does not exist in Europe/Vilnius" in answer.text


def test_a_video_is_asked_from_the_devices_own_time(van: Device, visitor: Visitor) -> None:
    visitor.send(
        f"/vehicles/{IMEI}/footage", f"/vehicles/{IMEI}/ask", file_type="video", source="front", duration="10",
        **{"from": "2026-07-01T12:00:00"},
    )  # fmt: skip
    row = db.session.scalars(select(Command)).one()
    assert row.arguments["timestamp"] == datetime(2026, 7, 1, 9, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("begin", ["", "2099-01-01T10:00:00"], ids=["now", "to come"])
@pytest.mark.parametrize("seconds", ["31", "9" * 20])
def test_31_seconds_are_refused_beside_the_form(
    van: Device, visitor: Visitor, seconds: str, begin: str
) -> None:
    answer = visitor.send(
        f"/vehicles/{IMEI}/footage", f"/vehicles/{IMEI}/ask", file_type="video", source="front", duration=seconds,
        **{"from": begin},
    )  # fmt: skip
    assert answer.status_code == 422
    assert "Seconds: Give whole seconds from 1 to 30." in answer.text


def test_the_life_of_a_command_and_its_device_stand_in_the_devices_zone(
    van: Device, visitor: Visitor
) -> None:
    at = "2026-11-26T00:00:00.000Z"
    row = command(van, history=[{"at": at, "state": "done", "note": None}])
    status_table.note(
        van, "contact.sms", at, Verdict.GOOD, now=utcnow(), source_kind="message", source_id="x"
    )
    db.session.commit()
    assert "2026-11-26 02:00:00 EET</time> Done" in visitor.get(f"/requests/{row.id}").text
    assert (
        "<strong>2026-11-26 02:00:00 EET</strong>" in visitor.get(f"/vehicles/{IMEI}/settings/tracker").text
    )


def test_a_video_of_a_moment_after_the_page_was_made_can_be_typed(van: Device, visitor: Visitor) -> None:
    field = re.search(
        r'<input [^>]*type="datetime-local"[^>]+>', visitor.get(f"/vehicles/{IMEI}/footage").text
    )
    assert field
    assert "max=" not in field[0]
