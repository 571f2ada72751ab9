"""Keeps the health of devices in their rows, and every change of it with its time.

A device's health is written only under the device's lock. A transaction that holds the lock decides with its own
commit, so that a fact and the health that follows from it appear together. Where a transaction does not hold it (the
receiver's reports), the worker's job `health` decides within about a second. Lists and counts read columns only.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog
from flask import Flask
from sqlalchemy import delete, event, insert, select, update
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session, SessionTransaction

from provisioning.core import jobs
from provisioning.core.config import Config, current_config
from provisioning.devices import camera_server, health_facts
from provisioning.devices.health import decide
from provisioning.devices.vehicle_facts import HealthLimits, last_proof, last_sign
from provisioning.models import (
    Cursor,
    Device,
    HealthChange,
    HealthDue,
    changes,
    db,
    health_marks,
    locks,
    put_all,
    utcnow,
    visibility,
)

log = structlog.get_logger(__name__)

AT_ONCE = 20  # devices in one transaction: on SQLite nobody else writes meanwhile
DEVICES = 500  # in one run of the job
RULES = 5  # a release that changes the rules counts it up: then every health is decided anew
BASIS = "health_basis"  # the cursor that keeps what health was last decided by


def init_app(app: Flask) -> None:
    """Decide health with the commits of this app's database session."""
    for name, listener in (("before_commit", _before_commit), ("after_transaction_end", _after_transaction)):
        if not event.contains(db.session.session_factory, name, listener):
            event.listen(db.session.session_factory, name, listener)


def limits(config: Config) -> HealthLimits:
    """Give the settings that health depends on."""
    return HealthLimits(
        timedelta(days=config.silent_days), timedelta(days=config.health_proof_days), config.check_slow_answer
    )


def refresh(device: Device, now: datetime) -> None:
    """Decide a device's health anew and keep it; the caller holds the device's lock and commits."""
    if device.archived_at is not None:
        _write(device, {"health_until": None})
        return
    facts = health_facts.of(device, now)
    found = decide(facts, limits(current_config()), now)
    is_same = (device.health_state, device.health_code) == (found.state, found.code)
    arguments = dict(found.arguments)
    if not is_same:
        columns = {
            "state": found.state,
            "code": found.code,
            "arguments": arguments,
            "since": found.since,
            "at": now,
        }
        db.session.execute(insert(HealthChange).values(device_id=device.id, **columns))
    if not is_same or arguments != device.health_arguments:
        changes.publish(device.id, "health")
    _write(
        device,
        {
            "health_state": str(found.state),
            "health_code": found.code,
            "health_arguments": arguments,
            "health_since": device.health_since if is_same else found.since,
            "health_until": found.valid_until,
            "seen_at": last_sign(facts),
            "connected_at": facts.connected_at,
            # one of long ago may come after a newer one
            "file_at": max((at for at in (device.file_at, facts.pictured_at) if at), default=None),
            "proved_at": device.proved_at or last_proof(facts),
        },
    )


def _write(device: Device, values: dict[str, object]) -> None:
    """Write what differs; `updated_at` stays, since it is the time of changes by people."""
    differing = {name: value for name, value in values.items() if getattr(device, name) != value}
    if differing:
        db.session.execute(
            update(Device).where(Device.id == device.id).values(**differing, updated_at=Device.updated_at)
        )


@visibility.whole_fleet()
def _before_commit(session: Session) -> None:
    if session.in_nested_transaction():
        return
    locked, others = health_marks.take_marked(session)
    for ident in sorted(locked):
        try:
            session.flush()
            device = session.get(Device, ident)
            if device is not None:
                refresh(device, utcnow())
        except SQLAlchemyError:
            raise  # the database's own: the whole transaction is done again
        except Exception:
            # a mistake in these rules must lose no fact: the worker tries again, for this device alone
            log.exception("health not decided; the worker tries again", device=ident)
            others.add(ident)
    if others:
        session.connection().execute(insert(HealthDue), [{"device_id": ident} for ident in sorted(others)])


def _after_transaction(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        health_marks.forget(session)


def decide_due(clock: Callable[[], datetime]) -> None:
    """Decide the health of devices that a fact came of, or whose health has run out. Raises RowsFailed."""
    _start_again_by_other_rules(clock())
    due = db.session.execute(
        select(HealthDue.id, HealthDue.device_id).order_by(HealthDue.id).limit(DEVICES)
    ).all()
    ended = db.session.scalars(
        select(Device.id)
        .where(Device.archived_at.is_(None), Device.health_until <= clock())
        .order_by(Device.health_until)
        .limit(DEVICES)
    ).all()
    db.session.commit()
    idents = sorted({row.device_id for row in due} | set(ended))
    rows: dict[int, list[int]] = {}
    for row in due:
        rows.setdefault(row.device_id, []).append(row.id)
    alone: list[int] = []  # one by one, so that one that fails holds up no other
    for at in range(0, len(idents), AT_ONCE):
        some = idents[at : at + AT_ONCE]
        try:
            _decide(some, rows, clock())
        except OperationalError:
            raise
        except Exception:  # noqa: BLE001 - each is tried alone, and what fails then is logged
            db.session.rollback()
            alone += some
    jobs.each("health", alone, lambda ident: _decide([ident], rows, clock()))


def _decide(idents: Sequence[int], rows: dict[int, list[int]], now: datetime) -> None:
    for ident in idents:
        if db.session.get(Device, ident) is not None:
            refresh(locks.lock_device(ident), now)
    taken = [row for ident in idents for row in rows.get(ident, [])]
    if taken:
        db.session.execute(delete(HealthDue).where(HealthDue.id.in_(taken)))
    db.session.commit()


def _start_again_by_other_rules(now: datetime) -> None:
    """Have every health decided anew, some at a time, where a setting or a release has changed what decides."""
    config = current_config()
    basis = f"{RULES} {limits(config)} {camera_server.own_address(config)}"
    known = db.session.get(Cursor, BASIS)
    if known is not None and known.value == basis:
        return
    db.session.execute(
        update(Device)
        .where(Device.archived_at.is_(None))
        .values(health_until=now, updated_at=Device.updated_at)
        .execution_options(synchronize_session=False)
    )
    put_all(Cursor, [{"name": BASIS, "value": basis, "updated_at": now}], "name")
    db.session.commit()
