"""The health of a vehicle while its check waits for a person: what the check would say if nobody could look."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import flask_migrate
import pytest
from conftest import ROOT
from flask import Flask
from page_visitor import IMEI, Visitor, add_van, badge, flat
from sqlalchemy import select, text

from provisioning.check import continuation, run_view, runner
from provisioning.check.steps import STEPS
from provisioning.devices import status_table
from provisioning.fleet import board
from provisioning.models import ChecklistRun, Device, HealthChange, Role, Verdict, db, locks, utcnow
from provisioning.web import auth

pytestmark = pytest.mark.on_sqlite

GOOD = {"state": "done", "verdict": "good", "code": "cameras_answer", "arguments": {}, "mark": ""}
NO_FOOTAGE = {"card": {"verdict": "bad", "mark": "no_footage"}}
DEAD_FRONT = {"front": {"verdict": "bad", "mark": "missing"}}
PROVED = timedelta(hours=3)  # ago


@pytest.fixture
def van(app: Flask) -> Device:
    """A vehicle whose cameras have sent files: it works."""
    device = add_van()
    for item in ("camera.front.file", "camera.rear.file", "contact.sms"):
        tell(device, item, utcnow() - PROVED)
    assert health(device) == ("working", "proved")
    return device


def tell(device: Device, item: str, at: datetime) -> None:
    locks.lock_device(device.id)
    status_table.note(
        device, item, at.isoformat(), Verdict.GOOD, now=at, source_kind="upload", source_id="1" * 32
    )
    db.session.commit()


def health(device: Device) -> tuple[str, str]:
    db.session.expire_all()
    return device.health_state, device.health_code


def changes_of(device: Device) -> list[str]:
    query = select(HealthChange.code).where(HealthChange.device_id == device.id).order_by(HealthChange.id)
    return list(db.session.scalars(query))


def ask(device: Device, found: Mapping[str, Mapping[str, Any]], ago: timedelta = timedelta()) -> ChecklistRun:
    """Let a check ask everything, find this, and go on until it waits for a person."""
    steps = {step.id: GOOD | found.get(step.id, {}) for step in STEPS if not step.asks_person}
    now = utcnow() - ago
    run = ChecklistRun(device_id=device.id, steps=steps, started_at=now, updated_at=now)
    db.session.add(run)
    db.session.commit()
    runner.advance(run, now)
    assert run.waits_for_person
    return run


def reply(run: ChecklistRun, choice: str) -> None:
    runner.answer(run, next(iter(run_view.questions_of(run))), choice, utcnow())
    runner.advance(run, utcnow())


@pytest.mark.parametrize(
    ("found", "state", "code"),
    [
        (NO_FOOTAGE, "limited", "no_card"),
        ({"card": {"verdict": "bad", "mark": "failed"}}, "limited", "no_card"),
        (DEAD_FRONT, "limited", "front_camera"),
        ({"rear": {"verdict": "bad", "mark": "missing"}}, "limited", "rear_camera"),
        ({"cameras": {"verdict": "bad", "mark": "none"}}, "broken", "no_camera"),
        (NO_FOOTAGE | {"clock": {"verdict": "bad", "mark": "wrong"}}, "limited", "wrong_clock"),
        (NO_FOOTAGE | DEAD_FRONT, "limited", "front_camera"),
        # camera firmware 2.2.0 never answers the tracker; its photo has come
        ({"cameras": {"verdict": "bad", "mark": "front"}, "front": {"mark": "came"}}, "working", "proved"),
    ],
)
def test_a_question_that_nobody_has_answered_hides_nothing_that_was_found(
    van: Device, found: Mapping[str, Mapping[str, Any]], state: str, code: str
) -> None:
    run = ask(van, found)
    assert health(van) == (state, code)
    reply(run, "unable")
    while run.ended_at is None:  # only the first question was answered
        reply(run, "unable")
    assert health(van) == (state, code), "as the check says if nobody can look"


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_it_is_so_since_the_last_step_was_found_and_changes_once(van: Device) -> None:
    run = ask(van, NO_FOOTAGE, timedelta(hours=1))
    assert health(van) == ("limited", "no_card")
    assert van.health_since == run.likely_at
    assert utcnow() - van.health_since >= timedelta(hours=1)
    for _ in range(2):  # as pages do that show it
        runner.advance(run, utcnow())
    continuation.continue_runs(utcnow())
    assert changes_of(van)[-2:] == ["proved", "no_card"]
    assert van.health_since == run.likely_at


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("choice", "code", "changes"),
    [
        ("no", "no_card", ["no_card"]),
        ("unable", "no_card", ["no_card"]),
        ("yes", "faulty_card", ["no_card", "faulty_card"]),
    ],
)
def test_the_answer_replaces_the_likely_cause_and_nothing_shows_between(
    van: Device, choice: str, code: str, changes: list[str]
) -> None:
    run = ask(van, NO_FOOTAGE)
    before = len(changes_of(van)) - 1
    runner.answer(run, "sd", choice, utcnow())
    tell(van, "contact.sms", utcnow())  # a fact that has health decided between the answer and the verdict
    assert health(van)[0] == "limited"
    runner.advance(run, utcnow())
    assert health(van) == ("limited", code)
    assert changes_of(van)[before:] == changes


@pytest.mark.parametrize("how", ["stopped", "left"])
def test_what_was_found_holds_on_where_nobody_answers_until_a_newer_fact_disproves_it(
    van: Device, how: str
) -> None:
    run = ask(van, NO_FOOTAGE)
    if how == "stopped":
        runner.stop(run, utcnow())
    else:
        continuation.continue_runs(utcnow() + timedelta(days=7.1))
    tell(van, "contact.sms", utcnow())
    db.session.expire_all()
    assert run.verdict == how
    assert health(van) == ("limited", "no_card")
    tell(van, "camera.front.video", utcnow())
    assert health(van) == ("working", "proved")


def test_a_step_that_is_asked_again_says_nothing_until_it_is_found(van: Device) -> None:
    run = ask(van, DEAD_FRONT)
    assert health(van) == ("limited", "front_camera")
    runner.again(run, "front", utcnow())
    assert health(van) == ("working", "proved")


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_a_check_that_waited_before_the_upgrade_counts_after_it(app: Flask, van: Device) -> None:
    run = ask(van, NO_FOOTAGE, timedelta(hours=2))
    ident, van_id, asked_at = run.id, van.id, run.likely_at
    db.session.remove()
    folder = str(ROOT / "migrations")
    flask_migrate.downgrade(directory=folder, revision="0049")
    db.session.execute(text("UPDATE devices SET health_state = 'working', health_code = 'proved'"))
    db.session.commit()
    db.session.remove()
    flask_migrate.upgrade(directory=folder)
    continuation.continue_runs(utcnow())
    run = db.session.get_one(ChecklistRun, ident)
    assert run.waits_for_person
    assert (run.likely_verdict, run.likely_at) == ("no_card", asked_at)
    assert health(db.session.get_one(Device, van_id)) == ("limited", "no_card")


REASON = "No SD card in the front camera: photos only"


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_list_head_wall_and_program_say_the_same_and_the_answer_comes_first(app: Flask, van: Device) -> None:
    ask(van, NO_FOOTAGE)
    visitor = Visitor(app, Role.SUPPORT)
    row = flat(visitor.get("/")).partition("<tbody>")[2].partition("</tbody>")[0]
    assert "Limited" in row
    assert REASON in row
    assert re.search(r'<span class="phone-only">waits for an answer</span>', row)
    assert "Last picture" not in row
    head = flat(visitor.get(f"/vehicles/{IMEI}")).partition('<div class="stands')[2].partition("</div>")[0]
    assert "Limited" in head
    assert f"<strong>{REASON}</strong>" in head
    assert "The check waits for an answer:" in head
    assert re.findall(r'<a class="btn" href="([^"]*)">([^<]*)</a>', head) == [
        (f"/vehicles/{IMEI}/check#start", "Answer the question")
    ]
    (worst,) = board.of(utcnow()).worst
    assert (worst.state, worst.reason) == ("limited", REASON)
    key = {"Authorization": f"Bearer {auth.create_token('tests', Role.VIEWER)}"}
    found = app.test_client().get(f"/api/v1/devices/{IMEI}", headers=key).json
    assert found
    shown = found["health"]
    assert (shown["state"], shown["code"], shown["reason"]) == ("limited", "no_card", REASON)
    assert shown["action"] == {"kind": "answer", "label": "Answer the question"}


def test_the_inbox_has_one_item_of_it_with_the_reason_and_the_question(app: Flask, van: Device) -> None:
    ask(van, {"cameras": {"verdict": "bad", "mark": "none"}})
    assert health(van) == ("broken", "no_camera")
    visitor = Visitor(app, Role.SUPPORT)
    page = flat(visitor.get("/inbox"))
    assert "No camera answers · Is a light on at the front and the rear camera" in page
    assert re.findall(r'href="([^"]*)">\s*(?:<svg.*?</svg>)?\s*(Answer|Check)[^<]*<', page) == [
        (f"/vehicles/{IMEI}/check#start", "Answer")
    ]
    assert badge(visitor) == "1"


def test_the_action_is_to_mend_it_once_the_question_is_answered(app: Flask, van: Device) -> None:
    reply(ask(van, NO_FOOTAGE), "no")
    page = flat(Visitor(app, Role.SUPPORT).get(f"/vehicles/{IMEI}"))
    assert "Card is in: check again" in page
    assert "The check waits for an answer" not in page


def test_the_head_of_a_working_vehicle_says_so_once(app: Flask, van: Device) -> None:
    page = flat(Visitor(app, Role.VIEWER).get(f"/vehicles/{IMEI}"))
    head = re.sub(r"<[^>]*>", " ", page.partition('<div class="stands')[2].partition("</div>")[0])
    assert re.findall(r"\bWork\w*", head) == ["Working"]
