"""the price of an SMS, as the gateway tells it

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

WHERE = "price IS NOT NULL"


def upgrade() -> None:
    op.add_column("messages", sa.Column("price", sa.String(20), nullable=True))
    op.add_column("messages", sa.Column("currency", sa.String(3), nullable=True))
    op.create_index(
        "ix_messages_priced", "messages", ["id"], sqlite_where=sa.text(WHERE), postgresql_where=sa.text(WHERE)
    )


def downgrade() -> None:
    op.drop_index("ix_messages_priced", "messages")
    op.drop_column("messages", "currency")
    op.drop_column("messages", "price")
