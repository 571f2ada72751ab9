"""Runs the checklist: begins and ends a run, takes answers of people, and goes on step by step to the verdict.

`advance` may be called at any time, by the worker and by pages, and by several processes: a device's lock makes
each step's SMS go out once.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from provisioning.check.facts import LOOKS, PRIVATE, SKIPPED, CommandOutcome, StepFacts
from provisioning.check.run_facts import (
    bytes_per_second,
    clock_of,
    commands_of,
    facts_of,
    file_of_slow_clock,
    outcomes_of,
    results_of,
)
from provisioning.check.step_commands import ask_again, ask_step, is_lost, is_of_cabin, waited_for
from provisioning.check.steps import STEPS, Step, in_order, nobody_can_look
from provisioning.check.verdicts import decide, likely_cause
from provisioning.commands import submission
from provisioning.core.errors import Conflict, Invalid, ServiceError
from provisioning.devices import status_table, transfer_times
from provisioning.media import camera_clock
from provisioning.models import (
    OPEN,
    ChecklistRun,
    Command,
    Device,
    State,
    Verdict,
    changes,
    db,
    health_marks,
    locks,
)
from provisioning.phrase import Phrase
from provisioning.translation import gettext


def current(device: Device) -> ChecklistRun | None:
    """Give the device's newest run."""
    return db.session.scalar(
        select(ChecklistRun)
        .where(ChecklistRun.device_id == device.id)
        .order_by(ChecklistRun.id.desc())
        .limit(1)
    )


def start(device: Device, by: str, now: datetime, after: Sequence[Command] = ()) -> ChecklistRun:
    """Begin a run and commit. Raises Conflict while one is open.

    `after`: settings that were queued in the same transaction; the run asks nothing until the device confirmed them.
    """
    db.session.flush()  # the lock forgets what is not flushed
    device = locks.lock_device(device.id)
    run = current(device)
    if run is not None and run.ended_at is None:
        raise Conflict(gettext("A run is under way; go on with it, or end it first."), code="run_open")
    run = ChecklistRun(device_id=device.id, steps={}, started_by=by, started_at=now, updated_at=now)
    run.begins_after = [row.id for row in after] or None
    db.session.add(run)
    changes.publish(device.id, "checklist")
    db.session.commit()
    return run


def stop(run: ChecklistRun, now: datetime) -> None:
    """End a run early and commit; commands that it has not sent yet are cancelled."""
    locks.lock_device(run.device_id)
    end(run, "stopped", now)
    db.session.commit()


def end(run: ChecklistRun, how: str, now: datetime) -> None:
    """End a run without a verdict (`how`: one of NO_VERDICT), and cancel what it has not sent yet."""
    if run.ended_at is not None:
        return
    for row in commands_of([ident for entry in run.steps.values() for ident in entry.get("commands", [])]):
        if row.state == State.QUEUED:
            submission.cancel(row, now)
    run.ended_at, run.verdict = now, how
    changes.publish(run.device_id, "checklist")


def answer(run: ChecklistRun, step_id: str, choice: str, now: datetime) -> None:
    """Take a person's answer and commit. Raises Invalid."""
    step = next((s for s in STEPS if s.id == step_id), None)
    if step is None or not step.asks_person or choice not in LOOKS:
        raise Invalid(gettext("There is no such question or answer."))
    locks.lock_device(run.device_id)
    run.steps = run.steps | {
        step_id: {
            "state": "done",
            "answer": choice,
            **step.read(StepFacts(answer=choice, results=results_of(run))).as_entry(),
        }
    }
    # the likely cause counts on until the run goes on and ends
    run.ended_at, run.waits_for_person, run.updated_at = None, False, now
    db.session.commit()


def again(run: ChecklistRun, step_id: str, now: datetime) -> None:
    """Ask a step again, and what depends on it, and commit. Raises Invalid."""
    if step_id not in {step.id for step in STEPS}:
        raise Invalid(gettext("There is no such step."))
    locks.lock_device(run.device_id)
    # what a person saw before something was mended proves nothing afterwards
    gone = {step_id} | {s.id for s in STEPS if step_id in s.needs or not s.commands}
    gone |= {name for name, entry in run.steps.items() if entry.get("state") == SKIPPED}
    run.steps = {name: value for name, value in run.steps.items() if name not in gone} | {
        step_id: {"fresh": True}
    }
    run.ended_at = run.verdict = run.likely_verdict = run.likely_at = None
    run.waits_for_person, run.updated_at = False, now
    health_marks.mark([run.device_id])
    changes.publish(run.device_id, "checklist")
    db.session.commit()


def advance(run: ChecklistRun, now: datetime) -> None:
    """Go on with a run as far as it goes without waiting, and commit."""
    device = locks.lock_device(run.device_id)
    if run.ended_at is not None or not _has_begun(run, now):
        db.session.commit()
        return
    before, has_asked = dict(run.steps), run.waits_for_person
    waiting = running = False
    seen: set[str] = set()
    while step := next((step for step in in_order(results_of(run)) if step.id not in seen), None):
        seen.add(step.id)
        entry = dict(run.steps.get(step.id, {}))
        if entry.get("state") in ("done", SKIPPED):
            continue
        progress = _advance_step(run, step, entry, device, now)
        run.steps = run.steps | {step.id: progress}
        db.session.flush()  # the next step's command takes the device's lock, which forgets what is not flushed
        if progress["state"] == "running":
            waiting = running = True
            break
        waiting = waiting or progress["state"] == "question"
    if not waiting:
        finish(run, now)
    run.waits_for_person = waiting and not running
    if run.waits_for_person and not has_asked:
        _note_likely_cause(run, now if run.steps != before else run.updated_at)
    if run.steps != before or run.ended_at:
        run.updated_at = now
        changes.publish(device.id, "checklist")
    db.session.commit()


def _note_likely_cause(run: ChecklistRun, at: datetime) -> None:
    """Keep what a run says if nobody can answer its first question: health counts it while the run waits."""
    question = next(step for step in STEPS if run.steps.get(step.id, {}).get("state") == "question")
    cause = likely_cause(results_of(run), question)
    verdict = cause.id if cause else None
    if verdict != run.likely_verdict:
        run.likely_verdict, run.likely_at = verdict, at if verdict else None
    health_marks.mark([run.device_id])


def _has_begun(run: ChecklistRun, now: datetime) -> bool:
    """Say whether the settings that a run waits for are confirmed; where that failed, it ends."""
    if not run.begins_after:
        return True
    states = [row.state for row in commands_of(run.begins_after)]
    if any(state in OPEN for state in states):
        return False
    are_confirmed = states == [State.DONE] * len(run.begins_after)
    run.begins_after = None
    if not are_confirmed:
        end(run, "not_set", now)
    return are_confirmed


def _advance_step(
    run: ChecklistRun, step: Step, entry: dict[str, Any], device: Device, now: datetime
) -> dict[str, Any]:
    """Advance one step as far as it goes without waiting; give its new entry."""
    results = results_of(run)
    if step.asks_person and nobody_can_look(results):
        return _skipped("nobody_can_look")
    if is_of_cabin(step, device):
        return _skipped(PRIVATE)
    if not step.when(results):
        return _skipped("not_needed" if step.asks_person else "ignition_first")
    blocked = [need for need in step.needs if need in results and results[need].verdict == "bad"]
    if blocked or any(run.steps.get(need, {}).get("state") == SKIPPED for need in step.needs):
        return _skipped("step_before_failed")
    if step.asks_person:
        return {"state": "question"}
    if step.commands and "commands" not in entry:
        try:
            entry = ask_step(step, entry, run, device, now)
        except ServiceError as error:
            outcome = CommandOutcome("failed", False, error.code, error.phrase)
            return {"state": "done", "commands": [], **step.read(facts_of(run, [outcome], device)).as_entry()}
    rows = commands_of(entry.get("commands", []))
    for row in rows:
        if row.state == State.ANSWERED and file_of_slow_clock(row) is not None:
            submission.cancel(row, now)  # its file is here: nothing more comes, and the next request may go
    if lost := [row for row in rows if not entry.get("again") and is_lost(row, now)]:
        entry = ask_again(step, entry, lost, run, device, now)
        rows = commands_of(entry["commands"])
    if any(row.state in OPEN for row in waited_for(rows, entry.get("twins", {}))):
        return entry | {"state": "running"}
    return entry | {
        "state": "done",
        **step.read(facts_of(run, outcomes_of(run, step, rows), device)).as_entry(),
    }


def _skipped(code: str) -> dict[str, Any]:
    return {"state": SKIPPED, **Phrase(code).as_json()}


def finish(run: ChecklistRun, now: datetime) -> None:
    """Give a run its verdict, and record the measured speed and the camera's clock."""
    rate, file = bytes_per_second(run)
    if rate is not None:
        grade = Verdict.WARN if transfer_times.is_slow(rate) else Verdict.GOOD
        status_table.note(
            run.device,
            status_table.SPEED,
            f"{rate:.0f}",
            grade,
            now=now,
            source_kind="upload",
            source_id=file,
        )
    if clock := clock_of(run):
        camera_clock.note(run.device, *clock, now)
    run.verdict, run.ended_at = decide(results_of(run)).id, now
    health_marks.mark([run.device_id])
