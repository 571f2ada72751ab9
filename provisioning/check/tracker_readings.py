"""How the checklist reads what concerns the tracker: its answers, settings, power, connections and speed. Pure."""

from collections.abc import Mapping
from typing import Any

from provisioning.check.facts import (
    BAD,
    GOOD,
    HIDDEN,
    PRIVATE,
    WARN,
    Result,
    StepFacts,
    first_outcome,
    found,
    has_mark,
    is_useless,
    silence,
)
from provisioning.devices import transfer_times
from provisioning.tracker.parameters import CATALOGUE, REQUIRED, by_key, status_item

_FILES = ("front", "rear", "card")
# marks of a request for a file after which no camera has one to send
_NOTHING_TAKEN = frozenset(("ignition", "missing", "no_capture", "wrong_mode", "no_footage", PRIVATE))
INPUT_1 = ("info.getio.DI1", "info.getio.DIN1")


def read_reachable(facts: StepFacts) -> Result:
    """Read getstatus, or the other command that was asked where that got no answer."""
    outcome = first_outcome(facts)
    unanswered = sum(not asked.replied for asked in facts.outcomes)
    asked = len(facts.outcomes)
    if outcome.replied and outcome.late:
        return found(WARN, "answers_late", "late")
    if outcome.replied:
        return found(GOOD, "answers", "reachable", asked=asked, unanswered=unanswered)
    return found(BAD, "silent", "silent", asked=asked, unanswered=unanswered, error=outcome.error)


def read_firmware(facts: StepFacts) -> Result:
    """Read getver."""
    outcome = first_outcome(facts)
    if is_useless(outcome):
        return found(WARN, "firmware_unknown", "unanswered", **silence(outcome, "getver"))
    if facts.status.get("imei", (None, ""))[1] == BAD:
        return found(BAD, "other_tracker", "other_tracker", imei=facts.status["imei"][0])
    if facts.firmware_warnings:
        return found(WARN, "old_firmware", "old_firmware", warnings=list(facts.firmware_warnings))
    return found(GOOD, "firmware", version=facts.status.get("firmware", ("?", ""))[0])


def read_configuration(facts: StepFacts) -> Result:
    """Read getparam of everything."""
    values: dict[str, str] = {}
    for outcome in facts.outcomes:
        values |= by_key(outcome.result.get("values", {}))
    if "rs232_mode" not in values:
        return found(WARN, "configuration_unread", "unanswered")
    held = {number: values.get(CATALOGUE[number].key) for number in REQUIRED}
    if any(value is not None and value != str(REQUIRED[number]) for number, value in held.items()):
        said = {str(number): value or "?" for number, value in held.items()}
        return found(BAD, "wrong_mode", "wrong_mode", values=said)
    if facts.differing:
        return found(WARN, "differs", "differs", parameters=list(facts.differing))
    if values.get("data_protocol") == "0":
        return found(GOOD, "configured_without_states")
    return found(GOOD, "configured")


def read_power(facts: StepFacts) -> Result:
    """Read getio and the records' ignition."""
    ignition = facts.status.get("ignition", (None, ""))[0]
    outcome = first_outcome(facts)
    is_silent = is_useless(outcome)
    input_1 = None if is_silent else next((facts.status[i][0] for i in INPUT_1 if i in facts.status), None)
    always = facts.status.get(status_item("scenario_mode"), (None, ""))[0]
    if always == "1" and (ignition == "off" or input_1 == "0"):
        return found(GOOD, "ignition_does_not_matter")
    if ignition == "off" and input_1 == "0" and always is not None:
        return found(WARN, "ignition_off", "off")
    if ignition == "off":
        return found(WARN, "ignition_reported_off", "perhaps_off")
    if is_silent:
        return found(WARN, "inputs_unknown", "unanswered", **silence(outcome, "getio"))
    if input_1 == "0" and ignition != "on":
        return found(WARN, "input_off", "perhaps_off")
    return found(GOOD, "power", input_1=input_1, ignition_on=ignition == "on")


def read_transfer(facts: StepFacts) -> Result:
    """Read the device's TCP sessions."""
    if not facts.sessions and not _may_have_sent(facts.results):
        return found(HIDDEN, "transfer_not_tried", "unknown")
    if not facts.sessions:
        return found(WARN, "never_connected", "never")
    codes = [code for code, _ in facts.sessions[:10]]
    errors = sum(count for _, count in facts.sessions[:10])
    if codes[0] == "unknown_device":
        return found(BAD, "connection_refused", "refused")
    broken = [code for code in codes if code not in ("done", "stopped", "")]
    if len(codes) >= 4 and len(broken) * 2 > len(codes):
        return found(WARN, "connections_break", "breaks", broken=len(broken), connections=len(codes))
    if errors > 20:
        return found(WARN, "wrong_crcs", "crc", packets=errors)
    if facts.bytes_per_second is not None and transfer_times.is_slow(facts.bytes_per_second):
        return found(WARN, "transfers_slow", bytes_per_second=facts.bytes_per_second)
    if has_mark(facts.results, "unreachable", *_FILES) or (
        has_mark(facts.results, "no_file", *_FILES) and not has_mark(facts.results, "came", *_FILES)
    ):
        return found(GOOD, "transfers_worked", "before")
    return found(GOOD, "transfers_work")


def _may_have_sent(results: Mapping[str, Result]) -> bool:
    """Say whether the run may have made a camera send a file: it was asked for one, and not refused."""
    asked = [results[name].mark for name in _FILES if name in results]
    return any(mark not in _NOTHING_TAKEN for mark in asked)


def read_triggers(facts: StepFacts) -> Result:
    """Read whether what the vehicle sends without a request has somewhere to go."""
    if not facts.by_itself:
        return found(GOOD, "sends_nothing_by_itself")
    if facts.server_advice is None:
        return found(GOOD, "sends_here", parameters=list(facts.by_itself))
    return found(
        BAD, "sends_nowhere", "nowhere", parameters=list(facts.by_itself), advice=facts.server_advice
    )


def read_speed(facts: StepFacts) -> Result:
    """Read how fast the run's files and answers came, by the quickest: one that was held up says nothing."""
    rate, quickest = facts.bytes_per_second, min(facts.answer_seconds, default=None)
    if rate is None and quickest is None:
        return found(HIDDEN, "speed_unknown")
    late = quickest is not None and quickest > facts.slow_answer
    measured: dict[str, Any] = {"bytes_per_second": rate, "answer_seconds": quickest}
    if late or (rate is not None and transfer_times.is_slow(rate)):
        return found(WARN, "slow", "slow", late=late, **measured)
    return found(GOOD, "speed", **measured)
