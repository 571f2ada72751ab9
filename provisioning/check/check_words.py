"""What people read of a check: its steps, questions and findings, its verdict, and what to do next.

Rows keep codes with their arguments (`check.facts.Result`); sentences are made where they are shown.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from provisioning.check.camera_readings import silent_cameras
from provisioning.check.facts import NO, UNABLE, YES, Result
from provisioning.check.steps import Step
from provisioning.check.verdicts import CheckVerdict, certainty, grounds
from provisioning.commands import command_words
from provisioning.devices import transfer_times
from provisioning.phrase import AS_IT_IS, Phrase
from provisioning.tracker.parameters import REQUIRED_IN_WORDS, SENDS_BY_ITSELF, id_of
from provisioning.translation import N_, gettext

Arguments = Mapping[str, Any]
Words = str | Callable[[Arguments], str]

_NUMBERS = {
    "required": REQUIRED_IN_WORDS,
    "scenario": id_of("scenario_mode"),
    "zone": id_of("camera_time_zone"),
    "protocol": id_of("data_protocol"),
}

STEPS: Mapping[str, str] = {
    "reachable": N_("Does it answer SMS?"),
    "firmware": N_("Tracker and firmware"),
    "power": N_("Power and ignition"),
    "configuration": N_("Configuration"),
    "front": N_("A photo of the front camera"),
    "cameras": N_("Do both cameras answer?"),
    "rear": N_("A photo of the rear camera"),
    "card": N_("SD card: a short video"),
    "transfer": N_("Transfer of files"),
    "clock": N_("Clock and time zone"),
    "speed": N_("Speed of files and answers"),
    "triggers": N_("What it sends by itself"),
    "led": N_("Look at the camera"),
    "sd": N_("Look at the SD card"),
}
ANSWERS: Mapping[str, str] = {YES: N_("Yes"), NO: N_("No"), UNABLE: N_("I cannot look")}

# title, and what to do next
VERDICTS: Mapping[str, tuple[str, str]] = {
    "other_tracker": (N_("Another tracker answers"), N_("Correct the phone number or the IMEI.")),
    "silent": (
        N_("The device does not answer SMS"),
        N_("Check number, SIM, coverage, SMS login and password; then run the checklist again."),
    ),
    "answers_late": (
        N_("The device answers SMS, but late"),
        N_(
            "Run the checklist again now that it answers; if that is late too, check coverage and the SIM's provider."
        ),
    ),
    "wrong_mode": (N_("The RS232 port is not set to DualCam"), N_("Send %(required)s (the button below).")),
    "ignition_off": (
        N_("The ignition is off"),
        N_("Switch it on; or set %(scenario)s = 1 and give the camera a permanent supply."),
    ),
    "no_power": (N_("The cameras have no power"), N_("Check their supply and fuse.")),
    "no_camera": (N_("No camera is connected"), N_("Check the camera's cable and supply.")),
    "front_camera": (N_("The front camera is dead"), N_("Check its supply and cable, then replace it.")),
    "rear_camera": (N_("The rear camera is dead"), N_("Check its supply and cable, then replace it.")),
    "no_capture": (
        N_("A camera answers but takes no picture"),
        N_(
            "Restart it and run the checklist again; if it stays so, check its cable and supply, then replace it."
        ),
    ),
    "server_unreachable": (
        N_("The device cannot connect to this server"),
        N_("Check the camera server's address and port, the APN, and the firewall."),
    ),
    "wrong_clock": (
        N_("The camera's clock or time zone is wrong"),
        N_("Set the camera's time zone (%(zone)s); older footage then stays unreachable by its time."),
    ),
    "no_card": (
        N_("The SD card is missing or faulty"),
        N_("Insert a card of 16 to 64 GB, FAT32, then format it."),
    ),
    "refused": (N_("This server refused the device"), N_("It is known now: ask for a photo.")),
    "triggers_lead_nowhere": (
        N_("What the vehicle takes by itself reaches nobody"),
        N_("Set the vehicle's own camera server, then cause a trigger."),
    ),
    "old_firmware": (N_("The tracker's firmware is too old"), N_("Update it, then run the checklist again.")),
    "differs": (N_("The configuration is not as asked"), N_("Provision the device again.")),
    "breaks": (N_("Transfers keep breaking"), N_("Check antenna, coverage and the camera's cable.")),
    "slow": (
        N_("It works, but slow"),
        N_("Check antenna, coverage and the SIM's provider; ask for short clips."),
    ),
    "good": (N_("All good"), N_("Nothing to do.")),
    "undecided": (N_("Not clear yet"), N_("Look at the steps marked bad or warn, and ask them again.")),
}
# runs that ended without a verdict
ENDED: Mapping[str, str] = {
    "stopped": N_("Ended before it was through."),
    "left": N_("Ended by itself: nobody went on with it for %(days)s days."),
}
DAYS_LEFT = 7  # after so many a run that waits for a person ends by itself

_FILES: Mapping[str, tuple[str, str, str]] = {  # it came, it was not answered, it did not come
    "front_photo": (
        N_("The front photo has come."),
        N_("The request for the front photo was not answered."),
        N_("The front photo did not come."),
    ),
    "rear_photo": (
        N_("The rear photo has come."),
        N_("The request for the rear photo was not answered."),
        N_("The rear photo did not come."),
    ),
    "video": (
        N_("The video has come."),
        N_("The request for the video was not answered."),
        N_("The video did not come."),
    ),
}
_CHECK_SERVER = N_("Check the server's address and port, the APN, and the firewall.")
_RESTART = N_("Restart the camera, then check its cable.")
_ASK_LATER = N_("Ask again later.")
# what to do about a request that ended so, by its code
_TODO_BY_REASON: Mapping[str, str] = {
    "ignition_off": N_(
        "Switch the ignition on, or set %(scenario)s = 1 with a permanent supply of the camera."
    ),
    "camera_not_present": N_("Check this camera's cable and supply."),
    "dualcam_not_present": N_("Check the camera's cable and supply."),
    "camera_nak": _RESTART,
    "capture_failed": _RESTART,
    "not_configured": N_("Send %(required)s."),
    "server_unreachable": _CHECK_SERVER,
    "no_file": _CHECK_SERVER,
    "file_not_found": N_("Check the SD card, and the camera's time zone."),
}


def _error(a: Arguments) -> str:
    return command_words.sentence(a["error"]) if "error" in a else ""


def _silence(a: Arguments) -> str:
    return _error(a) or gettext("%(command)s was not answered.", command=a["command"])


def _joined(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


def _file_unanswered(a: Arguments) -> str:
    return _joined(gettext(_FILES[a["file"]][1]), _error(a))


def _file_failed(a: Arguments) -> str:
    return _error(a) or gettext(_FILES[a["file"]][2])


def _clock_wrong(a: Arguments) -> str:
    return gettext("The camera's clock is off by %(minutes)s minutes.", minutes=f"{a['seconds'] / 60:.0f}")


def _answers(a: Arguments) -> str:
    answers = gettext("The device answers SMS.")
    if a["asked"] < 2 or not a["unanswered"]:
        return answers
    lost = gettext("%(unanswered)s of %(asked)s SMS stayed unanswered.", **a)
    return _joined(answers, lost)


def _silent(a: Arguments) -> str:
    count = gettext(
        "%(unanswered)s of %(asked)s SMS unanswered.", asked=a["asked"], unanswered=a["unanswered"]
    )
    return _joined(count if a["asked"] > 1 else "", _error(a) or gettext("The device did not answer."))


def _wrong_mode(a: Arguments) -> str:
    held = ", ".join(
        gettext("%(number)s is %(value)s", number=number, value=value)
        for number, value in a["values"].items()
    )
    return gettext("The RS232 port is not set to DualCam (%(held)s).", held=held)


def _differs(a: Arguments) -> str:
    said = [gettext("%(number)s is %(value)s, asked %(asked)s", **one) for one in a["parameters"]]
    return gettext("Not as asked: %(parameters)s.", parameters="; ".join(said))


def _power(a: Arguments) -> str:
    input_1 = a.get("input_1")
    said = (
        gettext("The tracker reports its inputs.")
        if input_1 is None
        else gettext("DI1 is %(value)s.", value=input_1)
    )
    return _joined(
        said, gettext("The telematics platform reports the ignition on.") if a["ignition_on"] else ""
    )


def _settings(numbers: Sequence[int]) -> str:
    """Name the settings that make a vehicle send by itself."""
    names = [f"{gettext(SENDS_BY_ITSELF[number])} ({number})" for number in numbers]
    return gettext(" and ").join(names)


def _sends_here(a: Arguments) -> str:
    return gettext(
        "It sends %(what)s by itself, and its own camera server is this service.",
        what=_settings(a["parameters"]),
    )


def _sends_nowhere(a: Arguments) -> str:
    set_so = gettext("It is set to send %(what)s.", what=_settings(a["parameters"]))
    return _joined(set_so, command_words.sentence(a["advice"]))


def _speed(a: Arguments) -> str:
    said = []
    if (rate := a.get("bytes_per_second")) is not None:
        said.append(
            gettext(
                "Files come with %(rate)s: a %(seconds)s s clip of one camera takes about %(time)s.",
                rate=transfer_times.rate(rate),
                seconds=transfer_times.CLIP_SECONDS,
                time=transfer_times.about(transfer_times.clip_takes(rate)),
            )
        )
    if (quickest := a.get("answer_seconds")) is not None:
        said.append(gettext("Its quickest answer took %(time)s.", time=transfer_times.about(quickest)))
    return " ".join(said)


def _by_cameras(one: Mapping[str, str], both: str) -> Callable[[Arguments], str]:
    """Choose the words by the cameras that a finding is about: front, rear or both."""
    return lambda a: gettext(one[a["cameras"][0]] if len(a["cameras"]) == 1 else both)


FINDINGS: Mapping[str, Words] = {
    AS_IT_IS: lambda a: str(a["text"]),
    "versions_unknown": _silence,
    "cameras_silent": N_("Neither camera answers the tracker."),
    "camera_silent": lambda a: gettext(
        {"front": N_("The front camera does not answer."), "rear": N_("The rear camera does not answer.")}[
            a["camera"]
        ]
    ),
    "cameras_answer": N_("Both cameras answer the tracker."),
    "file_came": lambda a: gettext(_FILES[a["file"]][0]),
    "file_unanswered": _file_unanswered,
    "file_failed": _file_failed,
    "no_footage": _file_failed,
    "card_reported": N_("The telematics platform reports: %(state)s."),
    "no_camera_time": N_("No file with a camera time has come."),
    "no_file_asked": N_("No file was asked for."),
    "clock_wrong": _clock_wrong,
    "clock_right": N_("The camera's clock agrees with ours."),
    "power_without_answer": _by_cameras(
        {
            "front": N_("The front camera: there is power, but the tracker gets no answer."),
            "rear": N_("The rear camera: there is power, but the tracker gets no answer."),
        },
        N_("The front and the rear camera: there is power, but the tracker gets no answer."),
    ),
    "no_power": _by_cameras(
        {
            "front": N_("The front camera: there is no power."),
            "rear": N_("The rear camera: there is no power."),
        },
        N_("The front and the rear camera: there is no power."),
    ),
    "nobody_could_look": _by_cameras(
        {
            "front": N_("The front camera: nobody could look."),
            "rear": N_("The rear camera: nobody could look."),
        },
        N_("The front and the rear camera: nobody could look."),
    ),
    "nobody_looked": N_("Nobody looked."),
    "card_is_in": N_("A card is in the front camera."),
    "no_card": N_("There is no card in the front camera."),
    "nobody_could_look_for_card": N_("Nobody could look into the front camera."),
    "answers_late": N_("The device answers SMS, but only after the wait for it had ended."),
    "answers": _answers,
    "silent": _silent,
    "firmware_unknown": lambda a: gettext("The firmware is not known: %(why)s", why=_silence(a)),
    "other_tracker": N_("Another tracker answers at this number (IMEI %(imei)s)."),
    "old_firmware": lambda a: " ".join(command_words.sentence(warning) for warning in a["warnings"]),
    "firmware": N_("Firmware %(version)s."),
    "configuration_unread": N_("The configuration could not be read."),
    "wrong_mode": _wrong_mode,
    "differs": _differs,
    "configured_without_states": N_(
        "Set for DualCam, as asked. %(protocol)s is 0: camera states (AVL 497 to 499) never reach your telematics"
        " platform."
    ),
    "configured": N_("Set for DualCam, as asked."),
    "ignition_does_not_matter": N_(
        "The ignition may be off; the cameras work all the same, as %(scenario)s is 1 (always)."
    ),
    "ignition_off": N_("The ignition is off: the telematics platform reports it, and DI1 is 0."),
    "ignition_reported_off": N_("The telematics platform reports the ignition off."),
    "inputs_unknown": _silence,
    "input_off": N_("DI1 is 0: where the ignition is wired to it, the ignition is off."),
    "power": _power,
    "never_connected": N_("The camera has never connected to this server."),
    "connection_refused": N_("Its last connection was refused: the IMEI was not known then."),
    "connections_break": N_("%(broken)s of the last %(connections)s connections broke."),
    "wrong_crcs": N_("%(packets)s packets came with a wrong CRC."),
    "transfers_work": N_("Transfers come through."),
    "sends_nothing_by_itself": N_("It sends nothing by itself."),
    "sends_here": _sends_here,
    "sends_nowhere": _sends_nowhere,
    "speed_unknown": N_("Nothing came that could be measured."),
    "speed": _speed,
    "slow": _speed,
    # steps that were not asked
    "nobody_can_look": N_("Not asked: nobody can look."),
    "cabin_private": N_("Not asked: this vehicle takes nothing of the cabin."),
    "not_needed": N_("Not needed."),
    "ignition_first": N_("Not asked: the ignition has to be on first."),
    "step_before_failed": N_("Not asked: a step before it failed."),
}
_SWITCH_ON = N_("Switch it on for the test.")
_TODO: Mapping[str, Words] = {
    AS_IT_IS: lambda a: str(a.get("todo", "")),
    "versions_unknown": lambda a: gettext(_TODO_BY_REASON.get(a["reason"], _ASK_LATER), **_NUMBERS),
    "cameras_silent": N_("Check supply and cable of the camera."),
    "camera_silent": lambda a: gettext(
        {"front": N_("Check the front camera's cable."), "rear": N_("Check the rear camera's cable.")}[
            a["camera"]
        ]
    ),
    "file_unanswered": _ASK_LATER,
    "file_failed": lambda a: gettext(
        _TODO_BY_REASON.get(a["reason"], N_("Ask again; look at the command.")), **_NUMBERS
    ),
    "no_footage": N_("Look at the SD card: 16 to 64 GB, FAT32."),
    "card_reported": N_("Insert a 16 to 64 GB card, FAT32."),
    "clock_wrong": N_("Set the camera's time zone (%(zone)s) and update its firmware."),
    "power_without_answer": N_("Check the cable."),
    "no_power": N_("Check supply, fuse and cable."),
    "card_is_in": N_("Format it, or try another one (16 to 64 GB, FAT32)."),
    "no_card": N_("Insert a card of 16 to 64 GB, FAT32."),
    "silent": N_(
        "Check the phone number, that the SIM may receive SMS, coverage, and the SMS login and password."
    ),
    "firmware_unknown": _ASK_LATER,
    "other_tracker": N_("Correct the phone number, or the IMEI, of the device."),
    "old_firmware": N_("Update the tracker's firmware."),
    "configuration_unread": _ASK_LATER,
    "wrong_mode": N_("Send %(required)s."),
    "differs": N_("Send these parameters again."),
    "configured_without_states": N_("Send %(protocol)s = 1 if you want them."),
    "ignition_off": _SWITCH_ON,
    "ignition_reported_off": _SWITCH_ON,
    "input_off": _SWITCH_ON,
    "inputs_unknown": _ASK_LATER,
    "never_connected": N_("A device that cannot connect tries again after 30 minutes."),
    "connection_refused": N_("Ask for a photo."),
    "connections_break": N_("Check antenna and coverage; transfers go on where they broke."),
    "wrong_crcs": N_("Check the cable of the camera."),
    "sends_nowhere": N_("Set it, then cause a trigger: the first file that comes by one proves it."),
    "slow": N_("Check antenna, coverage and the SIM's provider; ask for short clips of one camera."),
}


def step_title(step_id: str) -> str:
    """Name a step."""
    return gettext(STEPS[step_id])


def answers() -> dict[str, str]:
    """Give what a person can answer to a question, in words."""
    return {choice: gettext(label) for choice, label in ANSWERS.items()}


def question(step: Step, results: Mapping[str, Result]) -> str:
    """Put a step's question, with the cameras that it is about."""
    if step.id == "sd":
        return gettext("Is an SD card in the front camera?")
    match silent_cameras(results):
        case ("front",):
            return gettext("Is a light on at the front camera while the ignition is on?")
        case ("rear",):
            return gettext("Is a light on at the rear camera while the ignition is on?")
    return gettext("Is a light on at the front and the rear camera while the ignition is on?")


def finding(found: Phrase) -> str:
    """Say what a step found, or why it was not asked."""
    return _said(FINDINGS[found.code], found.arguments)


def todo(found: Phrase) -> str:
    """Say what a person can do about a finding; empty where there is nothing to do."""
    return _said(_TODO[found.code], found.arguments) if found.code in _TODO else ""


def verdict_title(verdict: str) -> str:
    """Name a verdict."""
    return gettext(VERDICTS[verdict][0])


def verdict_todo(verdict: str) -> str:
    """Say what to do next after a verdict."""
    return gettext(VERDICTS[verdict][1], **_NUMBERS)


def ended(how: str) -> str:
    """Say how a run ended that has no verdict."""
    return gettext(ENDED[how], days=DAYS_LEFT)


def sentence(verdict: CheckVerdict, results: Mapping[str, Result]) -> str:
    """Say to a person what it is, what to do next, and which answers say so."""
    title, advice = verdict_title(verdict.id), verdict_todo(verdict.id)
    if certainty(verdict, results) == "likely":
        title = gettext("Likely: %(verdict)s", verdict=title)
    said = " ".join(finding(found) for found in grounds(verdict, results))
    rests = gettext("Rests on: %(findings)s", findings=said) if said else ""
    return _joined(f"{title}.", advice, rests)


def _said(words: Words, arguments: Arguments) -> str:
    return words(arguments) if callable(words) else gettext(words, **{**_NUMBERS, **arguments})
