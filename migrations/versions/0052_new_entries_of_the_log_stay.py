"""new entries of the log of people are not removed

Revision ID: 0052
Revises: 0051
"""

from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None

# RETENTION_DAYS_AUDIT is a day at least; the clocks of the database and of the worker may differ
ON_SQLITE = """
CREATE TRIGGER new_audit_entries_are_not_removed BEFORE DELETE ON audit_entries
WHEN OLD.at > strftime('%Y-%m-%d %H:%M:%f', 'now', '-12 hours')
BEGIN SELECT RAISE(ABORT, 'new entries of the log are not removed'); END
"""
FUNCTION_ON_POSTGRESQL = """
CREATE FUNCTION refuse_removal_of_audit_entry() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'new entries of the log are not removed'; END $$
"""
TRIGGER_ON_POSTGRESQL = """
CREATE TRIGGER new_audit_entries_are_not_removed BEFORE DELETE ON audit_entries
FOR EACH ROW WHEN (OLD.at > now() - interval '12 hours') EXECUTE FUNCTION refuse_removal_of_audit_entry()
"""
ALL_ON_POSTGRESQL = """
CREATE TRIGGER audit_entries_are_not_emptied BEFORE TRUNCATE ON audit_entries
FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal_of_audit_entry()
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(ON_SQLITE)
    else:
        op.execute(FUNCTION_ON_POSTGRESQL)
        op.execute(TRIGGER_ON_POSTGRESQL)
        op.execute(ALL_ON_POSTGRESQL)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER new_audit_entries_are_not_removed")
    else:
        op.execute("DROP TRIGGER new_audit_entries_are_not_removed ON audit_entries")
        op.execute("DROP TRIGGER audit_entries_are_not_emptied ON audit_entries")
        op.execute("DROP FUNCTION refuse_removal_of_audit_entry()")
