"""Vehicles whose installation is not finished, and the step at which each stands; changes no row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select

from provisioning.devices import status_table
from provisioning.devices.health import HealthState
from provisioning.devices.installation import InstallationFacts, InstallationStep, open_step
from provisioning.models import OPEN, UNFINISHED, ChecklistRun, Command, Device, StatusItem, db
from provisioning.tracker.parameters import CREDENTIALS, REQUIRED

CONTACT = "contact.sms"
# one that is broken has its reason, and what mends it, elsewhere
_STANDS = (UNFINISHED, Device.health_state != str(HealthState.BROKEN))


@dataclass(frozen=True, slots=True)
class Standing:
    """A vehicle whose installation stands still, and the step that comes next."""

    device: Device
    step: InstallationStep


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The vehicles whose installation stands still; `many_at`: when the newest was added, where they are too many."""

    rows: Sequence[Standing]
    many_at: datetime | None = None


def counted() -> int:
    """Count all vehicles whose installation is not finished, whatever is under way: by an index alone."""
    return db.session.scalar(select(func.count()).select_from(Device).where(UNFINISHED)) or 0


def items_counted(most: int) -> int:
    """Count the vehicles whose installation stands still; more than `most` that are not finished count as one."""
    found = db.session.execute(select(Device.id, _is_busy()).where(*_STANDS).limit(most + 1)).all()
    return 1 if len(found) > most else sum(not is_busy for _, is_busy in found)


def newest(most: int) -> Unfinished:
    """Give the vehicles whose installation stands still, the newest first, or none where there are more than `most`.

    An installation stands still where neither a request nor a check is open.
    """
    found = db.session.execute(
        select(Device, _is_busy()).where(*_STANDS).order_by(Device.id.desc()).limit(most + 1)
    ).all()
    if len(found) > most:
        return Unfinished((), many_at=found[0][0].created_at)
    still = [device for device, is_busy in found if not is_busy]
    wanted = {device.id: _wanted(device) for device in still}
    items = {CONTACT} | {f"parameter.{number}" for settings in wanted.values() for number in settings}
    known = status_table.shown(wanted, sorted(items))
    steps = [
        (device, open_step(_facts(device, wanted[device.id], known.get(device.id, {})))) for device in still
    ]
    return Unfinished([Standing(device, step) for device, step in steps if step is not None])


def _is_busy() -> ColumnElement[bool]:
    """Condition: something that was asked of the vehicle, or a check of it, is not at its end."""
    asked = select(Command.id).where(Command.device_id == Device.id, Command.state.in_(OPEN))
    checked = select(ChecklistRun.id).where(
        ChecklistRun.device_id == Device.id, ChecklistRun.ended_at.is_(None)
    )
    return or_(asked.exists(), checked.exists())


def _wanted(device: Device) -> dict[int, Any]:
    """Give the settings that a vehicle should hold: what DualCam needs, and those of its preset."""
    preset = {int(n): v for n, v in device.profile.parameters.items()} if device.profile else {}
    return {n: v for n, v in (dict(REQUIRED) | preset).items() if n not in CREDENTIALS}


def _facts(device: Device, wanted: Mapping[int, Any], known: Mapping[str, StatusItem]) -> InstallationFacts:
    rows = {number: known.get(f"parameter.{number}") for number in wanted}
    return InstallationFacts(
        is_proved=device.proved_at is not None,
        has_answered=CONTACT in known,
        wanted=wanted,
        confirmed={n: row.value for n, row in rows.items() if row is not None and row.value is not None},
    )
