"""Stores the TCP connections of devices; the many of unknown devices share few rows.

A refused device that comes back every second would write 2.6 million rows a month: its refusals are counted in one
row a day. The receiver's `__main__` reports here, in bulk; the worker's sweep forgets.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
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
    # a tracker that sends its own data here comes again and again
    astray = [fact for fact in facts if _is_astray(fact)]
    own = [f for f in facts if (f.imei in devices and not _is_astray(f)) or f.files]
    put_all(
        CameraSession,
        [_row(fact, devices.get(fact.imei or "")) for fact in own],
        "id",
        once=("address", "started_at"),
    )
    contacts = {
        devices[fact.imei]: (timestamps.stamp(_seen_at(fact)), fact.id, _seen_at(fact))
        for fact in sorted(own, key=_seen_at)
        if fact.imei in devices and fact.code != Reason.UNKNOWN_DEVICE.code
    }
    _count_unknown(
        [f for f in facts if (f.imei not in devices or _is_astray(f)) and not f.files and f.ended_at]
    )
    status_table.note_all("contact.tcp", "session", contacts, now)
    status_table.note_all(
        status_table.TRACKER_SERVER,
        "session",
        {
            devices[fact.imei]: ("the camera port", fact.id, _seen_at(fact))
            for fact in astray
            if fact.imei in devices
        },
        now,
        verdict=Verdict.BAD,
        text=Phrase("avl_on_camera_port"),
    )
    status_table.note_all(
        DAY_FULL,
        "session",
        {
            devices[fact.imei]: ("reached", fact.id, _seen_at(fact))
            for fact in own
            if fact.imei in devices and fact.code == Reason.DAY_FULL.code
        },
        now,
        verdict=Verdict.WARN,
        text=Phrase("day_full"),
    )
    changes.publish_all(contacts, "uploads")
    if any(fact.imei not in devices for fact in facts):
        changes.publish_all([None], "devices")
    db.session.commit()


def _is_astray(fact: SessionFacts) -> bool:
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
    peers = {_peer(fact) for fact in facts} | {OTHERS}
    rows = {
        (row.peer, row.code, row.started_at.date()): row.id
        for row in db.session.execute(
            select(CameraSession.id, CameraSession.peer, CameraSession.code, CameraSession.started_at).where(
                CameraSession.peer.in_(peers), CameraSession.started_at >= day
            )
        )
    }
    left = UNKNOWN_A_DAY - (
        db.session.scalar(
            select(func.count()).where(CameraSession.peer.is_not(None), CameraSession.started_at >= day)
        )
        or 0
    )
    counted: dict[str, dict[str, Any]] = {}
    for fact in facts:
        peer, rest = _peer(fact), (fact.code, fact.started_at.date())
        if (peer, *rest) not in rows and left <= 0:
            peer = OTHERS
        if (peer, *rest) not in rows:
            left -= 1
            rows[peer, *rest] = fact.id
        row = counted.setdefault(
            rows[peer, *rest],
            {
                "id": rows[peer, *rest],
                "peer": peer,
                "imei": fact.imei if peer != OTHERS else None,
                "code": fact.code,
                "started_at": fact.started_at,
                "connections": 0,
                "bytes_received": 0,
                "files": 0,
                "crc_errors": 0,
                "resumes": 0,
            },
        )
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
