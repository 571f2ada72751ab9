"""The events of a vehicle day by day, on its page of footage."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from page_visitor import IMEI, Visitor
from test_event_pages import event
from test_events import requested, stored

from provisioning.models import Device, Event, Role, db, utcnow
from provisioning.web.pages import event_days

PAGE = f"/vehicles/{IMEI}/footage"
ZONE = ZoneInfo("Europe/Vilnius")
LAST_YEAR = utcnow().year - 1


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app, Role.SUPPORT)


def shown(visitor: Visitor, query: str = "") -> list[str]:
    return re.findall(r'href="/media/([0-9a-f]{32})"', visitor.get(PAGE + query).text)


def links(visitor: Visitor, query: str = "") -> list[str]:
    """Give the days that the links beside the day lead to, the older before the newer."""
    return re.findall(r"/footage\?day=([\d-]+)#day", visitor.get(PAGE + query).text)


def at(day: int, hour: int) -> dict[str, datetime]:
    """Give when a file was taken and came: an hour of a day of last March, in the zone of the vehicle."""
    moment = datetime(LAST_YEAR, 3, day, hour, 30, tzinfo=ZONE).astimezone(UTC)
    return {"timestamp": moment, "started_at": moment}


def day(number: int) -> str:
    return f"{LAST_YEAR}-03-{number:02d}"


def test_the_footage_shows_the_newest_day_that_has_events(van: Device, visitor: Visitor) -> None:
    late, early, before = (event(van, **at(*when)) for when in ((9, 23), (9, 0), (8, 23)))
    assert shown(visitor) == [late, early]
    assert links(visitor) == [day(8)]
    assert shown(visitor, f"?day={day(8)}") == [before]
    assert links(visitor, f"?day={day(8)}") == [day(9)]


def test_days_without_events_are_passed_over_and_say_so_when_asked_for(van: Device, visitor: Visitor) -> None:
    event(van, **at(2, 12))
    event(van, **at(20, 12))
    assert (shown(visitor, f"?day={day(9)}"), links(visitor, f"?day={day(9)}")) == ([], [day(2), day(20)])
    assert "came from this vehicle on this day" in visitor.get(f"{PAGE}?day={day(9)}").text
    assert links(visitor, f"?day={day(20)}") == [day(2)]


@pytest.mark.parametrize("query", ["?day=nonsense", "?day=0001-01-01", "?day=9999-12-31", "?day="])
def test_an_address_that_names_no_day_shows_the_newest(van: Device, visitor: Visitor, query: str) -> None:
    ident = event(van, **at(9, 12))
    assert shown(visitor, query) == [ident]


def test_a_vehicle_without_events_shows_today(van: Device, visitor: Visitor) -> None:
    page = visitor.get(PAGE).text
    assert ("Today" in page, "No photo or clip has come from this vehicle yet" in page) == (True, True)


def test_where_only_checks_have_taken_something_the_pages_say_so_and_lead_there(
    van: Device, visitor: Visitor
) -> None:
    overview, of_vehicle = PAGE.removesuffix("/footage"), f"/media?vehicle={van.imei}"
    for page in (overview, PAGE):
        assert "No photo or clip has come from this vehicle yet." in visitor.get(page).text
    assert "No photo or clip has come yet." in visitor.get("/media").text
    requested(van, "check", by_check=True).arguments = {"file_type": "photo", "source": "front"}
    ident = event(van, trigger=0, command_id="check", thumbnail_state="ready", **at(9, 12))
    for page, address in (
        (overview, f"{of_vehicle}&amp;kind=check"),
        (PAGE, f"{of_vehicle}&amp;kind=check"),
        ("/media", "/media?kind=check"),
        (of_vehicle, f"/media?kind=check&amp;vehicle={van.imei}"),
    ):
        text = visitor.get(page).text
        assert "No photo or clip has come" not in text
        assert "Only checks have taken photos or clips so far." in text
        assert f'href="{address}">' in text, page
        assert f"/media/{ident}" in visitor.get(address.replace("&amp;", "&")).text


def test_a_day_on_which_only_checks_took_something_says_so(van: Device, visitor: Visitor) -> None:
    event(van, **at(2, 12))
    requested(van, "check", by_check=True).arguments = {"file_type": "photo", "source": "front"}
    event(van, trigger=0, command_id="check", **at(9, 12))
    assert "On this day only checks took photos or clips." in visitor.get(f"{PAGE}?day={day(9)}").text
    assert "came from this vehicle on this day" in visitor.get(f"{PAGE}?day={day(8)}").text


def test_what_checks_made_is_on_no_day(van: Device, visitor: Visitor) -> None:
    requested(van, "check", by_check=True)
    event(van, trigger=0, command_id="check", **at(9, 12))
    assert (shown(visitor), links(visitor, f"?day={day(8)}")) == ([], [])


def test_a_day_of_many_events_leads_to_all_of_them(van: Device, visitor: Visitor) -> None:
    begin = at(9, 12)["timestamp"]
    for number in range(event_days.FIRST + 1):
        moment = begin + timedelta(minutes=number)
        db.session.add(
            Event(id=f"{int(moment.timestamp() * 1000):012x}{number:020x}", device_id=van.id, kind="periodic",
                  at=moment, cameras="front", file_types="photo", seen_at=moment)
        )  # fmt: skip
    db.session.commit()
    assert len(shown(visitor)) == event_days.FIRST
    assert len(shown(visitor, f"?day={day(9)}&rows=56")) == event_days.FIRST + 1
    assert f"/media?vehicle={IMEI}&amp;day={day(9)}" in visitor.get(PAGE).text


def test_a_file_that_comes_by_itself_stands_on_the_newest_day_alone(van: Device, visitor: Visitor) -> None:
    event(van, **at(8, 12))
    event(van, **at(9, 12))
    coming = stored(van, state="receiving", packets=50, received_packets=20, trigger=3)
    name = f'id="file-{coming.id}"'
    assert (name in visitor.get(PAGE).text, name in visitor.get(f"{PAGE}?day={day(8)}").text) == (True, False)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Vilnius", date(2026, 3, 29), 23),
        ("Europe/Vilnius", date(2026, 10, 25), 25),
        ("America/Santiago", date(2026, 4, 4), 25),  # the hour before midnight occurs twice
        ("America/Santiago", date(2026, 9, 6), 23),  # has no midnight
    ],
)
def test_a_day_is_as_long_as_its_zone_has_it_and_the_next_one_follows_at_once(
    zone: str, day: date, hours: int
) -> None:
    begin, end = event_days.bounds(day, ZoneInfo(zone))
    after, _ = event_days.bounds(day + timedelta(days=1), ZoneInfo(zone))
    assert after.astimezone(UTC) - end.astimezone(UTC) == event_days.MOMENT
    assert after.astimezone(UTC) - begin.astimezone(UTC) == timedelta(hours=hours)


def test_what_came_in_the_hour_that_occurs_twice_is_on_its_day_and_leads_to_the_days_beside_it(
    van: Device, visitor: Visitor
) -> None:
    van.time_zone = "America/Santiago"
    db.session.commit()
    second = datetime(2026, 4, 5, 3, 30, tzinfo=UTC)  # 23:30 of 4 April, for the second time
    before, twice, after = (
        event(van, timestamp=moment, started_at=moment)
        for moment in (second - timedelta(days=2), second, second + timedelta(days=1))
    )
    assert shown(visitor, "?day=2026-04-04") == [twice]
    assert links(visitor, "?day=2026-04-04") == ["2026-04-03", "2026-04-05"]
    assert links(visitor, "?day=2026-04-05") == ["2026-04-04"]
    assert (shown(visitor, "?day=2026-04-03"), shown(visitor, "?day=2026-04-05")) == ([before], [after])
