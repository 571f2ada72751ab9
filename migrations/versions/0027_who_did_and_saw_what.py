"""who did and saw what

Revision ID: 0027
Revises: 0026
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

REFUSE_ON_SQLITE = """
CREATE TRIGGER audit_entries_are_not_changed BEFORE UPDATE ON audit_entries
BEGIN SELECT RAISE(ABORT, 'entries of the log are not changed'); END
"""
REFUSE_ON_POSTGRESQL = """
CREATE FUNCTION refuse_change_of_audit_entry() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'entries of the log are not changed'; END $$
"""
TRIGGER_ON_POSTGRESQL = """
CREATE TRIGGER audit_entries_are_not_changed BEFORE UPDATE ON audit_entries
FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit_entry()
"""


def upgrade() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.String(254), nullable=False),
        sa.Column("address", sa.String(45), nullable=False),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("object", sa.String(300), nullable=True),
        sa.Column("imei", sa.String(15), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=True),
        sa.Column("viewing", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entries"),
        sa.UniqueConstraint("viewing", name="uq_audit_entries_viewing"),
    )
    for column in ("who", "object", "imei"):
        op.create_index(f"ix_audit_entries_{column}_id", "audit_entries", [column, "id"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute(REFUSE_ON_SQLITE)
    else:
        op.execute(REFUSE_ON_POSTGRESQL)
        op.execute(TRIGGER_ON_POSTGRESQL)


def downgrade() -> None:
    op.drop_table("audit_entries")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION refuse_change_of_audit_entry()")
