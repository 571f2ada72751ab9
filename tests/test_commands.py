"""Commands: arguments in, exact SMS text out, and back; the composer that splits and fails closed."""

import json
from typing import Any

import pytest
from command_reader import UnreadableText, decode
from command_texts import BAD, GOOD, NOW, name_of, photo, place, refused, video
from sms_vectors import Vector

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
    SetParam,
    SmsEnvelope,
    Source,
    TypedCommand,
    UnsendableText,
    compose,
    from_arguments,
)
from provisioning.tracker.parameters import ParameterErrors, with_camera_server

pytestmark = pytest.mark.quick


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
