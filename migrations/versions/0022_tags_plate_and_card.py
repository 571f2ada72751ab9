"""tags, plate and card of a vehicle

Revision ID: 0022
Revises: 0021
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("devices", sa.Column("plate", sa.String(20), nullable=True))
    op.add_column("devices", sa.Column("card_gb", sa.Integer(), nullable=True))
    op.create_table(
        "device_tags",
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("tag", sa.String(40), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_device_tags_device_id_devices"),
        sa.PrimaryKeyConstraint("device_id", "tag", name="pk_device_tags"),
    )
    op.create_index("ix_device_tags_tag_device_id", "device_tags", ["tag", "device_id"])


def downgrade() -> None:
    op.drop_table("device_tags")
    op.drop_column("devices", "card_gb")
    op.drop_column("devices", "plate")
