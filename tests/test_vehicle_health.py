"""Health of a vehicle: the rules by vectors, and the words for every code.

A vector (tests/vectors/health/CODE.json) gives facts and the health that follows; times are relative to now ("-2h"), a
known value is [value, since, last seen]. The file is named by the code that its cases are about.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import ROOT

from provisioning.devices import health, health_words
from provisioning.devices.actions import ActionKind
from provisioning.devices.health import HealthState
from provisioning.devices.vehicle_facts import (
    SIDES,
    CameraFacts,
    CheckFacts,
    Drift,
    HealthLimits,
    Known,
    SentCommand,
    VehicleFacts,
)

FILES = sorted((ROOT / "tests" / "vectors" / "health").glob("*.json"))
CASES = [(path.stem, case) for path in FILES for case in json.loads(path.read_text())]
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
LIMITS = HealthLimits(silent=timedelta(days=7), proof=timedelta(days=14), slow_answer=60)


def moment(text: str) -> datetime:
    """Read "-2h", "+6d 23h" as a time before or after now."""
    units = {"d": 86_400, "h": 3600, "m": 60}
    seconds = sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([dhm])", text))
    return NOW + timedelta(seconds=seconds if text[0] == "+" else -seconds)


def known(given: list[str]) -> Known:
    value, since, at = given
    return Known(value, moment(since), moment(at))


def timed(given: dict[str, Any]) -> dict[str, Any]:
    """Read times by the name of their field, and values that are known."""
    return {
        name: moment(value) if isinstance(value, str) and re.match(r"[-+]\d", value)
        else known(value) if name in KNOWN
        else tuple(value) if isinstance(value, list) else value
        for name, value in given.items()
    }  # fmt: skip


KNOWN = {"answers", "detected", "card", "imei", "clock", "by_itself"}


def facts(given: dict[str, Any]) -> VehicleFacts:
    """Build facts from a vector."""
    read: dict[str, Any] = timed(given)
    for side in SIDES:
        if side in read:
            read[side] = CameraFacts(**timed(read[side]))
    read["settings"] = {int(number): known(value) for number, value in read.get("settings", {}).items()}
    read["checks"] = [CheckFacts(**timed(check)) for check in read.get("checks", [])]
    read["requests"] = [SentCommand(**timed(request)) for request in read.get("requests", [])]
    if "drift" in read:
        read["drift"] = Drift(**timed(read["drift"]))
    return VehicleFacts(**read)


@pytest.mark.quick
@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}: {case['about']}" for name, case in CASES])
def test_these_facts_give_this_health(name: str, case: dict[str, Any]) -> None:
    found = health.decide(facts(case["facts"]), LIMITS, NOW)
    wanted = case["health"]
    assert (found.code, found.state) == (wanted["code"], wanted["state"])
    assert found.since == moment(wanted["since"])
    assert dict(found.arguments) == wanted.get("arguments", {})
    if "action" in wanted:
        action = health_words.action(found.code, found.arguments)
        assert action is not None
        assert action.kind == wanted["action"]
    if "until" in wanted:
        assert found.valid_until == moment(wanted["until"])
    assert found.valid_until is None or found.valid_until > NOW
    assert health_words.sentence(found.code, found.arguments)


@pytest.mark.quick
def test_every_code_is_reached_by_a_vector_of_its_own_and_has_words() -> None:
    reached = {name for name, case in CASES if case["health"]["code"] == name}
    assert reached == health.CODES == set(health_words._WORDS)
    assert {case["health"]["state"] for _, case in CASES} == set(HealthState)


@pytest.mark.quick
@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}: {case['about']}" for name, case in CASES])
def test_a_health_stays_as_it_is_until_it_says_so(name: str, case: dict[str, Any]) -> None:
    """Without a new fact nothing changes before `valid_until`; after it the next value is certain again."""
    answer = facts(case["facts"])
    first = health.decide(answer, LIMITS, NOW)
    until = first.valid_until or NOW + timedelta(days=90)
    for part in (0.1, 0.5, 0.999):
        later = health.decide(answer, LIMITS, NOW + (until - NOW) * part)
        assert (later.code, later.arguments, later.since) == (first.code, first.arguments, first.since)


@pytest.mark.quick
def test_the_document_lists_every_code_with_its_state_and_action_in_the_order_of_the_rules() -> None:
    page = (ROOT / "docs" / "api.md").read_text().split("## Health")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| .* \| (?:`(\w+)`|none|that reason's) \|$", page, re.MULTILINE)
    order = [
        code
        for rule, _, _ in health.RULES
        for code in ((rule, "faulty_card") if rule == "no_card" else (rule,))
    ]
    assert [code for code, _, _ in rows] == order
    states = {code: state for code, state, _ in health.RULES} | {"faulty_card": HealthState.LIMITED}
    assert {code: state for code, state, _ in rows} == states
    shown = {code: action for code, _, action in rows if code != "requests_fail"}
    actions = {code: health_words.action(code, {}) for code in shown}
    assert shown == {code: action.kind if action else "" for code, action in actions.items()}
    kinds = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", page, re.MULTILINE)
    assert set(kinds) == set(ActionKind)


UNREACHABLE = "Cannot reach our server"


@pytest.mark.quick
@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        ("wrong_clock", {"seconds": 10_800}, "Camera's clock is 3 h ahead"),
        ("wrong_clock", {"seconds": -7200}, "Camera's clock is 2 h behind"),
        ("no_reply", {"unanswered": 2, "asked": 2}, "Does not answer SMS, 2 of 2 unanswered"),
        ("no_card", {"camera": "front"}, "No SD card in the front camera: photos only"),
        ("no_card", {"camera": "both"}, "No SD card: photos only"),
        ("no_capture", {"camera": "rear"}, "Rear camera takes no picture"),
        ("drift", {"parameters": [1, 2, 3], "preset": "Delivery v4"}, "3 settings differ from “Delivery v4”"),
        ("drift", {"parameters": [1], "preset": None}, "1 setting differs from what was asked"),
        ("slow_line", {"bytes_per_second": 300}, "Slow: a 10 s clip takes about 3 h"),
        (
            "server_unreachable",
            {"others": 38},
            "Cannot reach our server; 38 other vehicles got through in the last hour",
        ),
        (
            "server_unreachable",
            {"others": 0},
            "Cannot reach our server; no other vehicle got through in the last hour",
        ),
        ("never_checked", {"ignition_off": True}, "Not checked yet (ignition was off)"),
        ("requests_fail", {"reason": "modem_not_ready"}, "The modem is not ready to send"),
        ("requests_fail", {"reason": "unknown_refusal"}, "Refuses requests in unknown words"),
        ("requests_fail", {"reason": "new_code"}, "The last three requests failed"),
    ],
)
def test_people_read_a_sentence(code: str, arguments: dict[str, Any], said: str) -> None:
    assert health_words.sentence(code, arguments) == said
