"""The verdicts of the checklist in their order, and what follows from each: who acts, how sure it is. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from provisioning.check.facts import BAD, GOOD, HIDDEN, PRIVATE, UNABLE, WARN, Result, StepFacts, has_mark
from provisioning.check.steps import Step
from provisioning.devices.vehicle_facts import camera_of_verdict
from provisioning.phrase import Phrase


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """The end of a run, which check_words says, and the steps it rests on."""

    id: str
    rests_on: tuple[str, ...]
    holds: Callable[[Mapping[str, Result]], bool]


def _dead(results: Mapping[str, Result], mark: str, *photos: str) -> bool:
    """Say whether camgetver found cameras silent; a photo disproves it (camera firmware 2.2.0 never answers)."""
    return has_mark(results, mark, "cameras") and not has_mark(results, "came", *photos)


_FILES = ("front", "rear", "card")
NEEDED = ("reachable", "configuration", "cameras", "front", "rear", "card")


def _works(results: Mapping[str, Result]) -> bool:
    return all(
        s in results and (results[s].verdict == GOOD or results[s].mark == PRIVATE) for s in NEEDED
    ) and all(result.verdict != BAD for result in results.values())


VERDICTS: tuple[CheckVerdict, ...] = (
    CheckVerdict("other_tracker", ("firmware",), lambda r: has_mark(r, "other_tracker", "firmware")),
    CheckVerdict("silent", ("reachable",), lambda r: has_mark(r, "silent", "reachable")),
    CheckVerdict(
        "answers_late",
        ("reachable",),
        lambda r: has_mark(r, "late", "reachable") and "configuration" not in r,
    ),
    CheckVerdict(
        "wrong_mode",
        ("configuration", "front", "rear"),
        lambda r: has_mark(r, "wrong_mode", "configuration", "front", "rear"),
    ),
    CheckVerdict(
        "ignition_off",
        ("front", "rear", "power"),
        lambda r: has_mark(r, "ignition", "front", "rear") or has_mark(r, "off", "power"),
    ),
    CheckVerdict("no_power", ("led", "cameras"), lambda r: has_mark(r, "no_power", "led")),
    CheckVerdict(
        "no_camera",
        ("cameras", "front", "rear", "led"),
        lambda r: (
            _dead(r, "none", "front", "rear")
            or (has_mark(r, "missing", "front") and has_mark(r, "missing", "rear"))
        ),
    ),
    CheckVerdict(
        "server_unreachable",
        ("front", "rear", "card", "transfer"),
        lambda r: (
            has_mark(r, "unreachable", *_FILES)
            # where another file of the run came, the server is reached
            or (has_mark(r, "no_file", *_FILES) and not has_mark(r, "came", *_FILES))
        ),
    ),
    CheckVerdict(
        "no_capture", ("cameras", "front", "rear"), lambda r: has_mark(r, "no_capture", "front", "rear")
    ),
    CheckVerdict(
        "front_camera",
        ("cameras", "front", "led"),
        lambda r: _dead(r, "front", "front") or has_mark(r, "missing", "front"),
    ),
    CheckVerdict(
        "rear_camera",
        ("cameras", "rear", "led"),
        lambda r: _dead(r, "rear", "rear") or has_mark(r, "missing", "rear"),
    ),
    CheckVerdict("wrong_clock", ("clock",), lambda r: has_mark(r, "wrong", "clock")),
    CheckVerdict("faulty_card", ("card", "sd"), lambda r: has_mark(r, "bad_card", "card", "sd")),
    CheckVerdict(
        "no_card",
        ("card", "sd"),
        lambda r: (
            has_mark(r, "no_card", "card", "sd")
            or has_mark(r, "no_footage", "card")
            or has_mark(r, "unable", "sd")
        ),
    ),
    CheckVerdict("refused", ("transfer",), lambda r: has_mark(r, "refused", "transfer")),
    CheckVerdict("triggers_lead_nowhere", ("triggers",), lambda r: has_mark(r, "nowhere", "triggers")),
    CheckVerdict("old_firmware", ("firmware",), lambda r: has_mark(r, "old_firmware", "firmware")),
    CheckVerdict("differs", ("configuration",), lambda r: has_mark(r, "differs", "configuration")),
    CheckVerdict(
        "breaks", ("transfer",), lambda r: has_mark(r, "breaks", "transfer") or has_mark(r, "crc", "transfer")
    ),
    CheckVerdict("slow", ("speed",), lambda r: _works(r) and has_mark(r, "slow", "speed")),
    CheckVerdict("good", NEEDED, lambda r: _works(r)),
    CheckVerdict("undecided", (), lambda r: True),
)

BY_ID = {verdict.id: verdict for verdict in VERDICTS}


def decide(results: Mapping[str, Result]) -> CheckVerdict:
    """Give the first verdict that holds."""
    return next(verdict for verdict in VERDICTS if verdict.holds(results))


# beside these nothing else can be said of the vehicle
_ALONE = ("other_tracker", "silent", "answers_late", "slow", "good", "undecided")
_DEAD_CAMERAS = ("no_power", "no_camera", "front_camera", "rear_camera")
# what a verdict explains is no fault of its own
_EXPLAINS: Mapping[str, Sequence[str]] = {
    "ignition_off": (*_DEAD_CAMERAS, "server_unreachable", "no_capture", "faulty_card", "no_card"),
    "no_power": _DEAD_CAMERAS,
    "no_camera": _DEAD_CAMERAS,
    "server_unreachable": ("refused", "breaks"),
    "faulty_card": ("no_card",),
}


_CARDS = ("faulty_card", "no_card")


def decide_further(results: Mapping[str, Result]) -> list[CheckVerdict]:
    """Give what the answers prove beside the verdict: further faults, in the order of VERDICTS."""
    found = [decide(results)]
    for verdict in VERDICTS:
        explained = {code for one in found for code in (one.id, *_EXPLAINS.get(one.id, ()))}
        if verdict.id not in (*_ALONE, *explained) and verdict.holds(results):
            found.append(verdict)
    is_alone = found[0].id in _ALONE
    # a clip may be missing because of the clock, unless somebody saw no card, or records report a bad one
    is_proved = has_mark(results, "no_card", "card", "sd") or has_mark(results, "bad_card", "card")
    is_doubtful = has_mark(results, "wrong", "clock") and not is_proved
    return [] if is_alone else [one for one in found[1:] if one.id not in _CARDS or not is_doubtful]


DESK = (  # what can be done without going to the vehicle
    "other_tracker",
    "answers_late",
    "wrong_mode",
    "server_unreachable",
    "wrong_clock",
    "refused",
    "triggers_lead_nowhere",
    "old_firmware",
    "differs",
    "undecided",
)


def who(verdict: CheckVerdict) -> str | None:
    """Say who can do the next step: the desk, or somebody at the vehicle; None where nothing is to be done."""
    if verdict.id == "good":
        return None
    return "desk" if verdict.id in DESK else "vehicle"


LESSER = ("ignition_off", "answers_late", "refused", "old_firmware", "differs", "breaks", "slow", "undecided")


def grade(verdict: str) -> str:
    """Give how bad a verdict is: good, warn or bad."""
    return GOOD if verdict == "good" else WARN if verdict in LESSER else BAD


def likely_cause(results: Mapping[str, Result], question: Step) -> CheckVerdict | None:
    """Give the verdict of a run whose question nobody can answer; None where the run has found nothing bad."""
    unable = question.read(StepFacts(answer=UNABLE, results=results))
    verdict = decide({**results, question.id: unable})
    return verdict if grade(verdict.id) == BAD else None


def certainty(verdict: CheckVerdict, results: Mapping[str, Result]) -> str:
    """Say how sure a verdict is: certain, likely, or one_of several causes."""
    if verdict.id in ("undecided", "no_capture"):
        return "one_of"
    return "likely" if any(has_mark(results, "unable", step) for step in verdict.rests_on) else "certain"


def camera(verdict: CheckVerdict, results: Mapping[str, Result]) -> str | None:
    """Give the camera that a verdict is about: front, rear or both; None where it is about none."""
    if verdict.id == "faulty_card" and has_mark(results, "bad_card", "card"):  # as records reported
        return results["card"].finding.arguments.get("camera")
    return camera_of_verdict(verdict.id, {name: result.mark for name, result in results.items()})


# what a step found that speaks of another fault, though the verdict rests on steps of its kind
_OF_OTHERS: Mapping[str, Sequence[str]] = {
    "server_unreachable": ("missing", "no_capture"),
    "no_capture": ("missing", "unreachable", "no_file"),
}


def rests_on(verdict: CheckVerdict, results: Mapping[str, Result]) -> list[str]:
    """Give the steps that a verdict rests on, of those that were answered."""
    others = _OF_OTHERS.get(verdict.id, ())
    return [
        name
        for name in verdict.rests_on
        if name in results and results[name].verdict != HIDDEN and results[name].mark not in others
    ]


def grounds(verdict: CheckVerdict, results: Mapping[str, Result]) -> list[Phrase]:
    """Give what the answers said that a verdict rests on; of an unclear one, everything that is not good."""
    if verdict.rests_on:
        return [results[name].finding for name in rests_on(verdict, results)]
    return [result.finding for result in results.values() if result.verdict in (WARN, BAD)]
