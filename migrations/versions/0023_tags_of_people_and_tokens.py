"""tags that people and tokens are limited to

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("tags", sa.JSON(), nullable=True))
    op.add_column("api_tokens", sa.Column("tags", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("api_tokens", "tags")
    op.drop_column("users", "tags")
