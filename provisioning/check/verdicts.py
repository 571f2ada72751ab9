"""The verdicts of the checklist in their order, and what follows from each: who acts, how sure it is. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from provisioning.check.facts import BAD, GOOD, HIDDEN, SCENARIO, WARN, ZONE, Result, has_mark
from provisioning.devices.vehicle_facts import camera_of_verdict
from provisioning.tracker.parameters import REQUIRED_IN_WORDS


@dataclass(frozen=True, slots=True)
class CheckVerdict:
    """The end of a run: what it is, what to do next, and the steps it rests on."""

    id: str
    title: str
    todo: str
    rests_on: tuple[str, ...]
    holds: Callable[[Mapping[str, Result]], bool]


def _dead(results: Mapping[str, Result], mark: str, *photos: str) -> bool:
    """Say whether camgetver found cameras silent; a photo disproves it (camera firmware 2.2.0 never answers)."""
    return has_mark(results, mark, "cameras") and not has_mark(results, "came", *photos)


NEEDED = ("reachable", "configuration", "cameras", "front", "rear", "card")


def _works(results: Mapping[str, Result]) -> bool:
    return all(s in results and results[s].verdict == GOOD for s in NEEDED) and all(
        result.verdict != BAD for result in results.values()
    )


VERDICTS: tuple[CheckVerdict, ...] = (
    CheckVerdict(
        "other_tracker",
        "Another tracker answers",
        "Correct the phone number or the IMEI.",
        ("firmware",),
        lambda r: has_mark(r, "other_tracker", "firmware"),
    ),
    CheckVerdict(
        "silent",
        "The device does not answer SMS",
        "Check number, SIM, coverage, SMS login and password; then run the checklist again.",
        ("reachable",),
        lambda r: has_mark(r, "silent", "reachable"),
    ),
    CheckVerdict(
        "answers_late",
        "The device answers SMS, but late",
        "Run the checklist again now that it answers; if that is late too, check coverage and the SIM's provider.",
        ("reachable",),
        lambda r: has_mark(r, "late", "reachable") and "configuration" not in r,
    ),
    CheckVerdict(
        "wrong_mode",
        "The RS232 port is not set to DualCam",
        f"Send {REQUIRED_IN_WORDS} (the button below).",
        ("configuration", "front", "rear"),
        lambda r: has_mark(r, "wrong_mode", "configuration", "front", "rear"),
    ),
    CheckVerdict(
        "ignition_off",
        "The ignition is off",
        f"Switch it on; or set {SCENARIO} = 1 and give the camera a permanent supply.",
        ("front", "rear", "power"),
        lambda r: has_mark(r, "ignition", "front", "rear") or has_mark(r, "off", "power"),
    ),
    CheckVerdict(
        "no_power",
        "The cameras have no power",
        "Check their supply and fuse.",
        ("led", "cameras"),
        lambda r: has_mark(r, "no_power", "led"),
    ),
    CheckVerdict(
        "no_camera",
        "No camera is connected",
        "Check the camera's cable and supply.",
        ("cameras", "front", "rear", "led"),
        lambda r: (
            _dead(r, "none", "front", "rear")
            or (has_mark(r, "missing", "front") and has_mark(r, "missing", "rear"))
        ),
    ),
    CheckVerdict(
        "front_camera",
        "The front camera is dead",
        "Check its supply and cable, then replace it.",
        ("cameras", "front", "led"),
        lambda r: _dead(r, "front", "front") or has_mark(r, "missing", "front"),
    ),
    CheckVerdict(
        "rear_camera",
        "The rear camera is dead",
        "Check its supply and cable, then replace it.",
        ("cameras", "rear", "led"),
        lambda r: _dead(r, "rear", "rear") or has_mark(r, "missing", "rear"),
    ),
    CheckVerdict(
        "no_capture",
        "A camera answers but takes no picture",
        "Restart it and run the checklist again; if it stays so, check its cable and supply, then replace it.",
        ("cameras", "front", "rear"),
        lambda r: has_mark(r, "no_capture", "front", "rear"),
    ),
    CheckVerdict(
        "server_unreachable",
        "The device cannot connect to this server",
        "Check the camera server's address and port, the APN, and the firewall.",
        ("front", "rear", "card", "transfer"),
        lambda r: has_mark(r, "unreachable", "front", "rear", "card"),
    ),
    CheckVerdict(
        "wrong_clock",
        "The camera's clock or time zone is wrong",
        f"Set the camera's time zone ({ZONE}); older footage then stays unreachable by its time.",
        ("clock",),
        lambda r: has_mark(r, "wrong", "clock"),
    ),
    CheckVerdict(
        "no_card",
        "The SD card is missing or faulty",
        "Insert a card of 16 to 64 GB, FAT32, then format it.",
        ("card", "sd"),
        lambda r: (
            has_mark(r, "no_card", "card", "sd")
            or has_mark(r, "no_footage", "card")
            or has_mark(r, "bad_card", "sd")
            or has_mark(r, "unable", "sd")
        ),
    ),
    CheckVerdict(
        "refused",
        "This server refused the device",
        "It is known now: ask for a photo.",
        ("transfer",),
        lambda r: has_mark(r, "refused", "transfer"),
    ),
    CheckVerdict(
        "triggers_lead_nowhere",
        "What the vehicle takes by itself reaches nobody",
        "Set the vehicle's own camera server, then cause a trigger.",
        ("triggers",),
        lambda r: has_mark(r, "nowhere", "triggers"),
    ),
    CheckVerdict(
        "old_firmware",
        "The tracker's firmware is too old",
        "Update it, then run the checklist again.",
        ("firmware",),
        lambda r: has_mark(r, "old_firmware", "firmware"),
    ),
    CheckVerdict(
        "differs",
        "The configuration is not as asked",
        "Provision the device again.",
        ("configuration",),
        lambda r: has_mark(r, "differs", "configuration"),
    ),
    CheckVerdict(
        "breaks",
        "Transfers keep breaking",
        "Check antenna, coverage and the camera's cable.",
        ("transfer",),
        lambda r: has_mark(r, "breaks", "transfer") or has_mark(r, "crc", "transfer"),
    ),
    CheckVerdict(
        "slow",
        "It works, but slow",
        "Check antenna, coverage and the SIM's provider; ask for short clips.",
        ("speed",),
        lambda r: _works(r) and has_mark(r, "slow", "speed"),
    ),
    CheckVerdict("good", "All good", "Nothing to do.", NEEDED, lambda r: _works(r)),
    CheckVerdict(
        "undecided",
        "Not clear yet",
        "Look at the steps marked bad or warn, and ask them again.",
        (),
        lambda r: True,
    ),
)

BY_ID = {verdict.id: verdict for verdict in VERDICTS}


def decide(results: Mapping[str, Result]) -> CheckVerdict:
    """Give the first verdict that holds."""
    return next(verdict for verdict in VERDICTS if verdict.holds(results))


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


def certainty(verdict: CheckVerdict, results: Mapping[str, Result]) -> str:
    """Say how sure a verdict is: certain, likely, or one_of several causes."""
    if verdict.id in ("undecided", "no_capture"):
        return "one_of"
    return "likely" if any(has_mark(results, "unable", step) for step in verdict.rests_on) else "certain"


def camera(verdict: CheckVerdict, results: Mapping[str, Result]) -> str | None:
    """Give the camera that a verdict is about: front, rear or both; None where it is about none."""
    return camera_of_verdict(verdict.id, {name: result.mark for name, result in results.items()})


def grounds(verdict: CheckVerdict, results: Mapping[str, Result]) -> list[str]:
    """Give what the answers said that a verdict rests on; of an unclear one, everything that is not good."""
    names = verdict.rests_on or [name for name, result in results.items() if result.verdict in (WARN, BAD)]
    return [results[name].text for name in names if name in results and results[name].verdict != HIDDEN]


def sentence(verdict: CheckVerdict, results: Mapping[str, Result]) -> str:
    """Say to a person what it is, what to do next, and which answers say so."""
    said = " ".join(grounds(verdict, results))
    likely = "Likely: " if certainty(verdict, results) == "likely" else ""
    return f"{likely}{verdict.title}. {verdict.todo}" + (f" Rests on: {said}" if said else "")
