"""the picture of each camera that was recorded last, by an index

Revision ID: 0043
Revises: 0042
"""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

NAME = "ix_uploads_pictures"
READY = sa.text("thumbnail_state = 'ready' AND looked_like IS NULL")
RECORDED = sa.text('(CASE WHEN "timestamp" < started_at THEN "timestamp" ELSE started_at END)')


def upgrade() -> None:
    op.drop_index(NAME, table_name="uploads")
    columns = ["device_id", "source", RECORDED, "id"]
    op.create_index(NAME, "uploads", columns, sqlite_where=READY, postgresql_where=READY)


def downgrade() -> None:
    op.drop_index(NAME, table_name="uploads")
    columns = ["device_id", "source", "id"]
    op.create_index(NAME, "uploads", columns, sqlite_where=READY, postgresql_where=READY)
