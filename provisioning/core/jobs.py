"""Isolates background jobs: one that fails, or one row in it, stops no other.

What fails is rolled back, logged and counted in a row of `jobs`, from which /readyz and /metrics tell which job has
been failing since when. Which jobs there are and how often they run stands in `schedule`; the worker repeats them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from provisioning.core.errors import GatewayError, ServiceError
from provisioning.models import JobState, db, put_all
from receiver.store.media_store import MediaError

log = structlog.get_logger(__name__)

Row = TypeVar("Row")
Clock = Callable[[], datetime]
EXPECTED = (ServiceError, GatewayError, MediaError)  # they say themselves what is wrong: no traceback


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of periodic work: its name, the seconds between two runs, and what it does."""

    name: str
    seconds: float
    work: Callable[[Clock], object]


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
            _log(error, "a row of a job failed; it is tried again", job=job, row=named(row))
            errors.append(error)
    if errors:
        raise RowsFailed(errors)


def run(job: Job, clock: Clock) -> bool:
    """Do a job once; say whether all of it went well. Raises nothing."""
    try:
        job.work(clock)
    except RowsFailed as error:
        note_failure(job.name, error.errors[-1], clock(), count=len(error.errors), periodic=True)
        return False
    except Exception as error:  # noqa: BLE001 - whatever fails in one job fails alone
        db.session.rollback()
        _log(error, "a job failed; it is tried again", job=job.name)
        note_failure(job.name, error, clock(), periodic=True)
        return False
    _note_success(job.name)
    return True


def _log(error: Exception, event: str, **about: object) -> None:
    if isinstance(error, EXPECTED):
        log.warning(event, **about, error=kind(error), reason=str(error))
    else:
        log.exception(event, **about, error=kind(error))


def kind(error: Exception) -> str:
    """Give the kind of an error in a word that holds no value: its code, else its class."""
    return str(getattr(error, "code", None) if isinstance(error, EXPECTED[:2]) else type(error).__name__)[:64]


def note_failure(
    name: str, error: Exception, now: datetime, *, count: int = 1, periodic: bool = False
) -> None:
    """Count a failure; `periodic`: the next run that goes well ends it."""
    try:
        put_all(
            JobState, [{"name": name, "failures": count, "error": kind(error)}], "name", added=("failures",)
        )
        if periodic:
            db.session.execute(
                update(JobState)
                .where(JobState.name == name, JobState.failing_since.is_(None))
                .values(failing_since=now)
            )
        db.session.commit()
    except Exception:
        db.session.rollback()
        log.warning("a failure could not be counted", job=name, exc_info=True)


def _note_success(name: str) -> None:
    """End a failure. A run that went well writes nothing else: `note_ended` does, for all jobs at once."""
    try:
        is_failing = select(JobState.name).where(JobState.name == name, JobState.failing_since.is_not(None))
        if db.session.scalar(is_failing) is not None:
            db.session.execute(
                update(JobState).where(JobState.name == name).values(failing_since=None, error=None)
            )
            log.info("a job works again", job=name)
        db.session.commit()
    except Exception:
        db.session.rollback()
        log.warning("the end of a failure could not be noted", job=name, exc_info=True)


def note_ended(ended: Mapping[str, datetime]) -> None:
    """Note when jobs last ended, whichever way, by name. The caller commits."""
    if ended:
        rows = [{"name": name, "failures": 0, "ended_at": at} for name, at in ended.items()]
        put_all(JobState, rows, "name", added=("failures",))
