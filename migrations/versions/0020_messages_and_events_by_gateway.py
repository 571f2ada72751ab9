"""messages and events belong to a gateway; what is still to be read of an event is kept in this service's own words

Revision ID: 0020
Revises: 0019
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

# Twilio's words and ours
STATUSES = {
    "accepted": "queued", "scheduled": "queued", "queued": "queued", "sending": "queued", "sent": "sent",
    "delivered": "delivered", "read": "delivered", "undelivered": "undelivered", "failed": "failed",
    "canceled": "canceled",
}  # fmt: skip
KEPT = ("at", "encrypted")
UNCLAIMED = (
    "ix_messages_unclaimed",
    ["id"],
    "direction = 'in' AND claimed = 0",
    "direction = 'in' AND NOT claimed",
)
BEING_SENT = "gateway_id IS NULL AND status IN ('sending', 'unknown')"
events = sa.table(
    "gateway_events", sa.column("id", sa.String), sa.column("kind", sa.String), sa.column("payload", sa.JSON)
)
# owed events, and texts that a device may still take: its credentials are then hidden in the event as well
READ_AGAIN = (
    "processed_at IS NULL OR (kind = 'inbound' AND token IN (SELECT 'in:' || sid FROM messages"
    " WHERE direction = 'in' AND NOT claimed AND device_id IS NULL))"
)


def _index(name: str, columns: list[str], on_sqlite: str, on_postgresql: str) -> None:
    op.create_index(
        name, "messages", columns, sqlite_where=sa.text(on_sqlite), postgresql_where=sa.text(on_postgresql)
    )


def upgrade() -> None:
    _rewrite(_neutral)
    op.drop_index("ix_messages_without_sid", "messages")
    op.drop_index("ix_messages_unclaimed", "messages")
    with op.batch_alter_table("messages") as batch_op:
        batch_op.drop_constraint("uq_messages_sid", type_="unique")
        batch_op.alter_column(
            "sid", new_column_name="gateway_id", existing_type=sa.String(64), existing_nullable=True
        )
        batch_op.add_column(sa.Column("gateway", sa.String(16), nullable=False, server_default="twilio"))
    with op.batch_alter_table("messages") as batch_op:
        batch_op.alter_column("gateway", existing_type=sa.String(16), server_default=None)
        batch_op.create_unique_constraint(
            "uq_messages_gateway_id_gateway_direction", ["gateway_id", "gateway", "direction"]
        )
    op.execute(
        "UPDATE messages SET status = 'queued' WHERE direction = 'out' AND (status IN ('accepted', 'scheduled')"
        " OR (status = 'sending' AND gateway_id IS NOT NULL))"
    )
    op.execute("UPDATE messages SET status = 'delivered' WHERE direction = 'out' AND status = 'read'")
    _index(*UNCLAIMED)
    _index("ix_messages_being_sent", ["created_at"], BEING_SENT, BEING_SENT)
    with op.batch_alter_table("gateway_events") as batch_op:
        batch_op.drop_constraint("uq_gateway_events_token", type_="unique")
        batch_op.add_column(sa.Column("gateway", sa.String(16), nullable=False, server_default="twilio"))
    with op.batch_alter_table("gateway_events") as batch_op:
        batch_op.alter_column("gateway", existing_type=sa.String(16), server_default=None)
        batch_op.create_unique_constraint(
            "uq_gateway_events_gateway_token_kind", ["gateway", "token", "kind"]
        )


def downgrade() -> None:
    # the older version knows one gateway, whose ids are unique over both directions
    other = "gateway <> 'twilio'"
    op.execute(f"UPDATE messages SET gateway_id = NULL WHERE {other}")
    op.execute(f"DELETE FROM gateway_events WHERE {other}")
    with op.batch_alter_table("gateway_events") as batch_op:
        batch_op.drop_constraint("uq_gateway_events_gateway_token_kind", type_="unique")
        batch_op.create_unique_constraint("uq_gateway_events_token", ["token"])
        batch_op.drop_column("gateway")
    op.drop_index("ix_messages_being_sent", "messages")
    op.drop_index("ix_messages_unclaimed", "messages")
    with op.batch_alter_table("messages") as batch_op:
        batch_op.drop_constraint("uq_messages_gateway_id_gateway_direction", type_="unique")
        batch_op.drop_column("gateway")
        batch_op.alter_column(
            "gateway_id", new_column_name="sid", existing_type=sa.String(64), existing_nullable=True
        )
    with op.batch_alter_table("messages") as batch_op:
        batch_op.create_unique_constraint("uq_messages_sid", ["sid"])
    _index(*UNCLAIMED)
    _index("ix_messages_without_sid", ["created_at"], "sid IS NULL", "sid IS NULL")
    _rewrite(_twilio)


def _rewrite(change: Callable[[str, dict[str, Any]], dict[str, Any]]) -> None:
    connection = op.get_bind()
    wanted = sa.select(events.c.id, events.c.kind, events.c.payload).where(sa.text(READ_AGAIN))
    rows = connection.execute(wanted).all()
    for row in rows:
        update = sa.update(events).where(events.c.id == row.id)
        connection.execute(update.values(payload=change(row.kind, row.payload)))


def _neutral(kind: str, old: dict[str, Any]) -> dict[str, Any]:
    ident = old.get("MessageSid") or old.get("SmsSid")
    if kind == "inbound":
        new = {"id": ident, "from": old.get("From", ""), "to": old.get("To", ""), "text": old.get("Body", "")}
        return new | {name: old[name] for name in KEPT if name in old}
    word = (old.get("MessageStatus") or old.get("SmsStatus") or "").lower()
    error = old.get("ErrorCode")
    return {
        "id": ident,
        "our_id": old.get("message"),
        "status": STATUSES.get(word),
        "word": word,
        "error": error if error and error != "0" else None,
    }


def _twilio(kind: str, new: dict[str, Any]) -> dict[str, Any]:
    if kind == "inbound":
        old = {
            "MessageSid": new.get("id"),
            "From": new.get("from"),
            "To": new.get("to"),
            "Body": new.get("text"),
        }
        return {name: value or "" for name, value in old.items()} | {
            name: new[name] for name in KEPT if name in new
        }
    old = {
        "MessageSid": new.get("id"),
        "MessageStatus": new.get("word"),
        "ErrorCode": new.get("error"),
        "message": new.get("our_id"),
    }
    return {name: value for name, value in old.items() if value}
