"""errors and notes of commands, messages and status items as codes with arguments

A text of an older version is read as it is (models.base.PhraseText); those that were always the same get their codes.

Revision ID: 0038
Revises: 0037
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

ERRORS = {
    "It waited too long for the device's turn and was never sent. Ask again.": "queue_timeout",
    "The device answered in part and did not say the rest. Read the parameters back.": "no_read_back",
    "The device accepted the request, but no file came. Look at its sessions: it may be unable to connect to this"
    " server. A device that cannot connect tries again after 30 minutes.": "no_file",
    "The SMS reached the SIM, but the device did not answer: check login and password, and whether its list of"
    " authorised numbers holds ours.": "delivered_without_reply",
    "It never became clear whether the SMS went out, and the device did not answer. It may still"
    " happen.": "unclear",
    "The device did not answer, and delivery was not reported: it may be switched off, asleep or out of coverage."
    " The SMS may still arrive.": "not_reported",
    "The device did not answer, and this SMS gateway reports no delivery: it may be switched off, asleep or out of"
    " coverage. The SMS may still arrive.": "no_reports",
    "The SMS was never sent, so nothing happened. Asking again is safe.": "not_sent",
    "The device still obeys its old SMS credentials; they stay.": "credentials_not_changed",
}
NOTES = {
    "Waits until the new SMS credentials are proved.": "waits_for_proof",
    "Waits for the files of the request before it.": "waits_for_files",
    "Waits about half a minute: the camera takes over its new settings.": "waits_for_new_settings",
    "No longer waited for. It was handed over, so it may still happen.": "cancelled_under_way",
    "It was cancelled and never sent.": "cancelled_never_sent",
    "It was cancelled after it was handed over; the device answered.": "cancelled_but_answered",
}
MESSAGES = {
    "No device has this number.": "unknown_number",
    "No command asked for this; its values are in the status table.": "nobody_asked",
    "No command fits these words.": "no_command_fits",
    "Read together with the text that came with it.": "read_with_other",
}
COLUMNS = (("commands", "error", ERRORS), ("commands", "note", NOTES), ("messages", "note", MESSAGES))


def _phrase(code: str) -> str:
    return json.dumps({"arguments": {}, "code": code}, separators=(",", ":"))


def upgrade() -> None:
    op.execute("ALTER TABLE commands RENAME COLUMN error_message TO error")
    for table, column, known in COLUMNS:
        _replace(table, column, {text: _phrase(code) for text, code in known.items()})


def downgrade() -> None:
    for table, column, known in COLUMNS:
        _replace(table, column, {_phrase(code): text for text, code in known.items()})
    op.execute("ALTER TABLE commands RENAME COLUMN error TO error_message")


def _replace(table: str, column: str, changes: dict[str, str]) -> None:
    """Write other words in one pass over a table."""
    held: sa.ColumnClause[str] = sa.column(column)
    new = sa.case(*((held == old, text) for old, text in changes.items()))
    rows = sa.table(table, held)
    op.execute(sa.update(rows).where(held.in_(list(changes))).values({column: new}))
