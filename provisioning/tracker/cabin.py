"""What takes pictures of the cabin: the rear camera looks into it. Pure.

An image trigger always sends both cameras (vendor's parameter page), so it is one of those.
"""

from collections.abc import Mapping
from typing import Any

from provisioning.tracker.language import CamReq, Source
from provisioning.tracker.parameters import as_integer, id_of, titled
from provisioning.tracker.questions import CLIP_TRIGGERS
from provisioning.translation import N_, gettext

NO_REAR = N_("This vehicle takes nothing of the cabin: choose the front camera, or none.")
_REAR = (2, 3)  # values of a choice of cameras that name the rear one
_BOTH = 3


def is_of_cabin(asked: CamReq) -> bool:
    """Say whether a request asks for the rear camera."""
    return asked.source is not Source.FRONT


def cabin_problems(
    parameters: Mapping[Any, Any], held: Mapping[Any, Any], *, not_known: int = _BOTH
) -> dict[str, list[str]]:
    """Say by parameter id which values would have the rear camera take something by itself.

    `held` are values that the device confirmed: a trigger of clips uses the cameras that are set already.
    `not_known` is taken for the cameras of a trigger that are neither given nor held.
    """
    given = {int(number): value for number, value in parameters.items()}
    all_values = {int(number): value for number, value in held.items()} | given
    problems: dict[str, list[str]] = {}
    if given.get(id_of("image_trigger")) and as_integer(given[id_of("image_trigger")]) != 0:
        problems[str(id_of("image_trigger"))] = [
            gettext(
                "This vehicle takes nothing of the cabin, and an image trigger always sends both cameras."
            )
        ]
    if as_integer(given.get(id_of("periodic_image"))) in _REAR:
        problems[str(id_of("periodic_image"))] = [gettext(NO_REAR)]
    mask = as_integer(given.get(id_of("video_trigger"))) or 0
    for bit, key in CLIP_TRIGGERS.values():
        number = id_of(key)
        if as_integer(given.get(number)) in _REAR:
            problems[str(number)] = [gettext(NO_REAR)]
        elif mask & bit and as_integer(all_values.get(number, not_known)) in _REAR:
            problems[str(id_of("video_trigger"))] = [
                gettext(
                    "This vehicle takes nothing of the cabin, and %(number)s names the rear camera, or is not known:"
                    " set that to the front camera, too.",
                    number=titled(number),
                )
            ]
    return problems
