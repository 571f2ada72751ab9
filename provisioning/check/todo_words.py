"""What people read of what to do about a finding of the check: a sentence for every code that asks for something."""

from collections.abc import Mapping
from types import MappingProxyType

from provisioning.check.camera_readings import NO_WAY_HERE
from provisioning.check.facts import Result, has_mark, mark_of
from provisioning.check.finding_words import NO_ZONE, Arguments, Words, said
from provisioning.devices import health_words, transfer_times
from provisioning.phrase import AS_IT_IS, Phrase
from provisioning.tracker.parameters import named_settings
from provisioning.translation import N_, gettext

_CHECK_SERVER = N_("Check the camera server's address and port, the APN, and the firewall.")
_CHECK_VEHICLE = N_(
    "Other vehicles got through at that time (%(others)s), so look at this one: its SIM's mobile data, the"
    " tracker's APN (parameter 2001), and the camera server that the vehicle is told."
)
_SLOW_LINE = N_("Check antenna, coverage and the SIM's provider; ask for short clips of one camera.")
_SLOW_SMS = N_(
    "SMS are slow on their way: that is for the mobile network or the SMS gateway. Each request takes that"
    " much longer until it begins."
)
_CHECK_DATA_CABLE = N_("Check the data cable.")
_RESTART = N_("Restart the camera, then check its cable.")
_ASK_AGAIN = N_("Ask again; look at the request.")
_ASK_LATER = N_("Ask again later.")
# what to do about a request that ended so, by its code
_STEP_BY_REASON: Mapping[str, str] = {
    "ignition_off": N_(
        "Switch the ignition on, or set %(scenario)s to “Always” with a permanent supply of the camera."
    ),
    "camera_not_present": N_("Check this camera's cable and supply."),
    "dualcam_not_present": N_("Check the camera's cable and supply."),
    "camera_nak": _RESTART,
    "capture_failed": _RESTART,
    "not_configured": N_("Set %(required)s."),
    "server_unreachable": _CHECK_SERVER,
    "no_file": N_(
        "Ask again; where no file comes at all, check the camera server's address and port, the APN, and the firewall."
    ),
    "file_not_found": N_("Check the SD card, and the camera's time zone."),
}


def about_server(others: int) -> str:
    """Say what to do where the vehicle cannot reach this service, and so many others got through."""
    return gettext(_CHECK_VEHICLE, others=others) if others else gettext(_CHECK_SERVER)


def about_speed(a: Arguments) -> str:
    """Say what to do about slow files, late answers, or both."""
    rate = a.get("bytes_per_second")
    is_slow = rate is not None and transfer_times.is_slow(rate)
    advice = [
        gettext(_SLOW_LINE) if is_slow else "",
        gettext(_SLOW_SMS) if a.get("late", not is_slow) else "",
    ]
    return " ".join(filter(None, advice))


_NO_ANSWER = ("camera_not_present", "dualcam_not_present")


def _about_end(a: Arguments, otherwise: str) -> str:
    """Say what to do about a request by the code of its end."""
    if a["reason"] in _NO_ANSWER and a.get("has_power"):
        return gettext(_CHECK_DATA_CABLE)
    return gettext(_STEP_BY_REASON.get(a["reason"], otherwise), **named_settings())


def _about_file(a: Arguments) -> str:
    if a.get("restarted"):
        return gettext(N_("Check its cable, then replace it."))
    if a["reason"] in NO_WAY_HERE and (others := a.get("others")):
        return about_server(others)
    return _about_end(a, _ASK_AGAIN)


_SWITCH_ON = N_("Switch it on for the test.")


def _switch_on(a: Arguments) -> str:
    """Say to switch the ignition on that seems to be off; nothing where the cameras took pictures all the same."""
    return "" if a.get("has_pictures") else gettext(_SWITCH_ON)


_STEPS: Mapping[str, Words] = {
    AS_IT_IS: lambda a: str(a.get("todo", "")),
    "versions_unknown": lambda a: _about_end(a, _ASK_LATER),
    "cameras_silent": lambda a: gettext(
        _CHECK_DATA_CABLE if a.get("has_power") else N_("Check supply and cable of the camera.")
    ),
    "camera_silent": lambda a: gettext(
        {"front": N_("Check the front camera's cable."), "rear": N_("Check the rear camera's cable.")}[
            a["camera"]
        ]
    ),
    "file_unanswered": _ASK_LATER,
    "file_failed": _about_file,
    "no_footage": N_("Look at the SD card: 16 to 64 GB, FAT32."),
    "card_reported": lambda a: gettext(
        N_("Insert a 16 to 64 GB card, FAT32.")
        if a["state"] == "no SD card"
        else N_("Format it, or try another one (16 to 64 GB, FAT32).")
    ),
    "clock_wrong": lambda a: gettext(
        N_("Set %(zone)s and update the camera's firmware.")
        if health_words.is_by_zone(a["seconds"])
        else NO_ZONE,
        **named_settings(),
    ),
    "power_without_answer": _CHECK_DATA_CABLE,
    "no_power": N_("Check supply, fuse and cable."),
    "card_is_in": N_("Format it, or try another one (16 to 64 GB, FAT32)."),
    "no_card": N_("Insert a card of 16 to 64 GB, FAT32."),
    "silent": N_(
        "Check the phone number, that the SIM may receive SMS, coverage, and the SMS login and password."
    ),
    "firmware_unknown": _ASK_LATER,
    "other_tracker": N_("Correct the phone number or the IMEI."),
    "old_firmware": N_("Update the tracker's firmware."),
    "configuration_unread": _ASK_LATER,
    "wrong_mode": N_("Set %(required)s."),
    "differs": N_("Send these settings again."),
    "configured_without_states": N_(
        "Set %(protocol)s to Codec 8 Extended if your telematics platform is to get the states of the cameras."
    ),
    "ignition_off": _SWITCH_ON,
    "ignition_reported_off": _switch_on,
    "input_off": _switch_on,
    "inputs_unknown": _ASK_LATER,
    "never_connected": N_("A camera that cannot get through tries again after some 30 minutes."),
    "connection_refused": N_("Ask for a photo."),
    "connections_break": N_("Check antenna and coverage; transfers go on where they broke."),
    "wrong_crcs": N_("Check the cable of the camera."),
    "sends_nowhere": N_("Set it, then cause a trigger: the first file that comes by one proves it."),
    "slow": about_speed,
}


def todo(found: Phrase, results: Mapping[str, Result] = MappingProxyType({})) -> str:
    """Say what a person can do about a finding; empty where there is nothing to do.

    `results`: of the whole run, against which the advice must not speak.
    """
    known = {
        "has_power": mark_of(results, "led") == "cable",
        "has_pictures": has_mark(results, "came", "front", "rear", "card"),
    }
    return said(_STEPS[found.code], {**found.arguments, **known}) if found.code in _STEPS else ""
