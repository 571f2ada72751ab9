"""when a person was last seen outlives the person's sessions

Revision ID: 0053
Revises: 0052
"""

from alembic import op

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None

NEWEST = "(SELECT max(last_seen_at) FROM web_sessions WHERE web_sessions.user_id = users.id)"


def upgrade() -> None:
    op.execute("ALTER TABLE users RENAME COLUMN last_login_at TO last_seen_at")
    op.execute(
        f"UPDATE users SET last_seen_at = {NEWEST}"
        f" WHERE {NEWEST} IS NOT NULL AND (last_seen_at IS NULL OR last_seen_at < {NEWEST})"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE users RENAME COLUMN last_seen_at TO last_login_at")
