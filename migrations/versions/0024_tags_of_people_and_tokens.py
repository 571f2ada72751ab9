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
    """The version before knows no limits: who has one is shut out, and does not see the whole fleet."""
    op.execute("UPDATE users SET active = false WHERE tags IS NOT NULL")
    op.execute(
        "UPDATE api_tokens SET revoked_at = CURRENT_TIMESTAMP WHERE tags IS NOT NULL AND revoked_at IS NULL"
    )
    op.drop_column("api_tokens", "tags")
    op.drop_column("users", "tags")
