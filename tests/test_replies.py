"""Replies of devices, as transcript files: every published string, and careless forms of them."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sms_vectors import FOLDER, Vector, read

from provisioning.tracker.language import (
    COMMANDS,
    REPLIES,
    CommandRefused,
    Failure,
    Reply,
    Unread,
    Values,
    mask,
    read_replies,
)
from provisioning.tracker.language.refusals import REFUSALS
from simulator.device import answer
from simulator.vehicle import Vehicle

pytestmark = pytest.mark.quick

FILES = (
    "camreq_replies.txt",
    "camera_replies.txt",
    "parameter_replies.txt",
    "info_replies.txt",
    "mixed_replies.txt",
)
VECTORS = [vector for name in FILES for vector in read(name)]
# In these no letter's case and no blank is part of a value.
FREE_OF_VALUES = [vector for name in FILES[:2] for vector in read(name)]


def place(vector: Vector) -> str:
    return vector.place


def meaning(reply: Reply) -> dict[str, Any]:
    """Give what a vector states of a reply: its kind and whatever is not empty, without words for people."""
    report = reply.as_json()
    for name in ("command", "text", "sentence", "message"):
        report.pop(name, None)
    empty = {"already_connected": False, "front_failed": False, "rear_failed": False, "ids": []}
    return {name: value for name, value in report.items() if value is not None and empty.get(name) != value}


def expected(vector: Vector) -> list[dict[str, Any]]:
    return [json.loads(line) for line in vector.results]


@pytest.mark.parametrize("vector", VECTORS, ids=place)
def test_a_reply_means_what_its_vector_says(vector: Vector) -> None:
    replies = read_replies(vector.text)
    assert [meaning(reply) for reply in replies] == expected(vector)
    for reply in replies:
        assert reply.text in vector.text or isinstance(reply, Values)
        assert len(reply.sentence) > 20
        json.dumps(reply.as_json())


@pytest.mark.parametrize("vector", FREE_OF_VALUES, ids=place)
@pytest.mark.parametrize(
    "careless",
    [
        str.upper,
        str.lower,
        lambda text: text.replace(" ", "  "),
        lambda text: text.rstrip(".!"),
        lambda text: text + ";",
        lambda text: f"\r\n {text} \n",
        lambda text: text.replace(" ", "\u00a0"),
    ],
    ids=[
        "upper case",
        "lower case",
        "doubled blanks",
        "no full stop",
        "semicolon",
        "line ends",
        "hard blanks",
    ],
)
def test_careless_writing_changes_nothing(vector: Vector, careless: Any) -> None:
    assert [meaning(reply) for reply in read_replies(careless(vector.text))] == expected(vector)


def test_every_documented_refusal_has_a_vector_and_a_sentence_of_its_own() -> None:
    codes = {json.loads(line).get("code") for vector in VECTORS for line in vector.results}
    assert {row.code for row in REFUSALS} <= codes
    assert len({row.sentence for row in REFUSALS}) == len(REFUSALS)
    assert {row.whose for row in REFUSALS} == {"device", "person", "service"}


def test_every_declared_reply_is_read_and_has_a_vector() -> None:
    assert set(Reply.__subclasses__()) == set(REPLIES)
    kinds = {json.loads(line)["kind"] for vector in VECTORS for line in vector.results}
    assert kinds == {kind.kind for kind in REPLIES}


def test_every_command_is_answered_by_some_reply() -> None:
    answered = {name for vector in VECTORS for reply in read_replies(vector.text) for name in reply.answers}
    assert answered == set(COMMANDS)


COMMAND_VECTORS = [
    vector
    for name in ("camreq_commands.txt", "other_commands.txt")
    for vector in read(name)
    if not vector.refused
]


@pytest.mark.parametrize("vector", COMMAND_VECTORS, ids=place)
def test_the_simulated_vehicle_answers_every_command_in_words_that_are_read(vector: Vector) -> None:
    vehicle = Vehicle("352094082042885", "+12025550111", sms_login="lgn", sms_password="pw1")
    texts = answer(vehicle, f"lgn pw1 {vector.text}", 1.0, lambda wish: None)
    answered = {name for text in texts for reply in read_replies(text) for name in reply.answers}
    assert vector.text.split(":")[0].split(" ")[0] in answered


def test_a_refusal_keeps_the_devices_own_words() -> None:
    (refused,) = read_replies("Error: the moon is in the way")
    assert isinstance(refused, CommandRefused)
    assert refused.message == "Error: the moon is in the way"
    assert refused.command is None


def test_already_captured_says_that_asking_again_is_safe() -> None:
    (reply,) = read_replies("Warning: Photo already captured previously, trying to send it")
    assert (reply.kind, reply.command) == ("already_captured", "camreq")
    assert reply.progress == Failure("already_captured", retry=True)


def test_new_values_answer_a_setparam_and_others_may_answer_a_getparam_too() -> None:
    new, held = read_replies("New value 151:18")[0], read_replies("Param ID:151 Value:18")[0]
    assert (new.answers, new.command) == (("setparam",), "setparam")
    assert (held.answers, held.command) == (("setparam", "getparam"), None)


def test_values_of_credentials_are_told_to_the_program_but_not_to_people() -> None:
    (values,) = read_replies("New value 3003:abcde;3004:fghij")
    assert isinstance(values, Values)
    assert values.values == {3003: "abcde", 3004: "fghij"}
    for secret in ("abcde", "fghij"):
        assert secret not in values.sentence
        assert secret not in json.dumps(values.as_json(), ensure_ascii=False)


def test_a_refusal_that_repeats_a_credential_shows_dots() -> None:
    (reply,) = read_replies("Error: pw1 is no password")
    report = reply.as_json(("lgn", "pw1"))
    assert report["text"] == report["message"] == "Error: ••••• is no password"


@pytest.mark.parametrize("vector", read("masking.txt"), ids=place)
def test_credentials_are_dots_wherever_a_text_holds_them(vector: Vector) -> None:
    once = mask(vector.text, ("lgn", "pw1"))
    assert once == vector.results[0]
    assert mask(once, ("lgn", "pw1")) == once


@pytest.mark.parametrize(
    ("text", "secrets", "masked"),
    [
        ("1 2 camreq:1,2", ("1", "2"), "••••• ••••• camreq:1,2"),
        ("7 getver", ("", "7"), "••••• getver"),
        ("DI1:1 DO1:2", ("1", "2"), "DI1:1 DO1:2"),
        ("a.c getver abc", ("a.c", ""), "••••• getver abc"),
        ("getver", ("", ""), "getver"),
    ],
)
def test_short_secrets_hide_only_where_credentials_stand(
    text: str, secrets: tuple[str, str], masked: str
) -> None:
    assert mask(text, secrets) == masked


PHRASES = [vector.text for vector in VECTORS]


@given(st.one_of(st.text(), st.lists(st.sampled_from(PHRASES) | st.text(max_size=9)).map(" ".join)))
@example("")
@example("Error:")
@example("Param ID:")
@example("New value 1:")
@example("x" * 10_000)
@example(" \t" * 900)
@example("Already connected.")
@example("V\u0131deo reque\u017ft from \u017fource 1. F\u0131le \u017fource")
@example("F\u0131le \u017fource")
def test_any_text_is_read_and_nothing_that_has_words_gets_lost(text: str) -> None:
    replies = read_replies(text)
    assert replies
    for reply in replies:
        assert reply.sentence
        json.dumps(reply.as_json())
    if len(replies) == 1 and isinstance(replies[0], Unread):
        assert replies[0].text.strip() == text.strip()


def test_every_vector_file_is_read_by_a_test() -> None:
    known = {*FILES, "masking.txt", "camreq_commands.txt", "other_commands.txt"}
    assert {path.name for path in FOLDER.iterdir()} == known
