"""room for this service's own error codes beside a message

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("messages") as batch_op:
        batch_op.alter_column("error_code", existing_type=sa.String(16), type_=sa.String(48))


def downgrade() -> None:
    op.execute("UPDATE messages SET error_code = substr(error_code, 1, 16)")
    with op.batch_alter_table("messages") as batch_op:
        batch_op.alter_column("error_code", existing_type=sa.String(48), type_=sa.String(16))
