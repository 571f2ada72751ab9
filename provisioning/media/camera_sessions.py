"""Stores the TCP connections of devices; the many of unknown devices share few rows.

A refused device that comes back every second would write 2.6 million rows a month: its refusals are counted in one
row a day. The receiver's `__main__` reports here, in bulk; the worker's sweep forgets.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, select, update

from provisioning.devices import health_rules, status_table
from provisioning.models import CameraSession, Device, StatusItem, Verdict, changes, db, put_all, timestamps
from provisioning.phrase import Phrase
from receiver.addresses import network
from receiver.backend.port import SessionFacts
from receiver.endings import Ending, Reason

UNKNOWN_A_DAY = 1000  # rows; whoever else comes that day is counted together
OTHERS = "others"
DAY_FULL = "files.day_limit"  # it was reached within a day
COUNTED = 100  # IMEIs; beyond that nobody needs the number
LEFT_AFTER = timedelta(hours=24)  # few connections last so long, and the end of a longer one is still stored
FORGOTTEN_AT_ONCE = 2000  # rows, so that no sweep takes long


def note(facts: Sequence[SessionFacts], now: datetime) -> None:
    """Store connections that began or ended, in a few statements: a row each; those of unknown devices are counted."""
    devices = _devices(fact.imei for fact in facts if fact.imei)
    astray = [fact for fact in facts if _is_astray(fact)]
    own = [f for f in facts if (f.imei in devices and not _is_astray(f)) or f.files]
    put_all(
        CameraSession,
        [_row(fact, devices.get(fact.imei or "")) for fact in own],
        "id",
        once=("address", "started_at"),
    )
    _count_unknown(
        [f for f in facts if (f.imei not in devices or _is_astray(f)) and not f.files and f.ended_at]
    )
    contacts = [fact for fact in sorted(own, key=_seen_at) if fact.code != Reason.UNKNOWN_DEVICE.code]
    contacted = _items(contacts, devices)
    status_table.note_all("contact.tcp", "session", contacted, now)
    status_table.note_all(
        status_table.TRACKER_SERVER,
        "session",
        _items(astray, devices, "the camera port"),
        now,
        verdict=Verdict.BAD,
        text=Phrase("avl_on_camera_port"),
    )
    full = [fact for fact in own if fact.code == Reason.DAY_FULL.code]
    status_table.note_all(
        DAY_FULL,
        "session",
        _items(full, devices, "reached"),
        now,
        verdict=Verdict.WARN,
        text=Phrase("day_full"),
    )
    changes.publish_all(contacted, "uploads")
    if any(fact.imei not in devices for fact in facts):
        changes.publish_all([None], "devices")
    db.session.commit()


def _items(
    facts: Iterable[SessionFacts], devices: Mapping[str, int], value: str | None = None
) -> dict[int, tuple[str, str, datetime]]:
    """Give by device what `status_table.note_all` takes; without a value, the value is when the vehicle was seen."""
    return {
        device_id: (value or timestamps.stamp(_seen_at(fact)), fact.id, _seen_at(fact))
        for fact in facts
        if (device_id := devices.get(fact.imei or "")) is not None
    }


def _is_astray(fact: SessionFacts) -> bool:
    """Condition: a tracker sent its own data here; such a one comes again and again."""
    return fact.code == Reason.TRACKER_DATA.code


def _phrase(ending: Ending | None) -> Phrase | None:
    return Phrase(ending.reason.key, ending.arguments) if ending else None


def _seen_at(fact: SessionFacts) -> datetime:
    return fact.ended_at or fact.started_at


def _devices(imeis: Iterable[str]) -> dict[str, int]:
    found = db.session.execute(
        select(Device.imei, Device.id).where(Device.imei.in_(set(imeis)), Device.archived_at.is_(None))
    )
    return {row.imei: row.id for row in found}


def _row(fact: SessionFacts, device_id: int | None) -> dict[str, Any]:
    return {
        "id": fact.id,
        "imei": fact.imei,
        "device_id": device_id,
        "address": fact.address,
        "started_at": fact.started_at,
        "ended_at": fact.ended_at,
        "reason": _phrase(fact.ending),
        "code": fact.code,
        "files": fact.files,
        "bytes_received": fact.bytes_received,
        "crc_errors": fact.crc_errors,
        "resumes": fact.resumes,
    }


def _count_unknown(facts: Sequence[SessionFacts]) -> None:
    """Count connections of unknown devices that brought no file: one row for each day, peer and end code."""
    if not facts:
        return
    day = min(fact.started_at for fact in facts).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = _rows_of_unknown({_peer(fact) for fact in facts} | {OTHERS}, day)
    left = UNKNOWN_A_DAY - _count_rows_of_unknown(day)
    counted: dict[str, dict[str, Any]] = {}
    for fact in facts:
        peer, rest = _peer(fact), (fact.code, fact.started_at.date())
        if (peer, *rest) not in rows and left <= 0:
            peer = OTHERS
        if (peer, *rest) not in rows:
            left -= 1
            rows[peer, *rest] = fact.id
        ident = rows[peer, *rest]
        row = counted.setdefault(ident, _nothing_yet(ident, peer, fact))
        row["connections"] += 1
        row["bytes_received"] += fact.bytes_received
        row |= {"ended_at": fact.ended_at, "reason": _phrase(fact.ending), "address": fact.address}
    # added up by the database: another receiver may count the same device at this moment
    put_all(
        CameraSession,
        counted.values(),
        "id",
        once=("peer", "imei", "code", "started_at", "files", "crc_errors", "resumes"),
        added=("connections", "bytes_received"),
    )


def _rows_of_unknown(peers: Iterable[str], day: datetime) -> dict[tuple[str, str | None, date], str]:
    """Give the rows of these peers since a day: their ids by peer, end code and day."""
    found = db.session.execute(
        select(CameraSession.id, CameraSession.peer, CameraSession.code, CameraSession.started_at).where(
            CameraSession.peer.in_(peers), CameraSession.started_at >= day
        )
    )
    return {(row.peer, row.code, row.started_at.date()): row.id for row in found}


def _count_rows_of_unknown(day: datetime) -> int:
    rows = select(func.count()).where(CameraSession.peer.is_not(None), CameraSession.started_at >= day)
    return db.session.scalar(rows) or 0


def _nothing_yet(ident: str, peer: str, fact: SessionFacts) -> dict[str, Any]:
    """Give the row of a day, peer and end code before anything is counted in it."""
    return {
        "id": ident,
        "peer": peer,
        "imei": fact.imei if peer != OTHERS else None,
        "code": fact.code,
        "started_at": fact.started_at,
        "connections": 0,
        "bytes_received": 0,
        "files": 0,
        "crc_errors": 0,
        "resumes": 0,
    }


def _peer(fact: SessionFacts) -> str:
    return fact.imei or network(fact.address)


def of_unknown_devices() -> ColumnElement[bool]:
    """Give the condition that a connection is of an IMEI that no device has now."""
    # looked up for each connection: a list of all IMEIs would be made on every page
    known = exists().where(Device.imei == CameraSession.imei, Device.archived_at.is_(None))
    return and_(CameraSession.device_id.is_(None), CameraSession.imei.is_not(None), ~known)


def unknown_devices_counted() -> int:
    """Count the IMEIs that connected and that no device has now, up to COUNTED: pages ask often."""
    some = select(CameraSession.imei).where(of_unknown_devices()).distinct().limit(COUNTED).subquery()
    return db.session.scalar(select(func.count()).select_from(some)) or 0


def close_left(now: datetime) -> None:
    """End connections whose end was never reported: their receiver was killed."""
    db.session.execute(
        update(CameraSession)
        .where(CameraSession.ended_at.is_(None), CameraSession.started_at < now - LEFT_AFTER)
        .values(ended_at=CameraSession.started_at, code="unknown", reason=Phrase("receiver_ended"))
        .execution_options(synchronize_session=False)
    )
    db.session.commit()


def forget(now: datetime, days: int) -> None:
    """Remove connections older than so many days, some at a time, and word of trackers that came astray."""
    old = (
        select(CameraSession.id)
        .where(CameraSession.started_at < now - timedelta(days=days))
        .limit(FORGOTTEN_AT_ONCE)
    )
    db.session.execute(
        delete(CameraSession).where(CameraSession.id.in_(old)).execution_options(synchronize_session=False)
    )
    passing = StatusItem.item.in_((status_table.TRACKER_SERVER, DAY_FULL))
    db.session.execute(
        delete(StatusItem)
        .where(passing, StatusItem.checked_at < now - health_rules.ASTRAY_FOR)
        .execution_options(synchronize_session=False)
    )
    db.session.commit()
