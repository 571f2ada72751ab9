"""Rows for every page of the product, and the addresses of these pages; for tests that look at all of them."""

import io
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from PIL import Image
from sqlalchemy import select, update

from provisioning.devices import registry
from provisioning.fleet import presets
from provisioning.media import event_service, previews, shares, storage_use
from provisioning.models import (
    ApiToken,
    CameraSession,
    ChecklistRun,
    Command,
    Device,
    Event,
    Message,
    Role,
    State,
    Upload,
    db,
    new_id,
    utcnow,
)
from provisioning.phrase import Phrase
from provisioning.web import access, auth, invitations, wall_links
from provisioning.web.moved_addresses import MOVED

IMEI, UNKNOWN = "356307042440106", "490154203237518"
WAITING = "356307042440205"  # its check waits for an answer
# addresses that show no page: streams, parts of pages, bytes
NO_PAGES = r"/(static|api|healthz|readyz|metrics)\b|/events$|/part\b|/content$|\.(jpg|mp4|csv)$|/<name>$"


def rules() -> set[str]:
    """Give the addresses of all pages as Flask's rules, without those that pages had before."""
    given = {
        route.removeprefix("GET ") for route in (*access.READS, *access.OPEN) if route.startswith("GET ")
    }
    return {rule for rule in given - set(MOVED) if not re.search(NO_PAGES, rule)}


def seed(folder: Path) -> list[str]:
    """Fill the database with something for every page; give the addresses of all pages."""
    now = utcnow()
    given = {
        "imei": IMEI, "phone": "+12025550177", "name": "Layout 1 with a name that is rather long", "model": "FMC125",
        "sms_login": "fleet", "sms_password": "cam11", "time_zone": "Europe/Vilnius",
        "plate": "KLM-312", "tags": ["depot-1"],
    }  # fmt: skip
    van = registry.add(given, now)
    uploads = [upload(van, folder, number) for number in range(6)]
    coming = upload(van, folder, 6, state="receiving", received_packets=20, thumbnail_state=None)
    upload(van, folder, 7, imei=UNKNOWN, device_id=None, state="quarantined")
    answered = request(
        van, State.ANSWERED, {"file_type": "video", "source": "both", "timestamp": 1, "duration": 9}
    )
    request(van, State.QUEUED, {"file_type": "photo", "source": "front"})
    failed = request(
        van, State.FAILED, {"file_type": "photo", "source": "rear"}, error_code="ignition_off",
        error=Phrase("no_file"), error_retry=True, reply="Camera error", result={"replies": []},
    )  # fmt: skip
    _texts(van, now)
    _sessions(van, now)
    _checks(
        van,
        registry.add({**given, "imei": WAITING, "phone": "+12025550179", "name": "Layouts 2"}, now),
        failed,
        now,
    )
    presets.save("Layout", "for tests", {"66003": 25}, "tests", now)
    db.session.execute(update(Upload).where(Upload.state == "stored").values(event_due=True))
    db.session.commit()
    event_service.remake_all(utcnow)
    crash = db.session.scalars(select(Event).where(Event.kind == "crash")).first()
    assert crash is not None
    _, token = shares.make(crash, 24, None, "tests", now)
    _, invitation = invitations.invite("invited@example.com", "", Role.VIEWER, now)
    auth.create_token("revoked", Role.VIEWER)
    auth.revoke_token("revoked")
    revoked = db.session.scalars(select(ApiToken.id).where(ApiToken.name == "revoked")).one()
    found = {
        "event": f"/media/{crash.id}", "shared": f"/s/{token}",
        "photo": f"/uploads/{uploads[0].id}", "coming": f"/uploads/{coming.id}", "request": f"/requests/{answered.id}",
        "invitation": urlsplit(invitation.url).path, "revoked": f"/settings/tokens?revoked={revoked}",
        "failed": f"/requests/{failed.id}", "wall": f"/wall/{wall_links.create('Yard', None, 'tests', now)}",
    }  # fmt: skip
    # the pages of the vehicle, and those that have one address
    named = [rule.replace("/vehicles/<imei>", f"/vehicles/{IMEI}") for rule in sorted(rules() - {"/login"})]
    storage_use.count(utcnow)
    return [
        *(path for path in named if "<" not in path), *found.values(), f"/inbox/unknown/{UNKNOWN}",
        f"/vehicles/{WAITING}/check",
        "/media?camera=front&kind=crash",
        "/search?q=Layout+1+", "/search?q=999", "/?state=broken,limited&q=Layout&sort=name",
        "/settings/preset?begin=Layout",
        "/settings/storage?photo=30&video=9", "/settings/people/1", "/settings/presets/Layout", "/nowhere",
    ]  # fmt: skip


def _texts(van: Device, now: datetime) -> None:
    """Add a text that answered, and one of an unknown number."""
    for claimed, text in ((True, "Param ID:66003 Value:25"), (False, "hello, who is this?")):
        db.session.add(
            Message(
                id=new_id(), direction="in", gateway="twilio", gateway_id=new_id(), sender="+12025550176",
                recipient="+12025550100", body=text, status="received", claimed=claimed,
                device_id=van.id if claimed else None, created_at=now,
            )
        )  # fmt: skip


def _sessions(van: Device, now: datetime) -> None:
    """Add a connection of a vehicle, and one of an unknown device."""
    for imei, device in ((IMEI, van.id), (UNKNOWN, None)):
        db.session.add(
            CameraSession(
                id=new_id(), imei=imei, device_id=device, address="192.0.2.1:1", peer=None if device else imei,
                started_at=now, ended_at=now, code="done", reason=Phrase("nothing_left"), files=2,
                bytes_received=51_200,
            )
        )  # fmt: skip


def _checks(ended: Device, waiting: Device, asked: Command, now: datetime) -> None:
    """Add a check that has ended, and one that waits for a person."""
    finding = {
        "verdict": "bad",
        "mark": "no_card",
        "code": "card_reported",
        "arguments": {"state": "no SD card"},
    }
    steps = {"sms": {"state": "done", **finding, "commands": [asked.id]}}
    run = {"device_id": ended.id, "verdict": "no_card", "started_by": "tests", "steps": steps}
    db.session.add(ChecklistRun(started_at=now, ended_at=now, **run))
    question = {"started_at": now, "started_by": "tests", "steps": {"led": {"state": "question"}}}
    db.session.add(ChecklistRun(device_id=waiting.id, waits_for_person=True, **question))


def upload(van: Device, folder: Path, number: int, **more: Any) -> Upload:
    kind, camera = ("photo", "video")[number // 3 % 2], ("front", "rear")[number % 2]
    given = {
        "id": new_id(), "imei": van.imei, "device_id": van.id, "identifier": "%photof", "file_type": kind,
        "source": camera, "state": "stored", "packets": 54, "size": 51_200, "thumbnail_state": "ready",
        "has_metadata": True,
        "timestamp": utcnow() - timedelta(hours=number), "trigger": (0, 3, 9)[number % 3], "path": "layout.jpg",
        "received_at": utcnow(), "sha256": f"{number:064x}", "duration": 10 if kind == "video" else None,
    }  # fmt: skip
    row = Upload(**given | more)
    db.session.add(row)
    db.session.commit()
    picture = io.BytesIO()
    Image.new("RGB", (320, 180), (90, 110 + number * 10, 140)).save(picture, "JPEG")
    for name in (previews.key(row.id, previews.THUMBNAIL), "layout.jpg"):
        path = folder / "media" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture.getvalue())
    return row


def request(van: Device, state: State, arguments: dict[str, Any], **more: Any) -> Command:
    now = utcnow()
    given = {
        "id": new_id(), "device_id": van.id, "kind": "camreq", "arguments": arguments, "state": state, "length": 30,
        "text": "camreq:0,3", "requested_by": "tests", "due_at": now + timedelta(days=9), "expires_at": None,
        "history": [{"at": now.isoformat(), "state": "queued", "note": None}],
    }  # fmt: skip
    row = Command(**given | more)
    db.session.add(row)
    db.session.commit()
    return row
