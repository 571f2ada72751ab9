"""The verdicts of the checklist in their order: when each holds, how bad it is, who acts, what it explains. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from provisioning.check.facts import BAD, GOOD, HIDDEN, PRIVATE, UNABLE, WARN, Result, StepFacts, has_mark
from provisioning.check.steps import Step
from provisioning.devices import health
from provisioning.devices.health import HealthState
from provisioning.devices.vehicle_facts import camera_of_verdict
from provisioning.phrase import Phrase

DESK, VEHICLE = "desk", "vehicle"  # who acts: somebody at a desk, or at the vehicle


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """The end of a run, which `verdict_words` says, in one row with all that follows from it."""

    id: str
    rests_on: tuple[str, ...]  # steps
    holds: Callable[[Mapping[str, Result]], bool]
    grade: str = BAD
    who: str | None = VEHICLE  # can do the next step; None where nothing is to be done
    explains: tuple[str, ...] = ()  # verdicts that are no faults of their own beside it
    # a step with one of them proves another fault: this rests not on it
    marks_of_others: tuple[str, ...] = ()
    is_alone: bool = False  # beside it nothing else can be said, and it is said beside nothing else
    has_several_causes: bool = False


def _dead(results: Mapping[str, Result], mark: str, *photos: str) -> bool:
    """Say whether camgetver found cameras silent; a photo disproves it (camera firmware 2.2.0 never answers)."""
    return has_mark(results, mark, "cameras") and not has_mark(results, "came", *photos)


_FILES = ("front", "rear", "card")
_CARDS = ("faulty_card", "no_card")
_DEAD_CAMERAS = ("no_power", "no_camera", "front_camera", "rear_camera")
NEEDED = ("reachable", "configuration", "cameras", "front", "rear", "card")


def _works(results: Mapping[str, Result]) -> bool:
    return all(
        s in results and (results[s].verdict == GOOD or results[s].mark == PRIVATE) for s in NEEDED
    ) and all(result.verdict != BAD for result in results.values())


VERDICTS: tuple[CheckVerdict, ...] = (
    CheckVerdict(
        "other_tracker",
        ("firmware",),
        lambda r: has_mark(r, "other_tracker", "firmware"),
        who=DESK,
        is_alone=True,
    ),
    CheckVerdict("silent", ("reachable",), lambda r: has_mark(r, "silent", "reachable"), is_alone=True),
    CheckVerdict(
        "answers_late",
        ("reachable",),
        lambda r: has_mark(r, "late", "reachable") and "configuration" not in r,
        grade=WARN,
        who=DESK,
        is_alone=True,
    ),
    CheckVerdict(
        "wrong_mode",
        ("configuration", "front", "rear"),
        lambda r: has_mark(r, "wrong_mode", "configuration", "front", "rear"),
        who=DESK,
    ),
    CheckVerdict(
        "ignition_off",
        ("front", "rear", "power"),
        lambda r: has_mark(r, "ignition", "front", "rear") or has_mark(r, "off", "power"),
        grade=WARN,
        explains=(*_DEAD_CAMERAS, "server_unreachable", "no_capture", "faulty_card", "no_card"),
    ),
    CheckVerdict(
        "no_power",
        ("led", "cameras"),
        lambda r: has_mark(r, "no_power", "led") and not has_mark(r, "came", "front", "rear"),
        explains=_DEAD_CAMERAS,
    ),
    CheckVerdict(
        "no_camera",
        ("cameras", "front", "rear", "led"),
        lambda r: (
            _dead(r, "none", "front", "rear")
            or (has_mark(r, "missing", "front") and has_mark(r, "missing", "rear"))
        ),
        explains=_DEAD_CAMERAS,
    ),
    CheckVerdict(
        "server_unreachable",
        ("front", "rear", "card", "transfer"),
        lambda r: (
            has_mark(r, "unreachable", *_FILES)
            # where another file of the run came, the server is reached
            or (has_mark(r, "no_file", *_FILES) and not has_mark(r, "came", *_FILES))
        ),
        who=DESK,
        explains=("refused", "breaks"),
        marks_of_others=("missing", "no_capture", "before"),
    ),
    CheckVerdict(
        "no_capture",
        ("cameras", "front", "rear"),
        lambda r: has_mark(r, "no_capture", "front", "rear"),
        marks_of_others=("missing", "unreachable", "no_file"),
        has_several_causes=True,
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
    CheckVerdict("wrong_clock", ("clock",), lambda r: has_mark(r, "wrong", "clock"), who=DESK),
    CheckVerdict(
        "faulty_card", ("card", "sd"), lambda r: has_mark(r, "bad_card", "card", "sd"), explains=("no_card",)
    ),
    CheckVerdict(
        "no_card",
        ("card", "sd"),
        lambda r: (
            has_mark(r, "no_card", "card", "sd")
            or has_mark(r, "no_footage", "card")
            or has_mark(r, "unable", "sd")
        ),
    ),
    CheckVerdict(
        "refused", ("transfer",), lambda r: has_mark(r, "refused", "transfer"), grade=WARN, who=DESK
    ),
    CheckVerdict(
        "triggers_lead_nowhere", ("triggers",), lambda r: has_mark(r, "nowhere", "triggers"), who=DESK
    ),
    CheckVerdict(
        "old_firmware", ("firmware",), lambda r: has_mark(r, "old_firmware", "firmware"), grade=WARN, who=DESK
    ),
    CheckVerdict(
        "differs", ("configuration",), lambda r: has_mark(r, "differs", "configuration"), grade=WARN, who=DESK
    ),
    CheckVerdict(
        "breaks",
        ("transfer",),
        lambda r: has_mark(r, "breaks", "transfer") or has_mark(r, "crc", "transfer"),
        grade=WARN,
    ),
    CheckVerdict(
        "slow", ("speed",), lambda r: _works(r) and has_mark(r, "slow", "speed"), grade=WARN, is_alone=True
    ),
    CheckVerdict("good", NEEDED, lambda r: _works(r), grade=GOOD, who=None, is_alone=True),
    CheckVerdict(
        "undecided", (), lambda r: True, grade=WARN, who=DESK, is_alone=True, has_several_causes=True
    ),
)

# the codes of health that verdicts of another name lead to
_HEALTH_CODES = {
    "good": "proved",
    "ignition_off": "never_checked",
    "no_power": "no_camera",
    "silent": "no_reply",
}
BY_ID = {verdict.id: verdict for verdict in VERDICTS}


def decide(results: Mapping[str, Result]) -> CheckVerdict:
    """Give the first verdict that holds."""
    return next(verdict for verdict in VERDICTS if verdict.holds(results))


def decide_further(results: Mapping[str, Result]) -> list[CheckVerdict]:
    """Give what the answers prove beside the verdict: further faults, in the order of VERDICTS."""
    first = decide(results)
    if first.is_alone:
        return []
    found = [first]
    for verdict in VERDICTS:
        explained = {code for one in found for code in (one.id, *one.explains)}
        if not verdict.is_alone and verdict.id not in explained and verdict.holds(results):
            found.append(verdict)
    # a clip may be missing because of the clock, unless somebody saw no card, or records report a bad one
    is_proved = has_mark(results, "no_card", "card", "sd") or has_mark(results, "bad_card", "card")
    is_doubtful = has_mark(results, "wrong", "clock") and not is_proved
    return [one for one in found[1:] if one.id not in _CARDS or not is_doubtful]


def notes(results: Mapping[str, Result]) -> list[Phrase]:
    """Give what there is to look at of a vehicle that works."""
    # an ignition that seemed to be off, and cameras that took pictures all the same: there is nothing to look at
    return [
        result.finding
        for result in results.values()
        if result.verdict == WARN and result.mark != "perhaps_off"
    ]


def who_acts(verdict: CheckVerdict, results: Mapping[str, Result]) -> str | None:
    """Say who can do the next step after a verdict; None where nothing is to be done."""
    return DESK if verdict.id == "good" and notes(results) else verdict.who


def health_state(verdict: CheckVerdict) -> HealthState | None:
    """Give the state of health that a verdict leads to; None where that depends on other facts."""
    return health.STATES.get(_HEALTH_CODES.get(verdict.id, verdict.id))


def likely_cause(results: Mapping[str, Result], question: Step) -> CheckVerdict | None:
    """Give the verdict of a run whose question nobody can answer; None where the run has found nothing bad."""
    unable = question.read(StepFacts(answer=UNABLE, results=results))
    verdict = decide({**results, question.id: unable})
    return verdict if verdict.grade == BAD else None


def certainty(verdict: CheckVerdict, results: Mapping[str, Result]) -> str:
    """Say how sure a verdict is: certain, likely, or one_of several causes."""
    if verdict.has_several_causes:
        return "one_of"
    return "likely" if any(has_mark(results, "unable", step) for step in verdict.rests_on) else "certain"


def camera(verdict: CheckVerdict, results: Mapping[str, Result]) -> str | None:
    """Give the camera that a verdict is about: front, rear or both; None where it is about none."""
    if verdict.id == "faulty_card" and has_mark(results, "bad_card", "card"):  # as records reported
        return results["card"].finding.arguments.get("camera")
    return camera_of_verdict(verdict.id, {name: result.mark for name, result in results.items()})


def rests_on(verdict: CheckVerdict, results: Mapping[str, Result]) -> list[str]:
    """Give the steps that a verdict rests on, of those that were answered."""
    return [
        name
        for name in verdict.rests_on
        if name in results
        and results[name].verdict != HIDDEN
        and results[name].mark not in verdict.marks_of_others
    ]


def grounds(verdict: CheckVerdict, results: Mapping[str, Result]) -> list[Phrase]:
    """Give what the answers said that a verdict rests on; of an unclear one, everything that is not good."""
    if verdict.rests_on:
        return [results[name].finding for name in rests_on(verdict, results)]
    return [result.finding for result in results.values() if result.verdict in (WARN, BAD)]
