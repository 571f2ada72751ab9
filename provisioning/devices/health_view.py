"""What pages and programs are shown of the health of devices: state, sentence, since when, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from provisioning.devices import health_words
from provisioning.devices.actions import ANSWER, Action
from provisioning.devices.health import HealthState
from provisioning.models import ChecklistRun, Device, db
from provisioning.translation import gettext

LATELY = timedelta(hours=1)  # "31 others got through in the last hour": is it us, or the vehicle?


@dataclass(frozen=True, slots=True)
class HealthView:
    """The health of one device in words, and its check that has not ended."""

    state: HealthState
    code: str
    reason: str
    since: datetime
    action: Action | None
    check: ChecklistRun | None

    @property
    def word(self) -> str:
        """Give the state in a word."""
        return gettext(health_words.STATES[self.state])


def of(rows: Sequence[Device], now: datetime) -> dict[int, HealthView]:
    """Give the health of devices, by their ids."""
    others = count_lately(now) if any(row.health_code == "server_unreachable" for row in rows) else 0
    checks = open_checks([row.id for row in rows])
    return {row.id: _view(row, others, checks.get(row.id)) for row in rows}


def open_checks(device_ids: Sequence[int]) -> dict[int, ChecklistRun]:
    """Give the checks of these devices that have not ended, by the device's id."""
    rows = db.session.scalars(
        select(ChecklistRun).where(ChecklistRun.ended_at.is_(None), ChecklistRun.device_id.in_(device_ids))
    )
    return {row.device_id: row for row in rows}


def _view(row: Device, others: int, check: ChecklistRun | None) -> HealthView:
    arguments = dict(row.health_arguments or {})
    if row.health_code == "server_unreachable":
        arguments["others"] = others
    # nothing else can be done before its question is answered
    waits = check is not None and check.waits_for_person
    return HealthView(
        HealthState(row.health_state),
        row.health_code,
        health_words.sentence(row.health_code, arguments),
        row.health_since or row.created_at,
        ANSWER if waits else health_words.action(row.health_code, arguments),
        check,
    )


def count_lately(now: datetime) -> int:
    """Count the devices that connected lately; one that cannot reach us is none of them."""
    query = select(func.count()).where(Device.archived_at.is_(None), Device.connected_at > now - LATELY)
    return db.session.scalar(query) or 0
