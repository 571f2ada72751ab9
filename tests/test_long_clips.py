"""A clip of more than 30 s: several requests, which the API, its preview and the form all say alike."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from page_visitor import IMEI, Visitor, flat, upload
from sqlalchemy import func, select
from test_fleet_lists import Program

from provisioning.commands import submission
from provisioning.devices import durations
from provisioning.devices.durations import Measured, Wanted
from provisioning.media import event_service
from provisioning.models import Command, Device, Event, Role, db, utcnow

BEGIN = int(datetime(2026, 2, 3, 8, 0, tzinfo=UTC).timestamp())
ASK = f"/devices/{IMEI}/commands"
FORM = {"file_type": "video", "source": "both", "duration": "75", "from": "2026-02-03T10:00:00"}


@pytest.fixture
def program(app: Flask) -> Program:
    return Program(app, Role.SUPPORT)


def clip(seconds: int, **more: Any) -> dict[str, Any]:
    given = {"command": "camreq", "file_type": "video", "source": "both", "timestamp": BEGIN, "split": True}
    return given | {"duration": seconds} | more


def pieces(rows: Any) -> list[tuple[int, int]]:
    return [(row["arguments"]["timestamp"] - BEGIN, row["arguments"]["duration"]) for row in rows]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (20, [(0, 20)]),
        (30, [(0, 30)]),
        (31, [(0, 30), (30, 1)]),
        (60, [(0, 30), (30, 30)]),
        (120, [(0, 30), (30, 30), (60, 30), (90, 30)]),
    ],
)
def test_a_clip_is_asked_for_in_requests_of_at_most_30_seconds(
    program: Program, van: Device, seconds: int, expected: list[tuple[int, int]]
) -> None:
    answer = program.call("POST", ASK, clip(seconds), 202)
    assert list(answer) == ["commands"]
    assert pieces(answer["commands"]) == expected
    found = program.call("POST", f"{ASK}/preview", clip(seconds, timestamp=BEGIN - 3600))
    assert (found["sms"], len(found["messages"])) == (len(expected), len(expected))


def test_without_split_30_seconds_are_the_most(program: Program, van: Device) -> None:
    for path in (ASK, f"{ASK}/preview"):
        for given in (clip(31, split=False), clip(31, split=None)):
            errors = program.call("POST", path, given, 422)["errors"]
            assert errors == {"duration": ["Give whole seconds from 1 to 30."]}
        assert program.call("POST", path, clip(121), 422)["errors"] == {
            "duration": ["Give whole seconds from 1 to 120."]
        }
    assert db.session.scalar(select(func.count()).select_from(Command)) == 0


def test_a_photo_cannot_be_split(program: Program, van: Device) -> None:
    photo = {"command": "camreq", "file_type": "photo", "source": "front", "split": True}
    assert set(program.call("POST", ASK, photo, 422)["errors"]) == {"split"}


def test_a_long_clip_whose_part_is_here_or_under_way_is_refused_whole(program: Program, van: Device) -> None:
    first = program.call("POST", ASK, clip(30, timestamp=BEGIN + 30, split=False), 202)
    assert program.call("POST", f"{ASK}/preview", clip(60))["blocked_by"]["id"] == first["id"]
    assert program.call("POST", ASK, clip(60), 409)["code"] == "already_requested"
    assert db.session.scalar(select(func.count()).select_from(Command)) == 1
    here = upload(
        van, file_type="video", identifier="%videof", trigger=0, duration=30,
        timestamp=datetime.fromtimestamp(BEGIN - 570, UTC),
    )  # fmt: skip
    other = clip(60, timestamp=BEGIN - 600)
    assert program.call("POST", f"{ASK}/preview", other)["already_here"]["id"] == here.id
    assert program.call("POST", ASK, other, 409)["code"] == "already_here"


def test_the_parts_of_a_long_clip_are_one_event(program: Program, van: Device) -> None:
    rows = program.call("POST", ASK, clip(60, source="front"), 202)["commands"]
    for begin, row in zip((0, 30), rows, strict=True):
        upload(
            van, file_type="video", identifier="%videof", trigger=0, duration=30, has_metadata=True, event_due=True,
            command_id=row["id"], timestamp=datetime.fromtimestamp(BEGIN + begin, UTC),
        )  # fmt: skip
    event_service.remake_all(utcnow)
    assert db.session.scalar(select(func.count()).select_from(Event)) == 1


@pytest.mark.quick
def test_each_request_of_a_long_clip_takes_its_start_up_time() -> None:
    whole = durations.ready_in(Wanted("video", 60, 1, 2), Measured()).seconds
    half = durations.ready_in(Wanted("video", 30, 1), Measured()).seconds
    assert abs(whole - 2 * half) <= 1


def test_a_long_clip_that_comes_in_time_by_its_parts_has_no_warning(program: Program, van: Device) -> None:
    found = program.call("POST", f"{ASK}/preview", clip(120))
    assert found["warnings"] == []
    assert found["megabytes"] == pytest.approx(72, abs=1)


def test_the_form_says_how_many_requests_and_asks_for_them(app: Flask, van: Device) -> None:
    visitor = Visitor(app, Role.SUPPORT)
    page = f"/vehicles/{IMEI}/footage"
    cost = flat(visitor.send(page, f"/vehicles/{IMEI}/ask/cost", **FORM))
    assert "75 s = 3 requests, one after the other." in cost
    assert "3 SMS" in cost
    assert re.search(r"Get 75 s from 3 Feb( 2026)? 10:00 EET, both cameras", cost)
    answer = visitor.send(page, f"/vehicles/{IMEI}/ask", **FORM)
    rows = db.session.scalars(select(Command).order_by(Command.id)).all()
    assert [row.arguments["duration"] for row in rows] == [30, 30, 15]
    assert {row.arguments["source"] for row in rows} == {"both"}
    assert "split" not in rows[0].arguments
    told = flat(visitor.get(str(answer.location)))
    for row in rows:
        assert (
            f'<a href="/requests/{row.id}">'
            in told[told.index("The request was made:") : told.index("stands below")]
        )
    one = visitor.send(page, f"/vehicles/{IMEI}/ask/cost", **FORM | {"duration": "30"})
    assert "one after the other" not in one.text


def test_a_part_is_asked_for_again_as_it_was(app: Flask, van: Device) -> None:
    visitor = Visitor(app, Role.SUPPORT)
    visitor.send(f"/vehicles/{IMEI}/footage", f"/vehicles/{IMEI}/ask", **FORM)
    rows = db.session.scalars(select(Command).order_by(Command.id)).all()
    again = submission.typed(rows[1], utcnow())
    assert again.as_arguments() == rows[1].arguments
