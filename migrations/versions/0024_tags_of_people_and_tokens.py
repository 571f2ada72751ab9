"""tags that people and tokens are limited to

Revision ID: 0024
Revises: 0023
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("tags", sa.JSON(), nullable=True))
    op.add_column("api_tokens", sa.Column("tags", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("api_tokens", "tags")
    op.drop_column("users", "tags")
