"""What a step of the checklist reads, and what it finds: outcomes of commands, facts, results. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provisioning.tracker.parameters import id_of

SCENARIO = id_of("scenario_mode")
ZONE = id_of("camera_time_zone")
GOOD, WARN, BAD, HIDDEN = "good", "warn", "bad", "not visible"
SKIPPED = "skipped"
YES, NO, UNABLE = "yes", "no", "unable"
LOOKS = ((YES, "Yes"), (NO, "No"), (UNABLE, "I cannot look"))  # the answers to every question


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """How one command of a step ended."""

    state: str
    replied: bool
    code: str | None = None
    message: str | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    file_seconds_off: float | None = (
        None  # camera's time of its file minus ours at the request; None: no file
    )
    late: bool = False  # the answer came after the wait for it had ended


@dataclass(frozen=True, slots=True)
class StepFacts:
    """What is known when a step is read."""

    outcomes: Sequence[CommandOutcome] = ()  # what was answered first
    status: Mapping[str, tuple[str | None, str]] = field(default_factory=dict)  # item → value, verdict
    differing: Sequence[str] = ()  # parameters whose confirmed value is not what was asked
    sessions: Sequence[tuple[str, int]] = ()  # newest first: code, CRC errors
    results: Mapping[str, "Result"] = field(default_factory=dict)  # steps before
    answer: str | None = None
    firmware_warnings: Sequence[str] = ()
    answer_seconds: Sequence[float] = ()  # how long the run's answers took
    slow_answer: float = 60.0  # seconds
    bytes_per_second: float | None = None  # of the quickest of the run's files
    by_itself: Sequence[str] = ()  # settings that make the vehicle send without a request
    server_advice: str | None = None  # how to set its own camera server; None: known to be ours


@dataclass(frozen=True, slots=True)
class Result:
    """What a step found: verdict, what it means, what to do; `mark` names the finding for verdicts."""

    verdict: str
    text: str
    todo: str = ""
    mark: str = ""


def mark_of(results: Mapping[str, Result], step: str) -> str:
    return results[step].mark if step in results else ""


def by_answer(outcomes: Sequence[CommandOutcome]) -> list[CommandOutcome]:
    """Give what was asked with what was answered first: one answer is enough where something was asked twice."""
    return sorted(outcomes, key=lambda outcome: (outcome.state != "done", not outcome.replied, outcome.late))


def first_outcome(facts: StepFacts) -> CommandOutcome:
    return facts.outcomes[0] if facts.outcomes else CommandOutcome("failed", False)


def why_useless(outcome: CommandOutcome, name: str) -> str:
    """Give why an answer is of no use; empty where it has what was asked for."""
    if outcome.state == "done":
        return ""
    return (outcome.message if outcome.replied else None) or f"{name} was not answered."


def has_mark(results: Mapping[str, Result], mark: str, *steps: str) -> bool:
    return any(mark_of(results, step) == mark for step in steps)
