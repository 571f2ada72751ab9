"""what repeats reads by index, however many rows there are

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

WHOLE = (
    ("ix_uploads_imei_timestamp", "uploads", ["imei", "timestamp"]),
    ("ix_commands_device_sending", "commands", ["device_id", "sending_at"]),
    ("ix_commands_device_state_due", "commands", ["device_id", "state", "due_at"]),
    ("ix_messages_recipient_created", "messages", ["recipient", "created_at"]),
)
PARTIAL = (
    ("ix_uploads_quarantined", "uploads", "imei", "state = 'quarantined'"),
    ("ix_uploads_copies_due", "uploads", "id", "state = 'stored' AND thumbnail_state IS NULL"),
    ("ix_commands_unanswered", "commands", "sending_at", "answered_at IS NULL"),
    ("ix_gateway_events_owed", "gateway_events", "id", "processed_at IS NULL"),
    ("ix_checklist_runs_open", "checklist_runs", "id", "ended_at IS NULL"),
)
# on SQLite a statement says "settle_due = 1", and uses no index whose condition says it in another way
BOOLEAN = (
    ("uq_commands_in_flight", "commands", "in_flight", True),
    ("uq_commands_capturing", "commands", "capturing", True),
    ("ix_uploads_settle_due", "uploads", "settle_due", False),
)


def _word_booleans(ending: str) -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    for name, table, column, unique in BOOLEAN:
        op.drop_index(name, table)
        op.create_index(name, table, ["device_id"], unique=unique, sqlite_where=sa.text(column + ending))


def upgrade() -> None:
    _word_booleans(" = 1")
    for name, table, columns in WHOLE:
        op.create_index(name, table, columns)
    for name, table, column, condition in PARTIAL:
        where = sa.text(condition)
        op.create_index(name, table, [column], sqlite_where=where, postgresql_where=where)
    op.create_index(
        "ix_messages_unclaimed",
        "messages",
        ["id"],
        sqlite_where=sa.text("direction = 'in' AND claimed = 0"),
        postgresql_where=sa.text("direction = 'in' AND NOT claimed"),
    )
    op.drop_index("ix_uploads_imei", "uploads")


def downgrade() -> None:
    op.drop_index("ix_messages_unclaimed", "messages")
    _word_booleans("")
    for name, table, _ in reversed(WHOLE):
        op.drop_index(name, table)
    op.create_index("ix_uploads_imei", "uploads", ["imei"])
    for name, table, *_ in reversed(PARTIAL):
        op.drop_index(name, table)
