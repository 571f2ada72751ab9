"""copies that are due are found by kind of file, those of a request first

Revision ID: 0026
Revises: 0025
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

DUE = "state = 'stored' AND thumbnail_state IS NULL"


def _create(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "uploads", columns, sqlite_where=where, postgresql_where=where)


def upgrade() -> None:
    op.drop_index("ix_uploads_copies_due", table_name="uploads")
    _create("ix_uploads_copies_due", ["file_type", "id"], DUE)
    _create("ix_uploads_copies_asked", ["file_type", "id"], f"{DUE} AND command_id IS NOT NULL")


def downgrade() -> None:
    op.drop_index("ix_uploads_copies_asked", table_name="uploads")
    op.drop_index("ix_uploads_copies_due", table_name="uploads")
    _create("ix_uploads_copies_due", ["id"], DUE)
