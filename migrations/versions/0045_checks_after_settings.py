"""checks that begin once the vehicle has confirmed its settings

Revision ID: 0045
Revises: 0044
"""

import sqlalchemy as sa
from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

# an older version knows no such end of a run, and would begin at once what waits for settings
ENDED = """
UPDATE checklist_runs SET verdict = 'stopped', ended_at = COALESCE(ended_at, updated_at), waits_for_person = FALSE
WHERE verdict = 'not_set' OR (ended_at IS NULL AND CAST(begins_after AS TEXT) LIKE '[%')
"""


def upgrade() -> None:
    op.add_column("checklist_runs", sa.Column("begins_after", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.execute(ENDED)
    op.drop_column("checklist_runs", "begins_after")
