"""leases that are handed over

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # leases only mean something while sessions live: the old ones need not be kept
    op.drop_table("leases")
    op.create_table(
        "leases",
        sa.Column("imei", sa.String(length=20), nullable=False),
        sa.Column("identifier", sa.String(length=255), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("machine", sa.String(length=128), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("wanted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("imei", "identifier", name=op.f("pk_leases")),
        sa.UniqueConstraint("token", name=op.f("uq_leases_token")),
    )
    where = sa.text("wanted_at IS NOT NULL")
    op.create_index(
        "ix_leases_wanted_at", "leases", ["wanted_at"], sqlite_where=where, postgresql_where=where
    )
    coming = sa.text("state IN ('receiving', 'partial')")
    op.create_index(
        "ix_uploads_coming", "uploads", ["updated_at"], sqlite_where=coming, postgresql_where=coming
    )


def downgrade() -> None:
    op.drop_index("ix_uploads_coming", "uploads")
    op.drop_table("leases")
    op.create_table(
        "leases",
        sa.Column("imei", sa.String(length=20), nullable=False),
        sa.Column("identifier", sa.String(length=255), nullable=False),
        sa.Column("session_id", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("imei", "identifier", name=op.f("pk_leases")),
    )
