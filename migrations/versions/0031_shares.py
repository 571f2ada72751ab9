"""shares: links with an end to one event

Revision ID: 0031
Revises: 0030
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "shares",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("object_kind", sa.String(8), nullable=False),
        sa.Column("object_id", sa.String(32), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=True),
        sa.Column("created_by", sa.String(300), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("views", sa.Integer(), nullable=False),
        sa.Column("viewed_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_shares_device_id_devices"),
        sa.PrimaryKeyConstraint("id", name="pk_shares"),
        sa.UniqueConstraint("token_hash", name="uq_shares_token_hash"),
    )
    op.create_index("ix_shares_object_id", "shares", ["object_id", "id"])


def downgrade() -> None:
    op.drop_table("shares")
