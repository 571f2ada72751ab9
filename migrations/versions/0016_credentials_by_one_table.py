"""which change of credentials is the newest, and with which pair an SMS was sent; devices that were stuck are freed

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

CHANGE = "kind = 'setparam' AND CAST(arguments AS TEXT) LIKE '%\"encrypted\"%'"


def upgrade() -> None:
    op.add_column("devices", sa.Column("credentials_change", sa.String(length=32), nullable=True))
    op.add_column("commands", sa.Column("sent_with", sa.String(length=32), nullable=True))
    # a change that was cancelled before it was sent left nothing in the device
    op.execute(
        "UPDATE devices SET credentials_state = NULL, pending_login = NULL, pending_password = NULL"
        " WHERE credentials_state = 'sent' AND EXISTS (SELECT 1 FROM commands WHERE state = 'cancelled'"
        " AND sending_at IS NULL AND commands.id = (SELECT MAX(newest.id) FROM commands AS newest"
        f" WHERE newest.device_id = devices.id AND newest.{CHANGE.replace('CAST(', 'CAST(newest.')}))"
    )
    op.execute(
        "UPDATE devices SET credentials_change = (SELECT MAX(commands.id) FROM commands"
        f" WHERE commands.device_id = devices.id AND {CHANGE} AND sending_at IS NOT NULL)"
        " WHERE credentials_state IS NOT NULL"
    )
    # a proof that is under way names no pair: a person asks for getver again; so where nothing is under way any more
    op.execute(
        "UPDATE devices SET credentials_state = 'undecided' WHERE credentials_state LIKE 'trying%'"
        " OR (credentials_state = 'sent' AND NOT EXISTS (SELECT 1 FROM commands WHERE"
        f" commands.device_id = devices.id AND {CHANGE} AND"
        " state IN ('queued', 'sending', 'sent', 'delivered', 'answered', 'unknown')))"
    )
    op.execute(
        "UPDATE devices SET credentials_state = 'queued' WHERE credentials_state = 'sent'"
        f" AND EXISTS (SELECT 1 FROM commands WHERE commands.device_id = devices.id AND {CHANGE}"
        " AND state = 'queued' AND attempts = 0)"
    )


def downgrade() -> None:
    op.execute("UPDATE devices SET credentials_state = 'sent' WHERE credentials_state = 'queued'")
    op.execute(
        "UPDATE devices SET credentials_state = 'undecided' WHERE credentials_state IS NULL AND pending_login IS NOT NULL"
    )
    op.drop_column("commands", "sent_with")
    op.drop_column("devices", "credentials_change")
