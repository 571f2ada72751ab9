"""The pages of events: the list with its filters, and one event, as the server gives them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from page_visitor import IMEI, Visitor, flat
from sqlalchemy import select
from test_events import requested, stored

from provisioning.core import change_feed, fleet_settings
from provisioning.devices import registry
from provisioning.media import event_service
from provisioning.models import Device, DeviceTag, Event, EventView, Role, Upload, db, newest_rows, utcnow
from provisioning.web import users
from provisioning.web.pages import media

OTHER = "356307042441013"


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app, Role.SUPPORT)


def event(device: Device, hours: float = 0, **columns: object) -> str:
    """An event of one file, so many hours ago; its id."""
    moment = utcnow() - timedelta(hours=hours)
    row = stored(device, **({"timestamp": moment, "started_at": moment} | columns))
    event_service.remake_all(utcnow)
    db.session.refresh(row)
    return str(row.event_id)


def shown(visitor: Visitor, query: str = "") -> list[str]:
    text = visitor.get(f"/media{query}").text
    return re.findall(r'href="/media/([0-9a-f]{32})"', text)


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    ("types", "days", "words"),
    [
        (("photo",), (30, 7), "for 30 days"),
        (("video",), (30, 0), "for ever (no limit is set)"),
        (("photo", "video"), (30, 30), "for 30 days"),
        (("photo", "video"), (0, 7), "photos: for ever (no limit is set); clips: for 7 days"),
    ],
)
def test_an_event_says_for_how_long_its_files_are_kept_as_the_storage_page_sets_it(
    van: Device, visitor: Visitor, types: Sequence[str], days: tuple[int, int], words: str
) -> None:
    fleet_settings.change({"photo_days": days[0], "video_days": days[1]}, utcnow())
    moment = utcnow()
    for file_type in types:
        ident = event(van, file_type=file_type, timestamp=moment, started_at=moment)
    assert f"<dt>Kept</dt> <dd> {words} " in flat(visitor.get(f"/media/{ident}"))


def test_front_and_rear_stand_on_one_card_with_kind_and_time_in_the_vehicles_zone(
    van: Device, visitor: Visitor
) -> None:
    moment = datetime(2026, 1, 15, 20, 57, 21, tzinfo=UTC)
    for source in ("front", "rear"):
        stored(van, source=source, timestamp=moment, started_at=moment, thumbnail_state="ready")
    event_service.remake_all(utcnow)
    page = visitor.get("/media").text
    assert page.count("<article") == 1
    assert page.count("/thumbnail.jpg") == 2
    assert re.search(r"Crash\s+<time[^>]*>22:57 EET</time>", page)
    assert "2 photos" in page
    assert "not seen yet" not in page  # it came long ago


@pytest.mark.parametrize(
    ("file_type", "duration", "words"),
    [
        ("video", 20, "Asked for: 20 s from"),
        ("video", None, "Asked for: clip from"),
        ("photo", None, "Asked for: photo of"),
    ],
)
def test_the_title_of_what_was_asked_for_says_that_its_time_is_that_of_the_footage(
    van: Device, visitor: Visitor, file_type: str, duration: int | None, words: str
) -> None:
    moment = datetime(2026, 1, 15, 20, 57, tzinfo=UTC)
    given = {"file_type": file_type, "duration": duration, "timestamp": moment, "started_at": moment}
    ident = event(van, trigger=0, **given)
    assert re.search(words + " <time[^>]*>22:57 EET</time>", flat(visitor.get("/media")))
    page = flat(visitor.get(f"/media/{ident}"))
    assert re.search(f"<h1> ?{words} <time[^>]*>[^<]*22:57 EET</time>", page)
    assert re.search(f"<title>{words} [^<]*22:57 EET", page)


def test_filters_stand_in_the_address_and_checks_are_hidden_by_default(van: Device, visitor: Visitor) -> None:
    requested(van, "check", by_check=True)
    crash, din = event(van, 1, trigger=3), event(van, 2, trigger=1, source="rear", file_type="video")
    check = event(van, 3, trigger=0, command_id="check")
    old = event(van, 24 * 30, trigger=9)
    assert shown(visitor) == [crash, crash, din, old]  # once because it needs a look
    assert shown(visitor, "?kind=check") == [check]
    assert shown(visitor, "?kind=crash") == [crash]
    assert shown(visitor, "?kind=crash,din1") == [crash, din]
    assert shown(visitor, "?camera=rear") == [din]
    assert shown(visitor, "?type=video") == [din]
    assert shown(visitor, "?unseen=1") == [crash, din]
    assert shown(visitor, "?saved=1") == []
    assert shown(visitor, f"?vehicle={IMEI}") == [crash, crash, din, old]
    day = db.session.get_one(Event, old).at.astimezone(UTC).date()
    assert shown(visitor, f"?day={day}") == [old]
    assert shown(visitor, "?day=nonsense&kind=nonsense") == [crash, crash, din, old]
    assert "Nothing fits these filters" in visitor.get("/media?saved=1").text


def test_events_of_several_days_are_shown_in_the_readers_zone(van: Device, visitor: Visitor) -> None:
    old, older = event(van, 24 * 30, trigger=9), event(van, 24 * 31, trigger=9)
    days = [db.session.get_one(Event, ident).at.astimezone(UTC).date() for ident in (older, old)]
    assert shown(visitor, f"?day={days[0]}&to={days[1]}") == [old, older]
    assert shown(visitor, f"?day={days[0]}&to=nonsense") == [older]
    assert shown(visitor, f"?day={days[1]}&to={days[0]}") == [old]  # no day is before the first


@pytest.fixture
def tokyo(van: Device) -> Device:
    return registry.add(
        {"imei": "356307042441013", "phone": "+12025550112", "name": "Truck 7", "time_zone": "Asia/Tokyo"},
        utcnow(),
    )


def crash(device: Device, hour: int, minute: int) -> str:
    """An event at a time of 15 January of last year, in UTC."""
    moment = datetime(utcnow().year - 1, 1, 15, hour, minute, tzinfo=UTC)
    return event(device, timestamp=moment, started_at=moment)


@pytest.mark.on_sqlite
def test_where_vehicles_of_several_zones_stand_in_one_list_each_time_names_its_zone(
    van: Device, tokyo: Device, visitor: Visitor
) -> None:
    visitor.send("/account", "/account/language", language="", time_zone="Europe/Vilnius")
    crash(van, 13, 10)
    assert re.search(r">15:10</time>", visitor.get("/media").text)  # nobody's time but the reader's own
    crash(tokyo, 13, 20)
    page = visitor.get("/media").text
    assert re.findall(r">(\d\d:\d\d[^<]*)</time>", page) == ["22:20 JST", "15:10 EET"]
    assert re.search(r">15:10</time>", visitor.get(f"/media?vehicle={IMEI}").text)


def test_events_of_several_zones_stand_in_the_order_in_which_they_happened_under_the_readers_days(
    van: Device, tokyo: Device, visitor: Visitor
) -> None:
    # in Tokyo the first and the third are of the next day already
    happened = [crash(tokyo, 15, 10), crash(van, 15, 20), crash(tokyo, 15, 30)]
    assert shown(visitor) == happened[::-1]
    page, year = visitor.get("/media").text, utcnow().year - 1
    assert re.findall('<h2 class="day">(.*)</h2>', page) == [f"15 Jan {year}"]
    assert re.findall(r">([^<]*\d\d:\d\d[^<]*)</time>", page) == [
        f"16 Jan {year} 00:30 JST", "17:20 EET", f"16 Jan {year} 00:10 JST",
    ]  # fmt: skip


def test_an_event_stands_where_it_happened_however_late_its_first_file_came(
    van: Device, tokyo: Device, visitor: Visitor
) -> None:
    late, early = crash(van, 15, 20), crash(tokyo, 15, 10)
    row = db.session.get_one(Event, late)
    row.at -= timedelta(minutes=20)  # a file that began earlier belongs to it too
    db.session.commit()
    assert shown(visitor) == [early, late]


def test_events_of_one_vehicle_are_found_by_its_name_or_its_imei(van: Device, visitor: Visitor) -> None:
    ident = event(van, 1, trigger=9)
    for name in ("Van+11", IMEI):
        assert shown(visitor, f"?vehicle={name}") == [ident]
        assert f"/media?vehicle={IMEI}&amp;unseen=1" in visitor.get(f"/media?vehicle={name}").text
    answer = visitor.get("/media?vehicle=Van+12&kind=crash")
    assert answer.status_code == 404
    said = "There is no vehicle, or more than one, called Van 12; give its IMEI."
    assert f'<p class="field-error" role="alert">{said}</p>' in flat(answer)
    assert ("No photo or clip has come yet" in answer.text, 'name="kind"' in answer.text) == (False, True)


def test_events_of_the_vehicles_with_a_tag_are_shown_and_of_them_only_those_that_a_person_may_see(
    app: Flask, van: Device, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    van.tag_rows = [DeviceTag(tag=tag) for tag in ("north", "cold chain")]
    other = registry.add({"imei": OTHER, "phone": "+12025550199", "tags": ["south", "cold chain"]}, utcnow())
    mine, foreign = event(van, 1, trigger=9), event(other, 2, trigger=3)
    for few in (50, 0):  # the rows of each vehicle by themselves, or all along the list
        monkeypatch.setattr(newest_rows, "FEW", few)
        assert shown(visitor, "?tag=north") == [mine]
        assert shown(visitor, "?tag=cold+chain&kind=crash") == [foreign]
        assert shown(visitor, "?tag=south") == [foreign, foreign]  # once because it needs a look
        assert shown(visitor, "?tag=nothing") == []
    users.find("support@example.com").tags = ["north"]
    db.session.commit()
    for few in (50, 0):
        monkeypatch.setattr(newest_rows, "FEW", few)
        assert shown(visitor, "?tag=cold+chain") == [mine]
        assert shown(visitor, "?tag=south") == []
    assert re.findall(r"<option ?(?:selected)? ?>([^<]+)", flat(visitor.get("/media"))) == [
        "cold chain",
        "north",
    ]


@pytest.mark.on_sqlite
def test_filters_that_are_used_less_are_open_and_counted_where_one_is_set(
    van: Device, visitor: Visitor
) -> None:
    event(van, 1, trigger=9)
    for address, is_open, count in (
        ("", False, ""),
        ("?kind=crash&unseen=1&saved=1", False, ""),
        ("?camera=front", True, "1"),
        (f"?type=photo&vehicle={IMEI}&day=2026-01-02&to=2026-01-04", True, "3"),
        ("?tag=north", True, "1"),
    ):
        page = flat(visitor.get(f"/media{address}"))
        found = re.search(
            r'<details id="more-filters"( open)? ?> <summary[^>]*> More filters (?:<span[^>]*>(\d+))?', page
        )
        assert found, page
        assert (bool(found[1]), found[2] or "") == (is_open, count)


def test_pressing_a_filter_that_is_set_takes_it_away(van: Device, visitor: Visitor) -> None:
    page = flat(visitor.get("/media?kind=crash,tow&camera=front"))
    chips = dict(
        re.findall(
            r'<a class="btn chip active" href="([^"]+)" aria-current=true><svg.*?</svg>([^<]+)</a>', page
        )
    )
    assert {title: address for address, title in chips.items()} == {
        "Crash": "/media?camera=front&amp;kind=tow",
        "Towing": "/media?camera=front&amp;kind=crash",
        "Front": "/media?kind=crash,tow",
    }
    assert re.search(r'href="/media\?camera=front&amp;kind=periodic"\s*>Periodic</a>', page)


def test_what_needs_a_look_stands_first_until_somebody_has_seen_it(van: Device, visitor: Visitor) -> None:
    tow = event(van, 48, trigger=4)
    periodic = event(van, 1, trigger=9)
    assert shown(visitor) == [tow, periodic, tow]
    assert "Needs a look" in visitor.get("/media").text
    assert "Needs a look" not in visitor.get("/media?kind=periodic").text
    assert visitor.get(f"/media/{tow}").status_code == 200
    assert shown(visitor) == [periodic, tow]


def test_whoever_opens_an_event_has_seen_it_and_a_part_that_is_fetched_anew_is_no_look(
    app: Flask, van: Device, visitor: Visitor
) -> None:
    ident = event(van)
    visitor.get(f"/media/{ident}", **{"HX-Request": "true"})
    visitor.client.head(f"/media/{ident}")
    assert db.session.scalars(select(EventView.who)).all() == []
    assert "1 person" in visitor.get(f"/media/{ident}").text
    Visitor(app, Role.VIEWER).get(f"/media/{ident}")
    page = visitor.get(f"/media/{ident}").text
    assert "2 people" in page
    assert "support@example.com, viewer@example.com" in page


def test_an_administrator_reads_on_an_event_who_saw_it_and_when(
    app: Flask, van: Device, visitor: Visitor
) -> None:
    ident = event(van)
    visitor.get(f"/media/{ident}")
    details = Visitor(app, Role.ADMIN).get(f"/media/{ident}").text.partition('id="seen-by"')[2]
    assert re.search(r"support@example\.com</bdi>,\s+<time", details.partition("</details>")[0])


@pytest.mark.on_sqlite
def test_an_event_shows_its_files_cause_and_place(van: Device, visitor: Visitor) -> None:
    ident = event(van, trigger=4, latitude=54.6872, longitude=25.2797)
    front = db.session.scalars(select(Upload.id)).one()
    page = visitor.get(f"/media/{ident}").text
    assert 'href="geo:54.68720,25.27970"' in page
    assert f'href="/uploads/{front}/content"' in page
    assert f'href="/uploads/{front}"' in page  # facts, and the correction of its link
    assert "Towing" in page
    assert f'href="/media/{ident}"' in visitor.get(f"/uploads/{front}").text


def test_an_event_of_a_request_names_it_and_who_asked(van: Device, visitor: Visitor) -> None:
    requested(van, "a" * 32, by_check=False).arguments = {"file_type": "photo", "source": "front"}
    ident = event(van, trigger=0, command_id="a" * 32)
    page = flat(visitor.get(f"/media/{ident}"))
    assert f'<a href="/requests/{"a" * 32}">Photo, front camera</a>, asked by ops' in page


def test_an_event_of_a_long_clip_names_each_of_its_requests(van: Device, visitor: Visitor) -> None:
    now = utcnow()
    for name, seconds, begins in (("a" * 32, 30, 0), ("b" * 32, 2, 30)):
        row = requested(van, name, by_check=False)
        row.batch = "together"
        row.arguments = {
            "file_type": "video", "source": "front", "duration": seconds, "timestamp": int(now.timestamp()) + begins,
        }  # fmt: skip
        db.session.commit()
        moment = now + timedelta(seconds=begins)
        ident = event(van, trigger=0, command_id=name, file_type="video", timestamp=moment, started_at=moment)
    page = flat(visitor.get(f"/media/{ident}"))
    for name, seconds in (("a" * 32, 30), ("b" * 32, 2)):
        assert f'<a href="/requests/{name}">{seconds} s from' in page


def test_an_event_leads_to_its_neighbours(van: Device, visitor: Visitor) -> None:
    old, middle, new = event(van, 3), event(van, 2), event(van, 1)
    page = visitor.get(f"/media/{middle}").text
    assert (f'href="/media/{old}"' in page, f'href="/media/{new}"' in page) == (True, True)
    page = visitor.get(f"/media/{old}").text
    assert (">Newer<" in page, "Older" in page) == (True, False)


def test_an_event_is_saved_and_not_any_more_by_its_button(app: Flask, van: Device, visitor: Visitor) -> None:
    ident = event(van)
    for wanted, saved_by, address in (("1", "support@example.com", ""), ("0", None, "?released=1")):
        answer = visitor.send(f"/media/{ident}", f"/media/{ident}/saved", saved=wanted)
        assert answer.location == f"/media/{ident}{address}"
        db.session.expire_all()
        assert db.session.get_one(Event, ident).saved_by == saved_by
    viewer = Visitor(app, Role.VIEWER)
    assert "Save" not in viewer.get(f"/media/{ident}").text
    assert viewer.send(f"/media/{ident}", f"/media/{ident}/saved", saved="1").status_code == 403


def test_an_event_that_was_saved_until_now_says_what_follows_and_is_saved_again_by_undo(
    van: Device, visitor: Visitor
) -> None:
    ident = event(van)
    fleet_settings.change({"photo_days": 30, "video_days": 30}, utcnow())
    assert "Its files are removed by their age: they are kept for 30 days." in flat(
        visitor.get(f"/media/{ident}?released=1")
    )
    fleet_settings.change({"photo_days": 0, "video_days": 0}, utcnow())
    visitor.send(f"/media/{ident}", f"/media/{ident}/saved", saved="1")
    left = visitor.send(f"/media/{ident}", f"/media/{ident}/saved", saved="0").location
    page = flat(visitor.get(left))
    assert "This event is not saved any more. Its files stay anyway: no limit is set." in page
    assert "Undo</button>" in page
    assert visitor.send(left, f"/media/{ident}/saved?saved=1").location == f"/media/{ident}"
    assert "not saved any more" not in visitor.get(left).text
    db.session.expire_all()
    assert db.session.get_one(Event, ident).saved_by == "support@example.com"


@pytest.mark.on_sqlite
def test_in_german_saving_an_event_is_called_otherwise_than_saving_a_form(
    van: Device, visitor: Visitor
) -> None:
    ident, german = event(van), {"Accept-Language": "de"}
    assert "Aufbewahren</button>" in visitor.get(f"/media/{ident}", **german).text
    visitor.send(f"/media/{ident}", f"/media/{ident}/saved", saved="1")
    assert "Aufbewahrt</button>" in visitor.get(f"/media/{ident}", **german).text
    media = flat(visitor.get("/media?saved=1", **german))
    assert ("Aufbewahrt</a>" in media, "· aufbewahrt" in media) == (True, True)
    form = visitor.get("/account", **german).text
    assert ("Speichern</button>" in form, "Aufbewahr" in form) == (True, False)


def test_an_event_is_saved_from_a_list_that_stays_where_it_is(van: Device, visitor: Visitor) -> None:
    ident = event(van)
    token = re.search(r'name="csrf_token" value="([^"]+)"', flat(visitor.get("/media")))
    assert token
    visitor._forget()
    answer = visitor.client.post(
        f"/media/{ident}/saved", data={"csrf_token": token[1], "saved": "1"}, headers={"HX-Request": "true"}
    )
    assert (answer.status_code, answer.headers["HX-Trigger"]) == (204, "saved")
    db.session.expire_all()
    assert db.session.get_one(Event, ident).saved_by == "support@example.com"


@pytest.mark.on_sqlite
def test_the_copy_of_a_clip_is_noted_as_downloaded_by_its_button(van: Device, visitor: Visitor) -> None:
    ident = event(van, file_type="video", video_state="ready", thumbnail_state="ready")
    link = re.search(r'href="(/uploads/\w+/video.mp4[^"]*)"\s+download', visitor.get(f"/media/{ident}").text)
    assert link
    assert link[1].endswith("?download=1")


def test_the_overview_of_a_vehicle_shows_its_latest_events_and_what_comes_by_itself(
    van: Device, visitor: Visitor
) -> None:
    ident = event(van)
    coming = stored(van, state="receiving", packets=50, received_packets=20, trigger=3)
    page = visitor.get(f"/vehicles/{IMEI}").text
    assert "Latest events" in page
    assert f'href="/media/{ident}"' in page
    assert f'id="file-{coming.id}"' in page


@pytest.mark.on_sqlite
def test_there_is_no_such_event(visitor: Visitor) -> None:
    assert visitor.get(f"/media/{'0' * 32}").status_code == 404


def test_pages_hear_of_events() -> None:
    assert "events" in change_feed.TOPICS


def test_a_long_list_is_paged(van: Device, visitor: Visitor) -> None:
    moment = utcnow() - timedelta(days=10)
    for number in range(media.FIRST + 3):
        at = moment + timedelta(minutes=number)
        db.session.add(
            Event(id=f"{int(at.timestamp() * 1000):012x}{number:020x}", device_id=van.id, kind="periodic", at=at,
                  cameras="front", file_types="photo", seen_at=at)
        )  # fmt: skip
    db.session.commit()
    first = shown(visitor)
    assert len(first) == media.FIRST
    assert len(shown(visitor, "?rows=60")) == media.FIRST + 3
    assert len(shown(visitor, f"?before={first[-1]}")) == 3
