"""The catalogue, the gate for sets of parameters, and the warnings that never block."""

import ast
import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.tracker.parameters import (
    CATALOGUE,
    CREDENTIALS,
    READ_BACK,
    RECONFIGURING,
    REQUIRED,
    SENDS_BY_ITSELF,
    ParameterErrors,
    ParameterWarning,
    WarningCode,
    complete,
    describe,
    find_warnings,
    firmware_at_least,
    host_problem,
    id_of,
    mask_names,
    outside_gsm7,
    septets,
    texts_by_id,
    validate,
    with_camera_server,
)
from simulator import device, vehicle

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parent.parent


def errors(call: Any, *args: Any, **kwargs: Any) -> dict[str, list[str]]:
    with pytest.raises(ParameterErrors) as caught:
        call(*args, **kwargs)
    for texts in caught.value.errors.values():
        assert all(text[0].isupper() or text[0].isdigit() for text in texts)
        assert all(text.endswith(".") for text in texts)
    return caught.value.errors


def warned_of(asked: Any, **more: Any) -> dict[str, list[str]]:
    return texts_by_id(find_warnings(asked, **more))


def test_every_parameter_has_a_number_a_key_and_words_of_its_own() -> None:
    camera = {66000, 66001, 66002, 66003, 66006, 66007, 66009, 66010, 66020, 66022, 66023, 66024, 66025}
    assert set(CATALOGUE) >= {113, 150, 151, 152, 3003, 3004, 66040, 66041, 66042} | camera
    assert len({row.key for row in CATALOGUE.values()}) == len(CATALOGUE)
    for id, row in CATALOGUE.items():
        assert (row.id, id_of(row.key)) == (id, id)
        assert re.fullmatch("[a-z0-9_]+", row.key)
        assert row.kind in ("integer", "choice", "mask", "text")
        assert row.summary.endswith(".")


def test_rows_say_what_is_needed_read_back_reconfigures_and_sends_by_itself() -> None:
    assert REQUIRED == {151: 18, 150: 1}
    assert {150, 151, 66001, 66002, 66003} == RECONFIGURING
    assert set(SENDS_BY_ITSELF) == {66006, 66022, 66023}
    assert set(CATALOGUE) - set(READ_BACK) == CREDENTIALS == {3003, 3004}


def test_the_simulated_vehicle_holds_every_parameter_of_the_catalogue() -> None:
    assert set(vehicle.DEFAULTS) == set(CATALOGUE)
    assert device.RECONFIGURING == RECONFIGURING
    known = {row.id: str(row.default) for row in CATALOGUE.values() if row.default is not None}
    assert known.items() <= vehicle.DEFAULTS.items()


def test_rules_know_parameters_by_key_and_only_the_catalogue_knows_numbers() -> None:
    numbers = {id for id in CATALOGUE if id > 60_000} | CREDENTIALS
    for path in (ROOT / "provisioning").rglob("*.py"):
        tree = ast.parse(path.read_text())
        found = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)} & numbers
        assert not found or path.name == "catalogue.py", (path, found)


@pytest.mark.parametrize("row", CATALOGUE.values(), ids=lambda row: str(row.id))
def test_a_default_is_a_value_that_the_gate_lets_pass(row: Any) -> None:
    if row.kind != "text" and row.default is not None:
        assert validate({row.id: row.default}) == {row.id: row.default}


def test_a_set_keeps_its_order_and_reads_ids_and_numbers_as_text_too() -> None:
    given = {"66000": "3", 151: 18, "66024": " -120 "}
    assert list(validate(given).items()) == [(66000, 3), (151, 18), (66024, -120)]


def test_a_repair_goes_as_given() -> None:
    assert validate({151: 0, 150: 0}) == {151: 0, 150: 0}


@pytest.mark.parametrize(
    "value", [True, False, None, 1.0, 2.5, "", "x", "1.0", "0x10", "١", [], {}, "9" * 30]
)
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    assert list(errors(validate, {66001: value})) == ["66001"]


@pytest.mark.parametrize(
    ("id", "good", "bad"),
    [
        (113, (0, 1), (-1, 2)),
        (150, (0, 1, 2), (3,)),
        (151, (0, 18, 255), (-1, 256)),
        (152, (0, 8), (9,)),
        (66000, (0, 4), (-1, 5)),
        (66001, (0, 100), (-1, 101)),
        (66002, (0, 1), (2,)),
        (66003, (20, 25, 30), (0, 24, 31)),
        (66006, (0, 3), (4,)),
        (66007, (10, 1800), (9, 1801)),
        (66009, (1, 10), (0, 11)),
        (66010, (1, 10), (0, 11)),
        (66020, (0, 1), (2,)),
        (66022, (0, 2, 138, 510), (-2, 1, 3, 512, 1024)),
        (66023, (0, 2, 14), (-1, 1, 16, 15)),
        (66024, (-720, -30, 0, 480, 840), (-750, 15, 870)),
        (66025, (0, 2), (3,)),
        (66040, (0, 3), (4,)),
        (66041, (0, 3), (-1,)),
        (66042, (0, 3), (4,)),
    ],
)
def test_a_value_in_its_range_passes_and_another_is_refused(
    id: int, good: tuple[int, ...], bad: tuple[int, ...]
) -> None:
    for value in good:
        assert validate({id: value}) == {id: value}
    for value in bad:
        assert list(errors(validate, {id: value})) == [str(id)]


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (["DIN1", "Crash", "Unplug"], 138),
        (["din1", "CRASH", " unplug "], 138),
        ("DIN1, Crash, Unplug", 138),
        ("Crash", 8),
        ("138", 138),
        (["Green driving"], 256),
        (["green-driving", "GreenDriving"], 256),
        (["None"], 0),
        ("none", 0),
        ([], 0),
    ],
)
def test_triggers_may_be_named(given: Any, value: int) -> None:
    assert validate({66022: given}) == {66022: value}


@pytest.mark.parametrize(
    "given",
    [1, 512, -2, ["None", "DIN1"], ["DIN3"], ["DIN1", 8], [None], True, None, 2.0, "", {"DIN1": True}],
)
def test_a_trigger_without_a_name_is_refused_and_the_names_are_listed(given: Any) -> None:
    (texts,) = errors(validate, {66022: given}).values()
    if given is not None:
        assert "GreenDriving (256)" in texts[0]


def test_a_video_trigger_knows_three_names_only() -> None:
    assert validate({66023: ["DIN1", "DIN2", "Crash"]}) == {66023: 14}
    (texts,) = errors(validate, {66023: ["Towing"]}).values()
    assert "Crash (8)" in texts[0]
    assert "Towing (16)" not in texts[0]


def test_every_fault_is_told_at_once_under_its_own_id() -> None:
    problems = errors(validate, {"66000": 9, "x": 1, "0151": 18, True: 1, 99999: 1, 66001: 50, "-5": 0})
    assert set(problems) == {"66000", "x", "0151", "True", "99999", "-5"}


def test_an_id_given_twice_is_refused() -> None:
    assert list(errors(validate, {"151": 18, 151: 17})) == ["151"]


@pytest.mark.parametrize("given", [None, [], "151:18", 5])
def test_what_is_no_set_at_all_is_refused(given: Any) -> None:
    assert list(errors(validate, given)) == ["parameters"]


def test_unknown_ids_pass_only_raw() -> None:
    assert list(errors(validate, {2004: "a"})) == ["2004"]
    assert validate({2004: "srv.example.com", 2005: "7160", 4000: "0012"}, raw=True) == {
        2004: "srv.example.com",
        2005: 7160,
        4000: "0012",
    }
    assert list(errors(validate, {66000: 9}, raw=True)) == ["66000"]


@pytest.mark.parametrize(
    "text",
    ["a;b", "a:b", "a,b", "a b", "a\tb", "a\x00", "a\n", "\u00a0", "ж", "\u2007", "", "a\u200b", "x" * 300],
)
def test_text_that_would_break_a_command_is_refused(text: str) -> None:
    assert list(errors(validate, {2001: text}, raw=True)) == ["2001"]


@pytest.mark.parametrize("value", [True, None, 1.5, [], {}])
def test_raw_values_are_numbers_or_text(value: Any) -> None:
    assert list(errors(validate, {2001: value}, raw=True)) == ["2001"]


def test_login_and_password_go_together_and_alone() -> None:
    assert validate({3003: "abc", "3004": "De5"}) == {3003: "abc", 3004: "De5"}
    assert list(errors(validate, {3003: "abc"})) == ["3003"]
    assert list(errors(validate, {3004: "abc"})) == ["3004"]
    assert set(errors(validate, {3003: "abc", 3004: "def", 113: 1})) == {"3003", "3004"}
    assert set(errors(validate, {3003: "abc", 3004: "def", 99999: 1}, raw=True)) == {"3003", "3004"}


@pytest.mark.parametrize("text", ["", "abcdef", "ab c", "a;b", "ä", "a_b", "a\n", 12345, None, "１"])
def test_login_and_password_are_a_few_letters_and_digits(text: Any) -> None:
    problems = errors(validate, {3003: text, 3004: "abc"})
    assert list(problems) == ["3003"]


def test_a_plan_gets_what_dualcam_needs_and_nothing_else() -> None:
    assert list(complete({66000: 3}).items()) == [(151, 18), (150, 1), (66000, 3)]
    assert list(complete({66000: 3, 150: "1", 151: "18"})) == [151, 150, 66000]
    assert complete({}) == {151: 18, 150: 1}
    assert complete(complete({113: 1})) == {151: 18, 150: 1, 113: 1}


def test_a_plan_refuses_another_mode_and_credentials_with_all_other_faults() -> None:
    problems = errors(complete, {151: 17, 150: 2, 3003: "abc", 3004: "def", 66022: 1})
    assert set(problems) == {"151", "150", "3003", "3004", "66022"}
    assert "18" in problems["151"][0]
    assert "alone" in problems["3003"][0]


def test_the_camera_server_joins_the_catalogue_under_the_operators_ids() -> None:
    catalogue = with_camera_server(66100, 66101)
    good = {66100: "cam.example.com", 66101: 7160}
    assert validate(good, catalogue=catalogue) == good
    assert complete(good, catalogue=catalogue) == {151: 18, 150: 1} | good
    assert set(errors(validate, good)) == {"66100", "66101"}
    assert set(errors(validate, {66100: "a b", 66101: 0}, catalogue=catalogue)) == {"66100", "66101"}
    assert set(with_camera_server(None, 66101)) == {*CATALOGUE, 66101}
    assert with_camera_server(None, None) == CATALOGUE
    for taken in ((151, 66101), (66100, 66100)):
        with pytest.raises(ValueError, match="ids"):
            with_camera_server(*taken)


@pytest.mark.parametrize("host", ["cam.example.com", "localhost", "192.168.1.1", "a-b.c1", "x" * 55])
def test_a_host_name_or_an_address_is_a_domain(host: str) -> None:
    assert host_problem(host) == ""


@pytest.mark.parametrize(
    "host",
    ["", "x" * 56, "a b", "a,b", "a:1", "a..b", "-a", "a-", "a_b", "1.2.3", "1.2.3.256", "01.2.3.4", "12", "ж.de",
     "http://a", "a.b.", "a\n", "1.2.3.99999999999999999999"],
)  # fmt: skip
def test_anything_else_is_none(host: str) -> None:
    assert host_problem(host).endswith(".")


@pytest.mark.parametrize(
    ("asked", "known", "firmware", "warned"),
    [
        ({66023: 2}, {}, None, {"66023", "113"}),
        ({66023: 2, 66040: 0}, {113: 1}, None, {"66023"}),
        ({66023: 2, 66040: 1}, {113: 1}, None, set()),
        ({66023: 2}, {113: 1, 66040: 3}, None, set()),
        ({66023: 2}, {113: "1", 66040: "3"}, None, set()),
        ({66040: 0}, {66023: 2}, None, {"66040"}),
        ({66040: 1}, {}, None, {"66040"}),
        ({66040: 1}, {66023: 2}, None, set()),
        ({66041: 1, 66023: 2, 66040: 1}, {113: 1}, None, {"66041"}),
        ({66042: 2, 66023: 8}, {113: 1}, None, set()),
        ({66023: 0}, {113: 1, 66040: 1}, None, set()),
        ({66020: 1}, {}, None, {"66020"}),
        ({66020: 0}, {}, "03.27.00.Rev.100", set()),
        ({66022: 2}, {113: 1}, None, {"66022"}),
        ({66022: 0}, {113: 1}, None, set()),
        ({66024: 60}, {}, None, {"66024"}),
        ({66024: 60}, {66024: 60}, None, set()),
        ({66024: 510}, {66024: 510}, None, {"66024"}),
        ({66024: 0}, {66024: 0}, "03.27.07.Rev.363", {"66024"}),
        ({66024: 0}, {66024: 0}, "03.27.07.Rev.364", set()),
        ({66006: 1, 66007: 10}, {}, None, {"66007"}),
        ({66006: 1, 66007: 600}, {}, None, set()),
        ({66006: 0, 66007: 10}, {}, None, set()),
        ({66007: 10}, {}, None, {"66007"}),
        ({66006: 3}, {66007: 20}, None, {"66006"}),
        ({66006: 1}, {66007: 20}, None, set()),
        ({66006: 2}, {}, "03.27.03.Rev.03", {"66006"}),
        ({66006: 2}, {}, "03.27.03.Rev.04", set()),
        ({66006: 1}, {}, "03.27.03.Rev.03", set()),
        ({151: 18, 150: 1}, {}, None, {"113"}),
        ({151: 18, 150: 1}, {113: 1}, None, set()),
        ({151: 18, 113: 0}, {113: 1}, None, {"113"}),
        ({151: 18, 113: 1}, {}, "Ver:02.00.01_06 Hw:FMB120", {"151"}),
        ({151: 0}, {113: 1}, None, {"151"}),
        ({66000: 1}, {151: 0, 150: 0}, None, {"150", "151"}),
        ({152: 8}, {}, None, {"152"}),
        ({66000: 1}, {}, None, set()),
        ({3003: "abc", 3004: "def"}, {151: 0}, None, set()),
        ({}, {151: 0}, None, set()),
    ],
)
def test_a_doubtful_set_is_warned_of_beside_the_right_field(
    asked: Any, known: Any, firmware: str | None, warned: set[str]
) -> None:
    problems = warned_of(asked, known=known, firmware=firmware)
    assert set(problems) == warned
    assert all(text.endswith(".") for texts in problems.values() for text in texts)


@pytest.mark.parametrize(("asked", "known", "warned"), [
    ({66022: 8}, {}, ["66022"]), ({66006: 3, 66023: 8}, {}, ["66006", "66023"]), ({66000: 1}, {66006: "1"}, ["66006"]),
    ({66022: 0}, {66022: "8"}, []), ({66000: 1}, {}, []),
])  # fmt: skip
def test_what_is_sent_without_a_request_is_warned_of_while_it_has_nowhere_to_go(
    asked: Any, known: Any, warned: list[str]
) -> None:
    problems = warned_of(asked, known=known, server_advice="Set the server.")
    assert [number for number in problems if "Set the server." in problems[number]] == warned
    assert all("server" not in text for texts in warned_of(asked, known=known).values() for text in texts)


def test_always_mode_on_old_firmware_is_warned_of_twice() -> None:
    assert len(warned_of({66020: 1}, firmware="03.27.03.Rev.104")["66020"]) == 2
    assert len(warned_of({66020: 1}, firmware="03.27.03.Rev.105")["66020"]) == 1
    assert "Ultra" in warned_of({66020: 1})["66020"][0]


@pytest.mark.parametrize("key", ["rs232_mode", "camera_time_zone"])
def test_a_parameter_that_the_firmware_does_not_have_yet_is_warned_of_by_code(key: str) -> None:
    (warning,) = [
        warning
        for warning in find_warnings({id_of(key): 18}, firmware="03.26.00.Rev.01")
        if warning.code is WarningCode.FIRMWARE_TOO_OLD
    ]
    since = CATALOGUE[id_of(key)].since
    text = f"The tracker's firmware is too old for this parameter: update it first ({since} or newer)."
    assert warning == ParameterWarning(WarningCode.FIRMWARE_TOO_OLD, key, text)
    assert since
    assert not any(
        warning.code is WarningCode.FIRMWARE_TOO_OLD
        for warning in find_warnings({id_of(key): 18}, firmware=since)
    )


@pytest.mark.parametrize(
    ("firmware", "since", "problems"),
    [
        ("03.27.03.Rev.105", "03.27.03.Rev.105", True),
        ("03.27.03.Rev.104", "03.27.03.Rev.105", False),
        ("03.27.04.Rev.1", "03.27.03.Rev.105", True),
        ("03.25.15.Rev.999", "03.27.03.Rev.105", False),
        ("Ver:03.27.13.Rev.05 GPS:AXN_5.1.9_3333 Hw:FMC125 IMEI:352094082042885", "03.27.07.Rev.364", True),
        ("ver:03.28.01", "03.27.07.Rev.364", True),
        ("02.00.01_06", "03.27.03.Rev.105", False),
        ("03.27.03_06", "03.27.03.Rev.105", None),
        ("03.27.03", "03.27.03.Rev.105", None),
        ("nonsense", "03.27.03.Rev.105", None),
        ("", "03.27.03.Rev.105", None),
        ("Ver: 3.27.3.rev.105", "03.27.03.Rev.105", True),
    ],
)
def test_firmware_versions_are_compared_number_by_number(
    firmware: str, since: str, problems: bool | None
) -> None:
    assert firmware_at_least(firmware, since) is problems


@pytest.mark.parametrize(
    ("id", "value", "words"),
    [
        (66022, 138, "DIN1, Crash, Unplug"),
        (66022, "138", "DIN1, Crash, Unplug"),
        (66022, 0, "None"),
        (66022, 513, "bit 1, bit 512"),
        (66000, 3, "1280x720"),
        (66003, 30, "30 fps"),
        (66001, 50, "50 %"),
        (66024, -120, "-120 min"),
        (151, 18, "DualCam"),
        (151, 7, "7"),
        (152, 8, "115200 baud"),
        (152, 0, "Default for the mode"),
        (66000, "garbage", "garbage"),
        (3003, "abc", "•••••"),
        (3003, "", ""),
        (2001, "wap", "wap"),
    ],
)
def test_a_value_is_said_in_words(id: int, value: Any, words: str) -> None:
    assert describe(id, value) == words


@given(st.sampled_from([66022, 66023]), st.integers(0, 600))
def test_names_and_numbers_of_triggers_are_the_same_thing(id: int, value: int) -> None:
    try:
        validate({id: value})
    except ParameterErrors:
        assert any(name.startswith("bit ") for name in mask_names(id, value))
    else:
        assert validate({id: mask_names(id, value)}) == {id: value}


@given(st.dictionaries(st.integers() | st.text(max_size=8), st.integers() | st.text(max_size=8) | st.none()))
def test_a_set_is_checked_or_refused_and_never_anything_else(given: dict[Any, Any]) -> None:
    for raw in (False, True):
        for gate in (validate, complete):
            with contextlib.suppress(ParameterErrors):
                checked = gate(given, raw=raw)
                assert gate(checked, raw=raw) == checked


def test_extended_characters_count_twice_in_an_sms() -> None:
    assert septets("abc") == 3
    assert septets("^{}[]~|\\€") == 18
    assert outside_gsm7("aжb") == "ж"
    assert outside_gsm7("\u2007") == "\u2007"
    with pytest.raises(ValueError, match="GSM-7"):
        septets("ж")
