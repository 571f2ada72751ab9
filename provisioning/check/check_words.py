"""What people read of a check: its steps and questions, and how a run ended that has no verdict.

Rows keep codes with their arguments (`check.facts.Result`); sentences are made where they are shown. What a step found
is said by `finding_words` and `todo_words`, a verdict by `verdict_words`.
"""

from collections.abc import Mapping

from provisioning.check.camera_readings import silent_cameras
from provisioning.check.facts import NO, UNABLE, YES, Result
from provisioning.check.steps import Step
from provisioning.translation import N_, gettext

STEPS: Mapping[str, str] = {
    "reachable": N_("Does it answer SMS?"),
    "firmware": N_("Tracker and firmware"),
    "power": N_("Power and ignition"),
    "configuration": N_("Configuration"),
    "front": N_("A photo of the front camera"),
    "cameras": N_("Do both cameras answer?"),
    "rear": N_("A photo of the rear camera"),
    "card": N_("SD card: a short clip"),
    "transfer": N_("Transfer of files"),
    "clock": N_("Clock and time zone"),
    "speed": N_("Speed of files and answers"),
    "triggers": N_("What it sends by itself"),
    "led": N_("Look at the camera"),
    "sd": N_("Look at the SD card"),
}
ANSWERS: Mapping[str, str] = {YES: N_("Yes"), NO: N_("No"), UNABLE: N_("I cannot look")}

# runs that ended without a verdict
ENDED: Mapping[str, str] = {
    "stopped": N_("Ended before it was through."),
    "not_set": N_("Not begun: the vehicle did not confirm what it was sent."),
    "left": N_("Ended by itself: nobody went on with it for %(days)s days."),
}
DAYS_LEFT = 7  # after so many a run that waits for a person ends by itself


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


def ended(how: str) -> str:
    """Say how a run ended that has no verdict."""
    return gettext(ENDED[how], days=DAYS_LEFT)
