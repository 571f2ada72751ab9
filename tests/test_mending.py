"""What mends a vehicle is one action: the setting is sent, and once it is confirmed the check begins by itself."""

import html
import re
from datetime import datetime, timedelta

import flask_migrate
import pytest
from conftest import ROOT
from gateway_double import Phone
from page_visitor import Visitor, command, flat
from sms_commands import send
from sms_rows import VERSION, add_van
from sqlalchemy import func, select, text
from test_settings_cards import PATH, asked, confirmed, post

from provisioning.check import continuation, run_facts, run_view, runner
from provisioning.check.camera_readings import read_front, read_rear
from provisioning.check.facts import CommandOutcome
from provisioning.core.audit import AuditAction
from provisioning.devices import status_table
from provisioning.fleet import presets
from provisioning.media.camera_clock import zone_that_fits
from provisioning.models import (
    AuditEntry,
    ChecklistRun,
    Command,
    Device,
    Role,
    State,
    Verdict,
    command_state,
    db,
    locks,
    utcnow,
)
from provisioning.phrase import Phrase

MEND = f"{PATH}?then=check"


@pytest.fixture
def van(phone: Phone) -> Device:
    return add_van()


@pytest.fixture
def visitor(phone: Phone) -> Visitor:
    return Visitor(phone.app, Role.INSTALLER)


def the_run() -> ChecklistRun:
    db.session.expire_all()
    return db.session.scalars(select(ChecklistRun)).one()


def clock_is_off(device: Device, seconds: int) -> None:
    device = locks.lock_device(device.id)
    status_table.note(
        device,
        status_table.CLOCK,
        str(seconds),
        Verdict.BAD,
        now=utcnow(),
        source_kind="upload",
        source_id="1",
    )
    db.session.commit()


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    ("zone", "seconds", "fitting"),
    [
        (0, 10_800, -180),  # 3 h ahead
        (120, 3600, 60),
        (0, -7190, 120),  # 2 h behind, but for some seconds
        (0, 60, None),  # right
        (0, 4000, None),  # no zone is off by 67 min
        (-720, 3600, None),  # there is none below
    ],
)
def test_the_zone_that_fits_is_that_by_which_the_clock_is_right(
    zone: int, seconds: float, fitting: int | None
) -> None:
    assert zone_that_fits(zone, seconds) == fitting


def test_the_check_begins_once_the_vehicle_has_confirmed_the_setting(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    page = flat(visitor.get(MEND))
    assert "Once the vehicle has confirmed it, the check begins by itself." in page
    assert re.search(r"It takes at most \d+ SMS", page)
    assert "Set it and check again</button>" in page
    answer = post(visitor, MEND)
    assert answer.location == "/vehicles/352094082736916/check"
    assert asked() == ["151:18;150:1"]
    continuation.continue_runs(utcnow())  # as after a restart of the worker
    assert the_run().steps == {}
    assert "It begins once the vehicle has confirmed what it was sent." in visitor.get(answer.location).text
    assert "Nothing is under way" not in visitor.get("/vehicles/352094082736916").text
    send(van)
    phone.reply("New value 151:18;150:1")
    continuation.continue_runs(utcnow())
    run = the_run()
    assert run.steps["reachable"]["state"] == "running"
    assert run.started_by == "installer@example.com"
    assert db.session.scalar(select(func.count()).select_from(Command)) == 2


RESTART = "/vehicles/352094082736916/restart"


@pytest.mark.parametrize(
    ("camera", "button", "restarted"),
    [
        ("both", "Restart both cameras and check again (2 SMS + check)", ["front", "rear"]),
        ("rear", "Restart the rear camera and check again (1 SMS + check)", ["rear"]),
    ],
)
def test_cameras_are_restarted_and_the_check_begins_once_they_were(
    phone: Phone, van: Device, visitor: Visitor, camera: str, button: str, restarted: list[str]
) -> None:
    page = flat(visitor.get(f"{RESTART}?camera={camera}"))
    assert f">{button}</button>" in page.replace("> ", ">").replace(" <", "<")
    assert "format" not in page.lower()
    answer = visitor.send(RESTART, RESTART, camera=camera)
    assert answer.location == "/vehicles/352094082736916/check"
    rows = db.session.scalars(select(Command).order_by(Command.id)).all()
    assert [(row.kind, row.arguments["camera"]) for row in rows] == [
        ("camget_restart", side) for side in restarted
    ]
    continuation.continue_runs(utcnow())
    assert the_run().steps == {}
    for side in restarted:
        send(van)
        phone.reply(f"Camera {side} restart success")
    continuation.continue_runs(utcnow())
    assert the_run().steps["reachable"]["state"] == "running"


def test_the_check_after_a_restart_waits_for_the_camera_and_says_so(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    visitor.send(RESTART, RESTART, camera="front")
    for answer in ("Camera front restart success", "Data Link: 1 GPRS: 1", VERSION, "DI1:1 AIN1:12650 DO1:0"):
        send(van)
        phone.reply(answer)
        continuation.continue_runs(utcnow())
    for _ in range(2):
        send(van)
        first, *rest = phone.sent[-1].partition("getparam ")[2].split(";")
        held = {"150": "1", "151": "18"}
        pairs = "".join(f";{number}:{held.get(number, '0')}" for number in rest)
        phone.reply(f"Param ID:{first} Value:{held.get(first, '0')}{pairs}")
        continuation.continue_runs(utcnow())
    send(van)
    assert the_run().steps["front"]["state"] == "running"
    assert not phone.sent[-1].endswith("camreq:1,1")
    page = flat(visitor.get("/vehicles/352094082736916/check"))
    assert re.search(r"Waits about \d+ s: the cameras start again\.", page)


@pytest.mark.on_sqlite
def test_a_vehicle_that_takes_nothing_of_the_cabin_has_its_front_camera_restarted_alone(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    van.cabin_private = True
    db.session.commit()
    assert "Restart the front camera" in visitor.get(f"{RESTART}?camera=both").text
    visitor.send(RESTART, RESTART, camera="rear")
    (row,) = db.session.scalars(select(Command))
    assert row.arguments["camera"] == "front"


@pytest.mark.on_sqlite
def test_a_verdict_of_cameras_without_a_picture_leads_to_their_restart(van: Device, visitor: Visitor) -> None:
    failed = {
        "state": "done",
        "verdict": "bad",
        "mark": "no_capture",
        "code": "nobody_looked",
        "arguments": {},
    }
    run = ChecklistRun(device_id=van.id, steps={"front": failed, "rear": failed}, started_by="tests")
    run.verdict, run.ended_at = "no_capture", utcnow()
    db.session.add(run)
    db.session.commit()
    page = flat(visitor.get("/vehicles/352094082736916/check"))
    assert f'href="{RESTART}?camera=both#restart">Restart both cameras and check again</a>' in page


def restarted(device: Device, side: str, at: datetime) -> None:
    command(
        device,
        kind="camget_restart",
        arguments={"camera": side},
        state=State.DONE,
        sending_at=at,
        ended_at=at,
    )


@pytest.mark.parametrize(
    ("since_file", "is_counted"), [(timedelta(hours=1), True), (timedelta(hours=-1), False)]
)
def test_a_restart_counts_until_the_camera_sends_a_file(
    van: Device, since_file: timedelta, is_counted: bool
) -> None:
    at = utcnow() - timedelta(hours=3)
    device = locks.lock_device(van.id)
    status_table.note(
        device,
        "camera.front.file",
        "x",
        Verdict.GOOD,
        now=at - since_file,
        source_kind="upload",
        source_id="1",
    )
    restarted(device, "front", at)
    run = ChecklistRun(device_id=van.id, steps={}, started_by="tests")
    failed = CommandOutcome(State.FAILED, True, "capture_failed")
    facts = run_facts.facts_of(run, [failed], device)
    assert ("front" in facts.restarted) == is_counted
    assert run_facts.facts_of(run, [CommandOutcome(State.DONE, True)], device).restarted == {}


def test_after_a_restart_that_changed_nothing_the_head_and_the_verdict_offer_another_check(
    van: Device, visitor: Visitor
) -> None:
    at = utcnow() - timedelta(minutes=5)
    device = locks.lock_device(van.id)
    for side in ("front", "rear"):
        restarted(device, side, at)
    run = ChecklistRun(device_id=van.id, steps={}, started_by="tests", started_at=at)
    db.session.add(run)
    facts = run_facts.facts_of(run, [CommandOutcome(State.FAILED, True, "capture_failed")], device)
    run.steps = {
        side: {"state": "done", **read(facts).as_entry()}
        for side, read in (("front", read_front), ("rear", read_rear))
    }
    runner.finish(run, utcnow())
    db.session.commit()
    page = flat(visitor.get("/vehicles/352094082736916/check"))
    assert re.search(r"The cameras were restarted at [\d: -]+ \S+ and still take no picture", page)
    for path in ("/vehicles/352094082736916/check", "/vehicles/352094082736916", "/inbox"):
        assert RESTART not in visitor.get(path).text
    overview = flat(visitor.get("/vehicles/352094082736916"))
    assert 'href="/vehicles/352094082736916/check#start">Check</a>' in overview


def test_a_setting_that_was_not_confirmed_ends_the_check_before_it_asks_anything(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    post(visitor, MEND)
    (setting,) = db.session.scalars(select(Command))
    locks.lock_device(van.id)
    command_state.move(setting, State.EXPIRED, utcnow(), error=("no_reply", Phrase("no_reply"), True))
    db.session.commit()
    continuation.continue_runs(utcnow())
    run = the_run()
    assert (run.verdict, run.ended_at is not None) == ("not_set", True)
    assert run_view.ended_without_verdict(run) == "Not begun: the vehicle did not confirm what it was sent."
    assert "did not confirm what it was sent" in visitor.get("/vehicles/352094082736916/check").text
    assert db.session.scalar(select(func.count()).select_from(Command)) == 1


@pytest.mark.on_sqlite
def test_while_a_check_is_open_nothing_is_sent_and_the_page_says_why(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    runner.start(van, "somebody", utcnow())
    answer = post(visitor, MEND)
    assert answer.status_code == 409
    assert "A run is under way" in answer.text
    assert asked() == []
    assert 'name="then" value="check"' in flat(answer)


@pytest.mark.on_sqlite
def test_a_clock_of_another_zone_has_the_right_one_proposed(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    confirmed(phone, van, p151=18, p150=1, p66024=120)
    clock_is_off(van, 10_800)
    van.time_zone = "UTC"
    db.session.commit()
    found = "The camera's clock is 3 h ahead. With UTC-01:00 it shows the right time."
    assert found not in html.unescape(flat(visitor.get(PATH)))
    page = html.unescape(flat(visitor.get(MEND)))
    assert found in page
    assert "The zone of the vehicle is another one" in page
    # nothing is to be mended on this one
    assert re.search(r'<option value="120"\s+selected', visitor.get(PATH).text)
    assert re.search(r'<option value="-60"\s+selected', visitor.get(MEND).text)
    post(visitor, MEND)
    assert asked()[-1] == "151:18;150:1;66024:-60"
    assert the_run().begins_after


def test_a_check_that_is_stopped_while_it_waits_asks_nothing(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    post(visitor, MEND)
    runner.stop(the_run(), utcnow())
    send(van)
    phone.reply("New value 151:18;150:1")
    continuation.continue_runs(utcnow() + timedelta(seconds=5))
    assert (the_run().verdict, the_run().steps) == ("stopped", {})


def test_a_zone_that_was_set_since_the_clock_was_seen_is_not_moved_once_more(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    confirmed(phone, van, p151=18, p150=1, p66024=0)
    clock_is_off(van, 10_800)
    post(visitor, MEND)
    send(van)
    phone.reply("New value " + asked()[-1])
    runner.stop(the_run(), utcnow())  # before a file could show what the clock is now
    assert re.search(r'<option value="-180"\s+selected', visitor.get(MEND).text)


@pytest.mark.on_sqlite
def test_the_check_begins_at_once_where_the_vehicle_has_the_settings_already(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    confirmed(phone, van, p66003=25)
    sent = asked()
    answer = post(visitor, MEND)
    assert (answer.status_code, answer.location) == (302, f"{PATH.removesuffix('/settings')}/check")
    assert asked() == sent
    assert not the_run().begins_after
    continuation.continue_runs(utcnow())
    assert the_run().steps["reachable"]["state"] == "running"


def test_the_log_of_people_says_that_a_check_was_begun_with_the_setting(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    post(visitor, MEND)
    entries = db.session.scalars(select(AuditEntry).where(AuditEntry.imei == van.imei)).all()
    assert {entry.action for entry in entries} >= {AuditAction.ASKED, AuditAction.CHECKED}


@pytest.mark.on_sqlite
def test_a_preset_is_filled_in_without_losing_the_check_that_follows(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    presets.save("Truck", "", {"151": 18, "150": 1}, "tests", utcnow())
    page = flat(visitor.get(MEND))
    chooser = page[page.index('method="get"') : page.index('id="preset"')]
    assert 'name="then" value="check"' in chooser


def test_an_older_version_reads_runs_that_were_not_begun_as_ended_and_begins_none_that_waits(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    now, folder = utcnow(), str(ROOT / "migrations")
    for verdict in ("not_set", "good"):
        run = runner.start(van, "somebody", now)
        run.verdict, run.ended_at = verdict, now
        db.session.commit()
    post(visitor, MEND)
    db.session.commit()
    flask_migrate.downgrade(directory=folder, revision="0044")
    query = text("SELECT verdict, ended_at IS NOT NULL FROM checklist_runs ORDER BY id")
    found = [tuple(row) for row in db.session.execute(query)]
    db.session.commit()
    flask_migrate.upgrade(directory=folder)
    assert found == [("stopped", True), ("good", True), ("stopped", True)]
