"""doubtful files of the fleet, by an index

Revision ID: 0041
Revises: 0040
"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

DOUBTFUL = sa.text("looked_like IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_uploads_all_doubtful", "uploads", ["id"], sqlite_where=DOUBTFUL, postgresql_where=DOUBTFUL
    )


def downgrade() -> None:
    op.drop_index("ix_uploads_all_doubtful", table_name="uploads")
