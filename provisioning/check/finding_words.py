"""What people read of what a step of the check found, or why it was not asked: a sentence for every code."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from provisioning.commands import command_words
from provisioning.devices import status_words, transfer_times
from provisioning.phrase import AS_IT_IS, Phrase
from provisioning.tracker.language import COMMANDS
from provisioning.tracker.parameters import SENDS_BY_ITSELF, describe, named_settings, setting, titled
from provisioning.translation import N_, gettext

Arguments = Mapping[str, Any]
Words = str | Callable[[Arguments], str]

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
        N_("The clip has come."),
        N_("The request for the clip was not answered."),
        N_("The clip did not come."),
    ),
}


# what a request's end says, by its code, without advice: that follows from all that the check found
_ENDS: Mapping[str, str] = {
    "ignition_off": N_("The tracker says that the ignition is off."),
    "camera_not_present": N_("The tracker does not find this camera."),
    "dualcam_not_present": N_("The tracker finds no camera."),
    "camera_nak": N_("The camera turned the request down."),
    "capture_failed": N_("The camera did not manage to take it."),
    "media_timeout": N_("The camera did not finish in time."),
    "media_problem": N_("The camera took it incorrectly."),
    "not_configured": N_("The tracker says that it is not set for DualCam."),
    "server_unreachable": N_("The tracker could not reach our server."),
    "no_file": N_("The tracker accepted the request, but no file came."),
    "file_not_found": N_("The camera has no footage of that time."),
}


def _error(a: Arguments) -> str:
    return command_words.sentence(a["error"]) if a.get("error") else ""


def _end(a: Arguments) -> str:
    """Say how a request ended."""
    end = _ENDS.get(a.get("reason", ""))
    return gettext(end) if end else _error(a)


def _silence(a: Arguments) -> str:
    return _end(a) or gettext("“%(request)s” was not answered.", request=_title(a["command"]))


def _title(command: str) -> str:
    """Say what a command asks, as its button does."""
    label = COMMANDS[command].labels.get("") if command in COMMANDS else None
    return gettext(label) if label else command


def _joined(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


def _file_unanswered(a: Arguments) -> str:
    return _joined(gettext(_FILES[a["file"]][1]), _error(a))


def _file_failed(a: Arguments) -> str:
    return _end(a) or gettext(_FILES[a["file"]][2])


NO_ZONE = N_("No time zone explains it: update the camera's firmware, then check again.")


def _clock_wrong(a: Arguments) -> str:
    minutes = f"{abs(a['seconds']) / 60:.0f}"
    if a["seconds"] > 0:
        return gettext("The camera's clock is %(minutes)s minutes ahead.", minutes=minutes)
    return gettext("The camera's clock is %(minutes)s minutes behind.", minutes=minutes)


_REPORTED: Mapping[str | None, str] = {
    "front": N_("The telematics platform reports of the front camera: %(state)s."),
    "rear": N_("The telematics platform reports of the rear camera: %(state)s."),
    None: N_("The telematics platform reports: %(state)s."),
}


def _card_reported(a: Arguments) -> str:
    return gettext(_REPORTED[a.get("camera")], state=status_words.value(a["state"]))


def _answers(a: Arguments) -> str:
    answers = gettext("The tracker answers SMS.")
    if a["asked"] < 2 or not a["unanswered"]:
        return answers
    lost = gettext("%(unanswered)s of %(asked)s SMS stayed unanswered.", **a)
    return _joined(answers, lost)


def _silent(a: Arguments) -> str:
    count = gettext(
        "%(unanswered)s of %(asked)s SMS unanswered.", asked=a["asked"], unanswered=a["unanswered"]
    )
    if a["asked"] > 1:
        return _joined(count, _error(a))
    return _error(a) or gettext("The tracker did not answer.")


def _wrong_mode(a: Arguments) -> str:
    held = ", ".join(setting(int(number), value) for number, value in a["values"].items())
    return gettext("The tracker has %(held)s.", held=held)


def _differs(a: Arguments) -> str:
    said = [
        gettext(
            "%(name)s is %(value)s, asked %(asked)s",
            name=titled(int(one["number"])),
            value=describe(int(one["number"]), one["value"]),
            asked=describe(int(one["number"]), one["asked"]),
        )
        for one in a["parameters"]
    ]
    return gettext("Not as asked: %(parameters)s.", parameters="; ".join(said))


_DIN1: Mapping[str | None, str] = {
    None: N_("The tracker reports its inputs."),
    "0": N_("DIN1 is off."),
    "1": N_("DIN1 is on."),
}


def _power(a: Arguments) -> str:
    return _joined(
        gettext(_DIN1.get(a.get("input_1"), _DIN1[None])),
        gettext("The telematics platform reports the ignition on.") if a["ignition_on"] else "",
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
    "card_reported": _card_reported,
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
    "answers_late": N_("The tracker answers SMS, but only after the wait for it had ended."),
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
        "Set for DualCam, as asked. %(protocol)s is not Codec 8 Extended: the states of the cameras never"
        " reach your telematics platform."
    ),
    "configured": N_("Set for DualCam, as asked."),
    "ignition_does_not_matter": N_(
        "The ignition may be off; the cameras work all the same, as %(scenario)s is “Always”."
    ),
    "ignition_off": N_("The ignition is off: the telematics platform reports it, and DIN1 is off."),
    "ignition_reported_off": N_("The telematics platform reports the ignition off."),
    "inputs_unknown": _silence,
    "input_off": N_("DIN1 is off: where the ignition is wired to it, the ignition is off."),
    "power": _power,
    "transfer_not_tried": N_("Not tried: nothing was taken in this check."),
    "never_connected": N_("The camera has never connected to this server."),
    "connection_refused": N_("Its last connection was refused: the IMEI was not known then."),
    "connections_break": N_("%(broken)s of the last %(connections)s connections broke."),
    "wrong_crcs": N_("%(packets)s packets came damaged (wrong checksum)."),
    "transfers_worked": N_("Transfers came through before."),
    "transfers_work": N_("Transfers come through."),
    "transfers_slow": lambda a: gettext(
        "Transfers come through, but slowly: %(rate)s.", rate=transfer_times.rate(a["bytes_per_second"])
    ),
    "sends_nothing_by_itself": N_("It sends nothing by itself."),
    "sends_here": _sends_here,
    "sends_nowhere": _sends_nowhere,
    "speed_unknown": N_("Nothing came that could be measured."),
    "speed": _speed,
    "slow": _speed,
    # steps that were not asked
    "nobody_can_look": N_("Nobody can look."),
    "cabin_private": N_("This vehicle takes nothing of the cabin."),
    "not_needed": N_("Not needed."),
    "ignition_first": N_("The ignition has to be on first."),
    "step_before_failed": N_("A step before it failed."),
}


def finding(found: Phrase) -> str:
    """Say what a step found, or why it was not asked."""
    return said(FINDINGS[found.code], found.arguments)


def said(words: Words, arguments: Arguments) -> str:
    """Fill in the words of a finding, or of what to do about it."""
    return words(arguments) if callable(words) else gettext(words, **{**named_settings(), **arguments})
