"""How the checklist reads what concerns the cameras: their answers, files and clock, and what a person sees. Pure."""

from collections.abc import Mapping, Sequence

from provisioning.check.facts import (
    BAD,
    GOOD,
    HIDDEN,
    NO,
    SCENARIO,
    UNABLE,
    WARN,
    YES,
    ZONE,
    Result,
    StepFacts,
    first_outcome,
    mark_of,
    why_useless,
)
from provisioning.tracker.parameters import REQUIRED_IN_WORDS

CLOCK_SECONDS = 120.0


def read_cameras(facts: StepFacts) -> Result:
    """Read camgetver."""
    found = {side: facts.status.get(f"camera.{side}.version", (None, ""))[1] for side in ("front", "rear")}
    outcome = first_outcome(facts)
    if outcome.code != "camera_version_failed" and (silence := why_useless(outcome, "camgetver")):
        mark, todo = FILE_PROBLEMS.get(outcome.code or "", ("unanswered", "Ask again later."))
        return Result(WARN, silence, todo, mark)
    dead = [side for side, verdict in found.items() if verdict == BAD]
    if len(dead) == 2:
        return Result(
            BAD, "Neither camera answers the tracker.", "Check supply and cable of the camera.", "none"
        )
    if dead:
        return Result(
            BAD, f"The {dead[0]} camera does not answer.", f"Check the {dead[0]} camera's cable.", dead[0]
        )
    return Result(GOOD, "Both cameras answer the tracker.")


FILE_PROBLEMS = {
    "ignition_off": (
        "ignition",
        f"Switch the ignition on, or set {SCENARIO} = 1 with a permanent supply of the camera.",
    ),
    "camera_not_present": ("missing", "Check this camera's cable and supply."),
    "dualcam_not_present": ("missing", "Check the camera's cable and supply."),
    "camera_nak": ("no_capture", "Restart the camera, then check its cable."),
    "capture_failed": ("no_capture", "Restart the camera, then check its cable."),
    "not_configured": ("wrong_mode", f"Send {REQUIRED_IN_WORDS}."),
    "server_unreachable": ("unreachable", "Check the server's address and port, the APN, and the firewall."),
    "no_file": ("unreachable", "Check the server's address and port, the APN, and the firewall."),
    "file_not_found": ("no_footage", "Check the SD card, and the camera's time zone."),
}
UNANSWERED = ("no_reply", "unclear", "queue_timeout")


def _read_file(facts: StepFacts, what: str) -> Result:
    outcome = first_outcome(facts)
    if outcome.state == "done":
        return Result(GOOD, f"The {what} has come.", mark="came")
    if not outcome.replied and outcome.code in UNANSWERED:
        return Result(
            WARN,
            f"The request for the {what} was not answered. {outcome.message or ''}".strip(),
            "Ask again later.",
            "unanswered",
        )
    mark, todo = FILE_PROBLEMS.get(outcome.code or "", ("failed", "Ask again; look at the command."))
    return Result(BAD, outcome.message or f"The {what} did not come.", todo, mark)


def read_front(facts: StepFacts) -> Result:
    """Read the photo of the front camera."""
    return _read_file(facts, "front photo")


def read_rear(facts: StepFacts) -> Result:
    """Read the photo of the rear camera."""
    return _read_file(facts, "rear photo")


def read_card(facts: StepFacts) -> Result:
    """Read the short video, and the records' camera states."""
    told = [facts.status.get(f"camera.{side}.state") for side in ("front", "rear")]
    for state in told:
        if state and state[1] == BAD and state[0] != "not detected":
            return Result(
                BAD,
                f"The telematics platform reports: {state[0]}.",
                "Insert a 16 to 64 GB card, FAT32.",
                "no_card",
            )
    result = _read_file(facts, "video")
    if result.mark == "no_footage":
        return Result(BAD, result.text, "Look at the SD card: 16 to 64 GB, FAT32.", "no_footage")
    return result


def read_clock(facts: StepFacts) -> Result:
    """Read how far the camera's time is off ours."""
    before = [facts.results[name] for name in ("front", "rear") if name in facts.results]
    offs = [outcome.file_seconds_off for outcome in facts.outcomes if outcome.file_seconds_off is not None]
    if not offs:
        text = "No file with a camera time has come." if before else "No file was asked for."
        return Result(HIDDEN, text, mark="unknown")
    off = min(offs, key=abs)
    if abs(off) > CLOCK_SECONDS:
        return Result(
            BAD,
            f"The camera's clock is off by {off / 60:.0f} minutes.",
            f"Set the camera's time zone ({ZONE}) and update its firmware.",
            "wrong",
        )
    return Result(GOOD, "The camera's clock agrees with ours.")


def silent_cameras(results: Mapping[str, Result]) -> tuple[str, ...]:
    """Give the cameras that do not answer the tracker."""
    mark = mark_of(results, "cameras")
    return tuple(
        side
        for side in ("front", "rear")
        if mark in (side, "none", "missing") or mark_of(results, side) == "missing"
    )


def cameras_in_words(sides: Sequence[str]) -> str:
    return f"the {sides[0]} camera" if len(sides) == 1 else "the front and the rear camera"


def read_led(facts: StepFacts) -> Result:
    """Read what a person sees at the cameras that do not answer the tracker."""
    sides = silent_cameras(facts.results)
    which = cameras_in_words(sides).capitalize()
    if facts.answer == YES:
        return Result(
            WARN, f"{which}: there is power, but the tracker gets no answer.", "Check the cable.", "cable"
        )
    if facts.answer == NO:
        return Result(
            BAD,
            f"{which}: there is no power.",
            "Check supply, fuse and cable.",
            "no_power" if len(sides) != 1 else "dark",
        )
    if facts.answer == UNABLE:
        return Result(HIDDEN, f"{which}: nobody could look.", mark="unable")
    return Result(HIDDEN, "Nobody looked.")


def read_sd(facts: StepFacts) -> Result:
    """Read what a person sees in the card's slot."""
    return {
        YES: Result(
            WARN,
            "A card is in the front camera.",
            "Format it, or try another one (16 to 64 GB, FAT32).",
            "bad_card",
        ),
        NO: Result(
            BAD, "There is no card in the front camera.", "Insert a card of 16 to 64 GB, FAT32.", "no_card"
        ),
        UNABLE: Result(HIDDEN, "Nobody could look into the front camera.", mark="unable"),
    }.get(facts.answer or "", Result(HIDDEN, "Nobody looked."))
