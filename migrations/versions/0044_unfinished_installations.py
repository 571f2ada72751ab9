"""when a vehicle's cameras were first proved: until then its installation is not finished

Revision ID: 0044
Revises: 0043
"""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

NAME = "ix_devices_unfinished"
UNFINISHED = sa.text("archived_at IS NULL AND proved_at IS NULL")
# the others' first proofs are found again by their facts, when the worker decides their health anew by the new release
KNOWN = """
UPDATE devices SET proved_at = COALESCE(file_at, health_since)
WHERE file_at IS NOT NULL OR health_code IN ('proved', 'proof_old')
"""


def upgrade() -> None:
    op.add_column("devices", sa.Column("proved_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(KNOWN)
    columns = ["id", "health_state", "archived_at", "proved_at"]
    op.create_index(NAME, "devices", columns, sqlite_where=UNFINISHED, postgresql_where=UNFINISHED)


def downgrade() -> None:
    op.drop_index(NAME, table_name="devices")
    op.drop_column("devices", "proved_at")
