"""A connection to SQLite whose wait for the write lock lets the other greenlets of the process run.

SQLite waits inside its library, where gevent cannot switch: one writer of another process would hold up all requests of
a web process, or all work of a worker. So the lock is asked for without a wait, again and again, with a sleep between.
Used by `base`.
"""

import random
import re
import sqlite3
import time
from collections.abc import Iterable
from typing import Any

BUSY_MS = 10_000  # writers are short; a wait this long means a stuck process, and is then an error
SHORTEST, LONGEST = 0.001, 0.05  # seconds between two tries
TAKES_LOCK = re.compile(r"\s*(?:(begin)|insert|update|delete|replace)\b", re.IGNORECASE)


class Patient(sqlite3.Connection):
    """A connection whose cursors wait with sleeps."""

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(factory or _PatientCursor)


class _PatientCursor(sqlite3.Cursor):
    def execute(self, sql: str, parameters: Any = (), /) -> "_PatientCursor":
        if not self.connection.in_transaction and (found := TAKES_LOCK.match(sql)):
            if found[1]:
                return self._begin(sql)
            self._begin_by_itself()
        super().execute(sql, parameters)
        return self

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> "_PatientCursor":
        if not self.connection.in_transaction and TAKES_LOCK.match(sql):
            self._begin_by_itself()
        super().executemany(sql, parameters)
        return self

    def _begin_by_itself(self) -> None:
        """Begin the transaction that the driver would begin before a statement that writes."""
        if (level := self.connection.isolation_level) is not None:
            self._begin(f"BEGIN {level}")

    def _begin(self, sql: str) -> "_PatientCursor":
        """Begin a transaction. Raises sqlite3.OperationalError where the lock is not free in time."""
        deadline = time.monotonic() + BUSY_MS / 1000
        wait = SHORTEST
        while True:
            try:
                return self._begin_at_once(sql)
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() >= deadline:
                    raise
            time.sleep(wait * random.uniform(0.5, 1))
            wait = min(2 * wait, LONGEST)

    def _begin_at_once(self, sql: str) -> "_PatientCursor":
        (patience,) = super().execute("PRAGMA busy_timeout").fetchone()
        super().execute("PRAGMA busy_timeout=0")
        try:
            super().execute(sql)
        finally:
            super().execute(f"PRAGMA busy_timeout={patience}")
        return self
