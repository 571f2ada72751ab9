"""checklist runs that wait for a person, which the sweep leaves alone

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("checklist_runs") as batch_op:
        batch_op.add_column(
            sa.Column("waits_for_person", sa.Boolean(), nullable=False, server_default=sa.false())
        )
    with op.batch_alter_table("checklist_runs") as batch_op:
        batch_op.alter_column("waits_for_person", existing_type=sa.Boolean(), server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("checklist_runs") as batch_op:
        batch_op.drop_column("waits_for_person")
