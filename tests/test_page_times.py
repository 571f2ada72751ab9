"""Times and sizes on pages: in the zone of the device, in the reader's language; and times that a person types."""

import re
from datetime import UTC, datetime

import pytest
from flask import Flask
from page_visitor import IMEI, Visitor, command, flat, text_from
from sqlalchemy import func, select

from provisioning.devices import status_table, transfer_times
from provisioning.media import copy_words
from provisioning.models import Command, Device, Verdict, db, utcnow
from provisioning.phrase import Phrase
from provisioning.tracker import language
from provisioning.web.pages import times
from provisioning.web.pages.amounts import size

pytestmark = pytest.mark.on_sqlite


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (datetime(2026, 11, 26, 20, 34, tzinfo=UTC), "22:34"),
        (datetime(2026, 11, 27, 20, 34, tzinfo=UTC), "tomorrow 22:34"),
        (datetime(2026, 11, 26, 22, 30, tzinfo=UTC), "tomorrow 00:30"),
        (datetime(2026, 11, 28, 20, 34, tzinfo=UTC), "Sat 28 Nov 22:34"),
        (datetime(2026, 11, 25, 21, 59, tzinfo=UTC), "yesterday 23:59"),
    ],
)
def test_a_time_of_another_day_says_which_day(moment: datetime, words: str) -> None:
    assert times.short_time(moment, "Europe/Vilnius", datetime(2026, 11, 26, 20, 0, tzinfo=UTC)) == words


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Europe/Vilnius", "Taken at 26 Jan 21:22:26 EET, 5 s."),
        ("America/New_York", "Taken at 26 Jan 14:22:26 EST, 5 s."),
        ("UTC", "Taken at 26 Jan 19:22:26 UTC, 5 s."),
    ],
)
def test_what_a_tracker_says_of_a_time_is_shown_in_the_vehicles_zone(
    app: Flask, zone: str, said: str
) -> None:
    now = datetime(2026, 1, 28, 12, 0, tzinfo=UTC)
    assert times.stamps_in_zone("Taken at 2026-01-26 19:22:26 UTC, 5 s.", zone, now) == said
    assert times.stamps_in_zone("No time", zone, now) == "No time"


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (datetime(2026, 11, 26, 20, 34, tzinfo=UTC), "22:34"),
        (datetime(2026, 11, 26, 20, 34, 20, tzinfo=UTC), "22:34:20"),
        (datetime(2026, 11, 25, 21, 59, 20, tzinfo=UTC), "25 Nov 23:59:20"),
        (datetime(2026, 11, 25, 21, 59, tzinfo=UTC), "25 Nov 23:59"),
        (datetime(2025, 11, 25, 21, 59, tzinfo=UTC), "25 Nov 2025 23:59"),
        (datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), "1 Jan 1970 03:00:01"),
    ],
)
def test_when_a_clip_begins_has_its_day_seconds_and_year_only_where_they_are_needed(
    app: Flask, moment: datetime, said: str
) -> None:
    just_after_midnight = datetime(2026, 11, 25, 22, 0, 1, tzinfo=UTC)
    assert times.to_second(moment, "Europe/Vilnius", just_after_midnight) == said


def test_a_request_and_the_log_have_the_time_of_an_answer_in_the_vehicles_zone(
    van: Device, visitor: Visitor
) -> None:
    text = "Preparing to send file from timestamp 1767225600"
    (reply,) = language.read_replies(text)
    row = command(van, reply=text, result={"replies": [reply.as_json()]})
    message = text_from(van.phone, text)
    message.device_id, message.claimed, message.note = van.id, True, reply.phrase
    db.session.commit()
    for page in (f"/requests/{row.id}", f"/vehicles/{IMEI}/log?kind=messages"):
        said = flat(visitor.get(page))
        assert re.search(r"The file of 1 Jan( 2026)? 02:00 EET is taken", said), page
        assert "00:00:00 UTC is taken" not in said


def test_a_page_holds_no_time_that_only_counts_on_with_javascript(van: Device, visitor: Visitor) -> None:
    command(van)
    status_table.note(
        van, "contact.sms", None, Verdict.GOOD, now=utcnow(), source_kind="message", source_id=None
    )
    db.session.commit()
    for path in ("/", f"/vehicles/{IMEI}", f"/vehicles/{IMEI}/footage"):
        # a choice of a clip has its exact time beside it
        page = re.sub(r'<a class="btn"\s+id="choice-.*?</a>', "", visitor.get(path).text, flags=re.DOTALL)
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


@pytest.mark.parametrize(
    "begin", ["2026-01-15T10:00:00+05:00", "2026-01-15T10:00:00Z", "2026-01-15", "2026-W03-4"]
)
def test_a_time_of_another_zone_or_without_an_hour_is_not_taken_for_the_vehicles(
    van: Device, visitor: Visitor, begin: str
) -> None:
    fields = {"file_type": "video", "source": "front", "duration": "10", "from": begin}
    answer = visitor.send(f"/vehicles/{IMEI}/footage", f"/vehicles/{IMEI}/ask", **fields)
    assert answer.status_code == 422
    assert "Give date and time." in answer.text
    assert db.session.scalars(select(Command)).all() == []


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
@pytest.mark.parametrize("seconds", ["121", "9" * 20])
def test_121_seconds_are_refused_beside_the_form(
    van: Device, visitor: Visitor, seconds: str, begin: str
) -> None:
    answer = visitor.send(
        f"/vehicles/{IMEI}/footage", f"/vehicles/{IMEI}/ask", file_type="video", source="front", duration=seconds,
        **{"from": begin},
    )  # fmt: skip
    assert answer.status_code == 422
    assert "Seconds: Give whole seconds from 1 to 120." in answer.text


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


@pytest.mark.parametrize(
    ("language", "short", "names"),
    [("en", "Tue 1 Dec 22:34", "1 December 2026"), ("de", "Di", "Dezember 2026")],
)
def test_days_and_months_have_the_names_of_the_readers_language(
    app: Flask, language: str, short: str, names: str
) -> None:
    moment, now = datetime(2026, 12, 1, 20, 34, tzinfo=UTC), datetime(2026, 11, 26, 20, 0, tzinfo=UTC)
    with app.test_request_context("/", headers={"Accept-Language": language}):
        assert times.short_time(moment, "Europe/Vilnius", now).startswith(short)
        assert times.full_day(moment).endswith(names)


@pytest.mark.parametrize(
    ("moment", "day", "time"),
    [
        (datetime(2026, 11, 26, 20, 34, tzinfo=UTC), "Today", "22:34"),
        (datetime(2026, 11, 25, 20, 34, tzinfo=UTC), "Yesterday", "yesterday 22:34"),
        (datetime(2026, 11, 3, 20, 34, tzinfo=UTC), "Tue 3 Nov", "Tue 3 Nov 22:34"),
        (datetime(2025, 11, 3, 20, 34, tzinfo=UTC), "3 Nov 2025", "3 Nov 2025 22:34"),
    ],
)
def test_a_day_is_as_short_as_it_is_clear(moment: datetime, day: str, time: str) -> None:
    now = datetime(2026, 11, 26, 20, 0, tzinfo=UTC)
    assert times.short_day(moment, "Europe/Vilnius", now) == day
    assert times.short_time(moment, "Europe/Vilnius", now) == time


@pytest.mark.parametrize(
    ("language", "count", "said"),
    [
        ("en", 1_530_000, "1.5 MB"),
        ("de", 1_530_000, "1,5 MB"),
        ("de", 153_000, "153 kB"),
        ("en", 7_000_000_000, "7.0 GB"),
        ("en", 1, "1 byte"),
        ("en", 999, "999 bytes"),
    ],
)
def test_a_size_has_the_decimal_sign_of_the_readers_language(
    app: Flask, language: str, count: int, said: str
) -> None:
    with app.test_request_context("/", headers={"Accept-Language": language}):
        assert size(count) == said


@pytest.mark.parametrize(("language", "sign"), [("en", "."), ("de", ",")])
def test_a_speed_and_the_seconds_of_a_copy_have_the_decimal_sign_of_the_readers_language(
    app: Flask, language: str, sign: str
) -> None:
    with app.test_request_context("/", headers={"Accept-Language": language}):
        assert transfer_times.rate(300) == f"0{sign}3 kB/s"
        assert f" 12{sign}4 " in copy_words.problem(Phrase("copy_cut_short", {"seconds": "12.4"}))


def test_a_page_gives_its_script_the_sentences_that_count_times_on(van: Device, visitor: Visitor) -> None:
    page = visitor.get("/").text
    assert 'data-text-ago="{} s ago|{} min ago|{} h ago|{} d ago"' in page
    assert 'data-text-soon="in a moment"' in page
