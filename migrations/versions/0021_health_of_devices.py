"""health of devices: what it is, why, since and until when; every change of it; when a camera's newest files came

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

LIVE = sa.text("archived_at IS NULL")
INDEXES = {
    "ix_devices_live_health": ["health_state", "name", "id"],
    "ix_devices_live_name": ["name", "id"],
    "ix_devices_live_seen": ["seen_at", "id"],
    "ix_devices_live_connected": ["connected_at"],
    "ix_devices_live_file": ["file_at", "id"],
    "ix_devices_health_due": ["health_until"],
}
TIME = sa.DateTime(timezone=True)
COLUMNS = (
    ("health_state", sa.String(9), "unchecked"),
    ("health_code", sa.String(24), "never_checked"),
    ("health_arguments", sa.JSON(), None),
    ("health_since", TIME, None),
    ("health_until", TIME, None),
    ("seen_at", TIME, None),
    ("connected_at", TIME, None),
    ("file_at", TIME, None),
)
# the newest file of each camera, and its newest video: what proves a camera and its card
NEWEST = """
INSERT INTO status_items (device_id, item, value, verdict, since, checked_at, source_kind)
SELECT device_id, 'camera.' || source || '.{kind}', 'one that came before', 'good', MAX(received_at), MAX(received_at),
       'upload'
FROM uploads
WHERE device_id IS NOT NULL AND state = 'stored' AND received_at IS NOT NULL AND source IN ('front', 'rear'){which}
GROUP BY device_id, source
"""


def upgrade() -> None:
    # with its foreign key in the statement itself: SQLite adds none to a table that is there
    op.execute(
        "ALTER TABLE devices ADD COLUMN profile_id INTEGER"
        " CONSTRAINT fk_devices_profile_id_profiles REFERENCES profiles (id)"
    )
    for name, kind, default in COLUMNS:
        op.add_column("devices", sa.Column(name, kind, nullable=default is None, server_default=default))
    # in the past: the worker decides the health of all devices, some at a time
    op.execute("UPDATE devices SET health_since = created_at, health_until = created_at")
    for name, columns in INDEXES.items():
        op.create_index(name, "devices", columns, sqlite_where=LIVE, postgresql_where=LIVE)
    op.create_table(
        "health_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(9), nullable=False),
        sa.Column("code", sa.String(24), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_health_changes_device_id_devices"),
        sa.PrimaryKeyConstraint("id", name="pk_health_changes"),
    )
    op.create_index("ix_health_changes_device_id_id", "health_changes", ["device_id", "id"])
    op.create_index("ix_health_changes_at", "health_changes", ["at"])
    op.create_table(
        "health_due",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_health_due"),
    )
    op.execute(NEWEST.format(kind="file", which=""))
    op.execute(NEWEST.format(kind="video", which=" AND file_type = 'video'"))


def downgrade() -> None:
    op.drop_table("health_due")
    op.drop_table("health_changes")
    op.execute("DELETE FROM status_items WHERE item IN ('camera.front.file', 'camera.rear.file',"
               " 'camera.front.video', 'camera.rear.video', 'camera.clock')")  # fmt: skip
    for name in INDEXES:
        op.drop_index(name, table_name="devices")
    for name, _, _ in COLUMNS:
        op.drop_column("devices", name)
    op.drop_column("devices", "profile_id")
