"""Goes on with open runs of the checklist, ends those that were left, and decides anew what was answered late."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select

from provisioning.check import check_words, runner
from provisioning.check.run_facts import commands_of, facts_of, outcomes_of
from provisioning.check.steps import STEPS
from provisioning.check.verdicts import BY_ID
from provisioning.core import jobs
from provisioning.models import ChecklistRun, Command, changes, db, first_id, locks

CHANGES_UNTIL = timedelta(days=2)  # so old a run may be: a late answer changes its verdict
LEFT_AFTER = timedelta(days=check_words.DAYS_LEFT)


def continue_runs(now: datetime) -> None:
    """Go on with every open run that need not wait for a person, and end those that nobody came back to.

    Raises RowsFailed where some failed.
    """
    runs = db.session.execute(
        select(ChecklistRun.id, ChecklistRun.waits_for_person, ChecklistRun.updated_at)
        .where(ChecklistRun.ended_at.is_(None))
        .order_by(ChecklistRun.updated_at)
    ).all()
    db.session.commit()
    left = {run.id for run in runs if run.updated_at < now - LEFT_AFTER}
    may_go_on = [run.id for run in runs if run.id in left or not run.waits_for_person]
    jobs.each("checklists", may_go_on, lambda ident: _go_on(ident, ident in left, now))
    jobs.each("late_answers", _answered_late(now), lambda ident: _reconsider(ident, now))


def _answered_late(now: datetime) -> Sequence[str]:
    """Give the runs of the last days that ended before something changed that they had asked."""
    changed = select(Command.id).where(
        Command.device_id == ChecklistRun.device_id,
        Command.sending_at >= ChecklistRun.started_at,
        Command.sending_at <= ChecklistRun.ended_at,
        Command.updated_at > ChecklistRun.updated_at,
    )
    recent = ChecklistRun.id >= first_id(now - CHANGES_UNTIL)
    ended = select(ChecklistRun.id).where(recent, ChecklistRun.ended_at.is_not(None), changed.exists())
    idents = db.session.scalars(ended).all()
    db.session.commit()
    return idents


def _reconsider(ident: str, now: datetime) -> None:
    """Read again what was answered after the end of a run, and decide anew; nothing is asked."""
    run = db.session.get_one(ChecklistRun, ident)
    device = locks.lock_device(run.device_id)
    before = dict(run.steps)
    for step in STEPS if run.ended_at is not None and run.verdict in BY_ID else ():
        entry = run.steps.get(step.id, {})
        rows = commands_of(entry.get("commands", []))
        if not any(row.updated_at > run.updated_at for row in rows) or len(rows) < len(entry["commands"]):
            continue
        read = step.read(facts_of(run, outcomes_of(run, step, rows), device))
        run.steps = run.steps | {step.id: entry | read.as_entry()}
    run.updated_at = now
    if run.steps != before:
        runner.finish(run, run.ended_at or now)  # what is known since then is newer
        changes.publish(run.device_id, "checklist")
    db.session.commit()


def _go_on(ident: str, is_left: bool, now: datetime) -> None:
    run = db.session.get_one(ChecklistRun, ident)
    if not is_left:
        runner.advance(run, now)
        return
    locks.lock_device(run.device_id)
    if run.updated_at < now - LEFT_AFTER:  # nobody answered at this moment
        runner.end(run, "left", now)
    db.session.commit()
