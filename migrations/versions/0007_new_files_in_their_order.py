"""new files that have still to be linked, and commands in one state, read by index in the order of their ids

And files that are coming, by their device.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _index("ix_uploads_settle_due", "id", "settle_due", "settle_due = 1")
    _index("ix_uploads_coming", "imei", "state IN ('receiving', 'partial')")
    op.create_index("ix_commands_state_id", "commands", ["state", "id"])


def downgrade() -> None:
    op.drop_index("ix_commands_state_id", "commands")
    _index("ix_uploads_coming", "updated_at", "state IN ('receiving', 'partial')")
    _index("ix_uploads_settle_due", "device_id", "settle_due", "settle_due = 1")


def _index(name: str, column: str, where: str, on_sqlite: str | None = None) -> None:
    op.drop_index(name, "uploads")
    op.create_index(
        name, "uploads", [column], sqlite_where=sa.text(on_sqlite or where), postgresql_where=sa.text(where)
    )
