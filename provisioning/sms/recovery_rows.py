"""The commands that a job of recovery looks at: some at a time, by their ids and devices."""

from typing import Any

from sqlalchemy import ColumnElement, select

from provisioning.models import UNSETTLED, Attempt, Command, Passage, db

ROWS_AT_ONCE = 200


def command_ids(*conditions: object, by: Any = Command.id) -> list[tuple[str, int]]:
    rows = db.session.execute(
        select(Command.id, Command.device_id)
        .where(*conditions)  # type: ignore[arg-type]
        .order_by(by)
        .limit(ROWS_AT_ONCE)
    ).all()
    db.session.commit()
    return [(row.id, row.device_id) for row in rows]


def has_passage(passage: Passage, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Condition: an attempt of the command is as far as this; of a command in progress it is the last one."""
    unsettled = select(Attempt.command_id).where(UNSETTLED, Attempt.outcome == passage, *conditions)
    return Command.id.in_(unsettled)
