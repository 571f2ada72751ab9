"""requests of one vehicle in one state, by an index in the order of lists

Revision ID: 0048
Revises: 0047
"""

from alembic import op

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None

OLD, NEW = "ix_commands_device_state_due", "ix_commands_device_state_id"


def upgrade() -> None:
    op.create_index(NEW, "commands", ["device_id", "state", "id"])
    op.drop_index(OLD, table_name="commands")


def downgrade() -> None:
    op.create_index(OLD, "commands", ["device_id", "state", "due_at"])
    op.drop_index(NEW, table_name="commands")
