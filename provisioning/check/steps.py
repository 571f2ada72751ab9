"""The checklist as data: steps, how their facts are read, and the verdicts in order. Pure.

Pure: facts in, results out; `checklist` runs it and stores it. Source: vendor's troubleshooting of the DualCam page,
its SMS replies and its known problems.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provisioning.devices import transfer_times
from provisioning.tracker.parameters import (
    CATALOGUE,
    READ_BACK,
    REQUIRED,
    REQUIRED_IN_WORDS,
    by_key,
    id_of,
    status_item,
)

SCENARIO, ZONE, PROTOCOL = id_of("scenario_mode"), id_of("camera_time_zone"), id_of("data_protocol")

GOOD, WARN, BAD, HIDDEN = "good", "warn", "bad", "not visible"
SKIPPED = "skipped"
CLOCK_SECONDS = 120.0
INPUT_1 = ("info.getio.DI1", "info.getio.DIN1")
YES, NO, UNABLE = "yes", "no", "unable"
LOOKS = ((YES, "Yes"), (NO, "No"), (UNABLE, "I cannot look"))  # the answers to every question
REUSE_SECONDS = 600.0  # an answer this fresh is not asked for again


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one command of a step ended."""

    state: str
    replied: bool
    code: str | None = None
    message: str | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    file_seconds_off: float | None = (
        None  # camera's time of its file minus ours at the request; None: no file
    )
    late: bool = False  # the answer came after the wait for it had ended


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known when a step is read."""

    outcomes: Sequence[Outcome] = ()  # what was answered first
    status: Mapping[str, tuple[str | None, str]] = field(default_factory=dict)  # item → value, verdict
    differing: Sequence[str] = ()  # parameters whose confirmed value is not what was asked
    sessions: Sequence[tuple[str, int]] = ()  # newest first: code, CRC errors
    results: Mapping[str, "Result"] = field(default_factory=dict)  # steps before
    answer: str | None = None
    firmware_warnings: Sequence[str] = ()
    answer_seconds: Sequence[float] = ()  # how long the run's answers took
    slow_answer: float = 60.0  # seconds
    bytes_per_second: float | None = None  # of the quickest of the run's files
    by_itself: Sequence[str] = ()  # settings that make the vehicle send without a request
    server_advice: str | None = None  # how to set its own camera server; None: known to be ours


@dataclass(frozen=True, slots=True)
class Result:
    """What a step found: verdict, what it means, what to do; `mark` names the finding for verdicts."""

    verdict: str
    text: str
    todo: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `commands`: (name, arguments) to ask, `answers`: choices of a question to a person.

    `second`: another command to ask where the first gets no answer; without it, the same one is asked again.
    """

    id: str
    title: str
    read: Callable[[Facts], Result]
    commands: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    needs: tuple[str, ...] = ()  # steps that must not be bad
    question: str = ""
    answers: tuple[tuple[str, str], ...] = ()
    when: Callable[[Mapping[str, Result]], bool] = lambda results: True
    second: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of a run: what it is, what to do next, and the steps it rests on."""

    id: str
    title: str
    todo: str
    rests_on: tuple[str, ...]
    holds: Callable[[Mapping[str, Result]], bool]


def _mark(results: Mapping[str, Result], step: str) -> str:
    return results[step].mark if step in results else ""


def by_answer(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Give what was asked with what was answered first: one answer is enough where something was asked twice."""
    return sorted(outcomes, key=lambda outcome: (outcome.state != "done", not outcome.replied, outcome.late))


def _first(facts: Facts) -> Outcome:
    return facts.outcomes[0] if facts.outcomes else Outcome("failed", False)


def _silence(outcome: Outcome, name: str) -> str:
    """Say why an answer is of no use; empty where it tells what was asked."""
    if outcome.state == "done":
        return ""
    return (outcome.message if outcome.replied else None) or f"{name} was not answered."


def read_reachable(facts: Facts) -> Result:
    """Read getstatus, or the other command that was asked where that got no answer."""
    outcome = _first(facts)
    unanswered = sum(not asked.replied for asked in facts.outcomes)
    count = f"{unanswered} of {len(facts.outcomes)} SMS" if len(facts.outcomes) > 1 else ""
    if outcome.replied and outcome.late:
        return Result(WARN, "The device answers SMS, but only after the wait for it had ended.", mark="late")
    if outcome.replied:
        lost = f" {count} stayed unanswered." if count and unanswered else ""
        return Result(GOOD, f"The device answers SMS.{lost}", mark="reachable")
    text = outcome.message or "The device did not answer."
    text = f"{count} unanswered. {text}" if count else text
    todo = "Check the phone number, that the SIM may receive SMS, coverage, and the SMS login and password."
    return Result(BAD, text, todo, "silent")


def read_firmware(facts: Facts) -> Result:
    """Read getver."""
    outcome = _first(facts)
    if silence := _silence(outcome, "getver"):
        return Result(WARN, f"The firmware is not known: {silence}", "Ask again later.", "unanswered")
    if facts.status.get("imei", (None, ""))[1] == BAD:
        told = facts.status["imei"][0]
        return Result(
            BAD,
            f"Another tracker answers at this number (IMEI {told}).",
            "Correct the phone number, or the IMEI, of the device.",
            "other_tracker",
        )
    if facts.firmware_warnings:
        return Result(
            WARN, " ".join(facts.firmware_warnings), "Update the tracker's firmware.", "old_firmware"
        )
    return Result(GOOD, f"Firmware {facts.status.get('firmware', ('?', ''))[0]}.")


def read_configuration(facts: Facts) -> Result:
    """Read getparam of everything."""
    values: dict[str, str] = {}
    for outcome in facts.outcomes:
        values |= by_key(outcome.result.get("values", {}))
    if "rs232_mode" not in values:
        return Result(WARN, "The configuration could not be read.", "Ask again later.", "unanswered")
    held = {number: values.get(CATALOGUE[number].key) for number in REQUIRED}
    if any(value is not None and value != str(REQUIRED[number]) for number, value in held.items()):
        said = ", ".join(f"{number} is {value or '?'}" for number, value in held.items())
        return Result(
            BAD, f"The RS232 port is not set to DualCam ({said}).", f"Send {REQUIRED_IN_WORDS}.", "wrong_mode"
        )
    if facts.differing:
        return Result(
            WARN, f"Not as asked: {'; '.join(facts.differing)}.", "Send these parameters again.", "differs"
        )
    if values.get("data_protocol") == "0":
        return Result(
            GOOD,
            f"Set for DualCam, as asked. {PROTOCOL} is 0: camera states (AVL 497 to 499) never reach your"
            " telematics platform.",
            f"Send {PROTOCOL} = 1 if you want them.",
        )
    return Result(GOOD, "Set for DualCam, as asked.")


def read_power(facts: Facts) -> Result:
    """Read getio and the records' ignition."""
    told = facts.status.get("ignition", (None, ""))[0]
    silence = _silence(_first(facts), "getio")
    input_1 = None if silence else next((facts.status[i][0] for i in INPUT_1 if i in facts.status), None)
    always = facts.status.get(status_item("scenario_mode"), (None, ""))[0]
    if always == "1" and (told == "off" or input_1 == "0"):
        return Result(
            GOOD, f"The ignition may be off; the cameras work all the same, as {SCENARIO} is 1 (always)."
        )
    if told == "off" and input_1 == "0" and always is not None:
        return Result(
            WARN,
            "The ignition is off: the telematics platform reports it, and DI1 is 0.",
            "Switch it on for the test.",
            "off",
        )
    if told == "off":
        return Result(
            WARN,
            "The telematics platform reports the ignition off.",
            "Switch it on for the test.",
            "perhaps_off",
        )
    if silence:
        return Result(WARN, silence, "Ask again later.", "unanswered")
    if input_1 == "0" and told != "on":
        return Result(
            WARN,
            "DI1 is 0: where the ignition is wired to it, the ignition is off.",
            "Switch it on for the test.",
            "perhaps_off",
        )
    said = f"DI1 is {input_1}." if input_1 is not None else "The tracker tells its inputs."
    return Result(GOOD, said + (" The telematics platform reports the ignition on." if told == "on" else ""))


def read_cameras(facts: Facts) -> Result:
    """Read camgetver."""
    found = {side: facts.status.get(f"camera.{side}.version", (None, ""))[1] for side in ("front", "rear")}
    outcome = _first(facts)
    if outcome.code != "camera_version_failed" and (silence := _silence(outcome, "camgetver")):
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


def _read_file(facts: Facts, what: str) -> Result:
    outcome = _first(facts)
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


def read_front(facts: Facts) -> Result:
    """Read the photo of the front camera."""
    return _read_file(facts, "front photo")


def read_rear(facts: Facts) -> Result:
    """Read the photo of the rear camera."""
    return _read_file(facts, "rear photo")


def read_card(facts: Facts) -> Result:
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


def read_transfer(facts: Facts) -> Result:
    """Read the device's TCP sessions."""
    if not facts.sessions:
        return Result(
            WARN,
            "The camera has never connected to this server.",
            "A device that cannot connect tries again after 30 minutes.",
            "never",
        )
    codes = [code for code, _ in facts.sessions[:10]]
    errors = sum(count for _, count in facts.sessions[:10])
    if codes[0] == "unknown_device":
        return Result(
            BAD,
            "Its last connection was refused: the IMEI was not known then.",
            "Ask for a photo.",
            "refused",
        )
    broken = [code for code in codes if code not in ("done", "stopped", "")]
    if len(codes) >= 4 and len(broken) * 2 > len(codes):
        return Result(
            WARN,
            f"{len(broken)} of the last {len(codes)} connections broke.",
            "Check antenna and coverage; transfers go on where they broke.",
            "breaks",
        )
    if errors > 20:
        return Result(
            WARN, f"{errors} packets came with a wrong CRC.", "Check the cable of the camera.", "crc"
        )
    return Result(GOOD, "Transfers come through.")


def read_triggers(facts: Facts) -> Result:
    """Read whether what the vehicle sends without a request has somewhere to go."""
    if not facts.by_itself:
        return Result(GOOD, "It sends nothing by itself.")
    what = " and ".join(facts.by_itself)
    if facts.server_advice is None:
        return Result(GOOD, f"It sends {what} by itself, and its own camera server is this service.")
    return Result(
        BAD,
        f"It is set to send {what}. {facts.server_advice}",
        "Set it, then cause a trigger: the first file that comes by one proves it.",
        "nowhere",
    )


def read_speed(facts: Facts) -> Result:
    """Read how fast the run's files and answers came, by the quickest: one that was held up says nothing."""
    said, slow = [], []
    if (rate := facts.bytes_per_second) is not None:
        clip = transfer_times.about(transfer_times.clip_takes(rate))
        said.append(
            f"Files come with {transfer_times.rate(rate)}: a {transfer_times.CLIP_SECONDS} s clip of one camera"
            f" takes about {clip}."
        )
        slow += ["line"] * transfer_times.is_slow(rate)
    if facts.answer_seconds:
        quickest = min(facts.answer_seconds)
        said.append(f"Its quickest answer took {transfer_times.about(quickest)}.")
        slow += ["answers"] * (quickest > facts.slow_answer)
    if not said:
        return Result(HIDDEN, "Nothing came that could be measured.")
    if slow:
        todo = "Check antenna, coverage and the SIM's provider; ask for short clips of one camera."
        return Result(WARN, " ".join(said), todo, "slow")
    return Result(GOOD, " ".join(said))


def read_clock(facts: Facts) -> Result:
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
    """Give the cameras that the tracker does not hear."""
    mark = _mark(results, "cameras")
    return tuple(
        side
        for side in ("front", "rear")
        if mark in (side, "none", "missing") or _mark(results, side) == "missing"
    )


def _named(sides: Sequence[str]) -> str:
    return f"the {sides[0]} camera" if len(sides) == 1 else "the front and the rear camera"


def read_led(facts: Facts) -> Result:
    """Read what a person sees at the cameras that the tracker does not hear."""
    sides = silent_cameras(facts.results)
    which = _named(sides).capitalize()
    if facts.answer == YES:
        return Result(
            WARN, f"{which}: there is power, but the tracker hears nothing.", "Check the cable.", "cable"
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


def read_sd(facts: Facts) -> Result:
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


def _any(results: Mapping[str, Result], mark: str, *steps: str) -> bool:
    return any(_mark(results, step) == mark for step in steps)


def _dead(results: Mapping[str, Result], mark: str, *photos: str) -> bool:
    """Say whether camgetver found cameras silent; a photo disproves it (camera firmware 2.2.0 never answers)."""
    return _any(results, mark, "cameras") and not _any(results, "came", *photos)


def _may_be_on(results: Mapping[str, Result]) -> bool:
    return not _any(results, "off", "power") and not _any(results, "ignition", "front", "rear")


STEPS: tuple[Step, ...] = (
    Step("reachable", "Does it answer SMS?", read_reachable, (("getstatus", {}),), second="getver"),
    Step("firmware", "Tracker and firmware", read_firmware, (("getver", {}),), ("reachable",)),
    # before what it spares: with the ignition off no camera answers
    Step("power", "Power and ignition", read_power, (("getio", {}),), ("reachable",)),
    Step(
        "configuration",
        "Configuration",
        read_configuration,
        (("getparam", {"parameters": list(READ_BACK)}),),
        ("reachable",),
        when=_may_be_on,
    ),
    Step(
        "front",
        "A photo of the front camera",
        read_front,
        (("camreq", {"file_type": "photo", "source": "front"}),),
        ("reachable", "configuration"),
        when=lambda r: not _any(r, "off", "power"),
    ),
    Step(
        "cameras",
        "Do both cameras answer?",
        read_cameras,
        (("camgetver", {}),),
        ("reachable", "configuration"),
        when=_may_be_on,
    ),
    Step(
        "rear",
        "A photo of the rear camera",
        read_rear,
        (("camreq", {"file_type": "photo", "source": "rear"}),),
        ("reachable", "configuration"),
        when=_may_be_on,
    ),
    Step(
        "card",
        "SD card: a short video",
        read_card,
        (("camreq", {"file_type": "video", "source": "front"}),),
        ("reachable", "configuration", "front"),
        when=_may_be_on,
    ),
    Step("transfer", "Transfer of files", read_transfer, (), ("reachable",)),
    Step("clock", "Clock and time zone", read_clock, (), ("reachable",)),
    Step("speed", "Speed of files and answers", read_speed, (), ("reachable",)),
    Step("triggers", "What it sends by itself", read_triggers, (), ("reachable",)),
    Step(
        "led",
        "Look at the camera",
        read_led,
        question="Is a light on at {cameras} while the ignition is on?",
        answers=LOOKS,
        when=lambda r: not _any(r, "ignition", "front", "rear") and bool(silent_cameras(r)),
    ),
    Step(
        "sd",
        "Look at the SD card",
        read_sd,
        question="Is an SD card in the front camera?",
        answers=LOOKS,
        when=lambda r: _mark(r, "card") in ("no_footage", "failed", "no_capture"),
    ),
)


QUESTIONS = tuple(step.id for step in STEPS if step.question)
NEEDED = ("reachable", "configuration", "cameras", "front", "rear", "card")


def in_order(results: Mapping[str, Result]) -> tuple[Step, ...]:
    """Give the steps as they are to be asked: where the ignition may be off, first the photo that proves it."""
    if not _any(results, "perhaps_off", "power"):
        return STEPS
    names = [step.id for step in STEPS]
    photo, after = names.index("front"), names.index("power") + 1
    return (*STEPS[:after], STEPS[photo], *STEPS[after:photo], *STEPS[photo + 1 :])


def _works(results: Mapping[str, Result]) -> bool:
    return all(s in results and results[s].verdict == GOOD for s in NEEDED) and all(
        result.verdict != BAD for result in results.values()
    )


VERDICTS: tuple[Verdict, ...] = (
    Verdict(
        "other_tracker",
        "Another tracker answers",
        "Correct the phone number or the IMEI.",
        ("firmware",),
        lambda r: _any(r, "other_tracker", "firmware"),
    ),
    Verdict(
        "silent",
        "The device does not answer SMS",
        "Check number, SIM, coverage, SMS login and password; then run the checklist again.",
        ("reachable",),
        lambda r: _any(r, "silent", "reachable"),
    ),
    Verdict(
        "answers_late",
        "The device answers SMS, but late",
        "Run the checklist again now that it answers; if that is late too, check coverage and the SIM's provider.",
        ("reachable",),
        lambda r: _any(r, "late", "reachable") and "configuration" not in r,
    ),
    Verdict(
        "wrong_mode",
        "The RS232 port is not set to DualCam",
        f"Send {REQUIRED_IN_WORDS} (the button below).",
        ("configuration", "front", "rear"),
        lambda r: _any(r, "wrong_mode", "configuration", "front", "rear"),
    ),
    Verdict(
        "ignition_off",
        "The ignition is off",
        f"Switch it on; or set {SCENARIO} = 1 and give the camera a permanent supply.",
        ("front", "rear", "power"),
        lambda r: _any(r, "ignition", "front", "rear") or _any(r, "off", "power"),
    ),
    Verdict(
        "no_power",
        "The cameras have no power",
        "Check their supply and fuse.",
        ("led", "cameras"),
        lambda r: _any(r, "no_power", "led"),
    ),
    Verdict(
        "no_camera",
        "No camera is connected",
        "Check the camera's cable and supply.",
        ("cameras", "front", "rear", "led"),
        lambda r: (
            _dead(r, "none", "front", "rear") or (_any(r, "missing", "front") and _any(r, "missing", "rear"))
        ),
    ),
    Verdict(
        "front_camera",
        "The front camera is dead",
        "Check its supply and cable, then replace it.",
        ("cameras", "front", "led"),
        lambda r: _dead(r, "front", "front") or _any(r, "missing", "front"),
    ),
    Verdict(
        "rear_camera",
        "The rear camera is dead",
        "Check its supply and cable, then replace it.",
        ("cameras", "rear", "led"),
        lambda r: _dead(r, "rear", "rear") or _any(r, "missing", "rear"),
    ),
    Verdict(
        "no_capture",
        "A camera answers but takes no picture",
        "Restart it and run the checklist again; if it stays so, check its cable and supply, then replace it.",
        ("cameras", "front", "rear"),
        lambda r: _any(r, "no_capture", "front", "rear"),
    ),
    Verdict(
        "server_unreachable",
        "The device cannot connect to this server",
        "Check the camera server's address and port, the APN, and the firewall.",
        ("front", "rear", "card", "transfer"),
        lambda r: _any(r, "unreachable", "front", "rear", "card"),
    ),
    Verdict(
        "wrong_clock",
        "The camera's clock or time zone is wrong",
        f"Set the camera's time zone ({ZONE}); older footage then stays unreachable by its time.",
        ("clock",),
        lambda r: _any(r, "wrong", "clock"),
    ),
    Verdict(
        "no_card",
        "The SD card is missing or faulty",
        "Insert a card of 16 to 64 GB, FAT32, then format it.",
        ("card", "sd"),
        lambda r: (
            _any(r, "no_card", "card", "sd")
            or _any(r, "no_footage", "card")
            or _any(r, "bad_card", "sd")
            or _any(r, "unable", "sd")
        ),
    ),
    Verdict(
        "refused",
        "This server refused the device",
        "It is known now: ask for a photo.",
        ("transfer",),
        lambda r: _any(r, "refused", "transfer"),
    ),
    Verdict(
        "triggers_lead_nowhere",
        "What the vehicle takes by itself reaches nobody",
        "Set the vehicle's own camera server, then cause a trigger.",
        ("triggers",),
        lambda r: _any(r, "nowhere", "triggers"),
    ),
    Verdict(
        "old_firmware",
        "The tracker's firmware is too old",
        "Update it, then run the checklist again.",
        ("firmware",),
        lambda r: _any(r, "old_firmware", "firmware"),
    ),
    Verdict(
        "differs",
        "The configuration is not as asked",
        "Provision the device again.",
        ("configuration",),
        lambda r: _any(r, "differs", "configuration"),
    ),
    Verdict(
        "breaks",
        "Transfers keep breaking",
        "Check antenna, coverage and the camera's cable.",
        ("transfer",),
        lambda r: _any(r, "breaks", "transfer") or _any(r, "crc", "transfer"),
    ),
    Verdict(
        "slow",
        "It works, but slow",
        "Check antenna, coverage and the SIM's provider; ask for short clips.",
        ("speed",),
        lambda r: _works(r) and _any(r, "slow", "speed"),
    ),
    Verdict("good", "All good", "Nothing to do.", NEEDED, lambda r: _works(r)),
    Verdict(
        "undecided",
        "Not clear yet",
        "Look at the steps marked bad or warn, and ask them again.",
        (),
        lambda r: True,
    ),
)


def decide(results: Mapping[str, Result]) -> Verdict:
    """Give the first verdict that holds."""
    return next(verdict for verdict in VERDICTS if verdict.holds(results))


def ask(step: Step, results: Mapping[str, Result]) -> str:
    """Put a step's question, with the cameras that it is about."""
    return step.question.format(cameras=_named(silent_cameras(results)))


def nobody_can_look(results: Mapping[str, Result]) -> bool:
    """Say whether somebody answered that he cannot look: then the run ends with the likely cause."""
    return any(result.mark == "unable" for result in results.values())


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


def who(verdict: Verdict) -> str | None:
    """Say who can do the next step: the desk, or somebody at the vehicle; None where nothing is to be done."""
    if verdict.id == "good":
        return None
    return "desk" if verdict.id in DESK else "vehicle"


LESSER = ("ignition_off", "answers_late", "refused", "old_firmware", "differs", "breaks", "slow", "undecided")


def grade(verdict: str) -> str:
    """Give how bad a verdict is: good, warn or bad."""
    return GOOD if verdict == "good" else WARN if verdict in LESSER else BAD


def certainty(verdict: Verdict, results: Mapping[str, Result]) -> str:
    """Say how sure a verdict is: certain, likely, or one_of several causes."""
    if verdict.id in ("undecided", "no_capture"):
        return "one_of"
    return "likely" if any(_any(results, "unable", step) for step in verdict.rests_on) else "certain"


def camera(verdict: Verdict, results: Mapping[str, Result]) -> str | None:
    """Give the camera that a verdict is about: front, rear or both; None where it is about none."""
    by_id = {"front_camera": "front", "rear_camera": "rear", "no_camera": "both", "no_power": "both"}
    if verdict.id == "no_capture":
        sides = [side for side in ("front", "rear") if _any(results, "no_capture", side)]
        return sides[0] if len(sides) == 1 else "both"
    return by_id.get(verdict.id)


def grounds(verdict: Verdict, results: Mapping[str, Result]) -> list[str]:
    """Give what the answers said that a verdict rests on; of an unclear one, everything that is not good."""
    names = verdict.rests_on or [name for name, result in results.items() if result.verdict in (WARN, BAD)]
    return [results[name].text for name in names if name in results and results[name].verdict != HIDDEN]


def sentence(verdict: Verdict, results: Mapping[str, Result]) -> str:
    """Say to a person what it is, what to do next, and which answers say so."""
    said = " ".join(grounds(verdict, results))
    likely = "Likely: " if certainty(verdict, results) == "likely" else ""
    return f"{likely}{verdict.title}. {verdict.todo}" + (f" Rests on: {said}" if said else "")
