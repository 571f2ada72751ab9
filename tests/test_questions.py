"""The six questions about a vehicle's settings: answers to parameters and back, and what has to be sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.tracker import questions, setting_words
from provisioning.tracker.parameters import CATALOGUE, complete, id_of
from provisioning.tracker.questions import Answers, ClipCameras, Question

pytestmark = pytest.mark.quick


def maybe(key: str) -> st.SearchStrategy[int | None]:
    row = CATALOGUE[id_of(key)]
    if row.kind == "choice":
        return st.none() | st.sampled_from(sorted(row.choices))
    steps = ((row.maximum or 0) - (row.minimum or 0)) // row.step
    return st.none() | st.integers(0, steps).map(lambda step: (row.minimum or 0) + step * row.step)


CAMERAS = st.integers(0, 3)
ANSWERS = st.builds(
    Answers,
    image_trigger=st.none() | st.frozensets(st.sampled_from(sorted(questions.PHOTO_TRIGGERS.values()))),
    clip_cameras=st.none() | st.builds(ClipCameras, din1=CAMERAS, din2=CAMERAS, crash=CAMERAS),
    **{key: maybe(key) for key in questions.NUMBERS},
)


@given(ANSWERS)
def test_answers_come_back_from_the_parameters_that_hold_them(answers: Answers) -> None:
    parameters = questions.to_parameters(answers)
    assert questions.from_parameters(parameters) == answers
    assert (
        questions.from_parameters({str(number): str(value) for number, value in parameters.items()})
        == answers
    )


@given(ANSWERS)
def test_every_answer_is_a_set_of_parameters_that_can_be_sent(answers: Answers) -> None:
    parameters = questions.to_parameters(answers)
    assert {number: complete(parameters)[number] for number in parameters} == parameters
    assert questions.others(parameters) == {}


@given(ANSWERS, ANSWERS)
def test_what_is_sent_makes_the_device_hold_what_is_wanted(held: Answers, wanted: Answers) -> None:
    has, wants = questions.to_parameters(held), questions.to_parameters(wanted)
    after = has | questions.to_send(wants, has)
    assert {number: after.get(number, CATALOGUE[number].default) for number in wants} == wants


@given(ANSWERS, ANSWERS)
def test_no_half_of_a_clip_trigger_is_sent(held: Answers, wanted: Answers) -> None:
    sent = questions.to_send(questions.to_parameters(wanted), questions.to_parameters(held))
    clips = {id_of(key) for key in questions.CLIP_KEYS}
    assert not sent.keys() & clips or clips <= sent.keys()


def test_what_the_device_holds_already_is_not_sent() -> None:
    wanted = questions.to_parameters(Answers(video_frame_rate=25, scenario_mode=1))
    assert questions.to_send(wanted, {66003: "25", 66020: "0"}) == {66020: 1}


def test_a_default_that_nobody_confirmed_is_sent_only_where_a_preset_asks_for_it() -> None:
    wanted = questions.to_parameters(Answers(video_frame_rate=30))
    assert questions.to_send(wanted, {}) == {}
    assert questions.to_send(wanted, {}, always=[66003]) == {66003: 30}


def test_a_trigger_without_cameras_takes_no_clip() -> None:
    assert questions.from_parameters({66023: 8}).clip_cameras == ClipCameras()
    assert questions.from_parameters({66042: 3}).clip_cameras is None


def test_presets_may_name_the_bits_of_a_mask() -> None:
    answers = questions.from_parameters({66022: ["DIN1", "Crash"], 66023: ["Crash"], 66042: 3})
    assert answers.image_trigger == {"DIN1", "Crash"}
    assert answers.clip_cameras == ClipCameras(crash=3)


def test_the_first_layer_that_says_something_counts() -> None:
    found = questions.begun_with(Answers(video_frame_rate=25), Answers(video_frame_rate=20, scenario_mode=1))
    assert (found.video_frame_rate, found.scenario_mode, found.camera_time_zone) == (25, 1, None)
    assert questions.begun_with(Answers(), questions.defaults()).picture_resolution == 3


@pytest.mark.parametrize(
    ("card", "parameters", "said"),
    [
        (Question.PHOTOS, {66022: 10, 66006: 3, 66007: 600}, "on DIN1 and Crash; every 600 s, both cameras"),
        (Question.PHOTOS, {66022: 0, 66006: 0}, "on no event; none at fixed intervals"),
        (
            Question.CLIPS,
            {66023: 8, 66042: 3, 66009: 5, 66010: 5},
            "on Crash: both cameras; 5 s before; 5 s after",
        ),
        (Question.CLIPS, {66023: 0}, "on no event"),
        (
            Question.QUALITY,
            {66000: 3, 66001: 50, 66003: 25},
            "photos of 1280x720; 50 % compression; clips with 25 pictures a second",
        ),
        (Question.WORK, {66020: 1}, "always"),
        (Question.CLOCK, {66024: -210}, "UTC-03:30"),
        (Question.SERVER, {113: 1}, "records in Codec 8 Extended"),
        (Question.WORK, {}, ""),
        (Question.WORK, {66020: 7}, "7"),
        (Question.CLIPS, {66023: 2, 66040: 9}, "on DIN1: unknown cameras"),
    ],
)
def test_answers_are_said_in_words(card: Question, parameters: dict[int, int], said: str) -> None:
    assert questions.in_words(card, questions.from_parameters(parameters)) == said


@pytest.mark.parametrize("card", Question)
def test_every_question_has_a_title_parameters_and_words_for_what_they_hold(card: Question) -> None:
    keys = [key for key, question in questions.CARD_OF.items() if question is card]
    held = {id_of(key): CATALOGUE[id_of(key)].default or 0 for key in keys}
    assert keys
    assert questions.QUESTIONS[card]
    assert questions.in_words(card, questions.from_parameters(held))
    assert setting_words.by_subject(held)
