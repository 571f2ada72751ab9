"""The checklist as data: which facts give which verdict, and what a verdict says. Pure."""

import dataclasses
import re
from collections.abc import Mapping

import pytest
from conftest import ROOT

from provisioning.check import check_words, finding_words, todo_words, verdict_words
from provisioning.check.facts import GOOD, LOOKS, CommandOutcome, Result, StepFacts
from provisioning.check.steps import STEPS
from provisioning.check.verdicts import (
    BY_ID,
    VERDICTS,
    CheckVerdict,
    camera,
    certainty,
    decide,
    decide_further,
    grounds,
    likely_cause,
    who_acts,
)
from provisioning.phrase import Phrase, as_it_is

pytestmark = pytest.mark.quick


REPLIED = CommandOutcome("done", True)
CAME = CommandOutcome("done", True, file_seconds_off=1.0)
LESS = {"number": 66003, "value": "30", "asked": "25"}
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
    return StepFacts([CommandOutcome("failed", True, code, as_it_is(f"The device says {code}."))])


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
    [CommandOutcome("expired", False, "no_reply", as_it_is("The SMS reached the SIM, but nobody answered."))]
)
CASES: list[tuple[str, dict[str, StepFacts], str]] = [
    ("other_tracker", {"firmware": StepFacts([REPLIED], status={"imei": ("356307042441013", "bad")})},
     "356307042441013"),
    ("silent", {"reachable": NO_ANSWER}, "nobody answered"),
    ("silent", {"reachable": StepFacts(NO_ANSWER.outcomes * 2)}, "2 of 2 SMS unanswered"),
    ("good", {"reachable": StepFacts([REPLIED, *NO_ANSWER.outcomes])}, "1 of 2 SMS stayed unanswered"),
    ("undecided", {"rear": NO_ANSWER}, "request for the rear photo was not answered"),
    ("wrong_mode", {"configuration": holding(_151="0")}, "RS232 mode (151) = 0"),
    ("wrong_mode", {"configuration": holding(_150="0")}, "External UART mode (150) = Disabled"),
    ("wrong_mode", {"front": refused("not_configured")}, "not set for DualCam"),
    ("wrong_mode", {"rear": refused("not_configured")}, "not set for DualCam"),
    ("ignition_off", {"cameras": silent("front", "rear"), "front": refused("ignition_off")},
     "says that the ignition is off"),
    ("no_power", {"cameras": silent("front", "rear"), "front": refused("dualcam_not_present"),
                  "rear": refused("dualcam_not_present"), "led": StepFacts(answer="no")}, "no power"),
    ("no_camera", {"cameras": silent("front", "rear"), "front": refused("dualcam_not_present"),
                   "rear": refused("dualcam_not_present")}, "Neither camera"),
    ("no_camera", {"front": refused("camera_not_present"), "rear": refused("camera_not_present"),
                   "led": StepFacts(answer="yes")}, "the tracker gets no answer"),
    ("front_camera", {"cameras": silent("front"), "front": refused("camera_not_present")}, "front camera"),
    ("rear_camera", {"cameras": silent("rear"), "rear": refused("camera_not_present")}, "rear camera"),
    ("no_capture", {"front": refused("capture_failed"), "rear": refused("capture_failed")}, "Both cameras answer"),
    ("no_capture", {"rear": refused("camera_nak")}, "turned the request down"),
    ("server_unreachable", {"front": refused("server_unreachable")}, "could not reach our server"),
    ("server_unreachable", {name: refused("no_file") for name in ("front", "rear", "card")}, "no file came"),
    ("undecided", {"rear": refused("no_file")}, "no file came"),
    ("server_unreachable", {"card": refused("server_unreachable")}, "could not reach our server"),
    ("wrong_clock", {"clock": StepFacts([CommandOutcome("done", True, file_seconds_off=3600.0)])}, "60 minutes ahead"),
    ("wrong_clock", {"clock": StepFacts([CommandOutcome("done", True, file_seconds_off=-7200.0)])},
     "120 minutes behind"),
    ("no_card", {"card": StepFacts([CAME], bad_cards={"rear": "no SD card"})}, "of the rear camera: no SD card"),
    ("no_card", {"card": refused("file_not_found"), "sd": StepFacts(answer="no")}, "There is no card in the front"),
    ("faulty_card", {"card": refused("media_problem"), "sd": StepFacts(answer="yes")}, "A card is in"),
    ("faulty_card", {"card": refused("file_not_found"), "sd": StepFacts(answer="yes")}, "A card is in"),
    ("faulty_card", {"card": StepFacts([CAME], bad_cards={"rear": "SD card faulty"}, faulty_cards=["rear"])},
     "of the rear camera: SD card faulty"),
    ("refused", {"transfer": StepFacts(sessions=[("unknown_device", 0), ("done", 0)])}, "IMEI was not known"),
    ("triggers_lead_nowhere", {"triggers": StepFacts(by_itself=[66022], server_advice=as_it_is("Set it so."))},
     "photo triggers (66022). Set it so."),
    ("good", {"triggers": StepFacts(by_itself=[66006])}, "Both cameras answer"),
    ("old_firmware", {"firmware": StepFacts([REPLIED], firmware_warnings=[as_it_is("66020 needs newer firmware.")])},
     "66020 needs"),
    ("differs", {"configuration": StepFacts(HEALTHY["configuration"].outcomes, differing=[LESS])},
     "Video frame rate (66003) is 30 fps, asked 25 fps"),
    ("breaks", {"transfer": StepFacts(sessions=[("lost", 0)] * 3 + [("done", 0)])}, "3 of the last 4"),
    ("breaks", {"transfer": StepFacts(sessions=[("done", 30)])}, "wrong checksum"),
    ("slow", {"speed": StepFacts(bytes_per_second=300.0)}, "0.3 kB/s: a 10 s clip of one camera takes about 3 h"),
    ("slow", {"speed": StepFacts(bytes_per_second=19_000.0, answer_seconds=[121.0, 130.0])},
     "quickest answer took 2 min"),
    ("good", {"speed": StepFacts(answer_seconds=[121.0, 9.0])}, "Both cameras answer"),
    ("good", {"speed": StepFacts()}, "Both cameras answer"),
    ("undecided", {"speed": StepFacts(bytes_per_second=300.0), "front": refused("modem_not_ready")}, "modem_not_ready"),
    ("good", {}, "The rear photo has come"),
    ("good", {"power": NO_ANSWER}, "Set for DualCam"),
    ("ignition_off", {"power": StepFacts([REPLIED], {"info.getio.DI1": ("0", "good"), "ignition": ("off", "good"),
                                                 "parameter.66020": ("0", "good")})}, "DIN1 is off"),
    ("rear_camera", {"cameras": silent("rear"), "rear": refused("camera_not_present"), "led": StepFacts(answer="no")},
     "The rear camera: there is no power"),
    ("front_camera", {"front": refused("camera_not_present"), "led": StepFacts(answer="unable")},
     "Both cameras answer"),
    ("no_card", {"card": refused("media_problem"), "sd": StepFacts(answer="unable")}, "took it incorrectly"),
    ("undecided", {"front": refused("modem_not_ready")}, "modem_not_ready"),
    ("undecided", {"configuration": StepFacts([CommandOutcome("expired", False)])}, "could not be read"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "changes", "said"), CASES, ids=lambda case: case if isinstance(case, str) else ""
)
def test_these_facts_give_this_verdict_and_its_sentence_says_why(
    verdict: str, changes: dict[str, StepFacts], said: str
) -> None:
    results = judged(changes)
    chosen = decide(results)
    sentences = verdict_words.sentence(chosen, results)
    assert chosen.id == verdict
    assert verdict_words.title(chosen.id, results) in sentences
    assert verdict_words.todo(chosen.id, results) in sentences
    assert said in sentences.partition("Rests on:")[2]


def test_a_card_that_is_in_and_does_not_work_is_not_called_missing() -> None:
    results = judged({"card": refused("file_not_found"), "sd": StepFacts(answer="yes")})
    said = verdict_words.sentence(decide(results), results)
    assert said.startswith("The SD card in the front camera does not work. Format it, or try another one")
    assert "missing" not in said
    assert "Insert" not in said
    assert decide_further(results) == []


@pytest.mark.parametrize(("state", "todo"), [("no SD card", "Insert"), ("SD card faulty", "Format it")])
def test_what_to_do_about_a_card_is_by_what_records_report_of_it(state: str, todo: str) -> None:
    faulty = ["rear"] if state != "no SD card" else []
    result = BY_STEP["card"].read(StepFacts([CAME], bad_cards={"rear": state}, faulty_cards=faulty))
    assert todo_words.todo(result.finding).startswith(todo)


def advice(changes: dict[str, StepFacts]) -> str:
    results = judged(changes)
    return verdict_words.todo(decide(results).id, results)


def test_where_others_got_through_the_vehicle_is_to_be_looked_at_and_not_this_service() -> None:
    failed = dataclasses.replace(refused("server_unreachable"), others=5)
    for said in (advice({"front": failed}), todo_words.todo(judged({"front": failed})["front"].finding)):
        assert "Other vehicles got through at that time (5)" in said
        assert "firewall" not in said
    assert "firewall" in advice({"front": refused("server_unreachable")})


@pytest.mark.parametrize("others", [0, 5])
@pytest.mark.parametrize("reason", ["server_unreachable", "no_file"])
def test_what_a_file_that_did_not_come_says_holds_no_advice_but_that_of_the_verdict(
    reason: str, others: int
) -> None:
    error = Phrase("refused", {"words": "x", "advice": Phrase("no_file").as_json()})
    outcome = CommandOutcome("failed", True, reason, error)
    results = judged({name: StepFacts([outcome], others=others) for name in ("front", "rear", "card")})
    said = verdict_words.sentence(decide(results), results)
    assert "receiver" not in said
    assert ("look at this one" in said, "firewall" in said) == (bool(others), not others)
    assert "Look at its connections" not in said


DEAD_REAR = {"cameras": silent("rear"), "rear": refused("camera_not_present")}
DEAD_BOTH = {name: refused("dualcam_not_present") for name in ("front", "rear")} | {
    "cameras": silent("front", "rear")
}


@pytest.mark.parametrize(("dead", "light", "todo", "supply"), [
    (DEAD_REAR, "yes", "It has power: check its data cable, then replace it.", False),
    (DEAD_REAR, "no", "It has no power: check its supply and fuse first, then its cable.", True),
    (DEAD_REAR, "unable", "Check its supply and cable, then replace it.", True),
    (DEAD_BOTH, "yes", "They have power: check the data cable between the tracker and the cameras.", False),
    (DEAD_BOTH, "no", "Check their supply and fuse.", True),
    (DEAD_BOTH, "unable", "Check the camera's cable and supply.", True),
])  # fmt: skip
def test_a_camera_with_a_light_has_power_and_no_step_says_to_check_its_supply(
    dead: dict[str, StepFacts], light: str, todo: str, supply: bool
) -> None:
    results = judged(dead | {"led": StepFacts(answer=light)})
    verdict = decide(results)
    assert verdict_words.todo(verdict.id, results) == todo
    steps = " ".join(todo_words.todo(result.finding, results) for result in results.values())
    assert ("supply" in f"{verdict_words.sentence(verdict, results)} {steps}") == supply


@pytest.mark.parametrize(("changes", "verdict", "said"), [
    ({"front": refused("ignition_off")}, "not visible", "Not tried: nothing was taken in this check."),
    ({"front": refused("server_unreachable")}, "warn", "The camera has never connected to this server."),
    ({"front": NO_ANSWER}, "warn", "The camera has never connected to this server."),
    ({}, "warn", "The camera has never connected to this server."),
])  # fmt: skip
def test_a_transfer_for_which_nothing_was_taken_was_not_tried(
    changes: dict[str, StepFacts], verdict: str, said: str
) -> None:
    off = {name: changes["front"] for name in ("rear", "card") if "front" in changes}
    transfer = judged(changes | off | {"transfer": StepFacts()})["transfer"]
    assert (transfer.verdict, finding_words.finding(transfer.finding)) == (verdict, said)


def test_where_the_server_is_not_reached_no_finding_says_that_transfers_come_through() -> None:
    results = judged({name: refused("server_unreachable") for name in ("front", "rear", "card")})
    assert finding_words.finding(results["transfer"].finding) == "Transfers came through before."
    assert "Transfers" not in verdict_words.sentence(decide(results), results)


def test_an_ignition_that_seemed_off_is_not_to_be_switched_on_once_pictures_came() -> None:
    off = {"power": StepFacts([REPLIED], {"info.getio.DI1": ("0", "good")})}
    works, before = judged(off), BY_STEP["power"].read(off["power"])
    assert todo_words.todo(works["power"].finding, works) == ""
    assert todo_words.todo(before.finding) == "Switch it on for the test."


def test_cameras_that_sent_their_photos_are_not_said_to_have_no_power() -> None:
    assert (
        decide(judged({"cameras": silent("front", "rear"), "led": StepFacts(answer="no")})).id != "no_power"
    )


WITHOUT_STATES = StepFacts([CommandOutcome("done", True, result={"values": DUALCAM | {"113": "0"}})])


@pytest.mark.parametrize(("changes", "title", "todo", "who"), [
    ({}, "All good", "Nothing to do.", None),
    ({"power": StepFacts([REPLIED], {"info.getio.DI1": ("0", "good")})}, "All good", "Nothing to do.", None),
    ({"configuration": WITHOUT_STATES}, "All good", "Nothing to do.", None),
    ({"firmware": NO_ANSWER}, "Works, with one thing to look at", "Ask again later.", "desk"),
])  # fmt: skip
def test_a_vehicle_that_works_is_all_good_only_where_there_is_nothing_to_look_at(
    changes: dict[str, StepFacts], title: str, todo: str, who: str | None
) -> None:
    results = judged(changes)
    verdict = decide(results)
    said = verdict_words.sentence(verdict, results)
    assert verdict.id == "good"
    assert said.startswith(f"{title}. ")
    assert todo in verdict_words.todo("good", results)
    assert who_acts(verdict, results) == who


def test_an_ignition_that_is_off_is_to_be_switched_on_before_the_next_check() -> None:
    assert advice({"front": refused("ignition_off")}).startswith("Switch the ignition on, then check again")


FAST, SLOW, LATE, PROMPT = 19_000.0, 300.0, [121.0], [9.0]


@pytest.mark.parametrize(("rate", "answers", "antenna", "sms"), [
    (FAST, LATE, False, True), (SLOW, PROMPT, True, False), (SLOW, LATE, True, True), (None, LATE, False, True),
])  # fmt: skip
def test_what_to_do_about_slowness_is_about_what_is_slow(
    rate: float | None, answers: list[float], antenna: bool, sms: bool
) -> None:
    facts = StepFacts(bytes_per_second=rate, answer_seconds=answers)
    said = advice({"speed": facts})
    assert ("antenna" in said, "SMS are slow on their way" in said) == (antenna, sms)
    assert todo_words.todo(judged({"speed": facts})["speed"].finding) == said


def test_a_transfer_over_a_slow_line_is_not_called_fine() -> None:
    slow = BY_STEP["transfer"].read(StepFacts(sessions=[("done", 0)], bytes_per_second=300.0))
    assert slow.verdict == "warn"
    assert finding_words.finding(slow.finding) == "Transfers come through, but slowly: 0.3 kB/s."
    assert decide(judged({"speed": StepFacts(bytes_per_second=300.0)}) | {"transfer": slow}).id == "slow"


@pytest.mark.parametrize(("sides", "title", "todo"), [
    (["front", "rear"], "The cameras answer but take no picture", "Restart both"),
    (["front"], "The front camera answers but takes no picture", "Restart it"),
    (["rear"], "The rear camera answers but takes no picture", "Restart it"),
])  # fmt: skip
def test_cameras_without_a_picture_are_named(sides: list[str], title: str, todo: str) -> None:
    results = judged({side: refused("capture_failed") for side in sides})
    assert verdict_words.sentence(decide(results), results).startswith(f"{title}. {todo}")


@pytest.mark.parametrize(("sides", "restarted", "todo"), [
    (["front", "rear"], ["front", "rear"],
     "The cameras were restarted at 22:54 EET and still take no picture: check their cables, then replace them."),
    (["rear"], ["front", "rear"],
     "The camera was restarted at 22:54 EET and still takes no picture: check its cable, then replace it."),
    (["front", "rear"], ["front"], "Restart both and check again; if it stays so, check their cables, then replace"),
    (["front"], [], "Restart it and check again; if it stays so, check its cable, then replace it."),
])  # fmt: skip
def test_cameras_that_were_restarted_are_not_to_be_restarted_again(
    sides: list[str], restarted: list[str], todo: str
) -> None:
    facts = dataclasses.replace(refused("capture_failed"), restarted=dict.fromkeys(restarted, "22:54 EET"))
    results = judged(dict.fromkeys(sides, facts))
    action = verdict_words.action("no_capture", results)
    steps = " ".join(todo_words.todo(results[side].finding, results) for side in sides)
    assert verdict_words.todo("no_capture", results).startswith(todo)
    assert (action is None) == todo.startswith("The camera")
    assert ("Restart" in f"{verdict_words.sentence(decide(results), results)} {steps}") == (
        action is not None
    )


CLOCK_AHEAD = StepFacts([CommandOutcome("done", True, file_seconds_off=10_800.0)])
TWO_FAULTS: list[tuple[dict[str, StepFacts], str, list[str]]] = [
    ({}, "good", []),
    ({"card": refused("file_not_found"), "sd": StepFacts(answer="no"), "clock": CLOCK_AHEAD},
     "wrong_clock", ["no_card"]),
    ({"card": refused("file_not_found"), "sd": StepFacts(answer="yes"), "clock": CLOCK_AHEAD},
     "wrong_clock", []),  # its footage may lie under another time
    ({"card": refused("file_not_found"), "sd": StepFacts(answer="unable"), "clock": CLOCK_AHEAD}, "wrong_clock", []),
    ({"front": refused("server_unreachable"), "cameras": silent("rear"), "rear": refused("camera_not_present")},
     "server_unreachable", ["rear_camera"]),
    ({"front": refused("capture_failed"), "cameras": silent("rear"), "rear": refused("camera_not_present")},
     "no_capture", ["rear_camera"]),
    ({"cameras": silent("front", "rear"), "front": refused("dualcam_not_present"), "led": StepFacts(answer="no"),
      "rear": refused("dualcam_not_present")}, "no_power", []),
    ({"front": refused("ignition_off"), "cameras": silent("front", "rear")}, "ignition_off", []),
    ({"front": refused("server_unreachable"), "transfer": StepFacts(sessions=[("lost", 0)] * 4)},
     "server_unreachable", []),
    ({"configuration": StepFacts(HEALTHY["configuration"].outcomes, differing=[LESS]),
      "triggers": StepFacts(by_itself=[66022], server_advice=as_it_is("Set it so."))},
     "triggers_lead_nowhere", ["differs"]),
    ({"reachable": NO_ANSWER, "triggers": StepFacts(by_itself=[66022], server_advice=as_it_is("Set it so."))},
     "silent", []),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "verdict", "further"), TWO_FAULTS)
def test_a_verdict_hides_no_second_fault_and_what_it_explains_is_none(
    changes: dict[str, StepFacts], verdict: str, further: list[str]
) -> None:
    results = judged(changes)
    chosen = decide(results)
    assert (chosen.id, [one.id for one in decide_further(results)]) == (verdict, further)
    said = verdict_words.sentence(chosen, results)
    assert all(f"{verdict_words.title(code)}." in said.partition("Also: ")[2] for code in further)


@pytest.mark.parametrize(("seconds", "todo"), [
    (10_800.0, "Set Camera time zone (66024)"), (-43_200.0 + 90, "Set Camera time zone (66024)"),
    (420.0, "No time zone explains it"), (-1_795_000_000.0, "No time zone explains it"),
])  # fmt: skip
def test_a_clock_that_no_time_zone_explains_has_none_proposed(seconds: float, todo: str) -> None:
    results = judged({"clock": StepFacts([CommandOutcome("done", True, file_seconds_off=seconds)])})
    assert decide(results).id == "wrong_clock"
    assert todo in verdict_words.sentence(decide(results), results)
    assert todo in todo_words.todo(results["clock"].finding)


@pytest.mark.parametrize(("di1", "sentences", "always", "verdict", "mark"), [
    ("1", None, None, "good", ""), ("0", None, None, "warn", "perhaps_off"), ("0", "on", None, "good", ""),
    ("0", "off", None, "warn", "perhaps_off"), ("0", "off", "0", "warn", "off"),
    ("1", "off", None, "warn", "perhaps_off"), ("0", "off", "1", "good", ""),
    (None, "off", None, "warn", "perhaps_off"), (None, None, None, "good", ""),
])  # fmt: skip
def test_power_reads_the_trackers_input_and_the_records_and_believes_both_together(
    di1: str | None, sentences: str | None, always: str | None, verdict: str, mark: str
) -> None:
    held = {"info.getio.DI1": di1, "ignition": sentences, "parameter.66020": always}
    status = {item: (value, "good") for item, value in held.items() if value is not None}
    result = BY_STEP["power"].read(StepFacts([REPLIED], status))
    assert (result.verdict, result.mark) == (verdict, mark)


@pytest.mark.parametrize(("changes", "step", "named", "about"), [
    ({"cameras": silent("rear"), "rear": refused("camera_not_present")}, "led", "at the rear camera", "rear"),
    ({"front": refused("camera_not_present")}, "led", "at the front camera", "front"),
    ({name: refused("dualcam_not_present") for name in ("front", "rear")}, "led", "the front and the rear", "both"),
    ({"card": refused("media_problem")}, "sd", "in the front camera", None),
])  # fmt: skip
def test_a_question_names_its_camera_and_without_an_answer_the_likely_cause_is_told(
    changes: dict[str, StepFacts], step: str, named: str, about: str | None
) -> None:
    assert named in check_words.question(BY_STEP[step], judged(changes))
    results = judged(changes | {step: StepFacts(answer="unable")})
    verdict = decide(results)
    assert (certainty(verdict, results), camera(verdict, results)) == ("likely", about)
    title = verdict_words.title(verdict.id)
    assert verdict_words.sentence(verdict, results).startswith(f"Likely: {title}")


@pytest.mark.parametrize(
    ("changes", "question", "cause"),
    [
        ({"card": refused("file_not_found")}, "sd", "no_card"),
        ({"card": refused("media_problem")}, "sd", "no_card"),
        ({"front": refused("camera_not_present")}, "led", "front_camera"),
        ({"cameras": silent("front", "rear"), "front": NO_ANSWER, "rear": NO_ANSWER}, "led", "no_camera"),
        ({"card": refused("media_problem"), "cameras": silent("front")}, "led", None),  # its photo has come
        ({"cameras": silent("rear")}, "led", None),
    ],
)
def test_the_likely_cause_of_a_question_is_the_bad_verdict_of_the_steps_before_it(
    changes: Mapping[str, StepFacts], question: str, cause: str | None
) -> None:
    results = judged(changes)
    assert BY_STEP[question].when(results), "the question is asked"
    found = likely_cause(results, BY_STEP[question])
    assert (found.id if found else None) == cause


def test_an_answer_after_the_end_of_a_run_is_no_silence_any_more() -> None:
    late = BY_STEP["reachable"].read(StepFacts([CommandOutcome("done", True, late=True)]))
    assert decide({"reachable": late}).id == "answers_late"
    assert decide(judged({}) | {"reachable": late}).id != "answers_late"


def test_every_verdict_is_reached_by_some_facts() -> None:
    assert {verdict for verdict, _, _ in CASES} | {"answers_late"} == set(BY_ID)


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: verdict.id)
def test_a_verdict_names_a_next_step_and_rests_on_steps_that_exist(verdict: CheckVerdict) -> None:
    assert verdict_words.title(verdict.id)
    assert verdict_words.todo(verdict.id)
    assert set(verdict.rests_on) <= set(BY_STEP)
    assert verdict.rests_on or verdict.id == "undecided"


@pytest.mark.parametrize("verdict", [v for v in VERDICTS if v.rests_on], ids=lambda verdict: verdict.id)
def test_a_verdict_rests_on_the_answers_that_were_given_and_no_others(verdict: CheckVerdict) -> None:
    first, *others = verdict.rests_on
    results = {first: Result(GOOD, Phrase("cameras_answer"))}
    results |= {name: Result("not visible", Phrase("nobody_looked")) for name in others[:1]}
    assert grounds(verdict, results) == [Phrase("cameras_answer")]


def test_a_verdict_does_not_rest_on_what_speaks_of_another_fault() -> None:
    results = judged({"front": refused("server_unreachable"), "rear": refused("camera_not_present")})
    assert "camera_not_present" not in str(grounds(BY_ID["server_unreachable"], results))
    assert "camera_not_present" in str(grounds(BY_ID["rear_camera"], results))


def test_a_step_needs_only_steps_before_it() -> None:
    seen: set[str] = set()
    for step in STEPS:
        assert set(step.needs) <= seen, step.id
        seen.add(step.id)


def test_a_camera_that_sent_its_photo_is_not_called_dead() -> None:
    assert decide(judged({"cameras": silent("front", "rear")})).id == "undecided"
    assert decide(judged({"cameras": silent("rear")})).id == "undecided"


def test_a_clock_nobody_can_see_is_neither_good_nor_bad() -> None:
    assert BY_STEP["clock"].read(StepFacts([CommandOutcome("done", True)])).verdict == "not visible"


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
        ({"card": StepFacts([CAME], bad_cards={"front": "no SD card"})}, False, False),
    ],
)  # fmt: skip
def test_a_person_is_asked_only_what_the_answers_leave_open(
    changes: dict[str, StepFacts], led: bool, sd: bool
) -> None:
    results = judged(changes)
    assert (BY_STEP["led"].when(results), BY_STEP["sd"].when(results)) == (led, sd)


def test_every_answer_that_is_offered_has_a_meaning() -> None:
    for step in STEPS:
        for choice in LOOKS if step.asks_person else ():
            assert step.read(StepFacts(answer=choice)).finding.code != "nobody_looked"


def test_the_document_names_every_step_and_every_verdict() -> None:
    page = (ROOT / "docs" / "checklist.md").read_text()
    first_column = " ".join(re.findall(r"^\| ([a-z, ]+) \|", page, re.MULTILINE))
    verdicts = re.search(r"rests on: ([a-z_,\s]+)\.", page)
    assert set(re.findall(r"\w+", first_column)) - {"step"} == set(BY_STEP)
    assert verdicts
    assert re.findall(r"\w+", verdicts[1]) == [verdict.id for verdict in VERDICTS]
