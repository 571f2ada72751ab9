"""What people read of a verdict of the check: its title, what to do next, and the whole of it in one text."""

from collections.abc import Mapping
from types import MappingProxyType

from provisioning.check import finding_words, todo_words
from provisioning.check.facts import Result
from provisioning.check.verdicts import BY_ID, CheckVerdict, camera, certainty, decide_further, grounds
from provisioning.devices import health_words
from provisioning.devices.vehicle_facts import SIDES
from provisioning.tracker.parameters import named_settings
from provisioning.translation import N_, gettext

# title, and what to do next
VERDICTS: Mapping[str, tuple[str, str]] = {
    "other_tracker": (
        N_("Another tracker answers at this number"),
        N_("Correct the phone number or the IMEI."),
    ),
    "silent": (
        N_("Does not answer SMS"),
        N_("Check number, SIM, coverage, SMS login and password; then check again."),
    ),
    "answers_late": (
        N_("Answers SMS, but late"),
        N_("Check again now that it answers; if that is late too, check coverage and the SIM's provider."),
    ),
    "wrong_mode": (N_("Camera port not in DualCam mode"), N_("Set %(required)s.")),
    "ignition_off": (
        N_("The ignition is off"),
        N_("Switch it on; or set %(scenario)s to “Always” and give the camera a permanent supply."),
    ),
    "no_power": (N_("The cameras have no power"), N_("Check their supply and fuse.")),
    "no_camera": (N_("No camera answers"), N_("Check the camera's cable and supply.")),
    "front_camera": (N_("Front camera does not answer"), N_("Check its supply and cable, then replace it.")),
    "rear_camera": (N_("Rear camera does not answer"), N_("Check its supply and cable, then replace it.")),
    "no_capture": (
        N_("The cameras answer but take no picture"),
        N_("Restart both and check again; if it stays so, check their cables and supply, then replace them."),
    ),
    "server_unreachable": (
        N_("Cannot reach our server"),
        N_("Check the camera server's address and port, the APN, and the firewall."),
    ),
    "wrong_clock": (
        N_("Camera's clock is wrong"),
        N_("Set %(zone)s; older footage can then no longer be asked for by its time."),
    ),
    "faulty_card": (
        N_("The SD card does not work"),
        N_("Format it, or try another one (16 to 64 GB, FAT32); then check again."),
    ),
    "no_card": (N_("SD card missing or faulty"), N_("Insert a card of 16 to 64 GB, FAT32, then format it.")),
    "refused": (N_("This server refused the vehicle"), N_("It is known now: ask for a photo.")),
    "triggers_lead_nowhere": (
        N_("Its own photos and clips do not reach us"),
        N_("Set the vehicle's own camera server, then cause a trigger."),
    ),
    "old_firmware": (N_("The tracker's firmware is too old"), N_("Update it, then check again.")),
    "differs": (N_("The configuration is not as asked"), N_("Set the vehicle up again.")),
    "breaks": (N_("Transfers keep breaking"), N_("Check antenna, coverage and the camera's cable.")),
    "slow": (
        N_("It works, but slow"),
        N_("Look at what is slow, files or answers, in the step about speed."),
    ),
    "good": (N_("All good"), N_("Nothing to do.")),
    "undecided": (N_("Not clear yet"), N_("Ask again the steps that are marked “problem” or “look at it”.")),
}
# titles where the camera is known that a verdict is about
_OF_CAMERAS: Mapping[tuple[str, str | None], str] = {
    ("no_capture", "front"): N_("The front camera answers but takes no picture"),
    ("no_capture", "rear"): N_("The rear camera answers but takes no picture"),
    ("faulty_card", "front"): N_("The SD card in the front camera does not work"),
    ("faulty_card", "rear"): N_("The SD card in the rear camera does not work"),
}


def title(verdict: str, results: Mapping[str, Result] = MappingProxyType({})) -> str:
    """Name a verdict, with the camera that the results of the run name."""
    about = camera(BY_ID[verdict], results)
    return gettext(_OF_CAMERAS.get((verdict, about), VERDICTS[verdict][0]))


def todo(verdict: str, results: Mapping[str, Result] = MappingProxyType({})) -> str:
    """Say what to do next after a verdict."""
    if verdict == "wrong_clock" and not clock_is_off_by_zone(results):
        return gettext(finding_words.NO_ZONE)
    if verdict == "server_unreachable":
        return todo_words.about_server(_others(results))
    if verdict == "slow" and "speed" in results:
        return todo_words.todo(results["speed"].finding)
    if verdict == "no_capture" and camera(BY_ID[verdict], results) in SIDES:
        return gettext(
            "Restart it and check again; if it stays so, check its cable and supply, then replace it."
        )
    return gettext(VERDICTS[verdict][1], **named_settings())


def _others(results: Mapping[str, Result]) -> int:
    """Give how many other vehicles got through when a file of the run did not."""
    return max((result.finding.arguments.get("others", 0) for result in results.values()), default=0)


def clock_is_off_by_zone(results: Mapping[str, Result]) -> bool:
    """Say whether a time zone may put the camera's clock right."""
    off = results["clock"].finding.arguments.get("seconds") if "clock" in results else None
    return health_words.is_by_zone(off)


def sentence(verdict: CheckVerdict, results: Mapping[str, Result]) -> str:
    """Say to a person what it is, what to do next, which answers say so, and which further faults there are."""
    named, advice = title(verdict.id, results), todo(verdict.id, results)
    if certainty(verdict, results) == "likely":
        named = gettext("Likely: %(verdict)s", verdict=named)
    said = " ".join(finding_words.finding(found) for found in grounds(verdict, results))
    rests = gettext("Rests on: %(findings)s", findings=said) if said else ""
    also = [f"{title(one.id, results)}. {todo(one.id, results)}" for one in decide_further(results)]
    further = gettext("Also: %(findings)s", findings=" ".join(also)) if also else ""
    return " ".join(filter(None, (f"{named}.", advice, rests, further)))
