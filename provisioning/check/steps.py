"""The steps of the checklist: what each asks the device or a person, and which reading makes its result. Pure.

Source: vendor's troubleshooting of the DualCam page, its SMS replies and its known problems.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from provisioning.check.camera_readings import (
    read_cameras,
    read_card,
    read_clock,
    read_front,
    read_led,
    read_rear,
    read_sd,
    silent_cameras,
)
from provisioning.check.facts import Result, StepFacts, has_mark, mark_of
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
    """One step, which check_words names. `commands`: (name, arguments) to ask; without them it reads what is known.

    `second`: another command to ask where the first gets no answer; without it, the same one is asked again.
    """

    id: str
    read: Callable[[StepFacts], Result]
    commands: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    needs: tuple[str, ...] = ()  # steps that must not be bad
    asks_person: bool = False
    when: Callable[[Mapping[str, Result]], bool] = lambda results: True
    second: str = ""


def _may_be_on(results: Mapping[str, Result]) -> bool:
    return not has_mark(results, "off", "power") and not has_mark(results, "ignition", "front", "rear")


STEPS: tuple[Step, ...] = (
    Step("reachable", read_reachable, (("getstatus", {}),), second="getver"),
    Step("firmware", read_firmware, (("getver", {}),), ("reachable",)),
    # before what it spares: with the ignition off no camera answers
    Step("power", read_power, (("getio", {}),), ("reachable",)),
    Step(
        "configuration",
        read_configuration,
        (("getparam", {"parameters": list(READ_BACK)}),),
        ("reachable",),
        when=_may_be_on,
    ),
    Step(
        "front",
        read_front,
        (("camreq", {"file_type": "photo", "source": "front"}),),
        ("reachable", "configuration"),
        when=lambda r: not has_mark(r, "off", "power"),
    ),
    Step("cameras", read_cameras, (("camgetver", {}),), ("reachable", "configuration"), when=_may_be_on),
    Step(
        "rear",
        read_rear,
        (("camreq", {"file_type": "photo", "source": "rear"}),),
        ("reachable", "configuration"),
        when=_may_be_on,
    ),
    Step(
        "card",
        read_card,
        (("camreq", {"file_type": "video", "source": "front"}),),
        ("reachable", "configuration", "front"),
        when=_may_be_on,
    ),
    Step("transfer", read_transfer, (), ("reachable",)),
    Step("clock", read_clock, (), ("reachable",)),
    Step("speed", read_speed, (), ("reachable",)),
    Step("triggers", read_triggers, (), ("reachable",)),
    Step(
        "led",
        read_led,
        asks_person=True,
        when=lambda r: not has_mark(r, "ignition", "front", "rear") and bool(silent_cameras(r)),
    ),
    Step(
        "sd",
        read_sd,
        asks_person=True,
        when=lambda r: mark_of(r, "card") in ("no_footage", "failed", "no_capture"),
    ),
)
QUESTIONS = tuple(step.id for step in STEPS if step.asks_person)


def in_order(results: Mapping[str, Result]) -> tuple[Step, ...]:
    """Give the steps as they are to be asked: where the ignition may be off, first the photo that proves it."""
    if not has_mark(results, "perhaps_off", "power"):
        return STEPS
    names = [step.id for step in STEPS]
    photo, after = names.index("front"), names.index("power") + 1
    return (*STEPS[:after], STEPS[photo], *STEPS[after:photo], *STEPS[photo + 1 :])


def nobody_can_look(results: Mapping[str, Result]) -> bool:
    """Say whether somebody answered that he cannot look: then the run ends with the likely cause."""
    return any(result.mark == "unable" for result in results.values())
