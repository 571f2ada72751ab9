"""sessions that are kept on the server, sign-ins counted by browser, tokens with an end and a name of their own

Revision ID: 0014
Revises: 0013
"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TOKEN_DAYS = 365
tokens = sa.table(
    "api_tokens",
    sa.column("id", sa.Integer),
    sa.column("name", sa.String),
    sa.column("revoked_at", sa.DateTime(timezone=True)),
    sa.column("expires_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    op.create_table(
        "web_sessions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_web_sessions_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_web_sessions")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_web_sessions_key_hash")),
    )
    op.create_index(op.f("ix_web_sessions_user_id"), "web_sessions", ["user_id"])
    op.create_index(op.f("ix_web_sessions_expires_at"), "web_sessions", ["expires_at"])
    op.add_column("login_failures", sa.Column("browser", sa.String(length=32), nullable=True))
    with op.batch_alter_table("users") as batch:
        batch.drop_column("session_key")
    op.add_column("api_tokens", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    # a year from now, since nobody was told that the older ones would end
    op.execute(tokens.update().values(expires_at=datetime.now(UTC) + timedelta(days=TOKEN_DAYS)))
    with op.batch_alter_table("api_tokens") as batch:
        batch.alter_column("expires_at", existing_type=sa.DateTime(timezone=True), nullable=False)
    _name_apart()
    condition = sa.text("revoked_at IS NULL")
    op.create_index(
        "uq_api_tokens_name",
        "api_tokens",
        ["name"],
        unique=True,
        sqlite_where=condition,
        postgresql_where=condition,
    )


def _name_apart() -> None:
    """Give valid tokens that share a name names of their own: the oldest keeps it."""
    connection = op.get_bind()
    taken: set[str] = set()
    rows = connection.execute(
        sa.select(tokens.c.id, tokens.c.name).where(tokens.c.revoked_at.is_(None)).order_by(tokens.c.id)
    ).all()
    names = {row.name for row in rows}
    for row in rows:
        name, number = row.name, 2
        while name in taken or (name != row.name and name in names):
            name, number = f"{row.name[:90]} ({number})", number + 1
        taken.add(name)
        if name != row.name:
            connection.execute(tokens.update().where(tokens.c.id == row.id).values(name=name))


def downgrade() -> None:
    op.drop_index("uq_api_tokens_name", "api_tokens")
    with op.batch_alter_table("api_tokens") as batch:
        batch.drop_column("expires_at")
    with op.batch_alter_table("users") as batch:
        batch.add_column(sa.Column("session_key", sa.String(length=32), nullable=False, server_default=""))
    with op.batch_alter_table("login_failures") as batch:
        batch.drop_column("browser")
    op.drop_table("web_sessions")
