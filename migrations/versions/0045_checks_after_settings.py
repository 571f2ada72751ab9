"""checks that begin once the vehicle has confirmed its settings

Revision ID: 0045
Revises: 0044
"""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("checklist_runs", sa.Column("begins_after", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("checklist_runs", "begins_after")
