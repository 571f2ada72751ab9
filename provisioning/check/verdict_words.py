"""What people read of a verdict of the check: its title, what to do next, and the whole of it in one text."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from provisioning.check import finding_words, todo_words
from provisioning.check.facts import Result, mark_of
from provisioning.check.verdicts import BY_ID, CheckVerdict, camera, certainty, decide_further, grounds, notes
from provisioning.devices import health_words
from provisioning.devices.actions import SET_MODE, Action, ActionKind, restart
from provisioning.devices.vehicle_facts import SIDES
from provisioning.tracker.parameters import named_settings
from provisioning.translation import N_, gettext, ngettext

Results = Mapping[str, Result]
_NONE: Results = MappingProxyType({})
_Words = str | Callable[[Results], str]


@dataclass(frozen=True, slots=True)
class VerdictWords:
    """What is said of a verdict, and what mends it: each fixed, or made of the results of the run.

    The sentences may name parameters as `tracker.parameters.named_settings` does.
    """

    title: _Words
    todo: _Words
    action: Action | Callable[[Results], Action | None] | None = None


def _by_camera(verdict: str, front: str, rear: str, any_camera: str) -> Callable[[Results], str]:
    """Choose the words by the camera that a verdict is about."""
    return lambda results: gettext(
        {"front": front, "rear": rear}.get(camera(BY_ID[verdict], results) or "", any_camera)
    )


def _restarted(results: Results) -> str | None:
    """Say when the cameras were restarted that take no picture all the same; None where one was not."""
    failed = [results[side] for side in SIDES if mark_of(results, side) == "no_capture"]
    times = [result.finding.arguments.get("restarted") for result in failed]
    return times[-1] if times and all(times) else None


def _about_pictures(results: Results) -> str:
    is_one = camera(BY_ID["no_capture"], results) in SIDES
    if (at := _restarted(results)) and is_one:
        return gettext(
            "The camera was restarted at %(time)s and still takes no picture: check its cable, then replace it.",
            time=at,
        )
    if at:
        return gettext(
            "The cameras were restarted at %(time)s and still take no picture: check their cables, then replace"
            " them.",
            time=at,
        )
    if is_one:
        return gettext("Restart it and check again; if it stays so, check its cable, then replace it.")
    return gettext("Restart both and check again; if it stays so, check their cables, then replace them.")


def _restart(results: Results) -> Action | None:
    if _restarted(results):
        return None
    about = camera(BY_ID["no_capture"], results) or "both"
    label = N_("Restart it and check again") if about in SIDES else N_("Restart both cameras and check again")
    return restart(about, label)


def _about_dead_camera(results: Results) -> str:
    """Say what to do about one camera that does not answer, by the light that somebody saw at it or did not."""
    match mark_of(results, "led"):
        case "cable":
            return gettext("It has power: check its data cable, then replace it.")
        case "dark":
            return gettext("It has no power: check its supply and fuse first, then its cable.")
    return gettext("Check its supply and cable, then replace it.")


def _about_dead_cameras(results: Results) -> str:
    if mark_of(results, "led") == "cable":
        return gettext("They have power: check the data cable between the tracker and the cameras.")
    return gettext("Check the camera's cable and supply.")


def _about_server(results: Results) -> str:
    """Say what to do where a file did not come, with how many other vehicles got through then."""
    others = max((result.finding.arguments.get("others", 0) for result in results.values()), default=0)
    return todo_words.about_server(others)


def _clock_is_off_by_zone(results: Results) -> bool:
    off = results["clock"].finding.arguments.get("seconds") if "clock" in results else None
    return health_words.is_by_zone(off)


def _about_clock(results: Results) -> str:
    if not _clock_is_off_by_zone(results):
        return gettext(finding_words.NO_ZONE)
    return gettext(
        "Set %(zone)s; older footage can then no longer be asked for by its time.", **named_settings()
    )


def _set_clock(results: Results) -> Action | None:
    is_by_zone = _clock_is_off_by_zone(results)
    return Action(ActionKind.SET_CLOCK, N_("Set it and check again")) if is_by_zone else None


def _about_slowness(results: Results) -> str:
    if "speed" in results:
        return todo_words.todo(results["speed"].finding)
    return gettext("Look at what is slow, files or answers, in the step about speed.")


def _works(results: Results) -> str:
    if count := len(notes(results)):
        return ngettext("Works, with one thing to look at", "Works, with %(number)s things to look at", count)
    return gettext("All good")


def _about_notes(results: Results) -> str:
    found = [(finding_words.finding(note), todo_words.todo(note, results)) for note in notes(results)]
    return " ".join(dict.fromkeys(text for texts in found for text in texts if text)) or gettext(
        "Nothing to do."
    )


VERDICTS: Mapping[str, VerdictWords] = {
    "other_tracker": VerdictWords(
        N_("Another tracker answers at this number"), N_("Correct the phone number or the IMEI.")
    ),
    "silent": VerdictWords(
        N_("Does not answer SMS"),
        N_("Check number, SIM, coverage, SMS login and password; then check again."),
    ),
    "answers_late": VerdictWords(
        N_("Answers SMS, but late"),
        N_("Check again now that it answers; if that is late too, check coverage and the SIM's provider."),
    ),
    "wrong_mode": VerdictWords(N_("Camera port not in DualCam mode"), N_("Set %(required)s."), SET_MODE),
    "ignition_off": VerdictWords(
        N_("The ignition is off"),
        N_(
            "Switch the ignition on, then check again; or set %(scenario)s to “Always” and give the camera a permanent"
            " supply."
        ),
    ),
    "no_power": VerdictWords(N_("The cameras have no power"), N_("Check their supply and fuse.")),
    "no_camera": VerdictWords(N_("No camera answers"), _about_dead_cameras),
    "front_camera": VerdictWords(N_("Front camera does not answer"), _about_dead_camera),
    "rear_camera": VerdictWords(N_("Rear camera does not answer"), _about_dead_camera),
    "no_capture": VerdictWords(
        _by_camera(
            "no_capture",
            N_("The front camera answers but takes no picture"),
            N_("The rear camera answers but takes no picture"),
            N_("The cameras answer but take no picture"),
        ),
        _about_pictures,
        _restart,
    ),
    "server_unreachable": VerdictWords(N_("Cannot reach our server"), _about_server),
    "wrong_clock": VerdictWords(N_("Camera's clock is wrong"), _about_clock, _set_clock),
    "faulty_card": VerdictWords(
        _by_camera(
            "faulty_card",
            N_("The SD card in the front camera does not work"),
            N_("The SD card in the rear camera does not work"),
            N_("The SD card does not work"),
        ),
        N_("Format it, or try another one (16 to 64 GB, FAT32); then check again."),
    ),
    "no_card": VerdictWords(
        N_("SD card missing or faulty"), N_("Insert a card of 16 to 64 GB, FAT32, then format it.")
    ),
    "refused": VerdictWords(N_("This server refused the vehicle"), N_("It is known now: ask for a photo.")),
    "triggers_lead_nowhere": VerdictWords(
        N_("Its own photos and clips do not reach us"),
        N_("Set the vehicle's own camera server, then cause a trigger."),
    ),
    "old_firmware": VerdictWords(N_("The tracker's firmware is too old"), N_("Update it, then check again.")),
    "differs": VerdictWords(N_("The configuration is not as asked"), N_("Set the vehicle up again.")),
    "breaks": VerdictWords(
        N_("Transfers keep breaking"), N_("Check antenna, coverage and the camera's cable.")
    ),
    "slow": VerdictWords(N_("It works, but slow"), _about_slowness),
    "good": VerdictWords(_works, _about_notes),
    "undecided": VerdictWords(
        N_("Not clear yet"), N_("Ask again the steps that are marked “problem” or “look at it”.")
    ),
}


def title(verdict: str, results: Results = _NONE) -> str:
    """Name a verdict, with the camera that the results of the run name."""
    return _said(VERDICTS[verdict].title, results)


def todo(verdict: str, results: Results = _NONE) -> str:
    """Say what to do next after a verdict."""
    return _said(VERDICTS[verdict].todo, results)


def _said(words: _Words, results: Results) -> str:
    return words(results) if callable(words) else gettext(words, **named_settings())


def action(verdict: str, results: Results) -> Action | None:
    """Give what mends what a verdict says and then checks again; None where no button can."""
    mends = VERDICTS[verdict].action
    return mends(results) if callable(mends) else mends


def sentence(verdict: CheckVerdict, results: Results) -> str:
    """Say to a person what it is, what to do next, which answers say so, and which further faults there are."""
    named, advice = title(verdict.id, results), todo(verdict.id, results)
    if certainty(verdict, results) == "likely":
        named = gettext("Likely: %(verdict)s", verdict=named)
    said = " ".join(dict.fromkeys(finding_words.finding(found) for found in grounds(verdict, results)))
    rests = gettext("Rests on: %(findings)s", findings=said) if said else ""
    also = [f"{title(one.id, results)}. {todo(one.id, results)}" for one in decide_further(results)]
    further = gettext("Also: %(findings)s", findings=" ".join(also)) if also else ""
    return " ".join(filter(None, (f"{named}.", advice, rests, further)))
