"""Says in words what a set of parameters sets: by the six questions, the camera port, and others by name. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from provisioning.tracker import questions
from provisioning.tracker.parameters import CATALOGUE, REQUIRED, as_integer, describe, id_of
from provisioning.tracker.parameters.labels import required_settings
from provisioning.tracker.questions import CARD_OF, Question
from provisioning.translation import N_, gettext

FULL = 2  # so many subjects are said with their values; more by their names alone
NAMED = 4  # subjects in a title
_NAMES: Mapping[Question, str] = MappingProxyType(
    {
        Question.PHOTOS: N_("photos"),
        Question.CLIPS: N_("clips"),
        Question.QUALITY: N_("quality"),
        Question.WORK: N_("when the camera works"),
        Question.CLOCK: N_("the camera's time zone"),
        Question.SERVER: N_("the data protocol"),
    }
)
_CARDS: Mapping[int, Question] = {id_of(key): card for key, card in CARD_OF.items()}


def by_subject(parameters: Mapping[Any, Any]) -> list[tuple[str, str]]:
    """Give each subject that is set and its values in words: ("clips", "on Crash: front camera"); the port is last."""
    given = {int(number): value for number, value in parameters.items()}
    answers = questions.from_parameters(given)
    cards = {_CARDS[number] for number in given if number in _CARDS}
    found = [(gettext(_NAMES[card]), questions.in_words(card, answers)) for card in Question if card in cards]
    port = {number: value for number, value in given.items() if number in REQUIRED}
    is_dualcam = all(as_integer(port.get(number)) == value for number, value in REQUIRED.items())
    for number, value in given.items():
        if number not in _CARDS and not (is_dualcam and number in port):
            parameter = CATALOGUE.get(number)
            found.append((gettext(parameter.name) if parameter else str(number), describe(number, value)))
    if is_dualcam:
        found.append(
            (gettext("camera port"), gettext("DualCam (%(settings)s)", settings=required_settings()))
        )
    return found


def subjects(parameters: Mapping[Any, Any]) -> str:
    """Name what is set: "clips, the data protocol"; the camera port, which each set has, only where it is all."""
    names = [name for name, _ in by_subject(without_port(parameters) or parameters)]
    return ", ".join(names[:NAMED]) + (" …" if len(names) > NAMED else "")


def summary(parameters: Mapping[Any, Any]) -> str:
    """Say what is set: few subjects with their values, more by their names."""
    found = by_subject(parameters)
    if len(found) > FULL:
        return ", ".join(name for name, _ in found)
    return "; ".join(f"{name}: {values}" for name, values in found)


def without_port(parameters: Mapping[Any, Any]) -> dict[Any, Any]:
    """Give a set without the values that switch the camera port to the DualCam."""
    return {number: value for number, value in parameters.items() if int(number) not in REQUIRED}
