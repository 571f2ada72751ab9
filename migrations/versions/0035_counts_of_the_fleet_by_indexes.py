"""counts of the fleet by indexes alone

Revision ID: 0035
Revises: 0034
"""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

LIVE = sa.text("archived_at IS NULL")
ARCHIVED = sa.text("archived_at IS NOT NULL")


def upgrade() -> None:
    op.drop_index("ix_devices_live_health", table_name="devices")
    columns = ["health_state", "name", "id", "archived_at"]
    op.create_index("ix_devices_live_health", "devices", columns, sqlite_where=LIVE, postgresql_where=LIVE)
    op.create_index(
        "ix_devices_archived", "devices", ["id"], sqlite_where=ARCHIVED, postgresql_where=ARCHIVED
    )


def downgrade() -> None:
    op.drop_index("ix_devices_archived", table_name="devices")
    op.drop_index("ix_devices_live_health", table_name="devices")
    columns = ["health_state", "name", "id"]
    op.create_index("ix_devices_live_health", "devices", columns, sqlite_where=LIVE, postgresql_where=LIVE)
