"""The checklist: its declaration, its engine on both databases, and live against the simulator's faults."""

import dataclasses
import html
import re
import secrets
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
import requests
from conftest import ROOT, wait_until
from flask import Flask
from gateway_double import Phone
from sqlalchemy import select
from stack import Stack

from provisioning.check import continuation, run_view, runner, step_commands
from provisioning.check.facts import GOOD, CommandOutcome, Result, StepFacts
from provisioning.check.steps import STEPS, ask
from provisioning.check.verdicts import (
    BY_ID,
    VERDICTS,
    CheckVerdict,
    camera,
    certainty,
    decide,
    grounds,
    sentence,
)
from provisioning.commands import submission
from provisioning.core.errors import Conflict, Invalid
from provisioning.devices import health_words, registry, status_table
from provisioning.models import ChecklistRun, Command, Device, State, Upload, db, timestamps, utcnow
from provisioning.models import Verdict as Grade
from provisioning.roles import Role
from provisioning.sms import dispatch, recovery
from provisioning.tracker import language

# the declaration

REPLIED = CommandOutcome("done", True)
CAME = CommandOutcome("done", True, file_seconds_off=1.0)
DUALCAM = {"151": "18", "150": "1", "113": "1"}
HEALTHY: dict[str, StepFacts] = {
    "reachable": StepFacts([REPLIED]),
    "firmware": StepFacts([REPLIED], status={"firmware": ("03.28.03.Rev.05", "good")}),
    "configuration": StepFacts([CommandOutcome("done", True, result={"values": DUALCAM})]),
    "power": StepFacts([REPLIED]),
    "cameras": StepFacts([REPLIED], status={"camera.front.version": ("1.9.3", "good")}),
    "front": StepFacts([CAME]),
    "rear": StepFacts([CAME]),
    "card": StepFacts([CAME]),
    "transfer": StepFacts(sessions=[("done", 0)]),
    "clock": StepFacts([CAME]),
    "speed": StepFacts(bytes_per_second=19_000.0, answer_seconds=[9.0]),
    "triggers": StepFacts(),
}
BY_STEP = {step.id: step for step in STEPS}


def refused(code: str) -> StepFacts:
    return StepFacts([CommandOutcome("failed", True, code, f"The device says {code}.")])


def silent(*sides: str) -> StepFacts:
    return StepFacts(
        [REPLIED], status={f"camera.{side}.version": ("did not answer", "bad") for side in sides}
    )


def holding(**changes: str) -> StepFacts:
    values = DUALCAM | {name.strip("_"): value for name, value in changes.items()}
    return StepFacts([CommandOutcome("done", True, result={"values": values})])


def judged(changes: Mapping[str, StepFacts]) -> dict[str, Result]:
    facts = HEALTHY | changes
    results: dict[str, Result] = {}
    for step in STEPS:
        if step.id in facts:
            results[step.id] = step.read(dataclasses.replace(facts[step.id], results=results))
    return results


NO_ANSWER = StepFacts(
    [CommandOutcome("expired", False, "no_reply", "The SMS reached the SIM, but nobody answered.")]
)
CASES: list[tuple[str, dict[str, StepFacts], str]] = [
    ("other_tracker", {"firmware": StepFacts([REPLIED], status={"imei": ("356307042441013", "bad")})},
     "356307042441013"),
    ("silent", {"reachable": NO_ANSWER}, "nobody answered"),
    ("silent", {"reachable": StepFacts(NO_ANSWER.outcomes * 2)}, "2 of 2 SMS unanswered"),
    ("good", {"reachable": StepFacts([REPLIED, *NO_ANSWER.outcomes])}, "1 of 2 SMS stayed unanswered"),
    ("undecided", {"rear": NO_ANSWER}, "request for the rear photo was not answered"),
    ("wrong_mode", {"configuration": holding(_151="0")}, "151 is 0"),
    ("wrong_mode", {"configuration": holding(_150="0")}, "150 is 0"),
    ("wrong_mode", {"front": refused("not_configured")}, "not_configured"),
    ("wrong_mode", {"rear": refused("not_configured")}, "not_configured"),
    ("ignition_off", {"cameras": silent("front", "rear"), "front": refused("ignition_off")}, "ignition_off"),
    ("no_power", {"cameras": silent("front", "rear"), "led": StepFacts(answer="no")}, "no power"),
    ("no_camera", {"cameras": silent("front", "rear"), "front": refused("dualcam_not_present"),
                   "rear": refused("dualcam_not_present")}, "Neither camera"),
    ("no_camera", {"front": refused("camera_not_present"), "rear": refused("camera_not_present"),
                   "led": StepFacts(answer="yes")}, "the tracker gets no answer"),
    ("front_camera", {"cameras": silent("front"), "front": refused("camera_not_present")}, "front camera"),
    ("rear_camera", {"cameras": silent("rear"), "rear": refused("camera_not_present")}, "rear camera"),
    ("no_capture", {"front": refused("capture_failed"), "rear": refused("capture_failed")}, "Both cameras answer"),
    ("no_capture", {"rear": refused("camera_nak")}, "camera_nak"),
    ("server_unreachable", {"front": refused("server_unreachable")}, "server_unreachable"),
    ("server_unreachable", {"card": refused("no_file")}, "no_file"),
    ("wrong_clock", {"clock": StepFacts([CommandOutcome("done", True, file_seconds_off=3600.0)])}, "off by 60 minutes"),
    ("wrong_clock", {"clock": StepFacts([CommandOutcome("done", True, file_seconds_off=-7200.0)])},
     "off by -120 minutes"),
    ("no_card", {"card": StepFacts([CAME], status={"camera.rear.state": ("no SD card", "bad")})}, "no SD card"),
    ("no_card", {"card": refused("file_not_found"), "sd": StepFacts(answer="no")}, "There is no card in the front"),
    ("no_card", {"card": refused("media_problem"), "sd": StepFacts(answer="yes")}, "A card is in"),
    ("no_card", {"card": refused("capture_failed"), "sd": StepFacts(answer="yes")}, "A card is in"),
    ("refused", {"transfer": StepFacts(sessions=[("unknown_device", 0), ("done", 0)])}, "IMEI was not known"),
    ("triggers_lead_nowhere", {"triggers": StepFacts(by_itself=["photo triggers (66022)"], server_advice="Set it so.")},
     "photo triggers (66022). Set it so."),
    ("good", {"triggers": StepFacts(by_itself=["periodic photos (66006)"])}, "Both cameras answer"),
    ("old_firmware", {"firmware": StepFacts([REPLIED], firmware_warnings=["66020 needs newer firmware."])},
     "66020 needs"),
    ("differs", {"configuration": StepFacts(HEALTHY["configuration"].outcomes, differing=["66003 is 30, asked 25"])},
     "66003 is 30, asked 25"),
    ("breaks", {"transfer": StepFacts(sessions=[("lost", 0)] * 3 + [("done", 0)])}, "3 of the last 4"),
    ("breaks", {"transfer": StepFacts(sessions=[("done", 30)])}, "wrong CRC"),
    ("slow", {"speed": StepFacts(bytes_per_second=300.0)}, "0.3 kB/s: a 10 s clip of one camera takes about 3 h"),
    ("slow", {"speed": StepFacts(bytes_per_second=19_000.0, answer_seconds=[121.0, 130.0])},
     "quickest answer took 2 min"),
    ("good", {"speed": StepFacts(answer_seconds=[121.0, 9.0])}, "Both cameras answer"),
    ("good", {"speed": StepFacts()}, "Both cameras answer"),
    ("undecided", {"speed": StepFacts(bytes_per_second=300.0), "front": refused("modem_not_ready")}, "modem_not_ready"),
    ("good", {}, "The rear photo has come"),
    ("good", {"power": NO_ANSWER}, "Set for DualCam"),
    ("ignition_off", {"power": StepFacts([REPLIED], {"info.getio.DI1": ("0", "good"), "ignition": ("off", "good"),
                                                 "parameter.66020": ("0", "good")})}, "DI1 is 0"),
    ("rear_camera", {"cameras": silent("rear"), "rear": refused("camera_not_present"), "led": StepFacts(answer="no")},
     "The rear camera: there is no power"),
    ("front_camera", {"front": refused("camera_not_present"), "led": StepFacts(answer="unable")},
     "Both cameras answer"),
    ("no_card", {"card": refused("media_problem"), "sd": StepFacts(answer="unable")}, "media_problem"),
    ("undecided", {"front": refused("modem_not_ready")}, "modem_not_ready"),
    ("undecided", {"configuration": StepFacts([CommandOutcome("expired", False)])}, "could not be read"),
]  # fmt: skip


@pytest.mark.quick
@pytest.mark.parametrize(
    ("verdict", "changes", "said"), CASES, ids=lambda case: case if isinstance(case, str) else ""
)
def test_these_facts_give_this_verdict_and_its_sentence_says_why(
    verdict: str, changes: dict[str, StepFacts], said: str
) -> None:
    results = judged(changes)
    chosen = decide(results)
    told = sentence(chosen, results)
    assert chosen.id == verdict
    assert chosen.todo in told
    assert said in told.partition("Rests on:")[2]


@pytest.mark.quick
@pytest.mark.parametrize(("di1", "told", "always", "verdict", "mark"), [
    ("1", None, None, "good", ""), ("0", None, None, "warn", "perhaps_off"), ("0", "on", None, "good", ""),
    ("0", "off", None, "warn", "perhaps_off"), ("0", "off", "0", "warn", "off"),
    ("1", "off", None, "warn", "perhaps_off"), ("0", "off", "1", "good", ""),
    (None, "off", None, "warn", "perhaps_off"), (None, None, None, "good", ""),
])  # fmt: skip
def test_power_reads_the_trackers_input_and_the_records_and_believes_both_together(
    di1: str | None, told: str | None, always: str | None, verdict: str, mark: str
) -> None:
    held = {"info.getio.DI1": di1, "ignition": told, "parameter.66020": always}
    status = {item: (value, "good") for item, value in held.items() if value is not None}
    result = BY_STEP["power"].read(StepFacts([REPLIED], status))
    assert (result.verdict, result.mark) == (verdict, mark)


@pytest.mark.quick
@pytest.mark.parametrize(("changes", "step", "named", "about"), [
    ({"cameras": silent("rear"), "rear": refused("camera_not_present")}, "led", "at the rear camera", "rear"),
    ({"front": refused("camera_not_present")}, "led", "at the front camera", "front"),
    ({name: refused("dualcam_not_present") for name in ("front", "rear")}, "led", "the front and the rear", "both"),
    ({"card": refused("media_problem")}, "sd", "in the front camera", None),
])  # fmt: skip
def test_a_question_names_its_camera_and_without_an_answer_the_likely_cause_is_told(
    changes: dict[str, StepFacts], step: str, named: str, about: str | None
) -> None:
    assert named in ask(BY_STEP[step], judged(changes))
    results = judged(changes | {step: StepFacts(answer="unable")})
    verdict = decide(results)
    assert (certainty(verdict, results), camera(verdict, results)) == ("likely", about)
    assert sentence(verdict, results).startswith(f"Likely: {verdict.title}")


@pytest.mark.quick
def test_an_answer_after_the_end_of_a_run_is_no_silence_any_more() -> None:
    late = BY_STEP["reachable"].read(StepFacts([CommandOutcome("done", True, late=True)]))
    assert decide({"reachable": late}).id == "answers_late"
    assert decide(judged({}) | {"reachable": late}).id != "answers_late"


@pytest.mark.quick
def test_every_verdict_is_reached_by_some_facts() -> None:
    assert {verdict for verdict, _, _ in CASES} | {"answers_late"} == set(BY_ID)


@pytest.mark.quick
@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: verdict.id)
def test_a_verdict_names_a_next_step_and_rests_on_steps_that_exist(verdict: CheckVerdict) -> None:
    assert verdict.title
    assert verdict.todo
    assert set(verdict.rests_on) <= set(BY_STEP)
    assert verdict.rests_on or verdict.id == "undecided"


@pytest.mark.quick
@pytest.mark.parametrize("verdict", [v for v in VERDICTS if v.rests_on], ids=lambda verdict: verdict.id)
def test_a_verdict_rests_on_the_answers_that_were_given_and_no_others(verdict: CheckVerdict) -> None:
    first, *others = verdict.rests_on
    results = {first: Result(GOOD, "This was answered.")}
    results |= {name: Result("not visible", "Nobody knows.") for name in others[:1]}
    assert grounds(verdict, results) == ["This was answered."]


@pytest.mark.quick
def test_a_step_needs_only_steps_before_it() -> None:
    seen: set[str] = set()
    for step in STEPS:
        assert set(step.needs) <= seen, step.id
        seen.add(step.id)


@pytest.mark.quick
def test_a_camera_that_sent_its_photo_is_not_called_dead() -> None:
    assert decide(judged({"cameras": silent("front", "rear")})).id == "undecided"
    assert decide(judged({"cameras": silent("rear")})).id == "undecided"


@pytest.mark.quick
def test_a_clock_nobody_can_see_is_neither_good_nor_bad() -> None:
    assert BY_STEP["clock"].read(StepFacts([CommandOutcome("done", True)])).verdict == "not visible"


@pytest.mark.quick
@pytest.mark.parametrize(
    ("changes", "led", "sd"),
    [
        ({}, False, False),
        ({"cameras": silent("rear")}, True, False),
        ({"front": refused("camera_not_present")}, True, False),
        ({"front": refused("capture_failed"), "rear": refused("capture_failed")}, False, False),
        ({"card": refused("capture_failed")}, False, True),
        ({"cameras": silent("front", "rear"), "front": refused("ignition_off")}, False, False),
        ({"card": refused("file_not_found")}, False, True),
        ({"card": StepFacts([CAME], status={"camera.front.state": ("no SD card", "bad")})}, False, False),
    ],
)  # fmt: skip
def test_a_person_is_asked_only_what_the_answers_leave_open(
    changes: dict[str, StepFacts], led: bool, sd: bool
) -> None:
    results = judged(changes)
    assert (BY_STEP["led"].when(results), BY_STEP["sd"].when(results)) == (led, sd)


@pytest.mark.quick
def test_every_answer_that_is_offered_has_a_meaning() -> None:
    for step in STEPS:
        for choice, _ in step.answers:
            assert step.read(StepFacts(answer=choice)).text != "Nobody looked."


@pytest.mark.quick
def test_the_document_names_every_step_and_every_verdict() -> None:
    page = (ROOT / "docs" / "checklist.md").read_text()
    first_column = " ".join(re.findall(r"^\| ([a-z, ]+) \|", page, re.MULTILINE))
    verdicts = re.search(r"rests on: ([a-z_,\s]+)\.", page)
    assert set(re.findall(r"\w+", first_column)) - {"step"} == set(BY_STEP)
    assert verdicts
    assert re.findall(r"\w+", verdicts[1]) == [verdict.id for verdict in VERDICTS]


# the engine

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
    while dispatch.drive(van.id, utcnow):
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
    assert run.verdict_text == (
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
    assert {run.steps[name]["text"] for name in ("configuration", "cameras", "rear", "card")} == {
        "Not asked: the ignition has to be on first."
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


def test_the_speed_of_a_runs_own_files_is_kept_and_told(phone: Phone, van: Device) -> None:
    run = begin(van)
    answer_all(phone, run, REPLIES | {"camreq:1,1": "Photo request from source 1."})
    (row,) = db.session.scalars(select(Command).where(Command.kind == "camreq"))
    began = utcnow() - timedelta(seconds=100)
    db.session.add(
        Upload(id="1" * 32, imei=van.imei, device_id=van.id, identifier="%photof", file_type="photo", source="front",
               state="stored", size=30_000, started_at=began, received_at=began + timedelta(seconds=100),
               command_id=row.id, link_fixed=True),
    )  # fmt: skip
    submission.cancel(row, utcnow())
    db.session.commit()
    runner.advance(run, utcnow())
    answer_all(phone, run)
    assert run.steps["speed"]["text"].startswith(
        "Files come with 0.3 kB/s: a 10 s clip of one camera takes about 3 h."
    )
    runner.answer(run, "led", "unable", utcnow())
    runner.advance(run, utcnow())
    assert "at most 3 s of one camera" in (submission.pace(van) or "")


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
        notes.append(row.note)
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
    assert "151 is 0" in run.verdict_text
    assert "Not asked" not in run.verdict_text


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
    [("delivered", "reached the SIM, but the device did not answer"), ("sent", "switched off, asleep or out of")],
)  # fmt: skip
def test_an_expired_command_gives_a_clear_result(phone: Phone, van: Device, status: str, said: str) -> None:
    run = begin(van)
    hand_over(phone, van)
    phone.report(list(phone.twilio.messages)[-1], status)
    recovery.sweep(lambda: utcnow() + timedelta(hours=2))
    runner.advance(run, utcnow())
    db.session.expire_all()
    assert (run.verdict, hand_over(phone, van)) == (None, "getver")
    phone.report(list(phone.twilio.messages)[-1], status)
    recovery.sweep(lambda: utcnow() + timedelta(hours=2))
    runner.advance(run, utcnow())
    db.session.expire_all()
    assert {row.state for row in db.session.scalars(select(Command))} == {State.EXPIRED}
    assert "2 of 2 SMS unanswered" in run.steps["reachable"]["text"]
    assert (run.verdict, run.steps["reachable"]["verdict"]) == ("silent", "bad")
    assert said in run.steps["reachable"]["text"]
    assert said in run.verdict_text
    assert "Check number, SIM, coverage" in run.verdict_text


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
    assert first.state == State.DELIVERED  # it keeps its own time-out
    assert "1 of 2 SMS stayed unanswered" in run.steps["reachable"]["text"]
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
        recovery.sweep(lambda: utcnow() + timedelta(hours=2))
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
            recovery.sweep(lambda: utcnow() + timedelta(hours=2))
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
    good = {"state": "done", "verdict": "good", "text": "", "mark": "", "todo": ""}
    steps = {step.id: good for step in STEPS if not step.question}
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
    assert (run.verdict, run.waits_for_person) == ("stopped", True)
    assert "nobody went on with it for 7 days" in (run.verdict_text or "")


def test_runs_that_wait_for_people_hold_no_other_up_and_an_answer_goes_on(
    phone: Phone, van: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, looked_at = waits_for_person(van), list[str]()
    real = runner.advance
    monkeypatch.setattr(runner, "advance", lambda run, now: looked_at.append(run.id) or real(run, now))
    continuation.continue_runs(utcnow())
    assert looked_at == []
    asked = next(name for name, state in states(waiting).items() if state == "question")
    choice = next(step.answers[0][0] for step in STEPS if step.id == asked)
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
            recovery.sweep(lambda: utcnow() + timedelta(hours=2))
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
    assert "photo triggers (66022)" in run.steps["triggers"]["text"]
    status_table.note_all(
        "camera.server", "upload", {van.id: ("this service's address", "1" * 32, utcnow())}, utcnow()
    )
    runner.again(run, "cameras", utcnow())
    runner.advance(run, utcnow())
    answer_all(phone, run, crash)
    assert run.steps["triggers"]["verdict"] == "good"


# live, against the simulator's faults

EMAIL, PASSWORD = "desk@example.com", "a long enough password"
READY = {"150": "1", "151": "18"}


class Case:
    """A vehicle with a fault, what a person standing beside it answers, and the verdict it must end in.

    `sms`: how many a run costs at most; None where nobody counts.
    """

    def __init__(
        self, verdict: str, rests_on: str, *, answers: str = "", ignition: bool = True, camera: str | None = None,
        sms: int | None = None, parameters: dict[str, str] | None = None, **faults: Any,
    ) -> None:  # fmt: skip
        self.verdict, self.rests_on, self.answers, self.camera, self.sms = (
            verdict,
            rests_on,
            answers,
            camera,
            sms,
        )
        self.vehicle = {"ignition": ignition, "parameters": READY | (parameters or {})}
        self.faults = faults


# fourteen vehicles with one fault each: verdict, camera, SMS
FAULTS = {
    "ignition off": Case("ignition_off", "The ignition is off and the cameras work", sms=4, ignition=False),
    "no SD card": Case("no_card", "There is no card in the front camera.", sms=9, answers="no", no_sd=True),
    "front dead": Case("front_camera", "The front camera does not answer.", sms=8, camera="front", answers="yes",
                       front_missing=True),
    "rear dead": Case("rear_camera", "The rear camera: there is no power.", sms=9, camera="rear", answers="no",
                      rear_missing=True),
    "wrong mode": Case("wrong_mode", "151 is 0", sms=5, parameters={"151": "0"}),
    "clock ahead": Case("wrong_clock", "off by 180 minutes", sms=9, wrong_time_zone=180),
    "unreachable server": Case("server_unreachable", "could not reach the file server", sms=9, unreachable_server=True),
    "no picture": Case("no_capture", "Both cameras answer", sms=8, camera="both", capture_fails=True),
    "unreachable SIM": Case("silent", "2 of 2 SMS unanswered", sms=2, sms_lost=5),
    "one SMS lost": Case("good", "1 of 2 SMS stayed unanswered", sms=9, sms_lost=1),
    "one answer lost": Case("good", "1 of 2 SMS stayed unanswered", sms=9, reply_lost=1),
    "answers late": Case("slow", "Its quickest answer took", sms=9, reply_late=6),  # 120 s at this time scale
    "slow line": Case("slow", "a 10 s clip of one camera takes about", sms=9, slow=1500),
    "each answer twice": Case("good", "The rear photo has come.", sms=9, reply_twice=True),
}  # fmt: skip
LIVE = FAULTS | {
    "healthy": Case("good", "The rear photo has come."),
    "old but healthy": Case("good", "Both cameras answer", parameters={"113": "1"}),
    "no camera": Case("no_camera", "Neither camera answers", answers="yes", front_missing=True, rear_missing=True),
    "no power": Case("no_power", "there is no power.", answers="no", front_missing=True, rear_missing=True),
    "bad SD card": Case("no_card", "A card is in the front camera.", answers="yes", no_sd=True),
    "clock behind": Case("wrong_clock", "off by -120 minutes", wrong_time_zone=-120),
}  # fmt: skip


# health of each vehicle after its check: code and state
HEALTH = {
    "ignition off": ("never_checked", "unchecked"), "no SD card": ("no_card", "limited"),
    "front dead": ("front_camera", "limited"), "rear dead": ("rear_camera", "limited"),
    "wrong mode": ("wrong_mode", "broken"), "clock ahead": ("wrong_clock", "limited"),
    "unreachable server": ("server_unreachable", "broken"), "no picture": ("no_capture", "broken"),
    "unreachable SIM": ("no_reply", "broken"), "one SMS lost": ("proved", "working"),
    "one answer lost": ("proved", "working"), "answers late": ("slow_answers", "limited"),
    "slow line": ("slow_line", "limited"), "each answer twice": ("proved", "working"),
}  # fmt: skip


def imei_of(number: int) -> str:
    """Make an IMEI with a right check digit."""
    digits = f"3520940800{number:04d}"
    doubled = [int(d) * (2 if at % 2 else 1) for at, d in enumerate(digits)]
    return f"{digits}{-sum(n // 10 + n % 10 for n in doubled) % 10}"


IMEIS = {name: imei_of(number) for number, name in enumerate(LIVE)}


class Desk:
    """Somebody at the support desk: signed in, uses the checklist's page."""

    def __init__(self, stack: Stack) -> None:
        self.base, self.session = stack.environment["PUBLIC_URL"], requests.Session()
        self.post("/login", email=EMAIL, password=PASSWORD)

    def get(self, path: str) -> str:
        answer = self.session.get(self.base + path, timeout=30)
        assert answer.ok, f"{path}: {answer.status_code}"
        return html.unescape(answer.text)

    def post(self, path: str, **fields: str) -> str:
        token = re.search(r'name="csrf_token"\s+value="([^"]+)"', self.get(path))
        assert token
        form = {"csrf_token": token[1], "nonce": secrets.token_hex(16)} | fields
        answer = self.session.post(self.base + path, data=form, timeout=30)
        assert answer.ok, f"{path}: {answer.status_code} {answer.text[:500]}"
        return html.unescape(answer.text)


def page_of(name: str) -> str:
    return f"/vehicles/{IMEIS[name]}/check"


def add_vehicle(stack: Stack, name: str, case: Case) -> None:
    number = list(LIVE).index(name)
    vehicle = {
        "imei": IMEIS[name], "phone": f"+120255503{number:02d}", "name": name, "model": "FMC125",
        "sms_login": "fleet", "sms_password": "cam11",
    }  # fmt: skip
    old = (
        {"firmware": "03.27.06.Rev.360", "metadata_version": 1, "new_value_form": False}
        if "old" in name
        else {}
    )
    stack.control("POST", "/vehicles", vehicle | case.vehicle | old)
    stack.control("PATCH", f"/vehicles/{IMEIS[name]}/faults", case.faults)
    stack.api("POST", "/devices", vehicle, status=201)


@pytest.fixture(scope="module")
def stack(product: Stack) -> Stack:
    product.add_user(EMAIL, PASSWORD, "support")
    return product


@pytest.fixture(scope="module")
def desk(stack: Stack) -> Desk:
    """All vehicles are on the road, each with its fault, and the checklist runs on all of them at once."""
    desk = Desk(stack)
    for name, case in LIVE.items():
        add_vehicle(stack, name, case)
        assert "The check is under way" in desk.post(page_of(name), do="start")
    return desk


def asks_a_person(page: str) -> str | None:
    found = re.search(r'name="step" value="(\w+)">\s*<button [^>]*name="answer"', page)
    return found[1] if found else None


@pytest.mark.parametrize("name", LIVE)
def test_the_checklist_finds_what_is_wrong_with_the_vehicle(stack: Stack, desk: Desk, name: str) -> None:
    case = LIVE[name]
    page = wait_until(lambda: _stopped(desk, name), seconds=180, every=0.5)
    if case.answers:
        step = asks_a_person(page)
        assert step, "a person is asked what no SMS can see"
        page = desk.post(page_of(name), do="answer", step=step, answer=case.answers)
    verdict = BY_ID[case.verdict]
    assert re.findall(r"<h2 data-say>(.*?)</h2>", page) == [verdict.title]
    assert verdict.todo in page
    assert case.rests_on in page.partition("Rests on</h3>")[2].partition("</p>")[0]
    told = stack.api("GET", f"/devices/{IMEIS[name]}/check", status=200)
    assert (told["verdict"]["code"], told["verdict"]["certainty"] != "likely") == (case.verdict, True)
    if case.sms is not None:
        assert told["verdict"]["camera"] == case.camera
        assert told["sms"] <= case.sms
        code, state = HEALTH[name]
        shown = wait_until(lambda: _health(stack, name, code), seconds=20)
        assert shown["state"] == state
        row = desk.get(f"/?q={IMEIS[name]}").partition("<tbody>")[2]
        assert health_words.STATES[state] in row
        assert shown["state"] == "working" or shown["reason"] in row


def _health(stack: Stack, name: str, code: str) -> dict[str, Any] | None:
    """Give the vehicle's health once it is what it should be."""
    found: dict[str, Any] = stack.api("GET", f"/devices/{IMEIS[name]}", status=200)["health"]
    return found if found["code"] == code else None


def _stopped(desk: Desk, name: str) -> str | None:
    """Give the page once the run has ended, or waits for a person."""
    page = desk.get(page_of(name))
    return page if "The check is under way" not in page or asks_a_person(page) else None
