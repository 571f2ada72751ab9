"""jobs have the names that their functions have

Revision ID: 0040
Revises: 0039
"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

NAMES = {"owed_events": "unprocessed_events", "learn_ids": "find_ids", "free_lines": "free_slots"}
RENAME = sa.text("UPDATE jobs SET name = :new WHERE name = :old")


def upgrade() -> None:
    # a row under the old name would count as a job that has not run for long
    for old, new in NAMES.items():
        op.get_bind().execute(RENAME, {"old": old, "new": new})


def downgrade() -> None:
    for old, new in NAMES.items():
        op.get_bind().execute(RENAME, {"old": new, "new": old})
