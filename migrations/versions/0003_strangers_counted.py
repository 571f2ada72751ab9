"""strangers' connections counted in few rows; messages whose sid is not known yet

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("sessions") as batch_op:
        batch_op.add_column(sa.Column("peer", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("connections", sa.Integer(), nullable=False, server_default="1"))
    with op.batch_alter_table("sessions") as batch_op:
        batch_op.alter_column("connections", existing_type=sa.Integer(), server_default=None)
    where = sa.text("peer IS NOT NULL")
    op.create_index(
        "ix_sessions_peer_started",
        "sessions",
        ["peer", "started_at"],
        sqlite_where=where,
        postgresql_where=where,
    )
    where = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_sessions_open", "sessions", ["started_at"], sqlite_where=where, postgresql_where=where
    )
    where = sa.text("sid IS NULL")
    op.create_index(
        "ix_messages_without_sid", "messages", ["created_at"], sqlite_where=where, postgresql_where=where
    )


def downgrade() -> None:
    op.drop_index("ix_messages_without_sid", "messages")
    op.drop_index("ix_sessions_open", "sessions")
    op.drop_index("ix_sessions_peer_started", "sessions")
    with op.batch_alter_table("sessions") as batch_op:
        batch_op.drop_column("connections")
        batch_op.drop_column("peer")
