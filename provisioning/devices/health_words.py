"""What people read of a vehicle's health: a sentence and an action for every code. Pure.

Rows keep the code with its arguments; sentences are made where they are shown, so that another wording needs no new
rows. An action has a kind, for pages and programs, and a label, which says what will happen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from provisioning.devices import transfer_times
from provisioning.devices.health import HealthState
from provisioning.tracker.parameters import id_of

STATES: Mapping[str, str] = {
    HealthState.BROKEN: "Broken",
    HealthState.LIMITED: "Limited",
    HealthState.SILENT: "Silent",
    HealthState.UNCHECKED: "Not checked",
    HealthState.WORKING: "Working",
}


class ActionKind(StrEnum):
    """What mends a vehicle, for pages and programs."""

    CHECK = "check"  # begin a check
    SET_MODE = "set_mode"  # send what DualCam needs, then check
    SET_CLOCK = "set_clock"  # send the right time zone, then check
    RESTART_CAMERA = "restart_camera"
    REPAIR = "repair"  # send what differs again
    CHANGE_NUMBER = "change_number"  # correct phone number or IMEI
    SET_SERVER = "set_server"  # how the vehicle's own camera server is set
    SET_TRACKER_SERVER = "set_tracker_server"  # how the server of the tracker's data is set


@dataclass(frozen=True, slots=True)
class Action:
    """What a person can do about it."""

    kind: ActionKind
    label: str


CHECK = Action(ActionKind.CHECK, "Check")
SET_MODE = Action(ActionKind.SET_MODE, "Set it and check again")
RESTART = Action(ActionKind.RESTART_CAMERA, "Restart the camera")
REPAIR = Action(ActionKind.REPAIR, "Repair")
CHANGE_NUMBER = Action(ActionKind.CHANGE_NUMBER, "Change number")
CARD_IS_IN = Action(ActionKind.CHECK, "Card is in: check again")
SET_SERVER = Action(ActionKind.SET_SERVER, "How to set it")

ReasonArguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Words:
    sentence: Callable[[ReasonArguments], str]
    action: Action | None


# why requests fail, by the code of their end, for the three that failed alike
_REASONS: Mapping[str, tuple[str, Action]] = {
    "capture_failed": ("Takes no picture", RESTART),
    "camera_nak": ("The camera refuses requests", RESTART),
    "media_timeout": ("The camera does not finish in time", RESTART),
    "media_problem": ("The camera takes damaged files", RESTART),
    "dualcam_not_present": ("No camera answers", CHECK),
    "camera_not_present": ("The camera does not answer", CHECK),
    "file_not_found": ("The camera has no footage", CHECK),
    "server_unreachable": ("Cannot reach our server", CHECK),
    "no_file": ("Accepts requests, but no file comes", CHECK),
    "partial": ("Only the file of one camera comes", CHECK),
    "modem_not_ready": ("The modem is not ready to send", CHECK),
    "not_configured": ("Camera port not in DualCam mode", SET_MODE),
    "value_differs": ("Does not take over settings", CHECK),
    "not_confirmed": ("Does not confirm settings", CHECK),
    "unreadable_reply": ("Answers in unknown words", CHECK),
}


def _which(arguments: ReasonArguments) -> str:
    """Name the camera of a reason: front, rear, or none where it is both."""
    return str(arguments["camera"]) if arguments.get("camera") in ("front", "rear") else ""


def _in_units(seconds: float) -> str:
    for most, one, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < most:
            return f"{seconds / one:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def _capture(arguments: ReasonArguments) -> str:
    side = _which(arguments)
    return f"{side.capitalize()} camera takes no picture" if side else "Takes no picture"


def _no_card(arguments: ReasonArguments) -> str:
    side = _which(arguments)
    return f"No SD card in the {side} camera: photos only" if side else "No SD card: photos only"


def _faulty_card(arguments: ReasonArguments) -> str:
    side = _which(arguments)
    return f"Faulty SD card in the {side} camera: photos only" if side else "Faulty SD card: photos only"


def _clock(arguments: ReasonArguments) -> str:
    if (off := arguments.get("seconds")) is None:
        return "Camera's clock is wrong"
    return f"Camera's clock is {_in_units(abs(off))} {'ahead' if off > 0 else 'behind'}"


def _drift(arguments: ReasonArguments) -> str:
    count = len(arguments["parameters"])
    what = f"“{arguments['preset']}”" if arguments.get("preset") else "what was asked"
    return f"{count} setting{'s differ' if count != 1 else ' differs'} from {what}"


def _slow_line(arguments: ReasonArguments) -> str:
    clip = transfer_times.clip_takes(arguments["bytes_per_second"])
    return f"Slow: a {transfer_times.CLIP_SECONDS} s clip takes about {transfer_times.about(clip)}"


def _unreachable(arguments: ReasonArguments) -> str:
    others = arguments.get("others")
    if others is None:
        return "Cannot reach our server"
    count = f"{others} other vehicle{'s' if others != 1 else ''}" if others else "no other vehicle"
    return f"Cannot reach our server; {count} got through in the last hour"


def _ignition(arguments: ReasonArguments) -> str:
    return " (ignition was off)" if arguments.get("ignition_off") else ""


def _silence(arguments: ReasonArguments) -> str:
    return "No sign of life" if arguments.get("ever", True) else "No sign of life since it was added"


def _said(text: str) -> Callable[[ReasonArguments], str]:
    return lambda arguments: text


_WORDS: Mapping[str, _Words] = {
    "wrong_mode": _Words(_said("Camera port not in DualCam mode"), SET_MODE),
    "no_camera": _Words(_said("No camera answers"), CHECK),
    "no_reply": _Words(lambda a: f"Does not answer SMS, {a['unanswered']} of {a['asked']} unanswered", CHECK),
    "server_unreachable": _Words(_unreachable, CHECK),
    "no_capture": _Words(_capture, RESTART),
    "requests_fail": _Words(lambda a: _reason(a)[0], None),
    "other_tracker": _Words(_said("Another tracker answers at this number"), CHANGE_NUMBER),
    "front_camera": _Words(_said("Front camera does not answer"), CHECK),
    "rear_camera": _Words(_said("Rear camera does not answer"), CHECK),
    "no_card": _Words(_no_card, CARD_IS_IN),
    "faulty_card": _Words(_faulty_card, CARD_IS_IN),
    "triggers_lead_nowhere": _Words(_said("Its own photos and clips do not reach us"), SET_SERVER),
    "wrong_clock": _Words(
        _clock, Action(ActionKind.SET_CLOCK, f"Set {id_of('camera_time_zone')} and check again")
    ),
    "drift": _Words(_drift, REPAIR),
    "slow_line": _Words(_slow_line, CHECK),
    "slow_answers": _Words(lambda a: f"Slow: an answer takes about {_in_units(a['seconds'])}", CHECK),
    "avl_on_camera_port": _Words(
        _said("Tracker sends its data to the camera port"),
        Action(ActionKind.SET_TRACKER_SERVER, "How to set it"),
    ),
    "silent": _Words(_silence, CHECK),
    "never_checked": _Words(lambda a: f"Not checked yet{_ignition(a)}", CHECK),
    "proof_old": _Words(lambda a: f"Not checked lately{_ignition(a)}", CHECK),
    "proved": _Words(_said("Works"), None),
}


def _reason(arguments: ReasonArguments) -> tuple[str, Action]:
    code = str(arguments.get("reason"))
    return _REASONS.get(code, ("The last three requests failed", CHECK))


def sentence(code: str, arguments: ReasonArguments) -> str:
    """Say why a vehicle is as it is, without the time since when.

    `others` among the arguments of `server_unreachable`: how many other vehicles got through in the last hour.
    """
    return _WORDS[code].sentence(arguments)


def action(code: str, arguments: ReasonArguments) -> Action | None:
    """Give what mends it; None where there is nothing to do."""
    return _reason(arguments)[1] if code == "requests_fail" else _WORDS[code].action
