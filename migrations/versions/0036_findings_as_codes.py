"""findings of checks as codes with arguments, not as sentences

Revision ID: 0036
Revises: 0035
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

RUNS = sa.table("checklist_runs", sa.column("id"), sa.column("steps", sa.JSON()), sa.column("verdict"))
BATCH = 200
LEFT = "Ended by itself: nobody went on with it for 7 days."
# the texts that were always the same
CODES: dict[str, tuple[str, dict[str, Any]]] = {
    "Neither camera answers the tracker.": ("cameras_silent", {}),
    "The front camera does not answer.": ("camera_silent", {"camera": "front"}),
    "The rear camera does not answer.": ("camera_silent", {"camera": "rear"}),
    "Both cameras answer the tracker.": ("cameras_answer", {}),
    "The front photo has come.": ("file_came", {"file": "front_photo"}),
    "The rear photo has come.": ("file_came", {"file": "rear_photo"}),
    "The video has come.": ("file_came", {"file": "video"}),
    "No file with a camera time has come.": ("no_camera_time", {}),
    "No file was asked for.": ("no_file_asked", {}),
    "The camera's clock agrees with ours.": ("clock_right", {}),
    "Nobody looked.": ("nobody_looked", {}),
    "A card is in the front camera.": ("card_is_in", {}),
    "There is no card in the front camera.": ("no_card", {}),
    "Nobody could look into the front camera.": ("nobody_could_look_for_card", {}),
    "The device answers SMS, but only after the wait for it had ended.": ("answers_late", {}),
    "The device answers SMS.": ("answers", {"asked": 1, "unanswered": 0}),
    "The configuration could not be read.": ("configuration_unread", {}),
    "Set for DualCam, as asked.": ("configured", {}),
    "The ignition is off: the telematics platform reports it, and DI1 is 0.": ("ignition_off", {}),
    "The telematics platform reports the ignition off.": ("ignition_reported_off", {}),
    "DI1 is 0: where the ignition is wired to it, the ignition is off.": ("input_off", {}),
    "The tracker reports its inputs.": ("power", {"ignition_on": False}),
    "The tracker reports its inputs. The telematics platform reports the ignition on.": (
        "power",
        {"ignition_on": True},
    ),
    "DI1 is 0.": ("power", {"input_1": "0", "ignition_on": False}),
    "DI1 is 1.": ("power", {"input_1": "1", "ignition_on": False}),
    "DI1 is 1. The telematics platform reports the ignition on.": (
        "power",
        {"input_1": "1", "ignition_on": True},
    ),
    "The camera has never connected to this server.": ("never_connected", {}),
    "Its last connection was refused: the IMEI was not known then.": ("connection_refused", {}),
    "Transfers come through.": ("transfers_work", {}),
    "It sends nothing by itself.": ("sends_nothing_by_itself", {}),
    "Nothing came that could be measured.": ("speed_unknown", {}),
    "Not asked: nobody can look.": ("nobody_can_look", {}),
    "Not asked: this vehicle takes nothing of the cabin.": ("cabin_private", {}),
    "Not needed.": ("not_needed", {}),
    "Not asked: the ignition has to be on first.": ("ignition_first", {}),
    "Not asked: a step before it failed.": ("step_before_failed", {}),
}


def upgrade() -> None:
    """Give each finding its code; a text that held something of the moment stays readable as it is."""
    op.execute(
        sa.update(RUNS)
        .where(sa.column("verdict") == "stopped", sa.column("verdict_text") == LEFT)
        .values(verdict="left")
    )
    _rewrite(_as_code)
    op.drop_column("checklist_runs", "verdict_text")


def downgrade() -> None:
    op.add_column("checklist_runs", sa.Column("verdict_text", sa.Text(), nullable=True))
    _rewrite(_as_text)
    op.execute(
        sa.text(
            f"UPDATE checklist_runs SET verdict = 'stopped', verdict_text = '{LEFT}' WHERE verdict = 'left'"
        )
    )


def _rewrite(change: Any) -> None:
    connection, last = op.get_bind(), ""
    while True:
        page = sa.select(RUNS.c.id, RUNS.c.steps).where(RUNS.c.id > last).order_by(RUNS.c.id).limit(BATCH)
        rows = connection.execute(page).all()
        if not rows:
            return
        for row in rows:
            steps = {name: change(entry) for name, entry in row.steps.items()}
            connection.execute(sa.update(RUNS).where(RUNS.c.id == row.id).values(steps=steps))
        last = rows[-1].id


def _as_code(entry: dict[str, Any]) -> dict[str, Any]:
    if "text" not in entry:
        return entry
    text, todo = entry["text"], entry.get("todo", "")
    code, arguments = CODES.get(text, ("text", {"text": text, "todo": todo}))
    kept = {name: value for name, value in entry.items() if name not in ("text", "todo")}
    return kept | {"code": code, "arguments": arguments}


def _as_text(entry: dict[str, Any]) -> dict[str, Any]:
    if "code" not in entry:
        return entry
    same = (text for text, code in CODES.items() if code == (entry["code"], entry["arguments"]))
    text = entry["arguments"].get("text") or next(same, entry["code"])
    kept = {name: value for name, value in entry.items() if name not in ("code", "arguments")}
    return kept | {"text": text, "todo": entry["arguments"].get("todo", ""), "mark": entry.get("mark", "")}
