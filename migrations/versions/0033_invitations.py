"""invitations of people, and who made a token

Revision ID: 0033
Revises: 0032
"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("name", sa.String(100), nullable=True))
    op.add_column("users", sa.Column("invite_hash", sa.String(64), nullable=True))
    op.add_column("users", sa.Column("invite_until", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_users_invite_hash", "users", ["invite_hash"], unique=True)
    op.add_column("api_tokens", sa.Column("made_by", sa.String(254), nullable=True))


def downgrade() -> None:
    op.drop_column("api_tokens", "made_by")
    op.drop_index("ix_users_invite_hash", "users")
    op.drop_column("users", "invite_until")
    op.drop_column("users", "invite_hash")
    op.drop_column("users", "name")
