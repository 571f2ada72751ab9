"""Installations that are not finished: at which step a vehicle stands, and that the inbox leads to the next one."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import flask_migrate
import pytest
from conftest import ROOT
from flask import Flask
from page_visitor import IMEI, Visitor, add_van, badge, command, flat
from sqlalchemy import event as sql_event
from sqlalchemy import text

from provisioning.devices import health_store, registry, status_table
from provisioning.devices.installation import InstallationFacts, InstallationStep, open_step
from provisioning.fleet import presets
from provisioning.models import ChecklistRun, Device, Role, State, Verdict, db, locks, utcnow, visibility
from provisioning.web.pages import inbox_items

NEEDED = {151: 18, 150: 1}
LOGIN, SETTINGS, PROOF = InstallationStep.LOGIN, InstallationStep.SETTINGS, InstallationStep.PROOF


@pytest.fixture
def van(app: Flask) -> Device:
    return add_van()


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app, Role.INSTALLER)


def know(device: Device, item: str, value: str = "it") -> None:
    """Keep what the vehicle has told, and decide its health by that."""
    device = locks.lock_device(device.id)
    status_table.note(
        device, item, value, Verdict.GOOD, now=utcnow(), source_kind="command", source_id="1" * 32
    )
    db.session.commit()


def confirm(device: Device, values: Mapping[int, Any]) -> None:
    for number, value in values.items():
        know(device, f"parameter.{number}", str(value))


def add_many(count: int, tag: str = "") -> None:
    for number in range(count):
        given = {
            "imei": f"35209408{number:07}",
            "phone": f"+12025551{number:03}",
            "tags": [tag] if tag else [],
        }
        registry.add(given, utcnow())


@pytest.mark.parametrize(
    ("facts", "step"),
    [
        (InstallationFacts(False, False, NEEDED, {}), LOGIN),
        (InstallationFacts(False, False, NEEDED, {151: "18", 150: "1"}), LOGIN),
        (InstallationFacts(False, True, NEEDED, {}), SETTINGS),
        (InstallationFacts(False, True, NEEDED, {151: "18"}), SETTINGS),
        (InstallationFacts(False, True, NEEDED | {66024: 120}, {151: "18", 150: "1", 66024: "60"}), SETTINGS),
        (InstallationFacts(False, True, NEEDED, {151: "18", 150: "1"}), PROOF),
        (InstallationFacts(True, False, NEEDED, {}), None),
    ],
)
def test_the_step_is_the_first_that_is_not_done(
    facts: InstallationFacts, step: InstallationStep | None
) -> None:
    assert open_step(facts) is step


@pytest.mark.on_sqlite
def test_the_inbox_leads_an_installation_from_step_to_step(van: Device, visitor: Visitor) -> None:
    page = flat(visitor.get("/inbox"))
    assert "<h2>Waiting for you</h2>" in page
    assert "It has answered no SMS yet (step 2 of 4)" in page
    assert f'href="/vehicles/{IMEI}/settings/tracker#ask"> Ask it' in page
    assert badge(visitor) == "1"
    know(van, "contact.sms")
    page = flat(visitor.get("/inbox"))
    assert "Its settings are not confirmed yet (step 3 of 4)" in page
    assert f'href="/vehicles/{IMEI}/settings#send"> Set up' in page
    confirm(van, NEEDED)
    page = flat(visitor.get("/inbox"))
    assert "No check or picture has proved it yet (step 4 of 4)" in page
    assert f'href="/vehicles/{IMEI}/check#start"> Check' in page
    know(van, "camera.front.file")
    assert "Nothing waits for you" in visitor.get("/inbox").text
    assert badge(visitor) is None


@pytest.mark.on_sqlite
def test_settings_are_those_of_the_preset_too(van: Device, visitor: Visitor) -> None:
    preset = presets.save("Standard", "", NEEDED | {66024: 120}, "somebody", utcnow())
    registry.change(van, {"profile_id": preset.id}, utcnow())
    know(van, "contact.sms")
    confirm(van, NEEDED)
    assert "(step 3 of 4)" in visitor.get("/inbox").text
    confirm(van, {66024: 120})
    assert "(step 4 of 4)" in visitor.get("/inbox").text


@pytest.mark.on_sqlite
def test_a_vehicle_whose_sms_login_nobody_knows_waits_for_that(app: Flask, visitor: Visitor) -> None:
    device = registry.add({"imei": IMEI, "phone": "+12025550111"}, utcnow())
    page = flat(visitor.get("/inbox"))
    assert "Its SMS login is not known yet (step 2 of 4)" in page
    assert f'href="/vehicles/{device.imei}/settings/vehicle#field-sms_login"> Enter it' in page


@pytest.mark.on_sqlite
def test_what_is_under_way_or_waits_with_a_question_does_not_stand_still(
    van: Device, visitor: Visitor
) -> None:
    asked = command(van, state=State.QUEUED)
    assert "step 2 of 4" not in visitor.get("/inbox").text
    assert badge(visitor) is None
    asked.state = State.EXPIRED
    run = ChecklistRun(device_id=van.id, steps={"led": {"state": "question"}}, waits_for_person=True)
    db.session.add(run)
    db.session.commit()
    assert "step 2 of 4" not in visitor.get("/inbox").text
    assert badge(visitor) == "1"  # its question
    run.ended_at = utcnow()
    db.session.commit()
    assert "step 2 of 4" in visitor.get("/inbox").text


def test_a_broken_vehicle_is_named_once_with_what_mends_it(van: Device, visitor: Visitor) -> None:
    van.health_state, van.health_code, van.health_until = "broken", "no_camera", None
    db.session.commit()
    assert "step 2 of 4" not in visitor.get("/inbox").text
    assert badge(visitor) == "1"


@pytest.mark.on_sqlite
def test_an_archived_vehicle_is_installed_and_checked_no_more(van: Device, visitor: Visitor) -> None:
    run = ChecklistRun(device_id=van.id, steps={"led": {"state": "question"}}, waits_for_person=True)
    db.session.add(run)
    db.session.commit()
    registry.archive(van, utcnow())
    db.session.refresh(run)
    assert (run.verdict, run.ended_at is not None, run.waits_for_person) == ("stopped", True, False)
    assert "Nothing waits for you" in visitor.get("/inbox").text
    assert badge(visitor) is None


def test_what_was_proved_once_stays_installed_however_long_it_is_silent(
    van: Device, visitor: Visitor
) -> None:
    know(van, "camera.rear.file")
    proved_at = van.proved_at
    assert proved_at is not None
    health_store.refresh(locks.lock_device(van.id), utcnow() + timedelta(days=40))
    db.session.commit()
    assert van.health_state == "silent"
    assert van.proved_at == proved_at
    assert "Nothing waits for you" in visitor.get("/inbox").text


def test_a_vehicle_that_never_gave_a_sign_of_life_still_waits(van: Device, visitor: Visitor) -> None:
    health_store.refresh(locks.lock_device(van.id), utcnow() + timedelta(days=8))
    db.session.commit()
    assert van.health_state == "silent"
    assert "It has answered no SMS yet (step 2 of 4)" in visitor.get("/inbox").text


def test_many_at_once_are_one_line_that_leads_to_them(app: Flask, visitor: Visitor) -> None:
    add_many(inbox_items.INSTALLATIONS)
    assert visitor.get("/inbox").text.count("(step 2 of 4)") == inbox_items.INSTALLATIONS
    assert badge(visitor) == str(inbox_items.INSTALLATIONS)
    known = registry.add({"imei": IMEI, "phone": "+12025550111", "name": "Van 11"}, utcnow())
    page = flat(visitor.get("/inbox"))
    assert "(step 2 of 4)" not in page
    assert f"The installations of {inbox_items.INSTALLATIONS + 1} vehicles are not finished" in page
    assert 'href="/?unfinished=1"> See them' in page
    assert badge(visitor) == "1"
    fleet = flat(visitor.get("/?unfinished=1"))
    assert 'aria-current=true href="/?unfinished=1"> Being set up <span class="count">11</span>' in fleet
    assert "Van 11" in fleet
    know(known, "camera.front.file")
    assert "Van 11" not in visitor.get("/?unfinished=1").text
    assert "Van 11" in visitor.get("/").text


@pytest.mark.on_sqlite
@pytest.mark.parametrize("role", [Role.VIEWER, Role.SUPPORT])
def test_who_cannot_install_is_not_asked_to(app: Flask, van: Device, role: Role) -> None:
    visitor = Visitor(app, role)
    assert "Nothing waits for you" in visitor.get("/inbox").text
    assert badge(visitor) is None


def test_who_is_limited_to_tags_is_led_to_these_vehicles_alone(app: Flask) -> None:
    add_many(3, "north")
    visitor = Visitor(app, Role.INSTALLER, ["south"])
    assert badge(visitor) is None
    with visibility.whole_fleet():
        registry.add({"imei": IMEI, "phone": "+12025550111", "name": "Van 11", "tags": ["south"]}, utcnow())
    assert badge(visitor) == "1"
    assert visitor.get("/inbox").text.count("(step 2 of 4)") == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_unfinished_installations_are_counted_with_the_states_by_one_index_alone(
    app: Flask, visitor: Visitor
) -> None:
    add_many(3)
    seen: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, given: Any, *___: Any) -> None:
        if "proved_at IS NULL" in statement and "count(*)" in statement:
            seen.append((statement, given))

    sql_event.listen(db.engine, "before_cursor_execute", note)
    visitor.get("/")
    sql_event.remove(db.engine, "before_cursor_execute", note)
    cursor = db.session.connection().connection.cursor()
    ((statement, given),) = seen
    plan = [row[-1] for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}", given).fetchall()]
    assert plan == ["SCAN devices USING COVERING INDEX ix_devices_live_health"]


def test_vehicles_that_worked_before_an_update_are_installed(app: Flask) -> None:
    add_many(4)
    now = utcnow()
    flask_migrate.downgrade(directory=str(ROOT / "migrations"), revision="0043")
    for number, values in enumerate(
        ("health_code = 'proved'", "file_at = :at, health_code = 'no_reply'", "health_code = 'proof_old'")
    ):
        db.session.execute(
            text(f"UPDATE devices SET {values}, health_since = :at WHERE imei = :imei"),
            {"at": now, "imei": f"35209408{number:07}"},
        )
    db.session.commit()
    flask_migrate.upgrade(directory=str(ROOT / "migrations"))
    found = db.session.execute(text("SELECT imei FROM devices WHERE proved_at IS NULL")).scalars().all()
    assert found == ["352094080000003"]
