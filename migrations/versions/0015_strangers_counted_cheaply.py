"""an index over the connections of IMEIs that no device has, which the list of devices counts at each refresh

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    where = sa.text("device_id IS NULL")
    op.create_index("ix_sessions_strangers", "sessions", ["imei"], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.drop_index("ix_sessions_strangers", "sessions")
