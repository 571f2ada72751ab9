"""files by path, leases, watches

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("imei", sa.String(length=20), nullable=False),
        sa.Column("identifier", sa.String(length=255), nullable=False),
        sa.Column("session_id", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("imei", "identifier", name=op.f("pk_leases")),
    )
    op.create_table(
        "watches",
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_watches_device_id_devices")),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_watches")),
    )
    with op.batch_alter_table("uploads") as batch_op:
        batch_op.add_column(sa.Column("details", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("announced", sa.BigInteger(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("settle_due", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.alter_column("identifier", existing_type=sa.VARCHAR(16), type_=sa.String(255))
    op.execute("UPDATE uploads SET announced = packets")
    with op.batch_alter_table("uploads") as batch_op:
        batch_op.alter_column("announced", existing_type=sa.BigInteger(), server_default=None)
        batch_op.alter_column("settle_due", existing_type=sa.Boolean(), server_default=None)
    op.create_index("ix_uploads_sha256", "uploads", ["sha256"])
    where = sa.text("settle_due")
    op.create_index(
        "ix_uploads_settle_due", "uploads", ["device_id"], sqlite_where=where, postgresql_where=where
    )


def downgrade() -> None:
    op.drop_index("ix_uploads_settle_due", "uploads")
    op.drop_index("ix_uploads_sha256", "uploads")
    with op.batch_alter_table("uploads") as batch_op:
        batch_op.alter_column("identifier", existing_type=sa.String(255), type_=sa.VARCHAR(16))
        batch_op.drop_column("settle_due")
        batch_op.drop_column("announced")
        batch_op.drop_column("details")
    op.drop_table("watches")
    op.drop_table("leases")
