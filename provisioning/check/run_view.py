"""What programs and pages are shown of a run of the checklist."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from provisioning.check import check_words, finding_words, todo_words, verdict_words
from provisioning.check.facts import BAD, LOOKS, WARN, Result
from provisioning.check.run_facts import commands_of, own_commands, results_of
from provisioning.check.steps import STEPS, Step
from provisioning.check.verdicts import BY_ID, camera, certainty, decide_further, grounds, rests_on, who_acts
from provisioning.commands import command_words
from provisioning.devices.actions import Action
from provisioning.models import ChecklistRun, Command, State
from provisioning.phrase import Phrase
from provisioning.tracker.parameters import REQUIRED_IN_WORDS
from provisioning.translation import gettext

TESTED_BEFORE = timedelta(minutes=5)  # so much older than its end a run's tests are named with their own time


@dataclass(frozen=True, slots=True)
class StepView:
    """A step of a run; `seconds`: how long its answers took."""

    id: str
    title: str
    state: str
    verdict: str | None
    text: str
    todo: str
    seconds: float | None
    commands: Sequence[str]


@dataclass(frozen=True, slots=True)
class ActionView:
    """What can be done about a verdict."""

    label: str
    kind: str


@dataclass(frozen=True, slots=True)
class FurtherView:
    """A fault that a run found beside its verdict."""

    code: str
    title: str
    todo: str


@dataclass(frozen=True, slots=True)
class VerdictView:
    """How a run came out; `rests_on` names steps, `who` the one who can do the next step, `also` further faults."""

    code: str
    title: str
    certainty: str
    camera: str | None
    todo: str
    text: str
    rests_on: Sequence[str]
    who: str | None
    action: ActionView | None
    also: Sequence[FurtherView]


@dataclass(frozen=True, slots=True)
class QuestionView:
    """What a run waits for a person with."""

    id: str
    text: str
    answers: Sequence[str]


@dataclass(frozen=True, slots=True)
class RunView:
    """A run; `note`: why it was ended before its end; `sms`: how many were sent."""

    state: str
    started_at: datetime
    ended_at: datetime | None
    started_by: str
    steps: Sequence[StepView]
    verdict: VerdictView | None
    question: QuestionView | None
    note: str | None
    sms: int


def grounds_of(run: ChecklistRun) -> list[str]:
    """Give what the answers said that a run's verdict rests on; none before its end."""
    verdict = BY_ID.get(run.verdict or "")
    if verdict is None or not run.ended_at:
        return []
    return [finding_words.finding(found) for found in grounds(verdict, results_of(run))]


def verdict_title_of(run: ChecklistRun) -> str:
    """Name a run's verdict."""
    return verdict_words.title(run.verdict or "", results_of(run))


def verdict_todo_of(run: ChecklistRun) -> str:
    """Say what to do next after a run's verdict."""
    return verdict_words.todo(run.verdict or "", results_of(run))


def action_of(run: ChecklistRun) -> Action | None:
    """Give what mends what a run found and then checks again; None where no button can."""
    return verdict_words.action(run.verdict, results_of(run)) if run.verdict in BY_ID else None


def said_of_steps(run: ChecklistRun) -> dict[str, tuple[str, str]]:
    """Give by step what it found and what to do, without what the verdict or a step before it says."""
    grounds = grounds_of(run)
    advice = {verdict_todo_of(run)} if run.ended_at and run.verdict in BY_ID else set()
    results, said = results_of(run), dict[str, tuple[str, str]]()
    for step in STEPS:
        entry = run.steps.get(step.id, {})
        text, todo = text_of(entry), todo_of(entry, results)
        if text in grounds and entry.get("verdict") in (WARN, BAD):
            text = gettext("As the verdict says.")
        said[step.id] = (text, "" if todo in advice else todo)
        advice.add(todo)
    return said


def commands(run: ChecklistRun) -> Sequence[Command]:
    """Give what the steps of a run asked the vehicle."""
    return commands_of([ident for entry in run.steps.values() for ident in entry.get("commands", [])])


def tested_at(run: ChecklistRun, asked: Sequence[Command]) -> datetime | None:
    """Give when the newest test of a run ended, where a person answered it much later; None for any other."""
    ends = [row.ended_at or row.answered_at for row in asked]
    newest = max((at for at in ends if at), default=None)
    is_answered = any("answer" in entry for entry in run.steps.values())
    is_older = newest is not None and run.ended_at is not None and run.ended_at - newest > TESTED_BEFORE
    return newest if is_answered and is_older else None


def further_of(run: ChecklistRun) -> list[FurtherView]:
    """Give the faults that a run found beside its verdict; none before its end."""
    if not run.ended_at or run.verdict not in BY_ID:
        return []
    results = results_of(run)
    return [
        FurtherView(one.id, verdict_words.title(one.id, results), verdict_words.todo(one.id, results))
        for one in decide_further(results)
    ]


def questions_of(run: ChecklistRun) -> dict[str, str]:
    """Give the questions that a run waits for a person with, by step."""
    results = results_of(run)
    waiting = [step for step in STEPS if run.steps.get(step.id, {}).get("state") == "question"]
    return {step.id: check_words.question(step, results) for step in waiting} if run.ended_at is None else {}


def waits_with(run: ChecklistRun) -> str:
    """Say what an open run waits with: its questions to a person, else the step that it asks now."""
    if run.waits_for_person:
        return " ".join(questions_of(run).values())
    if run.begins_after:
        return gettext("It begins once the vehicle has confirmed what it was sent.")
    return next(
        (check_words.step_title(s.id) for s in STEPS if run.steps.get(s.id, {}).get("state") == "running"), ""
    )


def waits_because(run: ChecklistRun, asked: Sequence[Command]) -> str:
    """Say why what an open run asks now has not been sent yet; empty where there is no reason to name."""
    running = [entry for entry in run.steps.values() if entry.get("state") == "running"]
    now = {ident for entry in running for ident in entry.get("commands", [])}
    notes = (command_words.said(row.note) for row in asked if row.id in now and row.state == State.QUEUED)
    return next((note for note in notes if note), "")


def certainty_of(run: ChecklistRun) -> str | None:
    """Say how sure a run's verdict is; None before its end, or where it was ended early."""
    verdict = BY_ID.get(run.verdict or "")
    return certainty(verdict, results_of(run)) if verdict and run.ended_at else None


def ended_without_verdict(run: ChecklistRun) -> str | None:
    """Say how a run ended that has no verdict; None for any other."""
    how = run.verdict or ""
    return check_words.ended(how) if how in check_words.ENDED else None


def text_of(entry: Mapping[str, Any]) -> str:
    """Say what a step found, or why it was not asked; empty before that."""
    return finding_words.finding(Phrase.from_json(entry)) if "code" in entry else ""


def todo_of(entry: Mapping[str, Any], results: Mapping[str, Result] = MappingProxyType({})) -> str:
    """Say what a person can do about what a step found, of a run with these results."""
    return todo_words.todo(Phrase.from_json(entry), results) if "code" in entry else ""


def shown(run: ChecklistRun) -> RunView:
    """Give a run as programs are shown it."""
    questions, results = questions_of(run), results_of(run)
    waits = next(iter(questions), None)
    return RunView(
        state="ended" if run.ended_at else "waiting" if run.waits_for_person else "running",
        started_at=run.started_at,
        ended_at=run.ended_at,
        started_by=run.started_by,
        steps=[_shown_step(step, run.steps.get(step.id, {}), results) for step in STEPS],
        verdict=_shown_verdict(run) if run.ended_at else None,
        question=QuestionView(waits, questions[waits], LOOKS) if waits else None,
        note=ended_without_verdict(run),
        sms=len(own_commands(run)),
    )


def _shown_verdict(run: ChecklistRun) -> VerdictView | None:
    verdict, results = BY_ID.get(run.verdict or ""), results_of(run)
    if verdict is None:
        return None
    label = gettext("Set %(required)s", required=REQUIRED_IN_WORDS)
    return VerdictView(
        code=verdict.id,
        title=verdict_words.title(verdict.id, results),
        certainty=certainty(verdict, results),
        camera=camera(verdict, results),
        todo=verdict_words.todo(verdict.id, results),
        text=verdict_words.sentence(verdict, results),
        rests_on=rests_on(verdict, results),
        who=who_acts(verdict, results),
        action=ActionView(label, "provision") if verdict.id == "wrong_mode" else None,
        also=further_of(run),
    )


def _shown_step(step: Step, entry: Mapping[str, Any], results: Mapping[str, Result]) -> StepView:
    rows = [row for row in commands_of(entry.get("commands", [])) if row.sending_at]
    ends = [row.ended_at or row.answered_at for row in rows]
    took = [
        (end - row.sending_at).total_seconds()
        for row, end in zip(rows, ends, strict=True)
        if end and row.sending_at
    ]
    return StepView(
        id=step.id,
        title=check_words.step_title(step.id),
        state=entry.get("state", "later"),
        verdict=entry.get("verdict"),
        text=text_of(entry),
        todo=todo_of(entry, results),
        seconds=sum(took) if took else None,
        commands=entry.get("commands", []),
    )
