"""the request that a file looked like the answer to, though another file certainly is that

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("uploads", sa.Column("looked_like", sa.String(length=32), nullable=True))
    where = sa.text("looked_like IS NOT NULL")
    op.create_index(
        "ix_uploads_doubtful", "uploads", ["imei", "id"], sqlite_where=where, postgresql_where=where
    )


def downgrade() -> None:
    op.drop_index("ix_uploads_doubtful", table_name="uploads")
    op.drop_column("uploads", "looked_like")
