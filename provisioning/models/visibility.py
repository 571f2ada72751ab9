"""Which vehicles' rows the running request may read: the one place that holds a person or a token to their tags.

`limit_to` is called where the caller becomes known (`web.auth`). From then on every SELECT of the database session gets
a condition for each table whose rows belong to a vehicle, also in counts, subqueries and joins: a row of another
vehicle is not found, as if it did not exist. A rule that must know the whole fleet (is this phone number taken?) runs
inside `whole_fleet`. Processes without a caller (worker, receiver, command line) read everything.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, event, exists, select
from sqlalchemy.orm import Mapper, ORMExecuteState, with_loader_criteria
from sqlalchemy.sql.base import ExecutableOption

from provisioning.models.base import Base, db
from provisioning.models.devices import Device, DeviceTag

Tags = frozenset[str]

_tags: ContextVar[Tags | None] = ContextVar("visible_tags", default=None)


class NotLimited(Exception):
    """A statement whose rows cannot be held to tags: a mistake in our code."""


def limit_to(tags: Tags | None) -> None:
    """Let this request read only rows of vehicles that have one of these tags; None: of the whole fleet."""
    _tags.set(tags)


def tags() -> Tags | None:
    """Give the tags that this request is limited to; None: it may read the whole fleet."""
    return _tags.get()


@contextmanager
def limited_to(tags: Tags | None) -> Iterator[None]:
    """Limit what is read inside, then go back to the limit from before."""
    token = _tags.set(tags)
    try:
        yield
    finally:
        _tags.reset(token)


@contextmanager
def whole_fleet() -> Iterator[None]:
    """Read everything inside, or in a function that this decorates: for rules, never for what is shown."""
    with limited_to(None):
        yield


def visible_ids() -> Select[Any] | None:
    """Give the query of the ids of all vehicles that this request may read, each once; None: of the whole fleet.

    For a statement about all of them, run inside `whole_fleet`: to begin with them costs less than to look at each.
    """
    tags = _tags.get()
    if tags is None:
        return None
    query = select(DeviceTag.device_id).where(DeviceTag.tag.in_(sorted(tags)))
    return query.distinct() if len(tags) > 1 else query


def conditions(tags: Tags) -> dict[type[Any], ColumnElement[bool]]:
    """Give the condition of each table whose rows belong to a vehicle that must have one of these tags.

    A row belongs to the vehicle that its `device_id` names, else to that of the row which it must refer to (an event);
    of several, all have to be of vehicles that may be read.
    Rows are looked at one by one: from a list of vehicles SQLite would begin with all that they ever had, and half of a
    large fleet makes a long list for each statement.
    """
    table = DeviceTag.__table__  # not the model, which has a condition itself

    def is_visible(device_id: ColumnElement[int]) -> ColumnElement[bool]:
        tag = table.alias()
        return exists().where(tag.c.device_id == device_id, tag.c.tag.in_(sorted(tags)))

    found: dict[type[Any], ColumnElement[bool]] = {Device: is_visible(Device.__mapper__.columns["id"])}

    for mapper in Base.registry.mappers:
        if mapper.class_ in found:
            continue
        if "device_id" in mapper.columns:
            found[mapper.class_] = is_visible(mapper.columns["device_id"])
        elif owned := [*_owned(mapper, is_visible)]:
            found[mapper.class_] = and_(*owned)
    return found


def _owned(
    mapper: Mapper[Any], is_visible: Callable[[ColumnElement[int]], ColumnElement[bool]]
) -> Iterator[ColumnElement[bool]]:
    """Give a condition for each reference, which every row has, to a row that belongs to a vehicle."""
    for column in mapper.columns:
        for key in () if column.nullable else column.foreign_keys:
            owner = key.column.table.alias()
            if "device_id" in owner.c:
                yield exists().where(owner.c[key.column.name] == column, is_visible(owner.c.device_id))


@lru_cache(maxsize=1000)
def _criteria(tags: Tags) -> tuple[ExecutableOption, ...]:
    return tuple(
        with_loader_criteria(model, condition, include_aliases=True, propagate_to_loaders=False)
        for model, condition in conditions(tags).items()
    )


@event.listens_for(db.session, "do_orm_execute")
def _limit(state: ORMExecuteState) -> None:
    """Add the conditions to a SELECT; attributes of a row that was found are read anew without them.

    Raises NotLimited for one that reads tables without their models: no condition would reach it.
    """
    tags = _tags.get()
    if tags is not None and state.is_select and not state.is_column_load:
        if not state.is_orm_statement:
            raise NotLimited("name the model, or read inside whole_fleet")
        state.statement = state.statement.options(*_criteria(tags))
