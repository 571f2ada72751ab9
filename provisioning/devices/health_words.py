"""What people read of a vehicle's health: a sentence and an action for every code. Pure.

Rows keep the code with its arguments; sentences are made where they are shown, so that another wording needs no new
rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from provisioning.devices import transfer_times
from provisioning.devices.actions import (
    CARD_IS_IN,
    CHANGE_NUMBER,
    CHECK,
    REPAIR,
    SET_CLOCK,
    SET_MODE,
    SET_SERVER,
    Action,
    ActionKind,
    restart,
)
from provisioning.devices.health import HealthState
from provisioning.devices.health_rules import WRONG_CLOCK
from provisioning.translation import N_, gettext, ngettext

STATES: Mapping[str, str] = {
    HealthState.BROKEN: N_("Broken"),
    HealthState.LIMITED: N_("Limited"),
    HealthState.SILENT: N_("Silent"),
    HealthState.UNCHECKED: N_("Not checked"),
    HealthState.WORKING: N_("Working"),
}


ReasonArguments = Mapping[str, Any]
_ZONE_STEP, _MOST_ZONES = 1800, 26 * 3600  # seconds: between two time zones at least and at most


@dataclass(frozen=True, slots=True)
class _Words:
    """What is said of a reason, and what mends it: each fixed, or made of the arguments of the reason."""

    sentence: str | Callable[[ReasonArguments], str]
    action: Action | Callable[[ReasonArguments], Action] | None


def _restart(arguments: ReasonArguments) -> Action:
    if arguments.get("restarted"):
        return CHECK  # another restart would change nothing
    return restart(arguments.get("camera") or "both")


_RESTART_BOTH = restart("both")
# why requests fail, by the code of their end, for the three that failed alike
_REASONS: Mapping[str, tuple[str, Action]] = {
    "capture_failed": (N_("Takes no picture"), _RESTART_BOTH),
    "camera_nak": (N_("The camera refuses requests"), _RESTART_BOTH),
    "media_timeout": (N_("The camera does not finish in time"), _RESTART_BOTH),
    "media_problem": (N_("The camera takes damaged files"), _RESTART_BOTH),
    "dualcam_not_present": (N_("No camera answers"), CHECK),
    "camera_not_present": (N_("The camera does not answer"), CHECK),
    "file_not_found": (N_("The camera has no footage"), CHECK),
    "server_unreachable": (N_("Cannot reach our server"), CHECK),
    "no_file": (N_("Accepts requests, but no file comes"), CHECK),
    "partial": (N_("Only the file of one camera comes"), CHECK),
    "modem_not_ready": (N_("The modem is not ready to send"), CHECK),
    "not_configured": (N_("Camera port not in DualCam mode"), SET_MODE),
    "value_differs": (N_("Does not take over settings"), CHECK),
    "not_confirmed": (N_("Does not confirm settings"), CHECK),
    "unreadable_reply": (N_("Answers in unknown words"), CHECK),
    "unknown_refusal": (N_("Refuses requests in unknown words"), CHECK),
}


def _of_camera(arguments: ReasonArguments, front: str, rear: str, both: str) -> str:
    """Give the sentence for the camera of a reason: front, rear, or both where none is named."""
    return gettext({"front": front, "rear": rear}.get(str(arguments.get("camera")), both))


def _in_units(seconds: float) -> str:
    for most, one, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < most:
            return f"{seconds / one:.0f} {unit}"
    return ngettext("%(number)s day", "%(number)s days", round(seconds / 86_400))


def _capture(arguments: ReasonArguments) -> str:
    return _of_camera(
        arguments,
        N_("Front camera takes no picture"),
        N_("Rear camera takes no picture"),
        N_("Takes no picture"),
    )


def _no_card(arguments: ReasonArguments) -> str:
    return _of_camera(
        arguments,
        N_("No SD card in the front camera: photos only"),
        N_("No SD card in the rear camera: photos only"),
        N_("No SD card: photos only"),
    )


def _faulty_card(arguments: ReasonArguments) -> str:
    return _of_camera(
        arguments,
        N_("Faulty SD card in the front camera: photos only"),
        N_("Faulty SD card in the rear camera: photos only"),
        N_("Faulty SD card: photos only"),
    )


def _clock(arguments: ReasonArguments) -> str:
    if (off := arguments.get("seconds")) is None:
        return gettext("Camera's clock is wrong")
    time = _in_units(abs(off))
    if off > 0:
        return gettext("Camera's clock is %(time)s ahead", time=time)
    return gettext("Camera's clock is %(time)s behind", time=time)


def is_by_zone(seconds: float | None) -> bool:
    """Say whether a time zone may explain how far a clock is off; where that is not known it may."""
    if seconds is None:
        return True
    steps = round(seconds / _ZONE_STEP)
    return abs(seconds) <= _MOST_ZONES and steps != 0 and abs(seconds - steps * _ZONE_STEP) <= WRONG_CLOCK


def _mend_clock(arguments: ReasonArguments) -> Action:
    return SET_CLOCK if is_by_zone(arguments.get("seconds")) else CHECK


def _drift(arguments: ReasonArguments) -> str:
    count = len(arguments["parameters"])
    if preset := arguments.get("preset"):
        return ngettext(
            "%(number)s setting differs from “%(preset)s”",
            "%(number)s settings differ from “%(preset)s”",
            count,
            preset=preset,
        )
    return ngettext(
        "%(number)s setting differs from what was asked",
        "%(number)s settings differ from what was asked",
        count,
    )


def _slow_line(arguments: ReasonArguments) -> str:
    clip = transfer_times.clip_takes(arguments["bytes_per_second"])
    return gettext(
        "Slow: a %(seconds)s s clip takes about %(time)s",
        seconds=transfer_times.CLIP_SECONDS,
        time=transfer_times.about(clip),
    )


def _slow_answers(arguments: ReasonArguments) -> str:
    return gettext("Slow: an answer takes about %(time)s", time=_in_units(arguments["seconds"]))


def _unreachable(arguments: ReasonArguments) -> str:
    others = arguments.get("others")
    if others is None:
        return gettext("Cannot reach our server")
    if not others:
        return gettext("Cannot reach our server; no other vehicle got through in the last hour")
    return ngettext(
        "Cannot reach our server; %(number)s other vehicle got through in the last hour",
        "Cannot reach our server; %(number)s other vehicles got through in the last hour",
        others,
    )


def _no_reply(arguments: ReasonArguments) -> str:
    return gettext("Does not answer SMS, %(unanswered)s of %(asked)s unanswered", **arguments)


def _never_checked(arguments: ReasonArguments) -> str:
    if arguments.get("ignition_off"):
        return gettext("Not checked yet (ignition was off)")
    return gettext("Not checked yet")


def _proof_old(arguments: ReasonArguments) -> str:
    if arguments.get("ignition_off"):
        return gettext("Not checked lately (ignition was off)")
    return gettext("Not checked lately")


def _silence(arguments: ReasonArguments) -> str:
    if arguments.get("ever", True):
        return gettext("No sign of life")
    return gettext("No sign of life since it was added")


def _reason(arguments: ReasonArguments) -> tuple[str, Action]:
    code = str(arguments.get("reason"))
    return _REASONS.get(code, (N_("The last three requests failed"), CHECK))


def _failure(arguments: ReasonArguments) -> str:
    return gettext(_reason(arguments)[0])


def _mend_failure(arguments: ReasonArguments) -> Action:
    return _reason(arguments)[1]


_WORDS: Mapping[str, _Words] = {
    "wrong_mode": _Words(N_("Camera port not in DualCam mode"), SET_MODE),
    "no_camera": _Words(N_("No camera answers"), CHECK),
    "no_reply": _Words(_no_reply, CHECK),
    "server_unreachable": _Words(_unreachable, CHECK),
    "no_capture": _Words(_capture, _restart),
    "requests_fail": _Words(_failure, _mend_failure),
    "other_tracker": _Words(N_("Another tracker answers at this number"), CHANGE_NUMBER),
    "front_camera": _Words(N_("Front camera does not answer"), CHECK),
    "rear_camera": _Words(N_("Rear camera does not answer"), CHECK),
    "no_card": _Words(_no_card, CARD_IS_IN),
    "faulty_card": _Words(_faulty_card, CARD_IS_IN),
    "triggers_lead_nowhere": _Words(N_("Its own photos and clips do not reach us"), SET_SERVER),
    "wrong_clock": _Words(_clock, _mend_clock),
    "drift": _Words(_drift, REPAIR),
    "slow_line": _Words(_slow_line, CHECK),
    "slow_answers": _Words(_slow_answers, CHECK),
    "avl_on_camera_port": _Words(
        N_("Tracker sends its data to the camera port"),
        Action(ActionKind.SET_TRACKER_SERVER, N_("How to set it")),
    ),
    "silent": _Words(_silence, CHECK),
    "never_checked": _Words(_never_checked, CHECK),
    "proof_old": _Words(_proof_old, CHECK),
    "proved": _Words(N_("Works"), None),
}


def sentence(code: str, arguments: ReasonArguments) -> str:
    """Say why a vehicle is as it is, without the time since when.

    `others` among the arguments of `server_unreachable`: how many other vehicles got through in the last hour.
    """
    said = _WORDS[code].sentence
    return said(arguments) if callable(said) else gettext(said)


def action(code: str, arguments: ReasonArguments) -> Action | None:
    """Give what mends it; None where there is nothing to do."""
    mends = _WORDS[code].action
    return mends(arguments) if callable(mends) else mends
