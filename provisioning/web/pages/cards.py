"""The six questions as a form, for a vehicle's settings and for presets: what was answered, what each card shows."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import MultiDict

from provisioning.commands import submission
from provisioning.core.config import current_config
from provisioning.devices.camera_server import own_server
from provisioning.tracker import questions
from provisioning.tracker.normalization import clean_text
from provisioning.tracker.parameters import CATALOGUE, ParameterErrors, complete, id_of
from provisioning.tracker.questions import CARD_OF, CLIP_TRIGGERS, Answers, Question
from provisioning.translation import gettext

EXTENDED = 1  # the data protocol by which a tracker tells the states of its cameras and its triggers
_CARDS: Mapping[int, Question] = {id_of(key): card for key, card in CARD_OF.items()}


@dataclass(frozen=True, slots=True)
class CardView:
    """One card: its question, in words what the vehicle has and what is wanted, whether these differ, and texts.

    `is_open`: its fields are shown, because something has to be done there; else its summary alone.
    """

    card: Question
    question: str
    has: str
    wanted: str
    differs: bool
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Filled:
    """A form as it was filled in: the values that it asks for, and what is wrong with them, by parameter id."""

    parameters: Mapping[int, Any]
    answers: Answers
    errors: Mapping[str, list[str]]


def read(form: MultiDict[str, str], *, may_leave_out: bool) -> Filled:
    """Read the form; `may_leave_out`: a question may say nothing, as in a preset."""
    raw = _raw(form, may_leave_out)
    try:
        checked = complete(raw, catalogue=submission.catalogue())
    except ParameterErrors as error:
        return Filled(raw, questions.from_parameters(raw), error.errors)
    parameters = {number: checked[number] for number in raw}
    return Filled(parameters, questions.from_parameters(parameters), {})


def _raw(form: MultiDict[str, str], may_leave_out: bool) -> dict[int, Any]:
    found: dict[int, Any] = {}
    if not may_leave_out or "said-photos" in form:
        found[id_of("image_trigger")] = form.getlist("image_trigger")
    if not may_leave_out or "said-clips" in form:
        cameras = {name: _cameras(form.getlist(f"clip-{name}")) for name in CLIP_TRIGGERS}
        found[id_of("video_trigger")] = sum(bit for name, (bit, _) in CLIP_TRIGGERS.items() if cameras[name])
        found |= {id_of(key): cameras[name] for name, (_, key) in CLIP_TRIGGERS.items()}
    for key in questions.NUMBERS:
        if key != "data_protocol" and (text := clean_text(form.get(key, ""))):
            found[id_of(key)] = text
    if "codec" in form and (found.get(id_of("image_trigger")) or found.get(id_of("video_trigger"))):
        found[id_of("data_protocol")] = EXTENDED
    return found | (server_parameters() if form.get("server") == "device" else {})


def _cameras(ticked: list[str]) -> int:
    """Give the cameras of a row of the table: 1 front, 2 rear, 3 both."""
    return ("1" in ticked) + 2 * ("2" in ticked)


def server_parameters() -> dict[int, Any]:
    """Give the values that set the vehicle's own camera server to this service; none where their ids are not known."""
    config = current_config()
    own, ids = own_server(config), (config.camera_domain_parameter, config.camera_port_parameter)
    if own is None or ids[0] is None or ids[1] is None:
        return {}
    return {ids[0]: own.domain, ids[1]: own.port}


def with_codec(answers: Answers) -> Answers:
    """Add the data protocol that triggers need to answers that set one."""
    return dataclasses.replace(answers, data_protocol=EXTENDED if answers.has_trigger else None)


def views(
    held: Mapping[int, Any] | None,
    sent: Mapping[int, Any],
    errors: Mapping[str, list[str]],
    warnings: Mapping[str, list[str]],
) -> list[CardView]:
    """Give the six cards; `held` is what the vehicle confirmed (None: a preset), `sent` what is to be sent to it."""
    has, wanted = questions.from_parameters(held or {}), questions.from_parameters({**(held or {}), **sent})
    differing = {card for number in sent if (card := _card_of(number))} if held is not None else set()
    return [
        CardView(
            card,
            gettext(question),
            questions.in_words(card, has),
            # a value that is refused may have no words
            "" if (wrong := _texts(card, errors)) else questions.in_words(card, wanted),
            card in differing,
            wrong,
            _texts(card, warnings),
            # of several that differ each says in a line what will be sent: no page of open cards to scroll through
            bool(wrong) or differing == {card},
        )
        for card, question in questions.QUESTIONS.items()
    ]


def _card_of(number: int) -> Question | None:
    if number in server_parameters():
        return Question.SERVER
    return _CARDS.get(number)


def _texts(card: Question, by_id: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Give the texts of a card's parameters, each once."""
    found = [
        text
        for number, texts in by_id.items()
        if number.isdigit() and _card_of(int(number)) is card
        for text in texts
    ]
    return tuple(dict.fromkeys(found))


def choices() -> dict[str, Any]:
    """Give what the fields of the cards offer."""
    zone = CATALOGUE[id_of("camera_time_zone")]
    assert zone.minimum is not None
    assert zone.maximum is not None
    return {
        "photo_triggers": questions.PHOTO_TRIGGERS,
        "clip_triggers": CLIP_TRIGGERS,
        "sizes": _in_words(CATALOGUE[id_of("picture_resolution")].choices),
        "frame_rates": _in_words(CATALOGUE[id_of("video_frame_rate")].choices),
        "zones": [
            (minutes, questions.zone_words(minutes))
            for minutes in range(zone.minimum, zone.maximum + 1, zone.step)
        ],
        "may_set_server": bool(server_parameters()),
    }


def _in_words(names: Mapping[int, str]) -> dict[int, str]:
    return {value: gettext(name) for value, name in names.items()}
