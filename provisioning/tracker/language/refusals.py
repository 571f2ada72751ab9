"""What a device says instead of doing it: one row a text, with its code, whose turn it is, and what to do.

The order counts: the first row that fits a piece of a reply wins. Source: the vendor's
DualCam SMS commands, reply table of camreq; causes and fixes from its troubleshooting.
"""

import re
from dataclasses import dataclass

from provisioning.translation import N_


@dataclass(frozen=True, slots=True)
class Refusal:
    """A documented refusal.

    `whose` is "device" (wait), "person" (somebody must act) or "service" (whoever runs this service must).
    `retry` says that the same request may succeed when asked again, after waiting or after the named step.
    """

    code: str
    pattern: re.Pattern[str]
    whose: str
    retry: bool
    sentence: str


def _row(code: str, pattern: str, whose: str, retry: bool, sentence: str) -> Refusal:
    return Refusal(code, re.compile(rf"(?:{pattern})\s*[.!]*", re.IGNORECASE), whose, retry, sentence)


_ERROR = r"(?:Error\s*:?\s*)"

REFUSALS: tuple[Refusal, ...] = (
    _row(
        "capture_failed",
        _ERROR + r"capture\s+failed",
        "device",
        True,
        N_(
            "The camera did not manage to take it. Ask once more; if it fails again, check the camera's cable,"
            " supply and SD card."
        ),
    ),
    _row(
        "ignition_off",
        rf"{_ERROR}?Cannot\s+capture\s+because\s+ignition\s+is\s+off|{_ERROR}?Ignition\s+not\s+detected",
        "person",
        True,
        N_(
            "The ignition is off and the cameras work with the ignition on only. Switch the ignition on"
            " and ask again; or set %(scenario)s to “Always”, with the cameras on a permanent supply."
        ),
    ),
    _row(
        "camera_nak",
        rf"{_ERROR}?DualCam\s+NAK",
        "device",
        True,
        N_("The camera turned the request down. Ask again in a minute; if it stays so, restart the camera."),
    ),
    _row(
        "dualcam_not_present",
        rf"{_ERROR}?DualCam\s+(?:is\s+)?not\s+present",
        "person",
        False,
        N_(
            "The tracker finds no DualCam: it is not connected, has no power or does not work. Check the"
            " RS232 cable, the supply, and that the tracker has %(required)s."
        ),
    ),
    _row(
        "file_not_found",
        rf"{_ERROR}?requested\s+file\s+does\s+not\s+exist",
        "person",
        False,
        N_(
            "The camera has no footage of that time: it was not recording, the SD card is missing or"
            " faulty, or %(zone)s was changed since. Ask for another time, after that change; if no time"
            " works, check camera and SD card."
        ),
    ),
    _row(
        "server_unreachable",
        rf"{_ERROR}?connect\s+to\s+server",
        "service",
        True,
        N_(
            "The tracker could not reach our server. Check that the receiver runs, that its address and"
            " port are open to the mobile network and known to the tracker, and that the SIM has data. It"
            " tries again by itself after about 30 minutes, or when asked again."
        ),
    ),
    _row(
        "modem_not_ready",
        rf"{_ERROR}?modem\s+(?:is\s+)?not\s+ready(?:\s+to\s+start\s+send)?",
        "device",
        True,
        N_("The modem was not ready to send. Ask again in a minute; if it stays so, check signal and SIM."),
    ),
    _row(
        "configuring",
        rf"{_ERROR}?Cannot\s+send,?\s+DualCam\s+configuration\s+is\s+in\s+progress",
        "device",
        True,
        N_(
            "The camera is just taking over new settings, which lasts about 30 seconds. Ask again after that."
        ),
    ),
    _row(
        "media_timeout",
        rf"{_ERROR}?Media\s+request\s+timeout",
        "device",
        True,
        N_("The camera did not finish in time. Ask again; if it stays so, restart it and check its cable."),
    ),
    _row(
        "media_problem",
        rf"{_ERROR}?Media\s+request\s+problem",
        "device",
        True,
        N_("The camera took it incorrectly. Ask again; if it stays so, restart it and check its SD card."),
    ),
    _row(
        "invalid_file_type",
        rf"{_ERROR}?Invalid\s+File\s+Type(?:\s+argument)?(?:\s+in\s+camera\s+request\s+cmd)?",
        "service",
        False,
        N_(
            "The tracker does not accept the file type in the request. Its firmware may be too old: ask for it."
        ),
    ),
    _row(
        "invalid_source",
        rf"{_ERROR}?Invalid\s+(?:File\s+)?Source(?:\s+argument)?(?:\s+in\s+camera\s+request\s+cmd)?",
        "service",
        False,
        N_("The tracker does not accept the camera in the request. Ask for one camera only."),
    ),
    _row(
        "invalid_timestamp",
        rf"{_ERROR}?Invalid\s+Timestamp(?:\s+argument)?(?:\s+in\s+camera\s+request\s+cmd)?",
        "service",
        False,
        N_("The tracker does not accept the time in the request. Check its clock: ask for clock and uptime."),
    ),
    _row(
        "invalid_duration",
        rf"{_ERROR}?Invalid\s+Duration(?:\s+argument)?(?:\s+in\s+camera\s+request\s+cmd)?",
        "service",
        False,
        N_("The tracker does not accept the length in the request. Ask for a shorter clip."),
    ),
    _row(
        "invalid_command",
        rf"{_ERROR}?Invalid\s+camera\s+request\s+command",
        "service",
        False,
        N_(
            "The tracker does not understand the form of the request. Ask without a size or another"
            " server; its firmware may be too old for those: ask for it."
        ),
    ),
    _row(
        "not_configured",
        rf"{_ERROR}?DualCam\s+is\s+not\s+configured",
        "person",
        False,
        N_("Camera port not in DualCam mode. Set the vehicle up: it needs %(required)s."),
    ),
    _row(
        "camera_not_present",
        rf"{_ERROR}?(?P<camera>Front\s*/\s*Rear|Front|Rear)\s+Camera\s+(?:is\s+)?not\s+present",
        "person",
        False,
        N_(
            "The tracker does not find this camera. Check its cable and supply; the other camera can still be"
            " asked on its own."
        ),
    ),
)

# Any other text that begins so is a refusal too, since the strings of other firmware are not published.
UNKNOWN_REFUSAL = Refusal(
    "unknown_refusal",
    re.compile(r"(?<!\w)(?:Error\s*:|Cannot\b)", re.IGNORECASE),
    "person",
    True,
    N_(
        "The tracker refused in words that no vendor page explains: read them as they are. Asking once"
        " more does no harm; if it says the same, check the vehicle."
    ),
)
BY_CODE = {row.code: row for row in REFUSALS}
