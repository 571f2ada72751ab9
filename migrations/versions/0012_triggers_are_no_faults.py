"""the trigger that a record told of is no warning, and a file that was asked for is no trigger

Revision ID: 0012
Revises: 0011
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DELETE FROM status_items WHERE item = 'sos' AND value = 'server request'")
    op.execute("UPDATE status_items SET verdict = 'unknown' WHERE item = 'sos'")


def downgrade() -> None:
    op.execute("UPDATE status_items SET verdict = 'warn' WHERE item = 'sos'")
