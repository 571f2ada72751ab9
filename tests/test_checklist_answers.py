"""Answers to a check: bad, lost, late, old, in other words."""

from datetime import timedelta

import checklist_visits
import pytest
from checklist_visits import REPLIES, answer_all, begin, hand_over, states, verdict_text
from gateway_double import Phone
from sqlalchemy import select

from provisioning.check import continuation, run_view, runner, step_commands
from provisioning.core.errors import Conflict, Invalid
from provisioning.devices import registry, status_table
from provisioning.models import ChecklistRun, Command, Device, ShownState, State, db, timestamps, utcnow
from provisioning.sms import recovery

pytestmark = pytest.mark.on_sqlite

phone = checklist_visits.phone  # the same fixture


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


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
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


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
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


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
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


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
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


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
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


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
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
