"""what a check says if nobody can answer its question

Revision ID: 0050
Revises: 0049
"""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("checklist_runs", sa.Column("likely_verdict", sa.String(48)))
    op.add_column("checklist_runs", sa.Column("likely_at", sa.DateTime(timezone=True)))
    # the worker goes on with the runs that wait, so that they get their likely cause: it asks nothing anew
    runs = sa.table(
        "checklist_runs",
        sa.column("ended_at", sa.DateTime(timezone=True)),
        sa.column("waits_for_person", sa.Boolean),
    )
    op.execute(runs.update().where(runs.c.ended_at.is_(None)).values(waits_for_person=sa.false()))


def downgrade() -> None:
    op.drop_column("checklist_runs", "likely_at")
    op.drop_column("checklist_runs", "likely_verdict")
