"""by what settings and parameters a file's link was first decided

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("uploads", sa.Column("link_basis", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("uploads", "link_basis")
