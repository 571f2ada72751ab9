"""What programs and pages are shown of a run of the checklist."""

from collections.abc import Mapping
from typing import Any

from provisioning.check.facts import HIDDEN, LOOKS
from provisioning.check.run_facts import commands_of, own_commands, results_of
from provisioning.check.steps import STEPS, Step, ask
from provisioning.check.verdicts import BY_ID, camera, certainty, grounds, who
from provisioning.models import ChecklistRun, timestamps
from provisioning.tracker.parameters import REQUIRED_IN_WORDS


def grounds_of(run: ChecklistRun) -> list[str]:
    """Give what the answers said that a run's verdict rests on; none before its end."""
    verdict = BY_ID.get(run.verdict or "")
    return grounds(verdict, results_of(run)) if verdict and run.ended_at else []


def questions_of(run: ChecklistRun) -> dict[str, str]:
    """Give the questions that a run waits for a person with, by step."""
    results = results_of(run)
    waiting = [step for step in STEPS if run.steps.get(step.id, {}).get("state") == "question"]
    return {step.id: ask(step, results) for step in waiting} if run.ended_at is None else {}


def certainty_of(run: ChecklistRun) -> str | None:
    """Say how sure a run's verdict is; None before its end, or where it was ended early."""
    verdict = BY_ID.get(run.verdict or "")
    return certainty(verdict, results_of(run)) if verdict and run.ended_at else None


def shown(run: ChecklistRun) -> dict[str, Any]:
    """Give a run as the API shows it."""
    results, questions = results_of(run), questions_of(run)
    verdict = BY_ID.get(run.verdict or "")
    waits = next(iter(questions), None)
    return {
        "state": "ended" if run.ended_at else "waiting" if run.waits_for_person else "running",
        "started_at": timestamps.stamp(run.started_at),
        "ended_at": timestamps.stamp(run.ended_at) if run.ended_at else None,
        "started_by": run.started_by,
        "steps": [_shown_step(step, run.steps.get(step.id, {})) for step in STEPS],
        "verdict": None
        if verdict is None or run.ended_at is None
        else {
            "code": verdict.id,
            "title": verdict.title,
            "certainty": certainty(verdict, results),
            "camera": camera(verdict, results),
            "todo": verdict.todo,
            "text": run.verdict_text,
            "rests_on": [
                name for name in verdict.rests_on if name in results and results[name].verdict != HIDDEN
            ],
            "who": who(verdict),
            "action": {"label": f"Set {REQUIRED_IN_WORDS}", "kind": "provision"}
            if verdict.id == "wrong_mode"
            else None,
        },
        "question": None
        if waits is None
        else {"id": waits, "text": questions[waits], "answers": [choice for choice, _ in LOOKS]},
        "note": run.verdict_text if run.verdict == "stopped" else None,
        "sms": len(own_commands(run)),
    }


def _shown_step(step: Step, entry: Mapping[str, Any]) -> dict[str, Any]:
    rows = [row for row in commands_of(entry.get("commands", [])) if row.sending_at]
    ends = [row.ended_at or row.answered_at for row in rows]
    took = [
        (end - row.sending_at).total_seconds()
        for row, end in zip(rows, ends, strict=True)
        if end and row.sending_at
    ]
    return {
        "id": step.id,
        "title": step.title,
        "state": entry.get("state", "later"),
        "verdict": entry.get("verdict"),
        "text": entry.get("text", ""),
        "todo": entry.get("todo", ""),
        "seconds": sum(took) if took else None,
        "commands": entry.get("commands", []),
    }
