"""The form that asks for a clip: its quick choices, what its button says, and the crash whose clip is not here."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from page_visitor import IMEI, Visitor, command, flat, upload
from sqlalchemy import select
from test_event_pages import event

from provisioning.models import Command, Device, Role, State, User, db, first_id, utcnow
from provisioning.web.pages import times

PAGE = f"/vehicles/{IMEI}/footage"
ZONE = ZoneInfo("Europe/Vilnius")
CRASH = datetime(2026, 1, 15, 10, 7, 33, tzinfo=UTC)


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app, Role.SUPPORT)


def choices(visitor: Visitor, query: str = "") -> dict[str, str]:
    """Give the addresses of the quick choices by what they say."""
    page = flat(visitor.get(PAGE + query))
    links = re.findall(r'<a class="btn" id="choice-\d+" href="([^"]+)"[^>]*>(.*?)</a>', page)
    return {" ".join(re.sub("<[^>]+>", "", text).split()): unescape(href) for href, text in links}


def filled(href: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(href).query).items()}


def crash(device: Device, moment: datetime = CRASH, **columns: object) -> datetime:
    """Have a photo of a crash come, and give when it happened."""
    event(device, **({"timestamp": moment, "started_at": moment} | columns))
    return moment


def local(moment: datetime) -> str:
    return moment.astimezone(ZONE).strftime("%Y-%m-%dT%H:%M:%S")


def meant(text: str) -> datetime:
    """Give the moment that the form would ask for."""
    moment = times.read(text, ZONE.key, utcnow())
    assert moment is not None
    return moment


def day_of(moment: datetime) -> str:
    return f"?day={moment.astimezone(ZONE).date()}"


def around(visitor: Visitor, moment: datetime) -> list[dict[str, str]]:
    """Give what the choice around the crash of a moment fills in, on the page of its day."""
    return [
        filled(href)
        for text, href in choices(visitor, day_of(moment)).items()
        if text.startswith("Around the crash")
    ]


@pytest.mark.on_sqlite
def test_the_form_offers_what_happened_some_minutes_ago_in_the_vehicles_time(
    van: Device, visitor: Visitor
) -> None:
    before = utcnow()
    found = choices(visitor)
    starts = []
    for minutes in (5, 10, 30):
        (text,) = [text for text in found if text.startswith(f"{minutes} min ago")]
        given = filled(found[text])
        begin = meant(given["from"])
        starts.append(begin)
        assert text == f"{minutes} min ago {begin.astimezone(ZONE):%H:%M %Z}"
        assert timedelta(seconds=-5) <= before - timedelta(minutes=minutes) - begin < timedelta(minutes=1)
        assert (given["duration"], given["source"]) == ("10", "both")
        assert found[text].endswith("#clip-fields")
    assert starts == sorted(starts, reverse=True)
    (last,) = [filled(href) for text, href in found.items() if text.startswith("Last 30 s")]
    assert timedelta(seconds=25) < before - meant(last["from"]) <= timedelta(seconds=31)


@pytest.mark.on_sqlite
def test_a_reader_of_another_zone_sees_both_times(van: Device, visitor: Visitor) -> None:
    db.session.execute(User.__table__.update().values(time_zone="Europe/Berlin"))
    db.session.commit()
    (text,) = [text for text in choices(visitor) if text.startswith("5 min ago")]
    there, here = re.findall(r"\d\d:\d\d", text)
    assert re.fullmatch(rf"5 min ago {there} EES?T \({here} Berlin\)", text)
    assert (int(there[:2]) - int(here[:2])) % 24 == 1


@pytest.mark.on_sqlite
def test_a_choice_fills_the_form_and_its_button_says_the_request(van: Device, visitor: Visitor) -> None:
    begin = (utcnow() - timedelta(minutes=10)).astimezone(ZONE)
    page = flat(visitor.get(f"{PAGE}?from={begin:%Y-%m-%dT%H:%M:20}&duration=25&source=rear"))
    form = page[page.index('id="ask-clip"') : page.index('id="ask-photo"')]
    assert f'value="{begin:%Y-%m-%dT%H:%M:20}"' in form
    assert 'value="25"' in form
    assert 'value="rear" checked' in form
    assert f"From {begin:%Y-%m-%d %H:%M:20} {begin.tzname()}" in form
    assert re.search(rf"Get 25 s from (\d+ \w+ )?{begin:%H:%M}:20 {begin:%Z}, rear camera</span>", form)
    assert 'value="both" checked' in page[page.index('id="ask-photo"') :]


@pytest.mark.on_sqlite
def test_a_choice_is_asked_for_as_it_says(van: Device, visitor: Visitor) -> None:
    href = next(href for text, href in choices(visitor).items() if text.startswith("10 min ago"))
    given = filled(href)
    answer = visitor.send(href, f"/vehicles/{IMEI}/ask", file_type="video", **given)
    row = db.session.scalars(select(Command)).one()
    assert answer.status_code == 302
    assert row.arguments["timestamp"] == meant(given["from"]).timestamp()
    assert (row.arguments["duration"], row.arguments["source"]) == (10, "both")


@pytest.mark.on_sqlite
def test_the_words_of_the_button_follow_the_form(van: Device, visitor: Visitor) -> None:
    def words(**fields: str) -> str:
        answer = visitor.send(PAGE, f"/vehicles/{IMEI}/ask/cost", file_type="video", **fields)
        found = re.search(r'<span id="clip-button"[^>]*hx-swap-oob="true">([^<]*)</span>', flat(answer))
        assert found
        return found[1]

    assert words(source="front", duration="7") == "Get the last 7 s, front camera"
    begin = (utcnow() - timedelta(days=2)).astimezone(ZONE).replace(hour=13, minute=37)
    moment = {"from": f"{begin:%Y-%m-%dT%H:%M:00}"}
    said = f"Get 20 s from {begin.day} {begin:%b} 13:37 {begin:%Z}, both cameras"
    assert words(source="both", duration="20", **moment) == said
    assert words(source="both", duration="", **moment) == "Get the clip"
    assert words(source="both", duration="20", **{"from": "2099-01-02T13:37:00"}) == "Get the clip"


@pytest.mark.on_sqlite
def test_the_button_is_not_in_the_part_of_the_page(van: Device, visitor: Visitor) -> None:
    page = flat(visitor.get(PAGE))
    assert page.count('id="clip-button"') == 1
    assert "hx-swap-oob" not in page


@pytest.mark.on_sqlite
def test_a_vehicle_whose_cabin_is_private_is_offered_the_front_camera(van: Device, visitor: Visitor) -> None:
    van.cabin_private = True
    db.session.commit()
    moment = crash(van)
    found = choices(visitor, day_of(moment))
    assert {filled(href)["source"] for href in found.values()} == {"front"}


def test_the_crash_of_the_day_is_offered_while_its_clip_is_not_here(van: Device, visitor: Visitor) -> None:
    moment = crash(van)
    (given,) = around(visitor, moment)
    assert given["from"] == local(moment - timedelta(seconds=10))
    assert (given["duration"], given["source"]) == ("30", "both")
    crash(van, file_type="video", source="front", timestamp=moment, duration=20)
    (given,) = around(visitor, moment)
    assert given["source"] == "rear"
    crash(van, file_type="video", source="rear", timestamp=moment, duration=20)
    assert around(visitor, moment) == []


def test_a_clip_that_shows_the_crash_needs_no_second_one(van: Device, visitor: Visitor) -> None:
    moment = crash(van)
    begin = moment - timedelta(seconds=15)
    crash(van, file_type="video", source="front", timestamp=begin, duration=10, trigger=0)
    (given,) = around(visitor, moment)
    assert given["source"] == "both"
    crash(van, file_type="video", source="front", timestamp=begin, duration=20, trigger=0)
    (given,) = around(visitor, moment)
    assert given["source"] == "rear"


def test_the_clip_of_a_crash_that_is_on_its_way_or_asked_for_is_not_offered(
    van: Device, visitor: Visitor
) -> None:
    moment = crash(van)
    upload(van, "receiving", file_type="video", identifier="%videof", trigger=3)
    (given,) = around(visitor, moment)
    assert given["source"] == "rear"
    asked = {
        "file_type": "video",
        "source": "rear",
        "timestamp": int(moment.timestamp()) - 10,
        "duration": 30,
    }
    request = command(van, state=State.QUEUED, arguments=asked)
    assert around(visitor, moment) == []
    request.state = State.FAILED
    db.session.commit()
    assert len(around(visitor, moment)) == 1


def test_a_clip_that_stopped_coming_before_a_crash_is_no_clip_of_it(van: Device, visitor: Visitor) -> None:
    moment = crash(van)
    before = first_id(moment - timedelta(hours=3)) + "0" * 20
    upload(van, "partial", file_type="video", identifier="%videof", trigger=3, id=before)
    (given,) = around(visitor, moment)
    assert given["source"] == "both"


def test_only_the_day_of_a_crash_offers_it_and_only_once_its_clip_is_over(
    van: Device, visitor: Visitor
) -> None:
    old = crash(van)
    assert len(around(visitor, old)) == 1
    assert around(visitor, old - timedelta(days=1)) == []
    new = crash(van, utcnow().replace(microsecond=0) - timedelta(seconds=10))
    assert around(visitor, new) == []


def test_an_hour_that_occurs_twice_means_the_later_one_that_has_come(van: Device, visitor: Visitor) -> None:
    fields = {"file_type": "video", "source": "front", "duration": "10", "from": "2025-10-26T03:30:00"}
    visitor.send(PAGE, f"/vehicles/{IMEI}/ask", **fields)
    row = db.session.scalars(select(Command)).one()
    assert row.arguments["timestamp"] == datetime(2025, 10, 26, 1, 30, tzinfo=UTC).timestamp()


def test_a_crash_is_not_offered_by_a_time_that_means_the_second_of_two_equal_hours(
    van: Device, visitor: Visitor
) -> None:
    first = datetime(2025, 10, 26, 0, 30, tzinfo=UTC)  # 03:30 in Vilnius, and so is an hour later
    event(van, timestamp=first, started_at=first)
    assert around(visitor, first) == []
    second = first + timedelta(hours=1)
    event(van, timestamp=second, started_at=second)
    (given,) = around(visitor, second)
    assert given["from"] == "2025-10-26T03:29:50"


@pytest.mark.on_sqlite
def test_who_may_only_look_is_offered_nothing(van: Device, app: Flask) -> None:
    assert choices(Visitor(app, Role.VIEWER)) == {}


def test_a_phone_shows_the_requests_that_are_open_and_the_newest_that_has_ended(
    van: Device, visitor: Visitor
) -> None:
    states = (State.FAILED, State.QUEUED, State.DONE, State.FAILED)
    rows = [command(van, number, state) for number, state in enumerate(states)]
    page = visitor.get(PAGE).text
    found = re.findall(r'<li class="request( desk-only)?" id="request-(\w+)"', page)
    assert [(ident, not hidden) for hidden, ident in found] == [
        (rows[3].id, True), (rows[2].id, False), (rows[1].id, True), (rows[0].id, False),
    ]  # fmt: skip
