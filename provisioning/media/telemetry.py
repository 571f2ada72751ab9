"""Telemetry records of the customer's telematics platform: camera states, SOS triggers, ignition.

Source: vendor's AVL ids 497 (rear camera), 498 (front camera), 499 (SOS trigger), 239 (ignition).
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select

from provisioning.devices import status_table
from provisioning.media import link_service
from provisioning.media.link_rules import SERVER_REQUEST
from provisioning.models import TRIGGERS, Device, TelemetryRecord, Verdict, db, locks, new_id

KNOWN = ("239", "497", "498", "499")
CAMERAS = {"498": "front", "497": "rear"}
CAMERA_STATES = {
    0: (status_table.NOT_DETECTED, Verdict.BAD),
    1: (status_table.NO_CARD, Verdict.BAD),
    2: (status_table.CARD_NOT_MOUNTED, Verdict.BAD),
    3: (status_table.CARD_MOUNTED, Verdict.GOOD),
    4: (status_table.CARD_FAULTY, Verdict.BAD),
}


def accept(device: Device, timestamp: datetime, values: Mapping[str, int], now: datetime) -> bool:
    """Take one record; False if it was known. Commits.

    Older records than what is known change no status; one of a clock that is ahead counts as of now.
    """
    device = locks.lock_device(device.id)
    kept = {key: int(values[key]) for key in KNOWN if key in values}
    fingerprint = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
    known = select(TelemetryRecord.id).where(
        TelemetryRecord.device_id == device.id,
        TelemetryRecord.timestamp == timestamp,
        TelemetryRecord.fingerprint == fingerprint,
    )
    if db.session.scalar(known):
        db.session.rollback()
        return False
    record = TelemetryRecord(
        id=new_id(),
        device_id=device.id,
        timestamp=timestamp,
        values=kept,
        fingerprint=fingerprint,
        received_at=now,
    )
    db.session.add(record)
    db.session.flush()
    for key, value in kept.items():
        _note(device, key, value, record, min(timestamp, now))
    link_service.tie(device, record, now)
    db.session.commit()
    return True


def _note(device: Device, key: str, value: int, record: TelemetryRecord, at: datetime) -> None:
    if key in CAMERAS:
        item = f"camera.{CAMERAS[key]}.state"
        text, verdict = CAMERA_STATES.get(value, (f"state {value}", Verdict.UNKNOWN))
        if text == status_table.NOT_DETECTED and status_table.cameras_may_sleep(device, at):
            verdict = Verdict.UNKNOWN  # the record has the ignition before the cameras
        if verdict is Verdict.UNKNOWN and status_table.is_judged(device.id, item):
            return  # it disproves nothing that is known of the camera
    elif key == "499":
        if value == SERVER_REQUEST:
            return  # a file that was asked for is no trigger
        # it is about one moment, and says nothing of how the device is now
        item, text, verdict = "sos", TRIGGERS.get(value, f"trigger {value}"), Verdict.UNKNOWN
    else:
        item, text, verdict = "ignition", "on" if value else "off", Verdict.GOOD
    status_table.note(device, item, text, verdict, now=at, source_kind="record", source_id=record.id)
