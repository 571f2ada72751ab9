"""A vehicle, its requests for files, and the sidecars of files that come."""

from datetime import UTC, datetime, timedelta
from typing import Any

from provisioning.commands.submission import Requester, submit
from provisioning.devices import registry
from provisioning.media import registration, settlement
from provisioning.models import (
    Attempt,
    Command,
    Device,
    Passage,
    Role,
    State,
    command_state,
    db,
    new_id,
    utcnow,
)
from provisioning.tracker.language import from_arguments

IMEI = "352094082736916"


def add_van() -> Device:
    given = {"imei": IMEI, "phone": "+12025550111", "sms_login": "fleet", "sms_password": "cam11"}
    return registry.add(given, utcnow())


def wish(device: Device, source: str = "front", **arguments: Any) -> Command:
    """A camreq that waits."""
    now = utcnow()
    given = {"file_type": "photo", "source": source} | arguments
    (row,) = submit(
        device,
        from_arguments("camreq", given, now=int(now.timestamp())),
        Requester("tests", Role.INSTALLER),
        now,
    )
    return row


def hand_over(row: Command, now: datetime) -> None:
    """As the worker does when the gateway takes the SMS."""
    attempt = Attempt(id=new_id(), command_id=row.id, began_at=now, outcome=Passage.SENDING)
    command_state.begin(row, attempt, now, expires_at=now + timedelta(hours=1))
    command_state.record(row, attempt, Passage.SENT, now)


def asked(device: Device, source: str = "front", **arguments: Any) -> Command:
    """A camreq that was handed over a moment ago and accepted."""
    now = utcnow()
    row = wish(device, source, **arguments)
    row.capturing = True
    hand_over(row, now)
    command_state.move(row, State.ANSWERED, now, expires_at=now + timedelta(hours=1))
    row.capturing = True
    db.session.commit()
    return row


def take(record: dict[str, Any]) -> None:
    """As the receiver and then the worker do."""
    registration.register([record], utcnow())
    settlement.settle_all(utcnow)


def sidecar(upload: str = "a" * 32, **changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    metadata = {
        "version": 4, "file_type": 4, "timestamp": int(now.timestamp() * 1000), "trigger": 0, "duration": 0,
        "frame_rate": 0, "time_zone": 0, "latitude": 54.6872, "longitude": 25.2797, "trigger_timestamp": None,
    }  # fmt: skip
    record = {
        "upload": upload, "imei": IMEI, "session": "b" * 32, "admission": "known", "identifier": "%photof",
        "file_type": "photo", "source": "front", "extension": "jpg", "metadata": metadata, "packets": 3,
        "received_packets": 3, "size": 2500, "sha256": "c" * 64, "path": f"{IMEI}/2026/11/24/{upload}.jpg",
        "state": "stored", "started_at": now.isoformat(), "received_at": now.isoformat(), "resumes": 0,
        "crc_errors": 0, "updated_at": now.isoformat(), "count": 3, "by_path": False, "safe": 0, "boot": "x",
    }  # fmt: skip
    extra = {key: value for key, value in changes.items() if key in metadata and key not in record}
    return record | {"metadata": metadata | extra} | {k: v for k, v in changes.items() if k not in extra}
