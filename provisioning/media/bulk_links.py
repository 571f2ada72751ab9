"""Decides the links of new files that no request can have made, for many devices at once.

Some statements for any number of files. What a request or a record may be about is left to `link_service`, one device
after the other. `settlement` calls it.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from provisioning.core.config import current_config
from provisioning.devices import status_table
from provisioning.media.link_rules import File, decide, taken_by_itself
from provisioning.media.link_service import BASIS_ITEMS, as_basis, present_basis
from provisioning.models import Command, Device, TelemetryRecord, db
from provisioning.phrase import Phrase


@dataclass(frozen=True, slots=True)
class Unlinked:
    """The decision for a file that no request has made. `basis`: by what it was decided, in JSON; None: by nothing."""

    reason: Phrase
    basis: str | None = None


def decide_unasked(uploads: Sequence[Any]) -> dict[str, Unlinked]:
    """Give the decision for those of the new files that no request can have made and no record tells of, by id.

    `uploads`: rows with the columns that `settlement` reads. The decision is the one that `link_service` would make.
    """
    free = [row for row in uploads if not row.link_fixed]
    with_records = _with_records({row.device_id for row in free})
    free = [row for row in free if row.device_id not in with_records]
    decided, others = {}, []
    for row in free:
        link = taken_by_itself(row.trigger, _has_metadata(row))
        if link is None:
            others.append(row)
        else:
            decided[row.id] = Unlinked(link.reason)
    asked = _asked(others)
    return decided | _decide_without_requests([row for row in others if row.device_id not in asked])


def _has_metadata(row: Any) -> bool:
    return bool(row.has_metadata and row.timestamp is not None)


def _with_records(device_ids: Iterable[int]) -> set[int]:
    has_records = select(TelemetryRecord.id).where(TelemetryRecord.device_id == Device.id).exists()
    return set(db.session.scalars(select(Device.id).where(Device.id.in_(device_ids), has_records)))


def _asked(rows: Sequence[Any]) -> set[int]:
    """Give the devices with a request that may have made one of these files."""
    if not rows:
        return set()
    window = timedelta(seconds=current_config().link_window)
    recent = select(Command.device_id).where(
        Command.device_id.in_({row.device_id for row in rows}),
        Command.kind == "camreq",
        Command.sending_at >= min(row.started_at for row in rows) - window,
    )
    return set(db.session.scalars(recent.distinct()))


def _decide_without_requests(rows: Sequence[Any]) -> dict[str, Unlinked]:
    items = status_table.shown({row.device_id for row in rows}, BASIS_ITEMS)
    decided = {}
    for row in rows:
        basis = present_basis(items.get(row.device_id, {}))
        file = File(
            row.id,
            row.file_type,
            row.source,
            row.started_at.timestamp(),
            has_metadata=_has_metadata(row),
            trigger=row.trigger,
        )
        link = decide([file], [], as_basis(basis))[row.id]
        decided[row.id] = Unlinked(link.reason, json.dumps(basis))
    return decided
