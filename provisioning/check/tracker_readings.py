"""How the checklist reads what concerns the tracker: its answers, settings, power, connections and speed. Pure."""

from provisioning.check.facts import (
    BAD,
    GOOD,
    HIDDEN,
    SCENARIO,
    WARN,
    Result,
    StepFacts,
    first_outcome,
    why_useless,
)
from provisioning.devices import transfer_times
from provisioning.tracker.parameters import CATALOGUE, REQUIRED, REQUIRED_IN_WORDS, by_key, id_of, status_item

PROTOCOL = id_of("data_protocol")
INPUT_1 = ("info.getio.DI1", "info.getio.DIN1")


def read_reachable(facts: StepFacts) -> Result:
    """Read getstatus, or the other command that was asked where that got no answer."""
    outcome = first_outcome(facts)
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


def read_firmware(facts: StepFacts) -> Result:
    """Read getver."""
    outcome = first_outcome(facts)
    if silence := why_useless(outcome, "getver"):
        return Result(WARN, f"The firmware is not known: {silence}", "Ask again later.", "unanswered")
    if facts.status.get("imei", (None, ""))[1] == BAD:
        other = facts.status["imei"][0]
        return Result(
            BAD,
            f"Another tracker answers at this number (IMEI {other}).",
            "Correct the phone number, or the IMEI, of the device.",
            "other_tracker",
        )
    if facts.firmware_warnings:
        return Result(
            WARN, " ".join(facts.firmware_warnings), "Update the tracker's firmware.", "old_firmware"
        )
    return Result(GOOD, f"Firmware {facts.status.get('firmware', ('?', ''))[0]}.")


def read_configuration(facts: StepFacts) -> Result:
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


def read_power(facts: StepFacts) -> Result:
    """Read getio and the records' ignition."""
    ignition = facts.status.get("ignition", (None, ""))[0]
    silence = why_useless(first_outcome(facts), "getio")
    input_1 = None if silence else next((facts.status[i][0] for i in INPUT_1 if i in facts.status), None)
    always = facts.status.get(status_item("scenario_mode"), (None, ""))[0]
    if always == "1" and (ignition == "off" or input_1 == "0"):
        return Result(
            GOOD, f"The ignition may be off; the cameras work all the same, as {SCENARIO} is 1 (always)."
        )
    if ignition == "off" and input_1 == "0" and always is not None:
        return Result(
            WARN,
            "The ignition is off: the telematics platform reports it, and DI1 is 0.",
            "Switch it on for the test.",
            "off",
        )
    if ignition == "off":
        return Result(
            WARN,
            "The telematics platform reports the ignition off.",
            "Switch it on for the test.",
            "perhaps_off",
        )
    if silence:
        return Result(WARN, silence, "Ask again later.", "unanswered")
    if input_1 == "0" and ignition != "on":
        return Result(
            WARN,
            "DI1 is 0: where the ignition is wired to it, the ignition is off.",
            "Switch it on for the test.",
            "perhaps_off",
        )
    said = f"DI1 is {input_1}." if input_1 is not None else "The tracker reports its inputs."
    return Result(
        GOOD, said + (" The telematics platform reports the ignition on." if ignition == "on" else "")
    )


def read_transfer(facts: StepFacts) -> Result:
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


def read_triggers(facts: StepFacts) -> Result:
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


def read_speed(facts: StepFacts) -> Result:
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
