"""old files of one type, without reading those of the other

Revision ID: 0051
Revises: 0050
"""

from alembic import op

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None

NAME = "ix_uploads_type_id"


def upgrade() -> None:
    op.create_index(NAME, "uploads", ["file_type", "id"])


def downgrade() -> None:
    op.drop_index(NAME, table_name="uploads")
