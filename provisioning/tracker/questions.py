"""Six questions about how a vehicle works, and the parameters that hold their answers. Pure.

The pages of a vehicle's settings and of a preset ask the questions; `to_parameters` and `from_parameters` translate
both ways. The trigger mask of clips and the cameras of each trigger are one answer, so that no half of it can be set.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from provisioning.tracker.parameters import CATALOGUE, as_integer, id_of, mask_names
from provisioning.translation import N_, gettext


class Question(StrEnum):
    """A question."""

    PHOTOS = "photos"
    CLIPS = "clips"
    QUALITY = "quality"
    WORK = "work"
    CLOCK = "clock"
    SERVER = "server"


QUESTIONS: Mapping[Question, str] = MappingProxyType(
    {
        Question.PHOTOS: N_("When does it take photos by itself?"),
        Question.CLIPS: N_("When does it take clips?"),
        Question.QUALITY: N_("How good?"),
        Question.WORK: N_("When does the camera work?"),
        Question.CLOCK: N_("Clock"),
        Question.SERVER: N_("Where does it send?"),
    }
)

# triggers of clips: the bit of the mask, and the parameter that names the cameras
CLIP_TRIGGERS: Mapping[str, tuple[int, str]] = MappingProxyType(
    {"DIN1": (2, "video_source_din1"), "DIN2": (4, "video_source_din2"), "Crash": (8, "video_source_crash")}
)
PHOTO_TRIGGERS: Mapping[int, str] = CATALOGUE[id_of("image_trigger")].bits
CLIP_KEYS = ("video_trigger", *(key for _, key in CLIP_TRIGGERS.values()))

# answers that are one number each, by the key of their parameter
NUMBERS: Mapping[str, Question] = MappingProxyType(
    {
        "periodic_image": Question.PHOTOS,
        "periodic_image_interval": Question.PHOTOS,
        "video_before_trigger": Question.CLIPS,
        "video_after_trigger": Question.CLIPS,
        "picture_resolution": Question.QUALITY,
        "picture_compression": Question.QUALITY,
        "video_frame_rate": Question.QUALITY,
        "scenario_mode": Question.WORK,
        "camera_time_zone": Question.CLOCK,
        "data_protocol": Question.SERVER,
    }
)
CARD_OF: Mapping[str, Question] = MappingProxyType(
    {"image_trigger": Question.PHOTOS, **dict.fromkeys(CLIP_KEYS, Question.CLIPS), **NUMBERS}
)


@dataclass(frozen=True, slots=True)
class ClipCameras:
    """Which cameras take a clip at each trigger: 0 none, 1 front, 2 rear, 3 both."""

    din1: int = 0
    din2: int = 0
    crash: int = 0

    def of(self, trigger: str) -> int:
        """Give the cameras of a trigger of CLIP_TRIGGERS."""
        found: int = getattr(self, trigger.lower())
        return found


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers; None where nothing is said. Numbers are the values of the parameter of that name."""

    image_trigger: frozenset[str] | None = None  # names of PHOTO_TRIGGERS
    clip_cameras: ClipCameras | None = None
    periodic_image: int | None = None
    periodic_image_interval: int | None = None
    video_before_trigger: int | None = None
    video_after_trigger: int | None = None
    picture_resolution: int | None = None
    picture_compression: int | None = None
    video_frame_rate: int | None = None
    scenario_mode: int | None = None
    camera_time_zone: int | None = None
    data_protocol: int | None = None

    @property
    def has_trigger(self) -> bool:
        """Say whether something makes the camera take a photo or a clip by an event."""
        return bool(self.image_trigger) or (
            self.clip_cameras is not None and self.clip_cameras != ClipCameras()
        )

    @property
    def clip_seconds(self) -> int | None:
        """Give the length of a triggered clip; None where a part of it is not said."""
        if self.video_before_trigger is None or self.video_after_trigger is None:
            return None
        return self.video_before_trigger + self.video_after_trigger


def to_parameters(answers: Answers) -> dict[int, int]:
    """Give the values that hold the answers, by parameter id."""
    found: dict[int, int] = {}
    if answers.image_trigger is not None:
        found[id_of("image_trigger")] = sum(
            bit for bit, name in PHOTO_TRIGGERS.items() if name in answers.image_trigger
        )
    if answers.clip_cameras is not None:
        cameras = answers.clip_cameras
        found[id_of("video_trigger")] = sum(
            bit for name, (bit, _) in CLIP_TRIGGERS.items() if cameras.of(name)
        )
        found |= {id_of(key): cameras.of(name) for name, (_, key) in CLIP_TRIGGERS.items()}
    numbers = {key: getattr(answers, key) for key in NUMBERS}
    return found | {id_of(key): value for key, value in numbers.items() if value is not None}


def from_parameters(parameters: Mapping[Any, Any]) -> Answers:
    """Give the answers that values hold, by parameter id (an int or its text); what cannot be read is not said.

    A trigger of clips whose cameras are not known takes none.
    """
    given = {int(number): value for number, value in parameters.items()}
    values: dict[str, Any] = {key: as_integer(given.get(id_of(key))) for key in NUMBERS}
    photos = _mask(given.get(id_of("image_trigger")), PHOTO_TRIGGERS.items())
    clips = _mask(
        given.get(id_of("video_trigger")), ((bit, name) for name, (bit, _) in CLIP_TRIGGERS.items())
    )
    if clips is not None:
        values["clip_cameras"] = ClipCameras(
            **{
                name.lower(): (as_integer(given.get(id_of(key))) or 0) if name in clips else 0
                for name, (_, key) in CLIP_TRIGGERS.items()
            }
        )
    return Answers(image_trigger=photos, **values)


def _mask(value: Any, bits: Iterable[tuple[int, str]]) -> frozenset[str] | None:
    """Read a mask from its number or from the names of its bits."""
    if isinstance(value, list | tuple):
        return frozenset(name for _, name in bits if name in value)
    number = as_integer(value)
    return None if number is None else frozenset(name for bit, name in bits if number & bit)


def begun_with(*layers: Answers) -> Answers:
    """Give for each question the first answer that one of these says."""
    return Answers(
        **{
            one.name: next((said for layer in layers if (said := getattr(layer, one.name)) is not None), None)
            for one in fields(Answers)
        }
    )


def defaults() -> Answers:
    """Give the answers of a device that nobody has set."""
    return from_parameters(
        {
            id_of(key): CATALOGUE[id_of(key)].default
            for key in CARD_OF
            if CATALOGUE[id_of(key)].default is not None
        }
    )


def others(parameters: Mapping[Any, Any]) -> dict[int, Any]:
    """Give the values that no question is about."""
    asked = {id_of(key) for key in CARD_OF}
    return {int(number): value for number, value in parameters.items() if int(number) not in asked}


def to_send(wanted: Mapping[int, Any], held: Mapping[int, Any], always: Iterable[int] = ()) -> dict[int, Any]:
    """Give what has to be sent so that the device holds what is wanted; what it holds already is left out.

    A value that the device has not confirmed is sent where it is no default or is one of `always`. Where one
    value of the triggers of clips is sent, all four are.
    """
    always = set(always)
    differs = {
        number
        for number, value in wanted.items()
        if (
            as_integer(held[number]) != value and str(held[number]) != str(value)
            if number in held
            else number in always or number not in CATALOGUE or CATALOGUE[number].default != value
        )
    }
    clips = {id_of(key) for key in CLIP_KEYS}
    if differs & clips:
        differs |= clips & wanted.keys()
    return {number: value for number, value in wanted.items() if number in differs}


def in_words(card: Question, answers: Answers) -> str:
    """Say the answers to a question in a sentence part: "on DIN1 and Crash; every 600 s, both cameras"."""
    said = [text for text in _WORDS[card](answers) if text]
    return "; ".join(said)


def _photo_words(answers: Answers) -> list[str]:
    names = {bit: name for bit, name in PHOTO_TRIGGERS.items() if name in (answers.image_trigger or ())}
    found = []
    if answers.image_trigger is not None:
        triggers = [gettext(name) for name in mask_names(id_of("image_trigger"), sum(names))]
        found.append(
            gettext("on %(triggers)s", triggers=gettext(" and ").join(triggers))
            if names
            else gettext("on no event")
        )
    if answers.periodic_image:
        every = (
            gettext("every %(seconds)s s", seconds=answers.periodic_image_interval)
            if answers.periodic_image_interval
            else gettext("again and again")
        )
        found.append(f"{every}, {gettext(CAMERAS[answers.periodic_image])}")
    elif answers.periodic_image == 0:
        found.append(gettext("none at fixed intervals"))
    return found


def _clip_words(answers: Answers) -> list[str]:
    found = []
    if answers.clip_cameras is not None:
        set_ = [
            gettext(
                "on %(trigger)s: %(cameras)s",
                trigger=gettext(name),
                cameras=gettext(CAMERAS.get(answers.clip_cameras.of(name), UNKNOWN_CAMERAS)),
            )
            for name in CLIP_TRIGGERS
            if answers.clip_cameras.of(name)
        ]
        found.append(", ".join(set_) or gettext("on no event"))
    if answers.video_before_trigger is not None:
        found.append(gettext("%(seconds)s s before", seconds=answers.video_before_trigger))
    if answers.video_after_trigger is not None:
        found.append(gettext("%(seconds)s s after", seconds=answers.video_after_trigger))
    return found


def _quality_words(answers: Answers) -> list[str]:
    sizes = CATALOGUE[id_of("picture_resolution")].choices
    found = []
    if answers.picture_resolution is not None:
        size = sizes.get(answers.picture_resolution, str(answers.picture_resolution))
        found.append(gettext("photos of %(size)s", size=size))
    if answers.picture_compression is not None:
        found.append(gettext("%(percent)s %% compression", percent=answers.picture_compression))
    if answers.video_frame_rate is not None:
        found.append(gettext("clips with %(rate)s pictures a second", rate=answers.video_frame_rate))
    return found


def _work_words(answers: Answers) -> list[str]:
    return {None: [], 0: [gettext("with the ignition on")], 1: [gettext("always")]}.get(
        answers.scenario_mode, [str(answers.scenario_mode)]
    )


def _clock_words(answers: Answers) -> list[str]:
    return [] if answers.camera_time_zone is None else [zone_words(answers.camera_time_zone)]


def _server_words(answers: Answers) -> list[str]:
    choices = CATALOGUE[id_of("data_protocol")].choices
    if answers.data_protocol is None:
        return []
    protocol = choices.get(answers.data_protocol, str(answers.data_protocol))
    return [gettext("records in %(protocol)s", protocol=gettext(protocol))]


def zone_words(minutes: int) -> str:
    """Say an offset from UTC: "UTC+02:00"."""
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"


CAMERAS: Mapping[int, str] = MappingProxyType(
    {0: N_("no camera"), 1: N_("front camera"), 2: N_("rear camera"), 3: N_("both cameras")}
)
UNKNOWN_CAMERAS = N_("unknown cameras")
_WORDS = {
    Question.PHOTOS: _photo_words,
    Question.CLIPS: _clip_words,
    Question.QUALITY: _quality_words,
    Question.WORK: _work_words,
    Question.CLOCK: _clock_words,
    Question.SERVER: _server_words,
}
