"""How the checklist reads what concerns the cameras: their answers, files and clock, and what a person sees. Pure."""

from collections.abc import Mapping
from typing import Any

from provisioning.check.facts import (
    BAD,
    GOOD,
    HIDDEN,
    NO,
    UNABLE,
    WARN,
    YES,
    Result,
    StepFacts,
    first_outcome,
    found,
    is_useless,
    mark_of,
    silence,
)

CLOCK_SECONDS = 120.0
# what a request's end means for its step, by the code of the end
MARKS = {
    "ignition_off": "ignition",
    "camera_not_present": "missing",
    "dualcam_not_present": "missing",
    "camera_nak": "no_capture",
    "capture_failed": "no_capture",
    "not_configured": "wrong_mode",
    "server_unreachable": "unreachable",
    "no_file": "no_file",
    "file_not_found": "no_footage",
}
NO_WAY_HERE = ("server_unreachable", "no_file")  # the ends of a request whose file may not get through
UNANSWERED = ("no_reply", "unclear", "queue_timeout")


def read_cameras(facts: StepFacts) -> Result:
    """Read camgetver."""
    verdicts = {side: facts.status.get(f"camera.{side}.version", (None, ""))[1] for side in ("front", "rear")}
    outcome = first_outcome(facts)
    if outcome.code != "camera_version_failed" and is_useless(outcome):
        mark = MARKS.get(outcome.code or "", "unanswered")
        return found(
            WARN, "versions_unknown", mark, reason=outcome.code or "", **silence(outcome, "camgetver")
        )
    dead = [side for side, verdict in verdicts.items() if verdict == BAD]
    if len(dead) == 2:
        return found(BAD, "cameras_silent", "none")
    if dead:
        return found(BAD, "camera_silent", dead[0], camera=dead[0])
    return found(GOOD, "cameras_answer")


def _read_file(facts: StepFacts, file: str) -> Result:
    outcome = first_outcome(facts)
    if outcome.state == "done":
        return found(GOOD, "file_came", "came", file=file)
    if not outcome.replied and outcome.code in UNANSWERED:
        return found(WARN, "file_unanswered", "unanswered", file=file, error=outcome.error)
    mark = MARKS.get(outcome.code or "", "failed")
    more: dict[str, Any] = {"others": facts.others} if facts.others and outcome.code in NO_WAY_HERE else {}
    if mark == "no_capture" and (at := facts.restarted.get("rear" if file == "rear_photo" else "front")):
        more["restarted"] = at
    return found(BAD, "file_failed", mark, file=file, reason=outcome.code or "", error=outcome.error, **more)


def read_front(facts: StepFacts) -> Result:
    """Read the photo of the front camera."""
    return _read_file(facts, "front_photo")


def read_rear(facts: StepFacts) -> Result:
    """Read the photo of the rear camera."""
    return _read_file(facts, "rear_photo")


def read_card(facts: StepFacts) -> Result:
    """Read the short video, and the records' camera states."""
    for side, state in facts.bad_cards.items():
        mark = "bad_card" if side in facts.faulty_cards else "no_card"
        return found(BAD, "card_reported", mark, state=state, camera=side)
    result = _read_file(facts, "video")
    if result.mark == "no_footage":
        return found(BAD, "no_footage", "no_footage", **result.finding.arguments)
    return result


def read_clock(facts: StepFacts) -> Result:
    """Read how far the camera's time is off ours."""
    asked = any(name in facts.results for name in ("front", "rear"))
    offs = [outcome.file_seconds_off for outcome in facts.outcomes if outcome.file_seconds_off is not None]
    if not offs:
        return found(HIDDEN, "no_camera_time" if asked else "no_file_asked", "unknown")
    off = min(offs, key=abs)
    if abs(off) > CLOCK_SECONDS:
        return found(BAD, "clock_wrong", "wrong", seconds=off)
    return found(GOOD, "clock_right")


def silent_cameras(results: Mapping[str, Result]) -> tuple[str, ...]:
    """Give the cameras that do not answer the tracker."""
    mark = mark_of(results, "cameras")
    return tuple(
        side
        for side in ("front", "rear")
        if mark in (side, "none", "missing") or mark_of(results, side) == "missing"
    )


def read_led(facts: StepFacts) -> Result:
    """Read what a person sees at the cameras that do not answer the tracker."""
    sides = list(silent_cameras(facts.results))
    if facts.answer == YES:
        return found(WARN, "power_without_answer", "cable", cameras=sides)
    if facts.answer == NO:
        return found(BAD, "no_power", "no_power" if len(sides) != 1 else "dark", cameras=sides)
    if facts.answer == UNABLE:
        return found(HIDDEN, "nobody_could_look", "unable", cameras=sides)
    return found(HIDDEN, "nobody_looked")


def read_sd(facts: StepFacts) -> Result:
    """Read what a person sees in the card's slot."""
    return {
        YES: found(WARN, "card_is_in", "bad_card"),
        NO: found(BAD, "no_card", "no_card"),
        UNABLE: found(HIDDEN, "nobody_could_look_for_card", "unable"),
    }.get(facts.answer or "", found(HIDDEN, "nobody_looked"))
