"""Events for people and programs: lists by what is asked for, who has seen one, and that it is kept."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from test_api import Api
from test_events import requested, stored
from upload_rows import IMEI, add_van

from provisioning.devices import registry
from provisioning.media import event_list, event_service
from provisioning.media.event_rules import EventKind
from provisioning.models import Change, Device, Event, Role, Upload, db, utcnow


@pytest.fixture
def van(app: Flask) -> Device:
    return add_van()


@pytest.fixture
def made(van: Device) -> dict[str, str]:
    """Three events of the last hours, by their names: their ids."""
    now = utcnow()
    files = {
        "crash": {"trigger": 3, "latitude": 54.6872, "longitude": 25.2797},
        "din": {"trigger": 1, "source": "rear"},
        "periodic": {"trigger": 9, "file_type": "video"},
    }
    idents = {}
    for hours, (name, columns) in enumerate(files.items()):
        moment = now - timedelta(hours=hours)
        idents[name] = stored(van, timestamp=moment, started_at=moment, **columns).id
    event_service.remake_all(utcnow)
    return {name: str(db.session.get_one(Upload, ident).event_id) for name, ident in idents.items()}


def listed(api: Api, query: str = "") -> list[str]:
    answer = api("GET", f"/events{query}")
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json["items"]]


def test_events_are_listed_newest_first_by_what_is_asked_for(app: Flask, made: dict[str, str]) -> None:
    api, now = Api(app, Role.VIEWER), utcnow()
    crash, din, periodic = made["crash"], made["din"], made["periodic"]
    since = (now - timedelta(minutes=90)).isoformat().replace("+00:00", "Z")
    assert listed(api) == [crash, din, periodic]
    assert listed(api, f"?imei={IMEI}") == [crash, din, periodic]
    assert listed(api, "?imei=356307042441013") == []
    assert listed(api, "?kind=din1") == [din]
    assert listed(api, "?kind=periodic,crash") == [crash, periodic]
    assert listed(api, f"?from={since}") == [crash, din]
    assert listed(api, f"?to={since}") == [periodic]
    assert listed(api, "?limit=1") == [crash]
    assert listed(api, f"?cursor={crash}") == [din, periodic]
    assert api("GET", "/events?kind=explosion").status_code == 422


def test_the_last_moment_of_all_times_bounds_nothing(app: Flask, made: dict[str, str]) -> None:
    api = Api(app, Role.VIEWER)
    assert listed(api, "?to=9999-12-31T23:59:59Z") == listed(api)
    assert listed(api, "?from=9999-12-31T23:59:59Z") == []


def test_an_event_shows_its_files_and_its_place(app: Flask, made: dict[str, str]) -> None:
    answer = Api(app, Role.VIEWER)("GET", f"/events/{made['crash']}").json
    assert (answer["imei"], answer["kind"], answer["saved"], answer["seen_by"]) == (IMEI, "crash", False, [])
    assert answer["place"] == {"latitude": 54.6872, "longitude": 25.2797}
    assert [(file["source"], file["event"]) for file in answer["uploads"]] == [("front", made["crash"])]
    assert Api(app, Role.SUPPORT)("GET", f"/events/{made['din']}").json["place"] is None


def test_an_event_says_who_asked_for_it(app: Flask, van: Device, made: dict[str, str]) -> None:
    for name, by_check in (("a" * 32, False), ("b" * 32, True)):
        requested(van, name, by_check=by_check)
        stored(van, name, trigger=0, command_id=name)
    event_service.remake_all(utcnow)
    items = Api(app, Role.VIEWER)("GET", f"/events?imei={IMEI}").json["items"]
    assert {(item["kind"], item["asked_by"]) for item in items} == {
        ("asked", "ops"),
        ("check", "checklist, ops"),
        *((kind, None) for kind in ("crash", "din1", "periodic")),
    }


def test_who_has_seen_an_event_is_noted_once(app: Flask, made: dict[str, str]) -> None:
    viewer, support = Api(app, Role.VIEWER), Api(app, Role.SUPPORT)
    assert viewer("GET", f"/events/{made['crash']}").json["seen_by"] == []
    for api in (viewer, viewer, support):
        assert api("POST", f"/events/{made['crash']}/seen").status_code == 200
    assert support("GET", f"/events/{made['crash']}").json["seen_by"] == ["token viewer", "token support"]
    assert listed(viewer, "?unseen=true") == [made["din"], made["periodic"]]
    assert listed(viewer, "?unseen=false") == [made["crash"]]
    assert db.session.scalar(select(func.count()).where(Change.topic == "events"))


def test_an_event_is_saved_and_not_any_more(app: Flask, made: dict[str, str]) -> None:
    api, path = Api(app, Role.SUPPORT), f"/events/{made['din']}/saved"
    for _ in range(2):
        answer = api("PUT", path)
        assert (answer.status_code, answer.json["saved"], answer.json["saved_by"]) == (
            200,
            True,
            "token support",
        )
    assert listed(api, "?saved=true") == [made["din"]]
    for _ in range(2):
        assert api("DELETE", path).status_code == 204
    assert listed(api, "?saved=true") == []
    assert Api(app, Role.VIEWER)("PUT", path).status_code == 403


def test_there_is_no_such_event(app: Flask) -> None:
    api = Api(app, Role.ADMIN)
    paths: list[tuple[str, str]] = [("GET", ""), ("POST", "/seen"), ("PUT", "/saved"), ("DELETE", "/saved")]
    assert [api(method, f"/events/{'0' * 32}{path}").status_code for method, path in paths] == [404] * 4


def test_events_of_an_archived_vehicle_are_still_listed_by_its_imei(app: Flask, made: dict[str, str]) -> None:
    registry.archive(registry.find(IMEI), utcnow())
    assert len(listed(Api(app, Role.VIEWER), f"?imei={IMEI}")) == 3


FILTERS: list[dict[str, Any]] = [
    {},
    {"device_ids": [1]},
    {"kinds": [EventKind.CRASH]},
    {"unseen": True},
    {"saved": True},
    {"since": utcnow()},
    {"without": [EventKind.CHECK]},
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("given", FILTERS, ids=lambda given: next(iter(given), "all"))
def test_a_page_of_a_long_list_is_read_along_an_index(app: Flask, given: dict[str, Any]) -> None:
    query = event_list.wanted(event_list.EventFilter(**given)).where(Event.id < "f")
    query = query.order_by(Event.id.desc()).limit(50)
    text = str(query.compile(db.engine, compile_kwargs={"literal_binds": True}))
    plan = " ".join(row[-1] for row in db.session.execute(db.text(f"EXPLAIN QUERY PLAN {text}")))
    assert "SEARCH events USING INDEX" in plan or "SCAN events USING INDEX" in plan
    assert "TEMP B-TREE" not in plan
