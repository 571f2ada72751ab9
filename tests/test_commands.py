"""Commands: arguments in, exact SMS text out, and back; the composer that splits and fails closed."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from command_reader import UnreadableText, decode
from hypothesis import given
from hypothesis import strategies as st
from sms_vectors import Vector, read

from provisioning.roles import LEAST, Permission, Role
from provisioning.tracker.language import (
    COMMANDS,
    CameraServer,
    CamReq,
    CommandErrors,
    CredentialStyle,
    Effect,
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
from provisioning.tracker.parameters import CATALOGUE, ParameterErrors, septets, validate, with_camera_server

pytestmark = pytest.mark.quick

NOW = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp())
VECTORS = [*read("camreq_commands.txt"), *read("other_commands.txt")]
GOOD = [vector for vector in VECTORS if not vector.refused]
BAD = [vector for vector in VECTORS if vector.refused]
EVERY_CAMERA_PARAMETER = tuple(id for id, row in CATALOGUE.items() if not row.secret)


def place(vector: Vector) -> str:
    return vector.place


def name_of(text: str) -> str:
    return text.split(":")[0].split(" ")[0]


def refused(name: str, **arguments: Any) -> dict[str, list[str]]:
    with pytest.raises(CommandErrors) as caught:
        from_arguments(name, arguments, now=NOW)
    for texts in caught.value.errors.values():
        assert all(text.endswith(".") for text in texts)
    return caught.value.errors


def photo(**more: Any) -> Any:
    return from_arguments("camreq", {"file_type": "photo", "source": "front", **more}, now=NOW)


def video(**more: Any) -> Any:
    given = {"file_type": "video", "source": "front", "timestamp": NOW - 60, "duration": 5, **more}
    return from_arguments("camreq", given, now=NOW)


# Text and arguments


@pytest.mark.parametrize("vector", GOOD, ids=place)
def test_a_documented_command_is_written_and_read_as_its_vector_says(vector: Vector) -> None:
    command = from_arguments(name_of(vector.text), json.loads(vector.results[0]), now=NOW)
    assert command.encode() == vector.text
    assert decode(vector.text) == command
    assert command.as_arguments() == json.loads(vector.results[0])


@pytest.mark.parametrize("vector", BAD, ids=place)
def test_a_text_in_no_documented_form_is_not_read(vector: Vector) -> None:
    with pytest.raises(UnreadableText):
        decode(vector.text)


def test_every_declared_command_can_be_sent_and_has_a_vector() -> None:
    assert set(TypedCommand.__subclasses__()) == set(COMMANDS.values())
    assert {name_of(vector.text) for vector in GOOD} == set(COMMANDS)


def test_what_costs_interrupts_or_erases_is_never_sent_again_by_itself() -> None:
    for name in ("camreq", "camget_sdformat", "camget_restart", "cpureset"):
        assert not COMMANDS[name].is_repeatable()
    for name in ("setparam", "getparam", "getver", "camgetver"):
        assert COMMANDS[name].is_repeatable()


def test_what_interrupts_or_erases_is_confirmed_first_and_needs_an_installer() -> None:
    assert all(
        kind.permission is Permission.SET_UP for kind in COMMANDS.values() if kind.needs_confirmation()
    )
    assert COMMANDS["camget_sdformat"].effect is Effect.ERASES


def test_a_command_that_does_not_say_who_may_send_it_is_for_administrators() -> None:
    class Undeclared(TypedCommand, name="undeclared", effect=Effect.READS):
        pass

    assert LEAST[Undeclared.permission] is Role.ADMIN
    assert not Undeclared.labels


def test_an_unknown_command_is_refused_with_the_known_ones() -> None:
    assert "camreq" in refused("reboot")["command"][0]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_an_argument_nobody_knows_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(CommandErrors) as caught:
        from_arguments(name, {"colour": "red"}, now=NOW)
    assert "colour" in caught.value.errors


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_arguments_that_are_no_object_are_refused(name: str) -> None:
    with pytest.raises(CommandErrors):
        from_arguments(name, ["front"], now=NOW)  # type: ignore[arg-type]


def test_missing_arguments_are_named_all_at_once() -> None:
    assert set(refused("camreq")) == {"file_type", "source"}
    assert set(refused("camreq", file_type="video")) == {"source", "timestamp", "duration"}
    assert set(refused("camreq", file_type="video", source="rear", timestamp=None)) == {
        "timestamp",
        "duration",
    }
    assert set(refused("camget_sdformat")) == {"camera"}
    assert set(refused("setparam")) == {"parameters"}
    assert set(refused("getparam")) == {"parameters"}


@pytest.mark.parametrize("value", ["Photo", "0", 1, True, [], "ir"])
def test_a_choice_is_one_of_its_words(value: Any) -> None:
    assert set(refused("camreq", file_type=value, source=value)) == {"file_type", "source"}


def test_one_camera_at_a_time_is_formatted_or_restarted() -> None:
    for name in ("camget_sdformat", "camget_restart"):
        assert "camera" in refused(name, camera="both")
    with pytest.raises(UnsendableText):
        COMMANDS[name](camera=Source.BOTH).encode()


def test_a_photo_has_no_time_and_a_video_no_resolution() -> None:
    assert set(refused("camreq", file_type="photo", source="front", timestamp=NOW, duration=5)) == {
        "timestamp",
        "duration",
    }
    with pytest.raises(CommandErrors) as caught:
        video(resolution="640x480")
    assert set(caught.value.errors) == {"resolution"}


@pytest.mark.parametrize("duration", [0, 31, -1, 2.5, 5.0, True, "", "x", "1.5", [], 10**30])
def test_a_video_lasts_1_to_30_whole_seconds(duration: Any) -> None:
    with pytest.raises(CommandErrors) as caught:
        video(duration=duration)
    assert set(caught.value.errors) == {"duration"}


@pytest.mark.parametrize("duration", [1, 30, "30"])
def test_the_shortest_and_the_longest_video_pass(duration: Any) -> None:
    assert video(duration=duration).duration == int(duration)


@pytest.mark.parametrize(
    "moment",
    [1767225600, "1767225600", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00+02:00", "2026-01-01 00:00:00.999Z",
     "2025-12-31T19:00:00-05:00", "2026-01-01T00:00Z"],
)  # fmt: skip
def test_a_time_is_unix_seconds_or_iso_8601_with_a_zone(moment: Any) -> None:
    assert video(timestamp=moment).timestamp == 1767225600


@pytest.mark.parametrize(
    ("moment", "hint"),
    [
        ("2026-01-01T00:00:00", "zone"),
        ("2026-01-01", "zone"),
        (1767225600000, "milliseconds"),
        ("1767225600000", "milliseconds"),
        (1767225600.0, "whole"),
        (True, "whole"),
        ("yesterday", "ISO 8601"),
        ("2026-02-30T00:00:00Z", "ISO 8601"),
        ([], "ISO 8601"),
        (0, "2000"),
        (-5, "2000"),
        ("0001-01-01T00:00:00+14:00", "2000"),
        ("9999-12-31T23:59:59-12:00", "ISO 8601"),
        ("1" * 41, "zone"),
        ("1e9", "ISO 8601"),
    ],
)
def test_another_time_is_refused_with_what_would_help(moment: Any, hint: str) -> None:
    with pytest.raises(CommandErrors) as caught:
        video(timestamp=moment)
    assert hint in caught.value.errors["timestamp"][0]


def test_a_video_ends_now_at_the_latest() -> None:
    assert video(timestamp=NOW - 5, duration=5).timestamp == NOW - 5
    for timestamp in (NOW - 4, NOW, NOW + 3600, "2099-01-01T00:00:00Z"):
        with pytest.raises(CommandErrors) as caught:
            video(timestamp=timestamp)
        assert "has not come yet" in caught.value.errors["timestamp"][0]


@pytest.mark.parametrize(
    ("server", "fields"),
    [
        ({}, {"server.domain", "server.port"}),
        ({"domain": "a b", "port": 7160}, {"server.domain"}),
        ({"domain": "cam.example.com,1", "port": 7160}, {"server.domain"}),
        ({"domain": "cam.example.com:7160", "port": 7160}, {"server.domain"}),
        ({"domain": 5, "port": 7160}, {"server.domain"}),
        ({"domain": "x" * 56, "port": 7160}, {"server.domain"}),
        ({"domain": "cam.example.com", "port": 0}, {"server.port"}),
        ({"domain": "cam.example.com", "port": 65536}, {"server.port"}),
        ({"domain": "cam.example.com", "port": True}, {"server.port"}),
        ({"domain": "cam.example.com", "port": 7160, "tls": 1}, {"server.tls"}),
        ("cam.example.com:7160", {"server"}),
    ],
)
def test_a_server_keeps_to_its_strict_pattern(server: Any, fields: set[str]) -> None:
    with pytest.raises(CommandErrors) as caught:
        photo(server=server)
    assert set(caught.value.errors) == fields


def test_the_configured_resolution_is_sent_as_nothing() -> None:
    assert photo(resolution="configured").encode() == "camreq:1,1"
    here = {"domain": "cam.example.com", "port": 7160}
    assert photo(resolution="configured", server=here).encode() == "camreq:1,1,cam.example.com,7160"
    assert CamReq(FileType.PHOTO, Source.FRONT, resolution="configured").encode() == "camreq:1,1"


def test_a_resolution_without_a_server_has_no_form_on_the_wire() -> None:
    assert photo(resolution="640x480").resolution == "640x480"
    with pytest.raises(UnsendableText, match="server"):
        photo(resolution="640x480").encode()


@pytest.mark.parametrize(
    "command",
    [
        CamReq(FileType.VIDEO, Source.FRONT),
        CamReq(FileType.VIDEO, Source.FRONT, timestamp=NOW),
        CamReq(FileType.PHOTO, Source.FRONT, timestamp=NOW, duration=5),
        CamReq(FileType.VIDEO, Source.FRONT, NOW, 5, CameraServer("a", 1), "640x480"),
        SetParam({}),
        GetParam(()),
    ],
)
def test_a_command_without_a_form_is_unsendable(command: TypedCommand) -> None:
    with pytest.raises(UnsendableText):
        command.encode()
    with pytest.raises(UnsendableText):
        compose(command, SmsEnvelope(login="abc", password="def", style=CredentialStyle.FM))


@pytest.mark.parametrize(
    "ids", [[], "151", [151, 151], [0], [True], [1.5], [None], ["x"], [999], [100_000_000], {"151": 1}]
)
def test_getparam_takes_a_list_of_known_ids(ids: Any) -> None:
    assert set(refused("getparam", parameters=ids)) == {"parameters"}


def test_getparam_reads_unknown_ids_only_raw() -> None:
    command = from_arguments("getparam", {"parameters": ["2004", 151], "raw": True}, now=NOW)
    assert command == GetParam((2004, 151))
    assert set(refused("getparam", parameters=[151], raw="yes")) == {"raw"}


def test_setparam_errors_are_keyed_by_parameter() -> None:
    with pytest.raises(ParameterErrors) as caught:
        from_arguments("setparam", {"parameters": {"66022": 1, "66000": 9}}, now=NOW)
    assert set(caught.value.errors) == {"66022", "66000"}
    assert set(refused("setparam", parameters={})) == {"parameters"}
    assert set(refused("setparam", parameters=[1])) == {"parameters"}


def test_setparam_takes_the_operators_camera_server() -> None:
    catalogue = with_camera_server(66100, 66101)
    arguments = {"parameters": {"66100": "cam.example.com", "66101": 7160}}
    command = from_arguments("setparam", arguments, now=NOW, catalogue=catalogue)
    assert command.encode() == "setparam 66100:cam.example.com;66101:7160"
    assert decode(command.encode()) == command
    assert from_arguments("setparam", command.as_arguments(), now=NOW) == command


def test_a_command_cannot_be_changed_from_outside() -> None:
    values: dict[int, int | str] = {151: 18}
    command = SetParam(values)
    values[150] = 1
    assert command.encode() == "setparam 151:18"


# Credentials, blanks, lengths


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
