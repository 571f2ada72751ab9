"""Runs the migrations inside the Flask app's context, on SQLite (in batches) and on PostgreSQL alike."""

from typing import Any

from alembic import context
from flask import current_app
from sqlalchemy import DateTime, text

from provisioning.models import UTCDateTime

database = current_app.extensions["migrate"].db


def render_item(kind: str, item: Any, autogen_context: Any) -> str | bool:
    """Write our column types as SQLAlchemy's own, so that old migrations never depend on new code."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def compare_type(
    context: Any, inspected: Any, column: Any, inspected_type: Any, metadata_type: Any
) -> bool | None:
    """SQLite knows no zones: a datetime is a datetime."""
    if isinstance(metadata_type, UTCDateTime) and isinstance(inspected_type, DateTime):
        return False
    return None


def run() -> None:
    """Migrate over the app's engine."""
    with database.engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=database.metadata,
            render_as_batch=True,
            render_item=render_item,
            compare_type=compare_type,
            compare_server_default=True,
        )
        with context.begin_transaction():
            if connection.dialect.name == "postgresql":
                # an index of millions of rows takes longer than any statement of the processes may; but nobody waits
                # for long behind a migration that itself waits for a table
                connection.execute(text("SET LOCAL statement_timeout = 0"))
                connection.execute(text("SET LOCAL lock_timeout = '30s'"))
            context.run_migrations()


run()
