"""lists of one device, and of uploads that are not stored, read by index in the order of their ids

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

OLD = (
    ("ix_commands_device_created", "commands", ["device_id", "created_at"]),
    ("ix_messages_device_created", "messages", ["device_id", "created_at"]),
    ("ix_sessions_device_id", "sessions", ["device_id"]),
    ("ix_sessions_imei_started", "sessions", ["imei", "started_at"]),
    ("ix_uploads_device_received", "uploads", ["device_id", "started_at"]),
)
NEW = (
    ("ix_commands_device_id_id", "commands", ["device_id", "id"]),
    ("ix_messages_device_id_id", "messages", ["device_id", "id"]),
    ("ix_sessions_device_id_id", "sessions", ["device_id", "id"]),
    ("ix_sessions_imei_id", "sessions", ["imei", "id"]),
    ("ix_uploads_imei_id", "uploads", ["imei", "id"]),
)


def upgrade() -> None:
    for name, table, columns in NEW:
        op.create_index(name, table, columns)
    unstored = sa.text("state <> 'stored'")
    op.create_index(
        "ix_uploads_unstored", "uploads", ["state", "id"], sqlite_where=unstored, postgresql_where=unstored
    )
    for name, table, _ in OLD:
        op.drop_index(name, table)


def downgrade() -> None:
    for name, table, columns in OLD:
        op.create_index(name, table, columns)
    op.drop_index("ix_uploads_unstored", "uploads")
    for name, table, _ in NEW:
        op.drop_index(name, table)
