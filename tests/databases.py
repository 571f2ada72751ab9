"""Databases for tests: migrated once a run for each kind, then copied (SQLite) or emptied and used again (PostgreSQL).

Copying a PostgreSQL database costs a tenth of a second of processor time, emptying one a two-hundredth.
"""

import contextlib
import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import flask_migrate
import machine
import postgres_server
import psycopg
from psycopg.sql import SQL, Identifier, Literal

from app import create_app
from provisioning.core.config import load
from provisioning.models import db

T = TypeVar("T")
ROOT = Path(__file__).parent.parent
TEMPLATE = "template_dualcam"
SCHEMA = """
    SELECT md5(string_agg(concat_ws(' ', c.relname, a.attname, a.atttypid, a.atttypmod, a.attnotnull), ','
                          ORDER BY c.relname, a.attnum))
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'i', 'S')
"""
SETTINGS = """
    SELECT 1 FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase WHERE datname = current_database()
"""
# those that hold locks, or hold settings of a database that a test changed
END_OTHERS = f"""
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND (state <> 'idle' OR EXISTS ({SETTINGS}))
"""
PAGE = 8192  # bytes
_idle: list[str] = []  # databases of this process that no test uses now
_connections: "dict[str, psycopg.Connection[Any]]" = {}  # by the name of the database


def with_driver(url: str) -> str:
    """Give the URL as SQLAlchemy wants it."""
    return url.replace("postgresql://", "postgresql+psycopg://")


def within(url: str, work: Callable[[], T]) -> T:
    """Do something in the app's context on this database, without a process of its own."""
    app = create_app(dataclasses.replace(load(), database_url=with_driver(url)))
    with app.app_context():
        try:
            return work()
        finally:
            db.session.remove()
            db.engine.dispose()


def migrate(url: str) -> None:
    """Bring a database to the newest revision, as `flask db upgrade` does."""
    within(url, lambda: flask_migrate.upgrade(directory=str(ROOT / "migrations")))


def sqlite_template() -> Path:
    """Give a migrated SQLite file, to be copied."""

    def make() -> str:
        path = machine.folder() / "template.db"
        migrate(f"sqlite:///{path}")
        return str(path)

    return Path(machine.once("template-sqlite", make))


def postgres_template() -> str:
    """Give the name of a migrated PostgreSQL database on the shared server, to be copied."""
    server = postgres_server.shared()

    def make() -> str:
        migrate(postgres_server.create_database(server, TEMPLATE))
        return TEMPLATE

    return machine.once("template-postgresql", make)


def copy_sqlite(path: Path) -> str:
    """Make a migrated, empty SQLite database at this path, in place of one that is there; give its URL."""
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    shutil.copy(sqlite_template(), path)
    return f"sqlite:///{path}"


def new_postgres() -> str:
    """Make a migrated, empty PostgreSQL database on the shared server; give its name."""
    template, name = postgres_template(), f"test_{time.time_ns()}"
    _execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template)))
    return name


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Lend a migrated, empty PostgreSQL database until the end of the block; give its URL."""
    name = _idle.pop() if _idle else new_postgres()
    yield f"{postgres_server.shared()}/{name}"
    if _emptied(name):
        _idle.append(name)
    else:
        drop(name)


def drop(name: str) -> None:
    """Remove a database of the shared server, whoever is connected."""
    if name in _connections:
        _connections.pop(name).close()
    _execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))


def _emptied(name: str) -> bool:
    """Say whether the database is as if it was made anew: no rows, ids from 1, the schema untouched."""
    try:
        connection = _connected(name)
        connection.execute(END_OTHERS)
        if connection.execute(SETTINGS).fetchone():
            connection.execute(SQL("ALTER DATABASE {} RESET ALL").format(Identifier(name)))
        if connection.execute(SCHEMA).fetchone() != _schema():
            return False
        _empty(connection)
    except psycopg.Error:
        return False
    return True


def _connected(name: str) -> "psycopg.Connection[Any]":
    """Give the connection that is kept for emptying this database: a new one costs the server 7 ms, and cold caches."""
    if name not in _connections or _connections[name].closed:
        _connections[name] = psycopg.connect(
            f"{postgres_server.shared()}/{name}", autocommit=True,
            options="-c session_replication_role=replica",  # rows go without a look at who refers to them
        )  # fmt: skip
    return _connections[name]


def _empty(connection: "psycopg.Connection[Any]") -> None:
    """Remove all rows; begin ids at 1 again.

    Truncating costs a millisecond for each table that refers to a filled one. Where all rows of a table lie in one
    page, removing them leaves those of the next test in the order in which they come, as truncating does.
    """
    tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    looks = SQL(" UNION ALL ").join(
        SQL("(SELECT {}, pg_relation_size({}) FROM {} LIMIT 1)").format(
            Literal(table), Literal(table), Identifier(table)
        )
        for (table,) in tables
        if table != "alembic_version"
    )
    filled = dict(connection.execute(looks).fetchall())
    names = [Identifier(table) for table in filled]
    if max(filled.values(), default=0) > PAGE:
        connection.execute(SQL("TRUNCATE {} CASCADE").format(SQL(", ").join(names)))
    elif names:
        connection.execute(SQL("; ").join(SQL("DELETE FROM {}").format(name) for name in names))
    # also of a table whose rows a test removed by itself
    used = "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL"
    for (sequence,) in connection.execute(used).fetchall():
        connection.execute(SQL("ALTER SEQUENCE {} RESTART").format(Identifier(sequence)))


_dumped: list[tuple[str] | None] = []


def _schema() -> tuple[str] | None:
    """Give what the schema of the template amounts to."""
    if not _dumped:
        with psycopg.connect(f"{postgres_server.shared()}/{postgres_template()}") as connection:
            _dumped.append(connection.execute(SCHEMA).fetchone())
    return _dumped[0]


def _execute(statement: "psycopg.sql.Composed") -> None:
    with psycopg.connect(f"{postgres_server.shared()}/postgres", autocommit=True) as connection:
        connection.execute(statement)
