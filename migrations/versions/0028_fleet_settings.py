"""settings that administrators change on pages

Revision ID: 0028
Revises: 0027
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fleet_settings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sms_login", sa.Text(), nullable=True),
        sa.Column("sms_password", sa.Text(), nullable=True),
        sa.Column("country_code", sa.String(5), nullable=True),
        sa.Column("photo_days", sa.Integer(), nullable=True),
        sa.Column("video_days", sa.Integer(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_fleet_settings"),
    )


def downgrade() -> None:
    op.drop_table("fleet_settings")
