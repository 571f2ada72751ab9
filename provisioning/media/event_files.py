"""The files that events are made of: those that are due, with all that may be of the same events as they are.

Called by `event_service`; every function only reads.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, or_, select

from provisioning.media.event_rules import TRIGGER_NEAR, EventFile, moment
from provisioning.models import BY_CHECK, Command, Upload, UploadState, db

_Trigger = tuple[str, int, int]  # IMEI, device and number of a trigger
FARTHEST = 100_000.0  # seconds: a trigger that repeats without a pause is followed for a day
LATEST = 253_402_214_400.0  # Unix seconds: the last day that a datetime holds

_FACTS = (
    Upload.id,
    Upload.imei,
    Upload.device_id,
    Upload.file_type,
    Upload.source,
    Upload.state,
    Upload.has_metadata,
    Upload.trigger,
    Upload.timestamp,
    Upload.trigger_timestamp,
    Upload.started_at,
    Upload.latitude,
    Upload.longitude,
    Upload.looked_like,
    Upload.event_id,
    Upload.event_due,
    Upload.command_id,
    Command.batch,
    Command.requested_by,
)


def facts_of(which: Any) -> list[Any]:
    """Give the columns of `_FACTS` for files that meet a condition, as they are now."""
    query = select(*_FACTS).outerjoin(Command, Command.id == Upload.command_id).where(which)
    return list(db.session.execute(query).all())


def with_mates(due: Sequence[Any]) -> dict[str, Any]:
    """Give files, by id, with those that were of the same events before, and those that the same requests made."""
    found = {row.id: row for row in due}

    def add(which: Any) -> None:
        found.update((row.id, row) for row in facts_of(which))

    if before := {row.event_id for row in due if row.event_id}:
        add(Upload.event_id.in_(before))
    if commands := {row.command_id for row in found.values() if row.command_id}:
        add(Upload.command_id.in_(commands))
    if batches := {row.batch for row in found.values() if row.batch}:
        add(Upload.command_id.in_(select(Command.id).where(Command.batch.in_(batches))))
    return found


def chains(files: Iterable[Any], seconds: float) -> dict[str, Any]:
    """Give all files that the same triggers made without a longer pause than an event before and after these, by id."""
    placed: dict[_Trigger, list[float]] = defaultdict(list)
    for row in files:
        if (at := _trigger_moment(row)) is not None:
            placed[row.imei, row.device_id, row.trigger].append(at)
    chained: dict[str, Any] = {}
    reach = 4 * seconds
    while placed and reach <= FARTHEST:
        spans = {trigger: _spans(sorted(seeds), reach) for trigger, seeds in placed.items()}
        same: dict[_Trigger, list[tuple[float, Any]]] = defaultdict(list)
        for row in _within(spans):
            if (at := _trigger_moment(row)) is not None:
                same[row.imei, row.device_id, row.trigger].append((at, row))
        farther = set()
        for trigger, found in same.items():
            for run in _runs(sorted(found, key=lambda one: one[0]), seconds):
                first, last = run[0][0], run[-1][0]
                if any(first - seconds <= seed <= last + seconds for seed in placed[trigger]):
                    chained.update((row.id, row) for _, row in run)
                    if not any(
                        begin + seconds < first and last < end - seconds for begin, end in spans[trigger]
                    ):
                        farther.add(trigger)
        placed = {trigger: seeds for trigger, seeds in placed.items() if trigger in farther}
        reach *= 4
    return chained


def _runs(found: Sequence[tuple[float, Any]], seconds: float) -> Iterator[list[tuple[float, Any]]]:
    """Give sorted files in runs between which there are longer pauses."""
    run: list[tuple[float, Any]] = []
    for one in found:
        if run and one[0] - run[-1][0] > seconds:
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _spans(moments: Sequence[float], reach: float) -> list[tuple[float, float]]:
    """Give the spans of time around sorted moments, those that overlap as one."""
    spans: list[tuple[float, float]] = []
    for at in moments:
        if spans and at - reach <= spans[-1][1]:
            spans[-1] = (spans[-1][0], at + reach)
        else:
            spans.append((at - reach, at + reach))
    return spans


def _within(spans: dict[_Trigger, list[tuple[float, float]]]) -> list[Any]:
    """Give the files of triggers whose own or whose trigger's time lies in spans: one statement, by an index."""
    alternatives = []
    for (imei, _, trigger), some in sorted(spans.items()):
        for first, last in some:
            far = Upload.timestamp.between(moment_of(first - TRIGGER_NEAR), moment_of(last + TRIGGER_NEAR))
            span = (moment_of(first), moment_of(last))
            is_in = or_(Upload.timestamp.between(*span), Upload.trigger_timestamp.between(*span))
            alternatives.append(and_(Upload.imei == imei, Upload.trigger == trigger, far, is_in))
    return facts_of(or_(*alternatives))


def is_member(row: Any) -> bool:
    """Condition: the file is whole and its vehicle's own; one that may be somebody else's is no part of an event."""
    return row.state == UploadState.STORED and row.device_id is not None and row.looked_like is None


def _trigger_moment(row: Any) -> float | None:
    """Give when a file's trigger was, where its event is found by that."""
    if not is_member(row) or row.command_id is not None or not row.has_metadata or row.trigger is None:
        return None
    return moment(file_of(row))


def file_of(row: Any) -> EventFile:
    """Give what the rules of events have to know of a file."""
    is_known = row.has_metadata
    return EventFile(
        id=row.id,
        file_type=row.file_type,
        source=row.source,
        arrived=row.started_at.timestamp(),
        trigger=row.trigger if is_known else None,
        captured=row.timestamp.timestamp() if is_known and row.timestamp else None,
        trigger_time=row.trigger_timestamp.timestamp() if is_known and row.trigger_timestamp else None,
        latitude=row.latitude,
        longitude=row.longitude,
        request=row.batch or row.command_id,
        by_check=(row.requested_by or "").startswith(BY_CHECK),
    )


def moment_of(seconds: float) -> datetime:
    """Give Unix seconds as a time, at most the last one that there is."""
    return datetime.fromtimestamp(min(seconds, LATEST), UTC)
