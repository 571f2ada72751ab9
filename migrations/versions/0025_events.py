"""events: files that belong together, who has seen them and whether they are kept

Revision ID: 0025
Revises: 0024
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def _partial_index(name: str, table: str, column: str, where: str, on_sqlite: str | None = None) -> None:
    op.create_index(
        name, table, [column], sqlite_where=sa.text(on_sqlite or where), postgresql_where=sa.text(where)
    )


def upgrade() -> None:
    """Add the tables. Files that are there already get their events from the worker, some at a time."""
    op.create_table(
        "events",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("cameras", sa.String(8), nullable=False),
        sa.Column("file_types", sa.String(5), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("seen_at", TIME, nullable=True),
        sa.Column("saved_at", TIME, nullable=True),
        sa.Column("saved_by", sa.String(300), nullable=True),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_events_device_id_devices"),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_device_id_id", "events", ["device_id", "id"])
    op.create_index("ix_events_kind_id", "events", ["kind", "id"])
    _partial_index("ix_events_unseen", "events", "id", "seen_at IS NULL")
    _partial_index("ix_events_needing_a_look", "events", "id", "seen_at IS NULL AND kind IN ('crash', 'tow')")
    _partial_index("ix_events_saved", "events", "id", "saved_at IS NOT NULL")
    op.create_table(
        "event_views",
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.Column("who", sa.String(300), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name="fk_event_views_event_id_events"),
        sa.PrimaryKeyConstraint("event_id", "who", name="pk_event_views"),
    )
    op.add_column("uploads", sa.Column("event_id", sa.String(32), nullable=True))
    op.add_column("uploads", sa.Column("event_due", sa.Boolean(), nullable=False, server_default=sa.false()))
    _partial_index("ix_uploads_event_due", "uploads", "id", "event_due", "event_due = 1")
    _partial_index("ix_uploads_event_id", "uploads", "event_id", "event_id IS NOT NULL")
    # from the newest to the oldest: every id is smaller
    op.execute(
        "INSERT INTO cursors (name, value, updated_at) SELECT 'events_of_old_files', 'g', CURRENT_TIMESTAMP"
        " WHERE EXISTS (SELECT 1 FROM uploads)"
    )


def downgrade() -> None:
    """Remove the tables."""
    op.execute("DELETE FROM cursors WHERE name = 'events_of_old_files'")
    op.drop_index("ix_uploads_event_id", "uploads")
    op.drop_index("ix_uploads_event_due", "uploads")
    op.drop_column("uploads", "event_due")
    op.drop_column("uploads", "event_id")
    op.drop_table("event_views")
    op.drop_table("events")
