"""Isolates background jobs: one that fails, or one row in it, stops no other.

What fails is rolled back, logged and counted in a row of `jobs`, from which /readyz and /metrics tell which job has
been failing since when. Which jobs there are and how often they run stands in `schedule`; the worker repeats them.
One that is run as soon as rows are due for it leaves out the rows that have just failed.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Generic, TypeVar

import structlog
from sqlalchemy import Select, literal, select, update
from sqlalchemy.exc import InterfaceError, OperationalError

from provisioning.core.errors import GatewayError, ServiceError
from provisioning.models import JobState, db, put_all
from receiver.store.media_store import MediaError

log = structlog.get_logger(__name__)

Row = TypeVar("Row")
Clock = Callable[[], datetime]
EXPECTED = (ServiceError, GatewayError, MediaError)  # they say themselves what is wrong: no traceback
DATABASE_AWAY = (OperationalError, InterfaceError)
POLL_SECONDS = 0.1  # between two questions what is due
POLL_SHARE = 0.1  # of the time, at most, is taken by the question, however many rows wait for something else
RETRY_SECONDS = 3.0  # after a failure
PROVED_SECONDS = 10.0  # without a failure until a job counts as working again


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of work: its name, the seconds from the beginning of one run to the next, what it does.

    `due`: rows that it has something to do for; as soon as there are any, the worker runs it without waiting.
    `finish`: begins nothing more, and waits a while for what it has begun; the worker calls it before it ends.
    """

    name: str
    seconds: float
    work: Callable[[Clock], object]
    due: Select[*tuple[Any, ...]] | None = None
    finish: Callable[[], object] | None = None


def are_due(jobs: Iterable[Job]) -> Select[*tuple[Any, ...]]:
    """Give one statement that says, by the job's name, whether there are rows that are due. It runs by itself."""
    rows = {job.name: job.due for job in jobs if job.due is not None}
    return select(
        *(
            statement.with_only_columns(literal(1)).order_by(None).limit(None).exists().label(name)
            for name, statement in rows.items()
        )
    )


def pause(took: float) -> float:
    """Give the pause in seconds until what is due is asked for again, after a question that took so many seconds."""
    return max(POLL_SECONDS, took * (1 / POLL_SHARE - 1))


class RowsFailed(Exception):
    """Some rows of a job failed; all others were done."""

    def __init__(self, errors: list[Exception]) -> None:
        super().__init__(f"{len(errors)} rows failed")
        self.errors = errors


def each(
    job: str, rows: Iterable[Row], work: Callable[[Row], object], *, named: Callable[[Row], object] = str
) -> None:
    """Do a job's work for each row; `named` gives what the log may say of one.

    Raises RowsFailed after the last row where some failed, OperationalError at once: without the database no row
    can be done.
    """
    errors: list[Exception] = []
    for row in rows:
        try:
            work(row)
        except OperationalError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever fails in one row fails alone
            db.session.rollback()
            log_failure(error, "a row of a job failed; it is tried again", job=job, row=named(row))
            errors.append(error)
    if errors:
        raise RowsFailed(errors)


class RunResult(Enum):
    """How a run of a job went."""

    DONE = "done"
    ROWS_FAILED = "rows failed"  # all others were done
    FAILED = "failed"


def run(job: Job, clock: Clock) -> RunResult:
    """Do a job once; say how it went. Raises nothing."""
    try:
        job.work(clock)
    except RowsFailed as error:
        note_failure(job.name, error.errors[-1], clock(), count=len(error.errors))
        return RunResult.ROWS_FAILED
    except Exception as error:  # noqa: BLE001 - whatever fails in one job fails alone
        db.session.rollback()
        is_noted = note_failure(job.name, error, clock())
        if is_noted or not isinstance(error, DATABASE_AWAY):
            log_failure(error, "a job failed; it is tried again", job=job.name)
        return RunResult.FAILED
    return RunResult.DONE


def log_failure(error: Exception, event: str, **about: object) -> None:
    """Log a failure: with its traceback, unless the error is one that says itself what is wrong."""
    if isinstance(error, EXPECTED):
        log.warning(event, **about, error=kind(error), reason=str(error))
    else:
        log.exception(event, **about, error=kind(error))


def kind(error: Exception) -> str:
    """Give the kind of an error in a word that holds no value: its code, else its class."""
    return str(getattr(error, "code", None) if isinstance(error, EXPECTED[:2]) else type(error).__name__)[:64]


def note_failure(name: str, error: Exception, now: datetime, *, count: int = 1) -> bool:
    """Count a failure, which lasts until `Runs.note` says that the job works again; say whether it could be noted."""
    try:
        put_all(
            JobState, [{"name": name, "failures": count, "error": kind(error)}], "name", added=("failures",)
        )
        db.session.execute(
            update(JobState)
            .where(JobState.name == name, JobState.failing_since.is_(None))
            .values(failing_since=now)
        )
        db.session.commit()
    except Exception as problem:  # noqa: BLE001 - the work goes on all the same
        db.session.rollback()
        give_up(problem, "a failure could not be counted")
        return False
    return True


@dataclass
class _Database:
    """Logs once that the database is away, and once that it is back, however many jobs notice it."""

    away: bool = False

    def is_away(self, error: Exception) -> None:
        if not self.away:
            log.warning("the database is away; work goes on when it is back", error=kind(error))
        self.away = True

    def answers(self) -> None:
        if self.away:
            log.info("the database is back")
        self.away = False


_database = _Database()


def give_up(error: Exception, event: str) -> None:
    """Log what could not be asked or written down; of a database that is away only once."""
    if isinstance(error, DATABASE_AWAY):
        _database.is_away(error)
    else:
        log.exception(event, error=kind(error))


class Runs:
    """When each job last ended and whether it works: what the worker's heartbeat writes down.

    A job works again once it was done and has not failed for `PROVED_SECONDS`: it may go well many times before a row
    that failed has its next turn.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._ended: dict[str, datetime] = {}
        self._failed: dict[str, float] = {}
        self._done: set[str] = set()  # jobs whose last run went well

    def add(self, name: str, result: RunResult, at: datetime) -> None:
        """Take in a run of a job that has just ended."""
        self._ended[name] = at
        if result is RunResult.DONE:
            self._done.add(name)
        else:
            self._done.discard(name)
            self._failed[name] = self._monotonic()

    def note(self, heartbeat: Callable[[], None] = lambda: None) -> None:
        """Write down how the jobs do, in the transaction of `heartbeat`, and commit. Raises nothing."""
        ended, since = dict(self._ended), self._monotonic() - PROVED_SECONDS
        working = [name for name in self._done if self._failed.get(name, since) <= since]
        try:
            heartbeat()
            rows = [{"name": name, "failures": 0, "ended_at": at} for name, at in ended.items()]
            put_all(JobState, rows, "name", added=("failures",))
            again = db.session.scalars(
                update(JobState)
                .where(JobState.name.in_(working), JobState.failing_since.is_not(None))
                .values(failing_since=None, error=None)
                .returning(JobState.name)
                .execution_options(synchronize_session=False)
            ).all()
            db.session.commit()
        except Exception as error:  # noqa: BLE001 - it is written again some seconds later
            db.session.rollback()
            give_up(error, "the worker's heartbeat could not be written")
            return
        _database.answers()
        for name in again:
            log.info("a job works again", job=name)


class Resting(Generic[Row]):
    """Rows that failed: they are left out for `RETRY_SECONDS`, so that they hold up no other."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until: dict[Row, float] = {}

    def add(self, row: Row) -> None:
        """Leave a row out for a while."""
        self._until[row] = self._monotonic() + RETRY_SECONDS

    def rows(self) -> set[Row]:
        """Give the rows that are to be left out now."""
        now = self._monotonic()
        self._until = {row: until for row, until in self._until.items() if until > now}
        return set(self._until)
