"""What a text holds beside its command, and what fits one SMS: credentials, blanks, parts; by properties too."""

import json
from typing import Any

import pytest
from command_reader import UnreadableText, decode
from command_texts import EVERY_CAMERA_PARAMETER, NOW
from hypothesis import given
from hypothesis import strategies as st

from provisioning.tracker.language import (
    COMMANDS,
    CameraServer,
    CamReq,
    CredentialStyle,
    FileType,
    GetParam,
    GetVer,
    SetParam,
    SmsEnvelope,
    Source,
    TypedCommand,
    UnsendableText,
    compose,
    credential_style,
    from_arguments,
)
from provisioning.tracker.parameters import CATALOGUE, septets, validate

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("login", "password", "kind", "front"),
    [
        ("abc", "def", CredentialStyle.FM, "abc def "),
        ("", "", CredentialStyle.FM, "  "),
        ("abc", "", CredentialStyle.FM, "abc  "),
        ("", "def", CredentialStyle.FM, " def "),
        ("", "def", CredentialStyle.FT, "def "),
        ("abc", "def", CredentialStyle.FT, "def "),
        ("", "", CredentialStyle.FT, " "),
    ],
)
def test_credentials_stand_in_front_as_the_family_wants(
    login: str, password: str, kind: CredentialStyle, front: str
) -> None:
    assert SmsEnvelope(login, password, kind).front() == front
    (sms,) = compose(GetVer(), SmsEnvelope(login=login, password=password, style=kind, keeps_spaces=True))
    assert sms.text == front + "getver"
    assert sms.length == len(sms.text)
    for secret in (login, password):
        assert not secret or secret not in sms.masked


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("FMC125", CredentialStyle.FM),
        ("FMB225", CredentialStyle.FM),
        (None, CredentialStyle.FM),
        ("", CredentialStyle.FM),
        ("TFT100", CredentialStyle.FM),
        ("FTC880", CredentialStyle.FT),
        (" ftx900", CredentialStyle.FT),
    ],
)
def test_the_model_says_how_credentials_are_written(model: str | None, kind: CredentialStyle) -> None:
    assert credential_style(model) is kind


@pytest.mark.parametrize("login", ["a b", "a\n", "ä", "\u2007"])
def test_credentials_that_cannot_stand_in_a_command_are_refused(login: str) -> None:
    with pytest.raises(UnsendableText, match="login or password"):
        compose(GetVer(), SmsEnvelope(login=login, password="def", style=CredentialStyle.FM))


@pytest.mark.parametrize(
    ("password", "kind"),
    [("", CredentialStyle.FM), ("def", CredentialStyle.FM), ("", CredentialStyle.FT)],
    ids=["two", "one", "ft"],
)
def test_a_text_that_begins_with_a_blank_never_goes_to_a_gateway_that_trims(
    password: str, kind: CredentialStyle
) -> None:
    with pytest.raises(UnsendableText, match="Set a login and a password first"):
        compose(GetVer(), SmsEnvelope(login="", password=password, style=kind))


def test_two_blanks_may_travel_as_one_figure_space() -> None:
    (sms,) = compose(
        COMMANDS["camgetver"](),
        SmsEnvelope(login="", password="", style=CredentialStyle.FM, figure_space=True),
    )
    assert (sms.text, sms.masked, sms.length) == ("\u2007camgetver", "  camgetver", 11)


@pytest.mark.parametrize(("password", "kind"), [("def", CredentialStyle.FM), ("", CredentialStyle.FT)])
def test_a_single_blank_cannot_travel_as_a_figure_space(password: str, kind: CredentialStyle) -> None:
    with pytest.raises(UnsendableText):
        compose(GetVer(), SmsEnvelope(login="", password=password, style=kind, figure_space=True))


def test_people_see_dots_of_one_width_for_credentials_old_and_new() -> None:
    command = SetParam({3003: "newlo", 3004: "x"})
    (sms,) = compose(command, SmsEnvelope(login="a", password="bcdef", style=CredentialStyle.FM))
    assert sms.text == "a bcdef setparam 3003:newlo;3004:x"
    assert sms.masked == "••••• ••••• setparam 3003:•••••;3004:•••••"


def test_a_whole_provisioning_fits_one_sms() -> None:
    command = SetParam(validate({"151": 18, "150": 1, "113": 1, "66000": 3, "66022": ["DIN1", "Crash"]}))
    (sms,) = compose(command, SmsEnvelope(login="abcde", password="fghij", style=CredentialStyle.FM))
    assert sms.text == "abcde fghij setparam 151:18;150:1;113:1;66000:3;66022:10"
    assert sms.length == 56


def test_extended_characters_count_twice() -> None:
    (sms,) = compose(
        SetParam({2001: "a~b"}), SmsEnvelope(login="abc", password="def", style=CredentialStyle.FM)
    )
    assert sms.length == len(sms.text) + 1


def test_characters_outside_gsm7_are_unsendable() -> None:
    with pytest.raises(UnsendableText, match="GSM-7"):
        compose(SetParam({2001: "ж"}), SmsEnvelope(login="abc", password="def", style=CredentialStyle.FM))


def test_one_value_that_is_too_long_is_unsendable() -> None:
    with pytest.raises(UnsendableText, match="160"):
        compose(
            SetParam({2001: "x" * 150}), SmsEnvelope(login="abc", password="def", style=CredentialStyle.FM)
        )


def test_a_getparam_is_split_so_that_each_reply_fits_one_sms() -> None:
    parts = compose(
        GetParam(EVERY_CAMERA_PARAMETER),
        SmsEnvelope(login="abcde", password="fghij", style=CredentialStyle.FM),
    )
    assert len(parts) == 2
    asked = [id for part in parts for id in part.command.parameters]  # type: ignore[union-attr]
    assert tuple(asked) == EVERY_CAMERA_PARAMETER
    for part in parts:
        ids = part.command.parameters  # type: ignore[union-attr]
        longest = [longest_value(id) for id in ids]
        reply = "Param ID:" + ";".join(f"{id}:{value}" for id, value in zip(ids, longest, strict=True))
        assert len(reply) + len(" Value") <= 160


def longest_value(id: int) -> str:
    row = CATALOGUE[id]
    values = [row.minimum, row.maximum, sum(row.bits), *row.choices]
    return max((str(value) for value in values if value is not None), key=len)


def test_unknown_parameters_are_asked_for_a_few_at_a_time() -> None:
    parts = compose(
        GetParam((2001, 2002, 2003, 2004)), SmsEnvelope(login="abc", password="def", style=CredentialStyle.FM)
    )
    assert [part.command for part in parts] == [GetParam((2001, 2002)), GetParam((2003, 2004))]


# Properties

SAFE_TEXT = st.text("abcXYZ019.-_@~[^€/", min_size=1, max_size=70)
SETS = st.dictionaries(
    st.integers(1, 99_999_999).filter(lambda id: id not in CATALOGUE),
    st.integers(-(10**9), 10**9) | SAFE_TEXT,
    min_size=1,
    max_size=40,
).map(lambda given: SetParam(validate(given, raw=True)))
CREDENTIALS = st.text("abcXYZ019", min_size=1, max_size=5)
SERVERS = st.builds(
    CameraServer, st.sampled_from(["cam.example.com", "192.0.2.7", "a-1"]), st.integers(1, 65535)
)
PHOTOS = st.builds(CamReq, st.just(FileType.PHOTO), st.sampled_from(Source), server=st.none() | SERVERS)
SIZED = st.builds(
    CamReq,
    st.just(FileType.PHOTO),
    st.sampled_from(Source),
    server=SERVERS,
    resolution=st.sampled_from(["160x120", "320x240", "640x480", "1280x720", "1920x1080"]),
)
VIDEOS = st.builds(
    CamReq,
    st.just(FileType.VIDEO),
    st.sampled_from(Source),
    st.integers(10**9, NOW - 30),
    st.integers(1, 30),
    st.none() | SERVERS,
)
READS = st.lists(st.sampled_from(EVERY_CAMERA_PARAMETER), min_size=1, unique=True).map(
    lambda ids: GetParam(tuple(ids))
)


@given(st.one_of(SETS, PHOTOS, SIZED, VIDEOS, READS))
def test_what_is_written_is_read_back_and_what_is_stored_comes_back(command: TypedCommand) -> None:
    assert decode(command.encode()) == command
    stored = json.loads(json.dumps(command.as_arguments()))
    assert from_arguments(command.name, stored, now=NOW) == command


@given(SETS, CREDENTIALS, CREDENTIALS)
def test_a_setparam_becomes_the_fewest_whole_sms_in_its_own_order(
    command: SetParam, login: str, password: str
) -> None:
    parts = compose(command, SmsEnvelope(login=login, password=password, style=CredentialStyle.FM))
    front = f"{login} {password} "
    pairs: list[tuple[int, Any]] = []
    for part in parts:
        assert part.text.startswith(front)
        assert septets(part.text) == part.length <= 160
        assert decode(part.text.removeprefix(front)) == part.command
        pairs += part.command.parameters.items()  # type: ignore[union-attr]
    assert pairs == list(command.parameters.items())
    assert len(parts) == fewest(pairs, len(front))


def fewest(pairs: list[tuple[int, Any]], front: int) -> int:
    """Count the fewest texts that hold the pairs in order, trying every cut."""
    best = [0] + [len(pairs) + 1] * len(pairs)
    for end in range(1, len(pairs) + 1):
        for start in range(end):
            body = "setparam " + ";".join(f"{id}:{value}" for id, value in pairs[start:end])
            if front + septets(body) <= 160:
                best[end] = min(best[end], best[start] + 1)
    return best[-1]


@given(st.text(max_size=60))
def test_a_text_is_a_command_or_refused_and_never_anything_else(text: str) -> None:
    for head in ("", "setparam ", "getparam ", "camreq:", "camget_restart:"):
        try:
            command = decode(head + text)
        except UnreadableText:
            continue
        assert decode(command.encode()) == command
