"""The steps of the checklist: what each asks the device or a person, and which reading makes its result. Pure.

Source: vendor's troubleshooting of the DualCam page, its SMS replies and its known problems.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from provisioning.check.camera_readings import (
    cameras_in_words,
    read_cameras,
    read_card,
    read_clock,
    read_front,
    read_led,
    read_rear,
    read_sd,
    silent_cameras,
)
from provisioning.check.facts import LOOKS, Result, StepFacts, has_mark, mark_of
from provisioning.check.tracker_readings import (
    read_configuration,
    read_firmware,
    read_power,
    read_reachable,
    read_speed,
    read_transfer,
    read_triggers,
)
from provisioning.tracker.parameters import READ_BACK

REUSE_SECONDS = 600.0  # an answer this fresh is not asked for again


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `commands`: (name, arguments) to ask, `answers`: choices of a question to a person.

    `second`: another command to ask where the first gets no answer; without it, the same one is asked again.
    """

    id: str
    title: str
    read: Callable[[StepFacts], Result]
    commands: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    needs: tuple[str, ...] = ()  # steps that must not be bad
    question: str = ""
    answers: tuple[tuple[str, str], ...] = ()
    when: Callable[[Mapping[str, Result]], bool] = lambda results: True
    second: str = ""


def _may_be_on(results: Mapping[str, Result]) -> bool:
    return not has_mark(results, "off", "power") and not has_mark(results, "ignition", "front", "rear")


STEPS: tuple[Step, ...] = (
    Step("reachable", "Does it answer SMS?", read_reachable, (("getstatus", {}),), second="getver"),
    Step("firmware", "Tracker and firmware", read_firmware, (("getver", {}),), ("reachable",)),
    # before what it spares: with the ignition off no camera answers
    Step("power", "Power and ignition", read_power, (("getio", {}),), ("reachable",)),
    Step(
        "configuration",
        "Configuration",
        read_configuration,
        (("getparam", {"parameters": list(READ_BACK)}),),
        ("reachable",),
        when=_may_be_on,
    ),
    Step(
        "front",
        "A photo of the front camera",
        read_front,
        (("camreq", {"file_type": "photo", "source": "front"}),),
        ("reachable", "configuration"),
        when=lambda r: not has_mark(r, "off", "power"),
    ),
    Step(
        "cameras",
        "Do both cameras answer?",
        read_cameras,
        (("camgetver", {}),),
        ("reachable", "configuration"),
        when=_may_be_on,
    ),
    Step(
        "rear",
        "A photo of the rear camera",
        read_rear,
        (("camreq", {"file_type": "photo", "source": "rear"}),),
        ("reachable", "configuration"),
        when=_may_be_on,
    ),
    Step(
        "card",
        "SD card: a short video",
        read_card,
        (("camreq", {"file_type": "video", "source": "front"}),),
        ("reachable", "configuration", "front"),
        when=_may_be_on,
    ),
    Step("transfer", "Transfer of files", read_transfer, (), ("reachable",)),
    Step("clock", "Clock and time zone", read_clock, (), ("reachable",)),
    Step("speed", "Speed of files and answers", read_speed, (), ("reachable",)),
    Step("triggers", "What it sends by itself", read_triggers, (), ("reachable",)),
    Step(
        "led",
        "Look at the camera",
        read_led,
        question="Is a light on at {cameras} while the ignition is on?",
        answers=LOOKS,
        when=lambda r: not has_mark(r, "ignition", "front", "rear") and bool(silent_cameras(r)),
    ),
    Step(
        "sd",
        "Look at the SD card",
        read_sd,
        question="Is an SD card in the front camera?",
        answers=LOOKS,
        when=lambda r: mark_of(r, "card") in ("no_footage", "failed", "no_capture"),
    ),
)
QUESTIONS = tuple(step.id for step in STEPS if step.question)


def in_order(results: Mapping[str, Result]) -> tuple[Step, ...]:
    """Give the steps as they are to be asked: where the ignition may be off, first the photo that proves it."""
    if not has_mark(results, "perhaps_off", "power"):
        return STEPS
    names = [step.id for step in STEPS]
    photo, after = names.index("front"), names.index("power") + 1
    return (*STEPS[:after], STEPS[photo], *STEPS[after:photo], *STEPS[photo + 1 :])


def ask(step: Step, results: Mapping[str, Result]) -> str:
    """Put a step's question, with the cameras that it is about."""
    return step.question.format(cameras=cameras_in_words(silent_cameras(results)))


def nobody_can_look(results: Mapping[str, Result]) -> bool:
    """Say whether somebody answered that he cannot look: then the run ends with the likely cause."""
    return any(result.mark == "unable" for result in results.values())
