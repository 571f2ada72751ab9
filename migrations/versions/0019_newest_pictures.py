"""the newest picture of each camera of a vehicle by an index

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ready = sa.text("thumbnail_state = 'ready' AND looked_like IS NULL")
    op.create_index(
        "ix_uploads_pictures",
        "uploads",
        ["device_id", "source", "id"],
        sqlite_where=ready,
        postgresql_where=ready,
    )


def downgrade() -> None:
    op.drop_index("ix_uploads_pictures", "uploads")
