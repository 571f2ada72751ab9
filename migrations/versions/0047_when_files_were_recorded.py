"""when files were recorded, as far as the clocks of cameras are believed; the newest picture of a vehicle by that

Revision ID: 0047
Revises: 0046
"""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

NAME = "ix_uploads_pictures"
READY = sa.text("thumbnail_state = 'ready' AND looked_like IS NULL")
RECORDED = '(CASE WHEN "timestamp" < started_at THEN "timestamp" ELSE started_at END)'
BELIEVED = (
    """CASE WHEN "timestamp" >= {oldest} AND "timestamp" < started_at THEN "timestamp" ELSE started_at END"""
)
FILL = {
    "sqlite": "UPDATE uploads SET recorded_at = "
    + BELIEVED.format(oldest="datetime(started_at, '-30 days')"),
    # in one pass that writes the table anew, with its indexes: an UPDATE adds to each index row by row
    "postgresql": "ALTER TABLE uploads ALTER recorded_at TYPE timestamptz USING "
    + BELIEVED.format(oldest="started_at - interval '720 hours'"),
}
NEWEST = """
UPDATE devices SET file_at = COALESCE(
    (SELECT MAX(recorded_at) FROM uploads WHERE uploads.device_id = devices.id AND source IN ('front', 'rear')
        AND thumbnail_state = 'ready' AND looked_like IS NULL),
    file_at)
WHERE file_at IS NOT NULL
"""


def upgrade() -> None:
    op.drop_index(NAME, table_name="uploads")
    op.add_column("uploads", sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(FILL[op.get_bind().dialect.name])
    columns = ["device_id", "source", "recorded_at", "id"]
    op.create_index(NAME, "uploads", columns, sqlite_where=READY, postgresql_where=READY)
    op.execute(NEWEST)


def downgrade() -> None:
    op.drop_index(NAME, table_name="uploads")
    columns = ["device_id", "source", sa.text(RECORDED), "id"]
    op.create_index(NAME, "uploads", columns, sqlite_where=READY, postgresql_where=READY)
    op.drop_column("uploads", "recorded_at")
