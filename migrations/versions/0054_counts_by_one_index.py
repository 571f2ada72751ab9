"""states and unfinished installations of the fleet, counted by one index

Revision ID: 0054
Revises: 0053
"""

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None

NAME, LIVE = "ix_devices_live_health", sa.text("archived_at IS NULL")
COLUMNS = ["health_state", "name", "id", "archived_at"]


def upgrade() -> None:
    _make([*COLUMNS, "proved_at"])


def downgrade() -> None:
    _make(COLUMNS)


def _make(columns: list[str]) -> None:
    op.drop_index(NAME, table_name="devices")
    op.create_index(NAME, "devices", columns, sqlite_where=LIVE, postgresql_where=LIVE)
