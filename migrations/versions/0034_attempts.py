"""attempts: how far a command has travelled, apart from what has become of it

Revision ID: 0034
Revises: 0033
"""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

UNSETTLED = sa.text("outcome IN ('sending', 'unclear')")
TRAVELLING = "('sending', 'sent', 'delivered', 'unknown')"


def upgrade() -> None:
    """Make an attempt of each SMS of a command; commands that travelled are in progress."""
    op.create_table(
        "attempts",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("command_id", sa.String(32), nullable=False),
        sa.Column("transport", sa.String(8), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(12), nullable=False),
        sa.Column("message_id", sa.String(32), nullable=True),
        sa.Column("sent_with", sa.String(32), nullable=True),
        sa.ForeignKeyConstraint(
            ["command_id"], ["commands.id"], name=op.f("fk_attempts_command_id_commands"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name=op.f("fk_attempts_message_id_messages"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
    )
    op.create_index("ix_attempts_command_id_id", "attempts", ["command_id", "id"])
    op.create_index("ix_attempts_message_id", "attempts", ["message_id"])
    op.create_index(
        "ix_attempts_unsettled",
        "attempts",
        ["lease_until"],
        sqlite_where=UNSETTLED,
        postgresql_where=UNSETTLED,
    )
    # one of each SMS; what the command knew is of its last one
    op.execute(
        f"""
        INSERT INTO attempts (id, command_id, transport, began_at, lease_until, outcome, message_id, sent_with)
        SELECT m.id, c.id, 'sms', m.created_at,
               CASE WHEN m.id = newest.id THEN c.lease_until END,
               CASE WHEN m.id = newest.id AND c.state IN {TRAVELLING}
                    THEN CASE c.state WHEN 'unknown' THEN 'unclear' ELSE c.state END
                    WHEN m.status = 'delivered' THEN 'delivered'
                    WHEN m.status IN ('queued', 'sent') THEN 'sent'
                    WHEN m.status = 'failed' AND m.gateway_id IS NULL THEN 'not_sent'
                    WHEN m.status IN ('failed', 'undelivered', 'canceled') THEN 'lost'
                    WHEN m.status = 'sending' THEN 'sending'
                    ELSE 'unclear' END,
               m.id,
               CASE WHEN m.id = newest.id THEN c.sent_with END
        FROM messages m
        JOIN commands c ON c.id = m.command_id
        JOIN (SELECT command_id, max(id) AS id FROM messages WHERE direction = 'out' GROUP BY command_id) newest
          ON newest.command_id = c.id
        WHERE m.direction = 'out'
        """
    )
    # of commands whose SMS was too old to be kept, or was never written down
    op.execute(
        f"""
        INSERT INTO attempts (id, command_id, transport, began_at, lease_until, outcome, sent_with)
        SELECT c.id, c.id, 'sms', COALESCE(c.sending_at, c.created_at), c.lease_until,
               CASE WHEN c.state = 'unknown' THEN 'unclear'
                    WHEN c.state IN {TRAVELLING} THEN c.state
                    ELSE 'sent' END,
               c.sent_with
        FROM commands c
        WHERE (c.attempts > 0 OR c.state IN {TRAVELLING})
          AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.command_id = c.id)
        """
    )
    op.execute(f"UPDATE commands SET state = 'in_progress' WHERE state IN {TRAVELLING}")
    for name in ("attempts", "lease_until", "sent_with"):
        op.drop_column("commands", name)


def downgrade() -> None:
    """Give commands back what their last attempt knows."""
    op.add_column("commands", sa.Column("sent_with", sa.String(32), nullable=True))
    op.add_column("commands", sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("commands", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
    last = "(SELECT {} FROM attempts a WHERE a.command_id = commands.id ORDER BY a.id DESC LIMIT 1)"
    op.execute(
        f"""
        UPDATE commands SET sent_with = {last.format("a.sent_with")}, lease_until = {last.format("a.lease_until")},
            attempts = (SELECT count(*) FROM attempts a WHERE a.command_id = commands.id)
        """
    )
    shown = (
        "CASE a.outcome WHEN 'unclear' THEN 'unknown' WHEN 'lost' THEN 'sent' WHEN 'not_sent' THEN 'unknown'"
        " ELSE a.outcome END"
    )
    op.execute(
        f"UPDATE commands SET state = COALESCE({last.format(shown)}, 'unknown') WHERE state = 'in_progress'"
    )
    op.drop_index("ix_attempts_unsettled", "attempts")
    op.drop_index("ix_attempts_message_id", "attempts")
    op.drop_index("ix_attempts_command_id_id", "attempts")
    op.drop_table("attempts")
