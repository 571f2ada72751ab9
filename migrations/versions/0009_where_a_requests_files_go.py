"""whether a request's files go to another server, decided once when it is asked

Old rows: only those that ended as such are told apart from requests to our own server under an earlier name.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "commands", sa.Column("foreign_server", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    commands = sa.table("commands", sa.column("foreign_server", sa.Boolean()), sa.column("result", sa.JSON()))
    was_foreign = commands.c.result["foreign_server"].as_boolean()
    op.execute(commands.update().where(was_foreign).values(foreign_server=True))


def downgrade() -> None:
    op.drop_column("commands", "foreign_server")
