"""What a step of the checklist reads, and what it finds: outcomes of commands, facts, results. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provisioning.phrase import Phrase

GOOD, WARN, BAD, HIDDEN = "good", "warn", "bad", "not visible"
SKIPPED = "skipped"
PRIVATE = "cabin_private"  # why a step was skipped, and its mark: nobody wants to know what it would find
YES, NO, UNABLE = "yes", "no", "unable"
LOOKS = (YES, NO, UNABLE)  # the answers to every question


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """How one command of a step ended."""

    state: str
    replied: bool
    code: str | None = None
    error: Phrase | None = None  # as command_words says it
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
    # by camera what its newest state says of its card, where that is bad and no clip came since
    bad_cards: Mapping[str, str] = field(default_factory=dict)
    faulty_cards: Sequence[str] = ()  # the cameras among them whose card is in, and does not work
    differing: Sequence[Mapping[str, Any]] = ()  # parameters not as asked: number, value, asked
    sessions: Sequence[tuple[str, int]] = ()  # newest first: code, CRC errors
    # by camera when it was last restarted, in words, where no file of it came since
    restarted: Mapping[str, str] = field(default_factory=dict)
    results: Mapping[str, "Result"] = field(default_factory=dict)  # steps before
    answer: str | None = None
    firmware_warnings: Sequence[Phrase] = ()
    answer_seconds: Sequence[float] = ()  # how long the run's answers took
    slow_answer: float = 60.0  # seconds
    others: int = 0  # vehicles that got through lately, counted where a file did not come
    bytes_per_second: float | None = None  # of the quickest of the run's files
    by_itself: Sequence[int] = ()  # parameters that make the vehicle send without a request
    server_advice: Phrase | None = None  # how to set its own camera server; None: known to be ours


@dataclass(frozen=True, slots=True)
class Result:
    """What a step found: verdict, and the finding, which check_words says; `mark` names it for verdicts."""

    verdict: str
    finding: Phrase
    mark: str = ""

    def as_entry(self) -> dict[str, Any]:
        """Give what a run keeps of it."""
        return {"verdict": self.verdict, "mark": self.mark, **self.finding.as_json()}


def found(verdict: str, code: str, mark: str = "", **arguments: Any) -> Result:
    """Make a result of a finding's code and arguments."""
    return Result(verdict, Phrase(code, arguments), mark)


def mark_of(results: Mapping[str, Result], step: str) -> str:
    return results[step].mark if step in results else ""


def by_answer(outcomes: Sequence[CommandOutcome]) -> list[CommandOutcome]:
    """Give what was asked with what was answered first: one answer is enough where something was asked twice."""
    return sorted(outcomes, key=lambda outcome: (outcome.state != "done", not outcome.replied, outcome.late))


def first_outcome(facts: StepFacts) -> CommandOutcome:
    return facts.outcomes[0] if facts.outcomes else CommandOutcome("failed", False)


def is_useless(outcome: CommandOutcome) -> bool:
    """Say whether an answer does not hold what was asked for."""
    return outcome.state != "done"


def silence(outcome: CommandOutcome, name: str) -> dict[str, Any]:
    """Give, as arguments of a finding, why the answer to a command is of no use."""
    return {"command": name, "error": outcome.error if outcome.replied else None}


def has_mark(results: Mapping[str, Result], mark: str, *steps: str) -> bool:
    return any(mark_of(results, step) == mark for step in steps)
