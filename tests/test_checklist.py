"""A run of the checklist on both databases: what it asks, what it keeps, and how it goes on."""

import threading
from datetime import timedelta

import checklist_visits
import pytest
from checklist_visits import REPLIES, answer_all, begin, hand_over, states, verdict_text
from gateway_double import Phone
from sqlalchemy import select

from provisioning.check import continuation, run_facts, run_view, runner
from provisioning.check.facts import CommandOutcome
from provisioning.check.steps import STEPS
from provisioning.commands import command_words, submission
from provisioning.core.config import current_config
from provisioning.core.errors import Conflict
from provisioning.devices import registry, status_table
from provisioning.media import camera_clock
from provisioning.models import ChecklistRun, Command, Device, State, Upload, db, utcnow
from provisioning.models import Verdict as Grade
from provisioning.roles import Role
from provisioning.tracker import language

pytestmark = pytest.mark.on_sqlite

phone = checklist_visits.phone  # the same fixture


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_a_run_is_stored_and_asks_one_thing_after_the_other(phone: Phone, van: Device) -> None:
    run = begin(van)
    assert hand_over(phone, van) == "getstatus"
    assert states(run) == {"reachable": "running"}
    phone.reply(REPLIES["getstatus"])
    runner.advance(run, utcnow())
    assert hand_over(phone, van) == "getver"
    assert states(run) == {"reachable": "done", "firmware": "running"}
    stored = runner.current(van)
    assert stored is not None
    assert (stored.id, stored.started_by, stored.ended_at) == (run.id, "ops@example.com", None)


def test_a_result_is_stored_together_with_the_next_question(phone: Phone, van: Device) -> None:
    run = begin(van)
    for name in ("getstatus", "getver"):
        hand_over(phone, van)
        phone.reply(REPLIES[name])
        runner.advance(run, utcnow())
    assert states(run) == {"reachable": "done", "firmware": "done", "power": "running"}


def test_a_run_that_was_left_goes_on_by_the_sweep(phone: Phone, van: Device) -> None:
    run_id, van_id = begin(van).id, van.id
    db.session.remove()
    device = db.session.get_one(Device, van_id)
    hand_over(phone, device)
    phone.reply(REPLIES["getstatus"])
    continuation.continue_runs(utcnow())
    assert states(db.session.get_one(ChecklistRun, run_id)) == {"reachable": "done", "firmware": "running"}


def test_many_processes_at_once_ask_each_step_once(phone: Phone, van: Device) -> None:
    app, run_id = phone.app, runner.start(van, "ops@example.com", utcnow()).id
    db.session.remove()

    def advance() -> None:
        with app.app_context():
            runner.advance(db.session.get_one(ChecklistRun, run_id), utcnow())

    threads = [threading.Thread(target=advance) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [row.kind for row in db.session.scalars(select(Command))] == ["getstatus"]


def test_a_persons_answer_is_stored_and_ends_the_run(phone: Phone, van: Device) -> None:
    run = begin(van)
    answer_all(phone, run)
    assert states(run)["led"] == "question"
    assert run.ended_at is None
    db.session.remove()
    run = db.session.get_one(ChecklistRun, run.id)
    runner.answer(run, "led", "no", utcnow())
    runner.advance(run, utcnow())
    db.session.expire_all()
    assert (run.verdict, run.steps["led"]["answer"]) == ("no_power", "no")
    assert verdict_text(run) == (
        "The cameras have no power. Check their supply and fuse."
        " Rests on: The front and the rear camera: there is no power. Neither camera answers the tracker."
    )


def test_i_cannot_look_ends_the_run_with_the_likely_cause(phone: Phone, van: Device) -> None:
    run = begin(van)
    answer_all(phone, run)
    runner.answer(run, "led", "unable", utcnow())
    runner.advance(run, utcnow())
    assert run.ended_at is not None
    assert (run.verdict, run_view.certainty_of(run)) == ("no_camera", "likely")


def test_with_the_ignition_off_nothing_is_asked_that_cannot_succeed(phone: Phone, van: Device) -> None:
    off = REPLIES | {
        "getio": "DI1:0 AIN1:12100 DO1:0",
        "camreq:1,1": "Error: Cannot capture because ignition is off",
    }
    run = begin(van)
    asked = answer_all(phone, run, off)
    assert asked == ["getstatus", "getver", "getio", "camreq:1,1"]
    assert (run.verdict, run.steps["power"]["verdict"]) == ("ignition_off", "warn")
    assert {run_view.text_of(run.steps[name]) for name in ("configuration", "cameras", "rear", "card")} == {
        "The ignition has to be on first."
    }
    for item, value in (("ignition", "off"), ("parameter.66020", "0")):
        status_table.note(van, item, value, Grade.GOOD, now=utcnow(), source_kind="record", source_id=None)
    db.session.commit()
    assert answer_all(phone, begin(van), off) == ["getio"]


def test_where_the_input_is_not_wired_to_the_ignition_everything_is_asked_after_the_photo(
    phone: Phone, van: Device
) -> None:
    run = begin(van)
    asked = answer_all(phone, run, REPLIES | {"getio": "DI1:0 AIN1:12650 DO1:0"})
    assert asked[:4] == ["getstatus", "getver", "getio", "camreq:1,1"]
    assert {"getparam", "camgetver"} <= set(asked)


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_a_step_that_is_asked_again_with_the_ignition_on_brings_back_what_was_spared(
    phone: Phone, van: Device
) -> None:
    off = {"getio": "DI1:0 AIN1:12100 DO1:0", "camreq:1,1": "Error: Cannot capture because ignition is off"}
    run = begin(van)
    answer_all(phone, run, REPLIES | off)
    runner.again(run, "front", utcnow())
    runner.advance(run, utcnow())
    assert {"getparam", "camgetver"} <= set(answer_all(phone, run))


def photo_came(phone: Phone, van: Device, run: ChecklistRun, seconds: float) -> None:
    """Let the photo of the front camera come within so many seconds, taken when they began."""
    answer_all(phone, run, REPLIES | {"camreq:1,1": "Photo request from source 1."})
    (row,) = db.session.scalars(select(Command).where(Command.kind == "camreq"))
    began = utcnow() - timedelta(seconds=seconds)
    db.session.add(
        Upload(id="1" * 32, imei=van.imei, device_id=van.id, identifier="%photof", file_type="photo", source="front",
               state="stored", size=30_000, started_at=began, received_at=began + timedelta(seconds=seconds),
               timestamp=began, command_id=row.id, link_fixed=True),
    )  # fmt: skip
    submission.cancel(row, utcnow())
    db.session.commit()
    runner.advance(run, utcnow())
    answer_all(phone, run)


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_the_speed_of_a_runs_own_files_is_kept_and_told(phone: Phone, van: Device) -> None:
    run = begin(van)
    photo_came(phone, van, run, 100)
    assert run_view.text_of(run.steps["speed"]).startswith(
        "Files come with 0.3 kB/s: a 10 s clip of one camera takes about 3 h."
    )


def test_a_check_keeps_by_which_of_its_files_the_clock_is_known(phone: Phone, van: Device) -> None:
    run = begin(van)
    photo_came(phone, van, run, 1)
    runner.finish(run, utcnow())
    clock = status_table.get(van.id, status_table.CLOCK)
    assert clock is not None
    assert (clock.value, clock.source_kind, clock.source_id) == ("0", "upload", "1" * 32)


@pytest.mark.parametrize(("clip_came", "cards"), [(False, {"rear": "SD card faulty"}), (True, {})])
def test_a_clip_that_came_since_counts_more_than_what_records_told_of_the_card(
    van: Device, clip_came: bool, cards: dict[str, str]
) -> None:
    began = utcnow() - timedelta(days=2)
    told = {"camera.front.state": "SD card mounted", "camera.rear.state": "SD card faulty"}
    for item, value in told.items():
        verdict = Grade.GOOD if value == status_table.CARD_MOUNTED else Grade.BAD
        status_table.note(van, item, value, verdict, now=began, source_kind="record", source_id=None)
    came = began + timedelta(days=1 if clip_came else -1)
    status_table.note(
        van, "camera.rear.video", "rear video", Grade.GOOD, now=came, source_kind="upload", source_id=None
    )
    run = begin(van)
    assert run_facts.facts_of(run, [], van).bad_cards == cards


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("code", "counted"), [("server_unreachable", 1), ("no_file", 1), ("capture_failed", 0)]
)
def test_a_file_that_does_not_get_through_counts_the_vehicles_that_did(
    van: Device, code: str, counted: int
) -> None:
    now = utcnow()
    for number, age in enumerate((timedelta(minutes=5), timedelta(hours=2))):
        other = registry.add({"imei": f"35209408000000{number}", "phone": f"+4915112340{number}"}, now)
        other.connected_at = now - age
    db.session.commit()
    run = begin(van)
    outcome = CommandOutcome("failed", True, code)
    assert run_facts.facts_of(run, [outcome], van).others == counted


def test_what_a_check_hears_late_takes_the_place_of_nothing_that_is_known_since(
    phone: Phone, van: Device
) -> None:
    run = begin(van)
    photo_came(phone, van, run, 1)
    runner.answer(run, "led", "unable", utcnow())
    runner.advance(run, utcnow())
    ended_at = run.ended_at
    assert ended_at is not None
    camera_clock.note(van, 7200, "2" * 32, utcnow())
    db.session.commit()
    late = db.session.scalars(select(Command).where(Command.kind == "getver")).one()
    late.updated_at = utcnow() + timedelta(seconds=1)
    run.steps = run.steps | {"firmware": run.steps["firmware"] | {"verdict": "warn"}}  # as without the answer
    db.session.commit()
    continuation.continue_runs(utcnow())
    db.session.expire_all()
    assert run.steps["firmware"]["verdict"] == "good"
    assert run.ended_at == ended_at
    clock = status_table.get(van.id, status_table.CLOCK)
    assert clock is not None
    assert (clock.value, clock.source_id) == ("7200", "2" * 32)


def test_a_request_that_cannot_come_in_time_says_so_before_it_is_sent(phone: Phone, van: Device) -> None:
    status_table.note(
        van, "upload.speed", "300", Grade.WARN, now=utcnow(), source_kind="upload", source_id=None
    )
    now = int(utcnow().timestamp())
    notes = []
    for seconds in (3, 10):
        given = {"file_type": "video", "source": "front", "timestamp": now - 600, "duration": seconds}
        asked = language.from_arguments("camreq", given, now=now)
        (row,) = submission.submit(van, asked, submission.Requester("tests", Role.INSTALLER), utcnow())
        notes.append(command_words.said(row.note))
    assert notes[0] is None
    assert "(0.3 kB/s) this takes about 3 h, longer than the 60 min" in notes[1]
    assert "At most 3 s of one camera come in time." in notes[1]


def test_a_clip_is_as_large_as_the_vehicles_own_where_its_time_is_told(phone: Phone, van: Device) -> None:
    status_table.note(
        van, "upload.speed", "300", Grade.WARN, now=utcnow(), source_kind="upload", source_id=None
    )
    began = utcnow() - timedelta(minutes=5)
    db.session.add(
        Upload(id="3" * 32, imei=van.imei, device_id=van.id, identifier="%videof", file_type="video", source="front",
               state="stored", size=30_000, duration=10, started_at=began, timestamp=began,
               received_at=began + timedelta(seconds=100)),
    )  # fmt: skip
    db.session.flush()
    given = {"file_type": "video", "source": "both", "timestamp": int(began.timestamp()), "duration": 20}
    asked = language.from_arguments("camreq", given, now=int(utcnow().timestamp()))
    assert isinstance(asked, language.CamReq)
    assert submission.too_slow(van, asked, current_config()) is None


def test_a_second_run_is_refused_while_one_is_open_and_possible_afterwards(phone: Phone, van: Device) -> None:
    run = begin(van)
    with pytest.raises(Conflict):
        runner.start(van, "ops@example.com", utcnow())
    db.session.rollback()
    runner.stop(run, utcnow())
    second = runner.start(van, "ops@example.com", utcnow())
    assert run.verdict == "stopped"
    assert runner.current(van) == second


def test_a_run_that_is_ended_withdraws_what_was_not_sent(phone: Phone, van: Device) -> None:
    run = begin(van)
    (waiting,) = db.session.scalars(select(Command)).all()
    assert waiting.state == State.QUEUED
    runner.stop(run, utcnow())
    assert hand_over(phone, van) == ""
    assert waiting.state == State.CANCELLED


def waits_for_person(van: Device) -> ChecklistRun:
    """A run with nothing left to ask but whether a light is on."""
    good = {"state": "done", "verdict": "good", "code": "cameras_answer", "arguments": {}, "mark": ""}
    steps = {step.id: good for step in STEPS if not step.asks_person}
    steps["cameras"] = good | {"mark": "none", "verdict": "bad"}
    run = ChecklistRun(device_id=van.id, steps=steps, started_at=utcnow(), updated_at=utcnow())
    db.session.add(run)
    db.session.commit()
    runner.advance(run, utcnow())
    assert "question" in states(run).values()
    return run


def test_a_run_that_nobody_comes_back_to_ends_by_itself_after_a_week(phone: Phone, van: Device) -> None:
    run = waits_for_person(van)
    for day in (1, 3, 6.9):
        continuation.continue_runs(utcnow() + timedelta(days=day))
    db.session.expire_all()
    assert run.ended_at is None
    continuation.continue_runs(utcnow() + timedelta(days=7.1))
    db.session.expire_all()
    assert (run.verdict, run.waits_for_person) == ("left", True)
    assert "nobody went on with it for 7 days" in (run_view.ended_without_verdict(run) or "")


def test_runs_that_wait_for_people_hold_no_other_up_and_an_answer_goes_on(
    phone: Phone, van: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, looked_at = waits_for_person(van), list[str]()
    real = runner.advance
    monkeypatch.setattr(runner, "advance", lambda run, now: looked_at.append(run.id) or real(run, now))
    continuation.continue_runs(utcnow())
    assert looked_at == []
    asked = next(name for name, state in states(waiting).items() if state == "question")
    choice = "yes"
    runner.answer(waiting, asked, choice, utcnow())
    continuation.continue_runs(utcnow())
    assert looked_at == [waiting.id]
