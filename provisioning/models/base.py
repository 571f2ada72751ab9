"""The database handle, column types and ids that every table shares.

Nothing here knows a table. SQLite and PostgreSQL run the same code; what differs (write locks, time zones)
is levelled here.
"""

import sqlite3
import time
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    JSON,
    ColumnElement,
    DateTime,
    Executable,
    Index,
    MetaData,
    Text,
    TextClause,
    event,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, CursorResult, Engine
from sqlalchemy.orm import DeclarativeBase, registry
from sqlalchemy.types import TypeDecorator

from provisioning import phrase
from provisioning.models.sqlite import BUSY_MS, Patient
from provisioning.phrase import Phrase
from receiver.ids import Ids

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime: a naive one is refused when written; SQLite's are given their zone back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a zone must not be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class PhraseText(TypeDecorator[Phrase]):
    """A phrase as text, so that it can be compared; what an older version wrote as a sentence is read as it is."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Phrase | None, dialect: Any) -> str | None:
        return None if value is None else value.as_text()

    def process_result_value(self, value: str | None, dialect: Any) -> Phrase | None:
        return None if value is None else phrase.read(value)


class Base(DeclarativeBase):
    """Declarative base: naming convention for constraints; UTC times, JSON and phrases by annotation."""

    registry = registry(
        metadata=MetaData(naming_convention=NAMING),
        type_annotation_map={
            datetime: UTCDateTime(),
            dict[str, Any]: JSON(),
            list[Any]: JSON(),
            Phrase: PhraseText(),
        },
    )


db = SQLAlchemy(model_class=Base)


def partial_index(
    name: str, *columns: str | TextClause, where: str, on_sqlite: str | None = None, unique: bool = False
) -> Index:
    """Declare an index over the rows that meet a condition, on SQLite and PostgreSQL alike.

    `on_sqlite`: the same condition as statements say it there (a boolean is compared with 1 or 0), where that differs;
    SQLite uses the index for no statement that says it in another way.
    """
    there = text(on_sqlite or where)
    return Index(name, *columns, unique=unique, sqlite_where=there, postgresql_where=text(where))


_ids = Ids()


def new_id() -> str:
    """Make an id: 32 lower-case hex characters that sort by time, each greater than this process's last one."""
    return _ids.make(time.time_ns() // 1_000_000)


def first_id(since: datetime) -> str:
    """Give what no id made since then is smaller than, and every older one is."""
    return f"{int(since.timestamp() * 1000):012x}"


def changed(statement: Executable) -> int:
    """Execute an UPDATE or DELETE and give how many rows it changed."""
    result = db.session.execute(statement)
    assert isinstance(result, CursorResult)
    return result.rowcount


_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def put_all(
    model: type[Base],
    rows: Iterable[dict[str, Any]],
    by: str,
    *,
    once: Collection[str] = (),
    added: Collection[str] = (),
    where: ColumnElement[bool] | None = None,
) -> None:
    """Insert rows, or update those with the same `by` (columns of a unique index) where they meet `where`.

    A column that a row does not give stays as it is, and so does one of `once`; one of `added` is added to what is
    there. Tables only, no objects: for the many rows of the receiver's reports. Ordered, so that two processes do not
    wait for each other crosswise.
    """
    keys = by.split(", ")
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: [row[key] for key in keys]):
        alike.setdefault(tuple(row), []).append(row)
    connection = db.session.connection()
    for columns, some in alike.items():
        statement = _INSERTS[connection.dialect.name](model.__table__)
        new = {
            name: statement.excluded[name] + model.__table__.c[name]
            if name in added
            else statement.excluded[name]
            for name in columns
            if name not in {*keys, *once}
        }
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=new, where=where), some)


def utcnow() -> datetime:
    """Give the present, aware, in UTC."""
    return datetime.now(UTC)


@event.listens_for(Engine, "do_connect")
def _be_patient(dialect: Any, record: Any, given: Any, options: dict[str, Any]) -> None:
    if dialect.name == "sqlite":
        options.setdefault("factory", Patient)


@event.listens_for(Engine, "connect")
def _prepare_sqlite(connection: Any, record: Any) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    # reads run outside a transaction; the first write takes the write lock at once, so that waiting for it
    # works (a deferred transaction that read first would fail instead of waiting)
    connection.isolation_level = "IMMEDIATE"
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    cursor.execute("PRAGMA foreign_keys=ON")
    # FULL: what was acknowledged to Twilio or a user survives a power cut as well
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


@event.listens_for(Engine, "savepoint")
def _begin_before_savepoint(connection: Connection, name: str) -> None:
    """Open SQLite's transaction first: else releasing a savepoint would commit."""
    take_write_lock(connection)


def take_write_lock(connection: Connection) -> None:
    """Begin a read-then-write unit: SQLite's write lock now; on PostgreSQL rows are locked by `with_for_update`."""
    raw = connection.connection.dbapi_connection
    if isinstance(raw, sqlite3.Connection) and not raw.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
