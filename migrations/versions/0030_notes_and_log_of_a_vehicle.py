"""notes about a vehicle, and indexes of its log

Revision ID: 0030
Revises: 0029
"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

SETTINGS = "kind IN ('setparam', 'getparam')"


def upgrade() -> None:
    op.create_table(
        "notes",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("who", sa.String(300), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_notes_device_id_devices"),
        sa.PrimaryKeyConstraint("id", name="pk_notes"),
    )
    op.create_index("ix_notes_device_id_id", "notes", ["device_id", "id"])
    op.create_index("ix_health_changes_device_at", "health_changes", ["device_id", "at", "id"])
    op.create_index(
        "ix_commands_settings", "commands", ["device_id", "id"],
        sqlite_where=sa.text(SETTINGS), postgresql_where=sa.text(SETTINGS),
    )  # fmt: skip


def downgrade() -> None:
    op.drop_index("ix_commands_settings", "commands")
    op.drop_index("ix_health_changes_device_at", "health_changes")
    op.drop_table("notes")
