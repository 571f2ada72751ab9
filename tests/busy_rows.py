"""A busy product, for tests of long pages: twenty vehicles, a thousand events, long lists of all kinds."""

from datetime import datetime, timedelta
from itertools import cycle, islice
from typing import Any

from page_rows import IMEI
from sqlalchemy import insert, select

from provisioning.check import steps
from provisioning.core.audit import AuditAction
from provisioning.devices import registry
from provisioning.fleet import presets
from provisioning.models import (
    ApiToken,
    AuditEntry,
    CameraSession,
    ChecklistRun,
    Command,
    Device,
    Event,
    HealthChange,
    Message,
    Role,
    Upload,
    User,
    VehicleNote,
    WebSession,
    db,
    first_id,
    new_id,
    utcnow,
)
from provisioning.phrase import AS_IT_IS, Phrase

VEHICLES, EVENTS, ENTRIES, OTHERS = 20, 1000, 100, 30
_HEALTH = (
    ("broken", "no_camera"), ("broken", "no_capture"), ("limited", "no_card"), ("limited", "front_camera"),
    ("silent", "silent"), ("unchecked", "never_checked"), ("working", "proved"), ("working", "proved"),
)  # fmt: skip


def fill() -> None:
    """Add the rows, beside those of `page_rows.seed`."""
    now = utcnow()
    fleet = [_vehicle(number, now) for number in range(VEHICLES)]
    van = registry.find(IMEI)
    requests = _life(van, now)
    _events([van, *fleet], now)
    _check(van, requests, now)
    _people(now)
    for number in range(12):
        presets.save(f"Preset {number}", "for trucks that stand in the yard", {"66003": 25}, "tests", now)
    _texts(now)
    db.session.commit()


def _vehicle(number: int, now: datetime) -> Device:
    digits = f"35630704300{number:03}"
    state, code = _HEALTH[number % len(_HEALTH)]
    row = Device(
        imei=f"{digits}{_check_digit(digits)}", phone=f"+1202557{number:04}", name=f"Truck {number + 1}",
        model="FMC125", time_zone="Europe/Vilnius", plate=f"KL {number:03}", sms_login="fleet", sms_password="cam11",
        health_state=state, health_code=code, health_arguments={}, health_since=now - timedelta(hours=number),
        health_until=now + timedelta(days=99), seen_at=now, proved_at=now if state == "working" else None,
    )  # fmt: skip
    db.session.add(row)
    db.session.flush()
    return row


def _check_digit(digits: str) -> int:
    """Give the digit that completes an IMEI."""
    doubled = [int(one) * (1 + at % 2) for at, one in enumerate(digits)]
    return -sum(one - 9 * (one > 9) for one in doubled) % 10


def _life(van: Device, now: datetime) -> list[str]:
    """Give a vehicle a hundred entries of its log, of every kind; give the ids of its requests."""
    requests = []
    for number in range(ENTRIES):
        at = now - timedelta(minutes=7 * number)
        ident = first_id(at) + f"{number:020x}"
        match number % 6:
            case 0 | 3:
                requests.append(ident)
                db.session.add(_request(van, ident, number, at))
            case 1:
                note = (
                    "The tracker has the parameters 151, 150, 66003 and 66022, which is all that was asked. "
                    * 2
                )
                db.session.add(
                    Message(id=ident, direction="in", gateway="twilio", gateway_id=ident, sender=van.phone,
                            recipient="+12025550100", body="Param ID:66003 Value:25", status="received", claimed=True,
                            device_id=van.id, created_at=at, note=Phrase(AS_IT_IS, {"text": note}))
                )  # fmt: skip
            case 2:
                db.session.add(
                    CameraSession(id=ident, imei=van.imei, device_id=van.id, address="192.0.2.1:40000", started_at=at,
                                  ended_at=at, code="done", reason=Phrase("nothing_left"), files=2,
                                  bytes_received=51_200)
                )  # fmt: skip
            case 4:
                db.session.add(
                    HealthChange(
                        device_id=van.id, state="limited", code="no_card", arguments={}, since=at, at=at
                    )
                )
            case _:
                words = "The seal of the front camera was broken; a new one is ordered."
                db.session.add(
                    VehicleNote(id=ident, device_id=van.id, who="ada@example.com", text=words, at=at)
                )
        db.session.execute(
            insert(AuditEntry).values(
                id=ident, at=at, who="ada@example.com", address="192.0.2.7", object=f"device:{van.imei}",
                action=(AuditAction.CHANGED, AuditAction.SAW, AuditAction.CHECKED)[number % 3], imei=van.imei,
                detail={"name": "Van 11", "plate": "KLM-312", "tags": "north, cold chain"} if number % 3 == 0 else None,
            )
        )  # fmt: skip
    return requests


def _request(van: Device, ident: str, number: int, at: datetime) -> Command:
    arguments = {"file_type": "video", "source": "both", "timestamp": at.timestamp(), "duration": 20}
    return Command(
        id=ident, device_id=van.id, kind="camreq", arguments=arguments, state="failed", length=30,
        text="camreq:0,3,1,20", reply="Camera error", requested_by="ada@example.com", due_at=at, created_at=at,
        error=Phrase("no_file"), error_code="camera_error", error_retry=True,
        history=[{"at": at.isoformat(), "state": "failed", "note": None}],
    )  # fmt: skip


def _events(vehicles: list[Device], now: datetime) -> None:
    """Store a thousand events, a third of them of the first vehicle, each with a clip of both cameras."""
    kinds = cycle(["crash", "asked", "din1", "periodic", "asked", "tow", "harsh"])
    events: list[dict[str, Any]] = []
    files: list[dict[str, Any]] = []
    for number, kind in enumerate(islice(kinds, EVENTS)):
        at = now - timedelta(minutes=11 * number)
        ident = first_id(at) + f"{number:020x}"
        van = vehicles[0] if number % 3 == 0 else vehicles[number % len(vehicles)]
        is_seen = kind not in ("crash", "tow") or number > 100
        events.append(
            {"id": ident, "device_id": van.id, "kind": kind, "at": at, "cameras": "both", "file_types": "video",
             "seen_at": at if is_seen else None}
        )  # fmt: skip
        for camera in (0, 1):
            files.append(
                {"id": first_id(at) + f"{2 * number + camera:020x}", "imei": van.imei, "device_id": van.id,
                 "identifier": "%videof", "file_type": "video", "source": ("front", "rear")[camera],
                 "state": "stored", "size": 51_200, "duration": 20, "event_id": ident, "timestamp": at,
                 "path": "clip.bin", "received_at": at, "packets": 54, "started_at": at, "trigger": 0}
            )  # fmt: skip
    db.session.execute(insert(Event), events)
    db.session.execute(insert(Upload), files)


def _check(van: Device, requests: list[str], now: datetime) -> None:
    """Have a check end in which all but one step were fine."""
    fine = {"state": "done", "verdict": "good", "mark": "works", "code": AS_IT_IS,
            "arguments": {"text": "It answered within six seconds, as it should."},
            "commands": requests[:2]}  # fmt: skip
    found = {step.id: dict(fine) for step in steps.STEPS}
    last = db.session.scalars(select(ChecklistRun).where(ChecklistRun.device_id == van.id)).one()
    last.steps = found | dict(last.steps)


def _people(now: datetime) -> None:
    for number in range(OTHERS):
        db.session.add(
            User(email=f"person{number}@example.com", name=f"Person {number}", role=Role.VIEWER, password_hash="x",
                 last_seen_at=now, tags=["depot-1"] if number % 2 else None)
        )  # fmt: skip
        db.session.add(
            ApiToken(name=f"program {number}", role=Role.VIEWER, token_hash=f"{number:064x}", made_by="ada@example.com",
                     expires_at=now + timedelta(days=9), last_used_at=now)
        )  # fmt: skip
    for user in db.session.scalars(select(User)):
        for number in range(12):
            db.session.add(
                WebSession(user_id=user.id, key_hash=new_id() + new_id(), address=f"192.0.2.{number}", last_seen_at=now,
                           agent="Mozilla/5.0 (X11; Linux x86_64) Chrome/120", expires_at=now + timedelta(days=9))
            )  # fmt: skip


def _texts(now: datetime) -> None:
    """Store texts that answer nothing, and trackers that nobody added."""
    for number in range(OTHERS):
        at = now - timedelta(minutes=number)
        db.session.add(
            Message(direction="in", gateway="twilio", gateway_id=new_id(), sender=f"+1202556{number:04}", created_at=at,
                    recipient="+12025550100", body="Hello, who is this? I got a text from you.", status="received")
        )  # fmt: skip
        imei = f"49015420324{number:04}"
        db.session.add(
            CameraSession(id=new_id(), imei=imei, address="192.0.2.1:1", peer=imei, started_at=at, ended_at=at,
                          code="unknown", reason=Phrase("nothing_left"), files=0, bytes_received=0)
        )  # fmt: skip
