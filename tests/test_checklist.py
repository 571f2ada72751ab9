"""A run of the checklist on both databases: what it asks, what it keeps, and how it goes on."""

import dataclasses
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta

import pytest
from flask import Flask
from gateway_double import Phone
from sqlalchemy import select

from provisioning.check import continuation, run_view, runner, step_commands
from provisioning.check.steps import STEPS
from provisioning.commands import command_words, submission
from provisioning.core.errors import Conflict, Invalid
from provisioning.devices import registry, status_table
from provisioning.media import camera_clock
from provisioning.models import (
    ChecklistRun,
    Command,
    Device,
    ShownState,
    State,
    Upload,
    db,
    timestamps,
    utcnow,
)
from provisioning.models import Verdict as Grade
from provisioning.roles import Role
from provisioning.sms import dispatch, recovery
from provisioning.tracker import language

REPLIES = {
    "getstatus": "Data Link: 1 GPRS: 1 Phone: 0 SIM: 0 OP: 24602 Signal: 5 NewSMS: 0 Roaming: 0",
    "getver": "Ver:03.28.03.Rev.05 Hw:FMC125 IMEI:352094082736916",
    "getparam 151": "Param ID:150 Value:1;151:18;152:0;113:1;66000:3",
    "getparam 66": "Param ID:66042 Value:0;66024:0;66025:2",
    "getio": "DI1:1 AIN1:12650 DO1:0",
    "camgetver": "The front camera camgetver failed. The rear camera camgetver failed.",
    "camreq:1,1": "Error: DualCam not present",
    "camreq:1,2": "Error: DualCam not present",
}


@pytest.fixture
def phone(app: Flask) -> Iterator[Phone]:
    fast = dataclasses.replace(app.extensions["dualcam_config"], sms_per_second=1000)
    app.extensions["dualcam_config"] = fast
    phone = Phone(app)
    yield phone
    phone.close()


@pytest.fixture
def van(phone: Phone) -> Device:
    given = {
        "imei": "352094082736916",
        "phone": "+12025550111",
        "sms_login": "fleet",
        "sms_password": "cam11",
    }
    return registry.add(given, utcnow())


def begin(van: Device) -> ChecklistRun:
    run = runner.start(van, "ops@example.com", utcnow())
    runner.advance(run, utcnow())
    return run


def hand_over(phone: Phone, van: Device) -> str:
    """Send what waits; give the words of the newest SMS, without credentials."""
    before = len(phone.sent)
    while dispatch.send_next(van.id, utcnow):
        pass
    db.session.expire_all()
    return phone.sent[-1].removeprefix("fleet cam11 ") if len(phone.sent) > before else ""


def answer_all(phone: Phone, run: ChecklistRun, replies: Mapping[str, str] = REPLIES) -> list[str]:
    """Answer everything the run asks of the device until it waits for a person or ends; give what it asked."""
    asked = []
    while text := hand_over(phone, run.device):
        asked.append(text.split()[0])
        phone.reply(next(reply for begin, reply in replies.items() if text.startswith(begin)))
        runner.advance(run, utcnow())
    return asked


def verdict_text(run: ChecklistRun) -> str:
    verdict = run_view.shown(run).verdict
    return verdict.text if verdict else ""


def states(run: ChecklistRun) -> dict[str, str]:
    db.session.expire_all()
    return {name: entry.get("state", "") for name, entry in run.steps.items()}


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


def test_the_speed_of_a_runs_own_files_is_kept_and_told(phone: Phone, van: Device) -> None:
    run = begin(van)
    photo_came(phone, van, run, 100)
    assert run_view.text_of(run.steps["speed"]).startswith(
        "Files come with 0.3 kB/s: a 10 s clip of one camera takes about 3 h."
    )
    runner.answer(run, "led", "unable", utcnow())
    runner.advance(run, utcnow())
    assert "at most 3 s of one camera" in (submission.pace(van) or "")


def test_a_check_keeps_by_which_of_its_files_the_clock_is_known(phone: Phone, van: Device) -> None:
    run = begin(van)
    photo_came(phone, van, run, 1)
    runner.finish(run, utcnow())
    clock = status_table.get(van.id, status_table.CLOCK)
    assert clock is not None
    assert (clock.value, clock.source_kind, clock.source_id) == ("0", "upload", "1" * 32)


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


def test_what_depends_on_a_failed_step_is_not_asked(phone: Phone, van: Device) -> None:
    run = begin(van)
    asked = answer_all(phone, run, REPLIES | {"getparam 151": "Param ID:150 Value:1;151:0"})
    assert asked == ["getstatus", "getver", "getio", "getparam", "getparam"]
    assert [name for name, state in states(run).items() if state == "skipped"] == [
        "front", "cameras", "rear", "card", "led", "sd",
    ]  # fmt: skip
    assert run.verdict == "wrong_mode"
    assert "RS232 mode (151) = 0" in verdict_text(run)
    assert "Not asked" not in verdict_text(run)


@pytest.mark.parametrize(("step", "choice"), [("led", "perhaps"), ("front", "yes"), ("nothing", "yes")])
def test_an_answer_nobody_offered_is_refused_and_changes_nothing(
    phone: Phone, van: Device, step: str, choice: str
) -> None:
    run = begin(van)
    before = dict(run.steps)
    with pytest.raises(Invalid):
        runner.answer(run, step, choice, utcnow())
    db.session.rollback()
    assert run.steps == before


@pytest.mark.parametrize(
    ("status", "said"),
    [("delivered", "reached the SIM, but the tracker did not answer"), ("sent", "switched off, asleep or out of")],
)  # fmt: skip
def test_an_expired_command_gives_a_clear_result(phone: Phone, van: Device, status: str, said: str) -> None:
    run = begin(van)
    hand_over(phone, van)
    phone.report(list(phone.twilio.messages)[-1], status)
    recovery.recover(lambda: utcnow() + timedelta(hours=2))
    runner.advance(run, utcnow())
    db.session.expire_all()
    assert (run.verdict, hand_over(phone, van)) == (None, "getver")
    phone.report(list(phone.twilio.messages)[-1], status)
    recovery.recover(lambda: utcnow() + timedelta(hours=2))
    runner.advance(run, utcnow())
    db.session.expire_all()
    assert {row.state for row in db.session.scalars(select(Command))} == {State.EXPIRED}
    assert "2 of 2 SMS unanswered" in run_view.text_of(run.steps["reachable"])
    assert (run.verdict, run.steps["reachable"]["verdict"]) == ("silent", "bad")
    assert said in run_view.text_of(run.steps["reachable"])
    assert said in verdict_text(run)
    assert "Check number, SIM, coverage" in verdict_text(run)


def wait_in_vain(phone: Phone, run: ChecklistRun, seconds: float) -> None:
    """The newest SMS was delivered so many seconds ago, and nobody has answered it."""
    phone.report(list(phone.twilio.messages)[-1], "delivered")
    db.session.expire_all()
    (row,) = db.session.scalars(select(Command).where(Command.in_flight))
    ago = timestamps.stamp(utcnow() - timedelta(seconds=seconds))
    row.history = [*row.history[:-1], row.history[-1] | {"at": ago}]
    db.session.commit()
    runner.advance(run, utcnow())


def test_what_was_delivered_and_not_answered_for_three_minutes_is_asked_in_other_words(
    phone: Phone, van: Device
) -> None:
    run = begin(van)
    hand_over(phone, van)
    wait_in_vain(phone, run, 170)
    assert hand_over(phone, van) == ""
    wait_in_vain(phone, run, 181)
    assert hand_over(phone, van) == "getver"
    phone.reply(REPLIES["getver"])
    runner.advance(run, utcnow())
    (first,) = db.session.scalars(select(Command).where(Command.kind == "getstatus"))
    assert first.shown_state == ShownState.DELIVERED  # it keeps its own time-out
    assert "1 of 2 SMS stayed unanswered" in run_view.text_of(run.steps["reachable"])
    assert states(run)["firmware"] == "done"
    assert hand_over(phone, van) == "getio"


def test_an_answer_that_was_lost_in_the_middle_is_asked_for_once_more(phone: Phone, van: Device) -> None:
    run, asked = begin(van), []
    for reply in (
        REPLIES["getstatus"],
        REPLIES["getver"],
        REPLIES["getio"],
        "",
        REPLIES["getparam 66"],
        REPLIES["getparam 151"],
    ):
        asked.append(hand_over(phone, van))
        if reply:
            phone.reply(reply)
            runner.advance(run, utcnow())
        else:
            wait_in_vain(phone, run, 200)
    assert asked[3].startswith("getparam 151")
    assert asked[5] == asked[3]
    assert run.steps["configuration"]["state"] == "done"
    assert run.steps["configuration"]["verdict"] == "good"


def test_an_sms_that_was_not_delivered_is_asked_again_and_two_are_a_verdict(
    phone: Phone, van: Device
) -> None:
    run = begin(van)
    for word in ("getstatus", "getver"):
        assert (run.ended_at, hand_over(phone, van)) == (None, word)
        phone.report(list(phone.twilio.messages)[-1], "undelivered", error="30003")
        runner.advance(run, utcnow())
    assert run.verdict == "silent"


def test_a_late_answer_changes_the_verdict_and_sends_nothing(phone: Phone, van: Device) -> None:
    run = begin(van)
    for _ in range(2):
        hand_over(phone, van)
        recovery.recover(lambda: utcnow() + timedelta(hours=2))
        runner.advance(run, utcnow())
    assert run.verdict == "silent"
    continuation.continue_runs(utcnow())
    assert run.verdict == "silent"
    phone.reply(REPLIES["getstatus"])
    continuation.continue_runs(utcnow())
    db.session.expire_all()
    assert run.verdict == "answers_late"
    assert hand_over(phone, van) == ""


def test_an_expired_command_in_the_middle_is_no_verdict_on_the_device(phone: Phone, van: Device) -> None:
    run = begin(van)
    for word in ("getstatus", "", ""):
        hand_over(phone, van)
        if word:
            phone.reply(REPLIES[word])
        else:
            recovery.recover(lambda: utcnow() + timedelta(hours=2))
        runner.advance(run, utcnow())
    assert (run.steps["firmware"]["verdict"], run.steps["firmware"]["mark"]) == ("warn", "unanswered")
    assert states(run)["power"] == "running"


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


def test_a_good_answer_of_a_moment_ago_is_used_and_a_bad_one_asked_again(phone: Phone, van: Device) -> None:
    one_dead = REPLIES | {"camgetver": "Front camera V1.9.3. The rear camera camgetver failed."}
    run = begin(van)
    answer_all(phone, run, one_dead)
    runner.stop(run, utcnow())
    again = begin(van)
    assert answer_all(phone, again, one_dead) == [
        "getparam",
        "getparam",
        "camreq:1,1",
        "camgetver",
        "camreq:1,2",
    ]
    assert again.steps["reachable"]["reused"]
    assert not again.steps["cameras"]["reused"]


def test_an_old_answer_is_not_used(phone: Phone, van: Device) -> None:
    run = begin(van)
    hand_over(phone, van)
    phone.reply(REPLIES["getstatus"])
    runner.stop(run, utcnow())
    (row,) = db.session.scalars(select(Command).where(Command.kind == "getstatus"))
    row.answered_at = utcnow() - timedelta(hours=1)
    db.session.commit()
    begin(van)
    assert hand_over(phone, van) == "getstatus"


def test_asking_a_step_again_forgets_what_a_person_saw_before(phone: Phone, van: Device) -> None:
    run = begin(van)
    answer_all(phone, run)
    runner.answer(run, "led", "no", utcnow())
    runner.advance(run, utcnow())
    assert run.verdict == "no_power"
    runner.again(run, "cameras", utcnow())
    assert (run.verdict, run.ended_at, "led" in run.steps) == (None, None, False)
    runner.advance(run, utcnow())
    assert hand_over(phone, van) == "camgetver"
    with pytest.raises(Invalid):
        runner.again(run, "nothing", utcnow())


def test_the_cost_is_told_before_and_a_run_keeps_to_it(phone: Phone, van: Device) -> None:
    cost = step_commands.cost(van)
    healthy = {"camgetver": "Front camera V1.9.3. Rear camera V1.9.3.", "camreq:1,1": "Error: capture failed"}
    asked = answer_all(phone, begin(van), REPLIES | healthy)
    assert cost == len(asked) + 1  # the video is not asked for, since the photo failed


def test_half_a_configuration_accuses_nobody(phone: Phone, van: Device) -> None:
    run = begin(van)
    for reply in (REPLIES["getstatus"], REPLIES["getver"], REPLIES["getio"]):
        hand_over(phone, van)
        phone.reply(reply)
        runner.advance(run, utcnow())
    for _ in range(3):
        if hand_over(phone, van).startswith("getparam 66"):
            phone.reply(REPLIES["getparam 66"])
        else:
            recovery.recover(lambda: utcnow() + timedelta(hours=2))
        runner.advance(run, utcnow())
    runner.advance(run, utcnow())
    assert run.steps["configuration"]["mark"] == "unanswered"


def test_a_device_without_credentials_says_so_and_sends_nothing(phone: Phone) -> None:
    device = registry.add({"imei": "352094082042885", "phone": "+12025550112"}, utcnow())
    with pytest.raises(Conflict):
        step_commands.cost(device)
    run = begin(device)
    assert run.verdict == "silent"
    assert phone.sent == []


def test_triggers_whose_files_reach_nobody_are_found_until_one_comes(phone: Phone, van: Device) -> None:
    run = begin(van)
    crash = REPLIES | {"getparam 151": "Param ID:150 Value:1;151:18;66022:8"}
    answer_all(phone, run, crash)
    assert (run.steps["triggers"]["verdict"], run.steps["triggers"]["mark"]) == ("bad", "nowhere")
    assert "photo triggers (66022)" in run_view.text_of(run.steps["triggers"])
    status_table.note_all(
        "camera.server", "upload", {van.id: ("this service's address", "1" * 32, utcnow())}, utcnow()
    )
    runner.again(run, "cameras", utcnow())
    runner.advance(run, utcnow())
    answer_all(phone, run, crash)
    assert run.steps["triggers"]["verdict"] == "good"


# live, against the simulator's faults
