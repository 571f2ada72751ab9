"""The inbox: one list of what wants a person, gone when it is done; and its badge."""

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from page_visitor import IMEI, Visitor, add_van, badge, flat, prove, text_from
from sqlalchemy import event as sql_event
from test_event_pages import event

from provisioning.models import (
    CameraSession,
    ChecklistRun,
    Device,
    Event,
    HealthChange,
    Role,
    db,
    new_id,
    utcnow,
)
from provisioning.web.auth import Caller
from provisioning.web.pages import inbox_items


@pytest.fixture
def van(app: Flask) -> Device:
    """A vehicle whose installation is finished: it has been proved."""
    device = add_van()
    prove(device)
    return device


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app, Role.INSTALLER)


def break_down(device: Device) -> None:
    device.health_state, device.health_code, device.health_until = "broken", "no_camera", None
    device.health_since = utcnow() - timedelta(hours=1)
    db.session.commit()


def test_nothing_waits_and_the_page_says_so(van: Device, visitor: Visitor) -> None:
    assert "Nothing waits for you" in visitor.get("/inbox").text
    assert badge(visitor) is None


def test_a_crash_waits_until_somebody_has_seen_it(van: Device, visitor: Visitor) -> None:
    ident = event(van, trigger=3)
    event(van, 1, trigger=9)
    page = flat(visitor.get("/inbox"))
    assert "<h2>Events</h2>" in page
    assert 'Crash: 1 photo <span class="text-secondary">· <time' in page
    assert f'href="/media/{ident}"> Watch' in page
    assert badge(visitor) == "1"
    visitor.get(f"/media/{ident}")
    assert "Nothing waits for you" in visitor.get("/inbox").text
    assert badge(visitor) is None
    done = flat(visitor.get("/inbox?all=1"))
    assert "Crash: 1 photo" in done
    assert "· seen" in done


def test_a_broken_vehicle_says_why_and_what_to_do(van: Device, visitor: Visitor) -> None:
    break_down(van)
    page = flat(visitor.get("/inbox"))
    assert "<h2>Broken</h2>" in page
    assert "No camera answers" in page
    assert f'href="/vehicles/{IMEI}/check#start"> Check<' in page
    assert badge(visitor) == "1"


def test_what_has_newly_limited_a_vehicle_waits_until_it_is_mended_or_old(
    van: Device, visitor: Visitor
) -> None:
    break_down(van)
    van.health_state, van.health_code = "limited", "rear_camera"
    db.session.commit()
    page = flat(visitor.get("/inbox"))
    assert "<h2>Limited</h2>" in page
    assert "Rear camera does not answer" in page
    assert badge(visitor) == "1"
    van.health_since = utcnow() - timedelta(days=8)
    db.session.commit()
    assert "Nothing waits for you" in visitor.get("/inbox").text
    assert badge(visitor) is None
    assert "<h2>Limited</h2>" in flat(visitor.get("/inbox?all=1"))


def test_what_was_mended_is_shown_with_what_is_done(van: Device, visitor: Visitor) -> None:
    now = utcnow()
    for state, code, hours in (
        ("limited", "rear_camera", 3),
        ("broken", "no_camera", 2),
        ("working", "proved", 1),
    ):
        at = now - timedelta(hours=hours)
        db.session.add(HealthChange(device_id=van.id, state=state, code=code, since=at, at=at))
    db.session.commit()
    assert "Nothing waits for you" in visitor.get("/inbox").text
    page = flat(visitor.get("/inbox?all=1"))
    assert page.count("<h2>Mended</h2>") == 1
    assert "No camera answers" in page  # the newest, once for each vehicle
    assert "Rear camera does not answer" not in page
    break_down(van)
    assert "<h2>Mended</h2>" not in visitor.get("/inbox?all=1").text


def test_a_question_of_a_check_waits_for_its_answer(van: Device, visitor: Visitor) -> None:
    run = ChecklistRun(device_id=van.id, steps={"led": {"state": "question"}}, waits_for_person=True)
    db.session.add(run)
    db.session.commit()
    page = flat(visitor.get("/inbox"))
    assert "<h2>Waiting for you</h2>" in page
    assert f'href="/vehicles/{IMEI}/check#start"> Answer' in page
    assert badge(visitor) == "1"
    run.ended_at = utcnow()
    db.session.commit()
    assert badge(visitor) is None


def test_who_may_not_answer_is_led_to_the_check(app: Flask, van: Device) -> None:
    run = ChecklistRun(device_id=van.id, steps={"led": {"state": "question"}}, waits_for_person=True)
    db.session.add(run)
    db.session.commit()
    page = flat(Visitor(app, Role.VIEWER).get("/inbox"))
    assert f'href="/vehicles/{IMEI}/check#start"> See the check' in page
    assert "> Answer" not in page


def test_a_text_that_was_put_aside_is_shown_with_what_is_done(van: Device, visitor: Visitor) -> None:
    row = text_from("+12025550199", "win a car")
    assert badge(visitor) == "1"
    visitor.send("/inbox", f"/inbox/texts/{row.id}/aside")
    assert "win a car" not in visitor.get("/inbox").text
    assert "win a car" in visitor.get("/inbox?all=1").text
    assert badge(visitor) is None


def test_what_waits_longest_lists_stay_short_and_lead_to_all(van: Device, visitor: Visitor) -> None:
    now = utcnow()
    db.session.add_all(
        Event(id=f"{int(now.timestamp() * 1000):012x}{number:020x}", device_id=van.id, kind="tow", at=now,
              cameras="front", file_types="photo")
        for number in range(inbox_items.MOST + 5)
    )  # fmt: skip
    db.session.commit()
    page = visitor.get("/inbox").text
    assert page.count("Watch<") == inbox_items.SHOWN
    assert "/media?kind=crash,tow&amp;unseen=1" in page.replace("%2C", ",")
    assert badge(visitor) == "99+"


def test_each_unknown_device_stands_on_one_page_though_all_came_at_the_same_time(
    app: Flask, visitor: Visitor
) -> None:
    now, imeis = utcnow(), {f"{350_000_000_000_000 + number * 7919 % 100_003}" for number in range(137)}
    db.session.add_all(
        CameraSession(id=new_id(), imei=imei, address="192.0.2.1:1", peer=imei, started_at=now, ended_at=now)
        for imei in imeis
    )
    db.session.commit()
    shown: list[str] = []
    for page in (1, 2, 3):
        text = re.sub(r"<[^>]*>", " ", visitor.get(f"/inbox/unknown?page={page}&rows=50").text)
        shown += re.findall(r"\b3500000\d{8}\b", text)
    assert sorted(shown) == sorted(imeis)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_badge_costs_a_few_statements_that_read_by_indexes(app: Flask, van: Device) -> None:
    seen: list[tuple[str, Any]] = []
    sql_event.listen(
        db.engine,
        "before_cursor_execute",
        lambda c, u, statement, given, *rest: seen.append((statement, given)),
    )
    inbox_items.counted(Caller("user:1", "installer@example.com", Role.INSTALLER, None))
    assert 0 < len(seen) <= 3
    cursor = db.session.connection().connection.cursor()
    for statement, given in [one for one in seen if one[0].startswith("SELECT")]:
        plan = [row[-1] for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}", given).fetchall()]
        assert not [line for line in plan if re.match(r"SCAN (events|messages|uploads|devices)$", line)], plan
