"""from which address a file came, and the networks that each device's files came from

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("uploads", sa.Column("address", sa.String(length=64), nullable=True))
    op.add_column("uploads", sa.Column("other_network", sa.Boolean(), nullable=True))
    op.create_table(
        "device_networks",
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_device_networks_device_id_devices"),
        sa.PrimaryKeyConstraint("device_id", "network", name="pk_device_networks"),
    )
    op.create_index("ix_device_networks_last_at", "device_networks", ["last_at"])


def downgrade() -> None:
    op.drop_table("device_networks")
    op.drop_column("uploads", "other_network")
    op.drop_column("uploads", "address")
