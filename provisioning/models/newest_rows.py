"""Reads the newest rows of a list, so that it stays quick where it is limited to the tags of a few vehicles.

Along the ids of a large fleet's list a database would pass over nearly all rows to find fifty of a few vehicles. So the
newest rows of each vehicle are read by themselves. Those of many vehicles are found soon enough along the list.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, select, union_all
from sqlalchemy.orm import InstrumentedAttribute

from provisioning.models import visibility
from provisioning.models.base import db
from provisioning.models.devices import Device, DeviceTag
from provisioning.models.uploads import Upload, files_of

FEW = 50  # vehicles whose rows are read by themselves


def newest(
    query: Select[Any],
    column: InstrumentedAttribute[Any],
    limit: int,
    *,
    before: str | int | None = None,
    tag: str | None = None,
) -> Sequence[Any]:
    """Give so many rows that a query finds, those with the greatest ids first, less than the id `before`.

    `column` is the id of the query's table; `tag`: the query finds rows of vehicles with this tag alone.
    """
    tags = visibility.tags() if tag is None else frozenset([tag])
    older = [] if before is None else [column < before]
    few = None
    if tags is not None and "device_id" in column.class_.__mapper__.columns:
        few = _few_vehicles(tags)
    if few is None:
        query = query.where(*older)
    else:
        where = older if query.whereclause is None else [query.whereclause, *older]
        ids = _newest_ids(column, where, few, limit)
        if not ids:
            return []
        query = query.where(column.in_(ids))
    return db.session.scalars(query.order_by(column.desc()).limit(limit)).all()


def _newest_ids(
    column: InstrumentedAttribute[str],
    where: Sequence[ColumnElement[bool]],
    few: Sequence[Device],
    limit: int,
) -> Sequence[str]:
    if not few:
        return []
    of_each = [
        select(column)
        .where(_is_of(column.class_, device), *where)
        .order_by(column.desc())
        .limit(limit)
        .subquery()
        for device in few
    ]
    found = union_all(*(select(one) for one in of_each)).subquery().c[column.key]
    return db.session.scalars(select(found).order_by(found.desc()).limit(limit)).all()


def _is_of(model: Any, device: Device) -> ColumnElement[bool]:
    # files have no index by the vehicle's id
    return files_of(device) if model is Upload else model.device_id == device.id


def _few_vehicles(tags: visibility.Tags) -> list[Device] | None:
    """Give the vehicles with one of these tags that may be read; None where they are more than `FEW`."""
    most = FEW * len(tags) + 1  # a vehicle may have all of the tags
    ids = set(
        db.session.scalars(select(DeviceTag.device_id).where(DeviceTag.tag.in_(sorted(tags))).limit(most))
    )
    return None if len(ids) > FEW else list(db.session.scalars(select(Device).where(Device.id.in_(ids))))
