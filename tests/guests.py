"""Two vehicles of different tags with a row of everything, and guests who are limited to tags."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, g
from page_visitor import Visitor, command, upload
from werkzeug.test import TestResponse

from provisioning.core.config import current_config
from provisioning.devices import registry
from provisioning.media import previews, storage
from provisioning.models import (
    CameraSession,
    ChecklistRun,
    Event,
    Message,
    Role,
    Share,
    State,
    db,
    new_id,
    utcnow,
    visibility,
)
from provisioning.web import auth, users

OWN, OTHER, GHOST = "352094082736916", "352094082042885", "356307042441013"
NORTH = frozenset({"north"})


class Guest:
    """Somebody in a browser and a program of the same role and the same tags; each request has its own session."""

    def __init__(self, app: Flask, name: str, tags: list[str] | None) -> None:
        self.visitor = Visitor.__new__(Visitor)
        self.visitor.client = app.test_client()
        user = users.create(f"{name}@example.com", Role.INSTALLER, "a long enough password", tags)
        made = auth.sign_in.begin(user, "127.0.0.1", "tests", utcnow())
        with self.visitor.client.session_transaction() as session:
            session["_user_id"], session["_fresh"] = made.key, True
        self.token = auth.create_token(name, Role.INSTALLER, tags=tags)

    def open(self, path: str, method: str = "GET", body: Any = None, form: Any = None) -> TestResponse:
        for name in list(g):
            g.pop(name)
        db.session.remove()  # as between two requests: what one has loaded, the next one does not know
        headers = {"Authorization": f"Bearer {self.token}"} if path.startswith("/api/") else {}
        answer = self.visitor.client.open(path, method=method, json=body, data=form, headers=headers)
        db.session.remove()
        return answer

    def get(self, path: str) -> Any:
        answer = self.open(f"/api/v1{path}")
        assert answer.status_code == 200, answer.text
        return answer.get_json()


def put(key: str, content: str) -> None:
    """Put a file into the media store."""
    source = current_config().media_spool / "source"
    source.parent.mkdir(exist_ok=True)
    source.write_text(content)
    storage.media().put(source, key)


def make(imei: str, number: int, **values: Any) -> dict[str, str]:
    """Add a vehicle with a row of everything; give what names it: a word that no other vehicle's pages hold."""
    given = {"imei": imei, "phone": f"+1202555011{number}", "sms_login": "a", "sms_password": "b"} | values
    device = registry.add(given, utcnow())
    asked = command(device, number, State.IN_PROGRESS, arguments={"file_type": "video", "source": "front"})
    key = f"2026/{imei}.jpg"
    event = Event(
        id=new_id(), device_id=device.id, kind="asked", at=utcnow(), cameras="front", file_types="video"
    )
    db.session.add(event)
    db.session.flush()
    copies = {"thumbnail_state": "ready", "video_state": "ready"}
    file = upload(device, path=key, file_type="video", command_id=asked.id, event_id=event.id, **copies)
    for name in (key, previews.key(file.id, previews.THUMBNAIL), previews.key(file.id, previews.VIDEO)):
        put(name, f"bytes of {imei}")
    message = Message(
        id=new_id(), direction="in", gateway="twilio", gateway_id=f"SM{number}", sender=device.phone,
        recipient="+12025550100", body=f"hello of {imei}", status="received", device_id=device.id,
        created_at=utcnow(),
    )  # fmt: skip
    session = CameraSession(id=new_id(), imei=imei, device_id=device.id, address=f"192.0.2.{number}:1")
    share = Share(
        id=new_id(), token_hash=imei, object_kind="event", object_id=event.id, device_id=device.id,
        created_by="tests", expires_at=utcnow() + timedelta(days=1),
    )  # fmt: skip
    db.session.add_all([message, session, share, ChecklistRun(device_id=device.id)])
    db.session.commit()
    return {
        "imei": imei, "name": device.name, "phone": device.phone, "plate": device.plate or "", "tag": values["tags"][0],
        "upload": file.id, "event": event.id, "share": share.id, "command": asked.id, "message": message.id,
        "session": session.id,
    }  # fmt: skip


@pytest.fixture
def fleet(app: Flask) -> Iterator[dict[str, dict[str, str]]]:
    """A vehicle of the north and one of the south, and what is of nobody: a text, files of an unknown device."""
    app.config["WTF_CSRF_ENABLED"] = False
    found = {
        "own": make(OWN, 1, name="Milk Van", plate="KLM 311", tags=["north"]),
        "other": make(OTHER, 2, name="Bread Truck", plate="HGR 907", tags=["south"]),
    }
    upload(None, "quarantined", id=new_id())
    db.session.add(CameraSession(id=new_id(), imei="350612071913857", address="198.51.100.7:1", peer="x"))
    db.session.add(
        Message(id=new_id(), direction="in", gateway="twilio", gateway_id="SM9", sender="+12025550199",
                recipient="+12025550100", body="who am I", status="received", created_at=utcnow())
    )  # fmt: skip
    db.session.commit()
    yield found
    assert visibility.tags() is None


@pytest.fixture
def guest(app: Flask) -> Guest:
    return Guest(app, "north", ["north"])


@pytest.fixture
def everybody(app: Flask) -> Guest:
    return Guest(app, "all", None)
