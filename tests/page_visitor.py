"""A visitor of the pages, without JavaScript, and rows for what the pages show."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import pytest
from flask import Flask, g
from werkzeug.test import TestResponse

from provisioning.devices import registry
from provisioning.models import Command, Device, Message, Role, State, Upload, db, new_id, utcnow
from provisioning.web import sign_in, users

IMEI = "352094082736916"


class Visitor:
    """A browser without JavaScript: keeps cookies, sends forms with the hidden fields of the page they stand on."""

    def __init__(self, app: Flask, role: Role, tags: Sequence[str] | None = None) -> None:
        self.client = app.test_client()
        user = users.create(f"{role.value}@example.com", role, "a long enough password", tags)
        made = sign_in.begin(user, "127.0.0.1", "tests", utcnow())
        with self.client.session_transaction() as session:
            session["_user_id"], session["_fresh"] = made.key, True

    def get(self, path: str, **headers: str) -> TestResponse:
        self._forget()
        return self.client.get(path, headers=headers)

    def hidden(self, page: str) -> dict[str, str]:
        """Give the hidden fields of the last form of a page."""
        text = self.get(page).text
        found = {
            name: re.findall(rf'name="{name}"\s+value="([^"]+)"', text) for name in ("csrf_token", "nonce")
        }
        return {name: values[-1] for name, values in found.items() if values}

    def send(self, page: str, action: str, **fields: Any) -> TestResponse:
        hidden = self.hidden(page)
        self._forget()
        return self.client.post(action, data=hidden | fields, headers={"Referer": f"http://localhost{page}"})

    def leave(self) -> None:
        with self.client.session_transaction() as session:
            session.clear()

    @staticmethod
    def _forget() -> None:
        """The tests' app context outlives a request; what it holds of a request must not."""
        for name in list(g):
            g.pop(name)


def configure(app: Flask, **changes: Any) -> None:
    """Change settings of the environment for one test."""
    app.extensions["dualcam_config"] = dataclasses.replace(app.extensions["dualcam_config"], **changes)


def add_van() -> Device:
    given = {
        "imei": IMEI, "phone": "+12025550111", "name": "Van 11", "sms_login": "fleet", "sms_password": "cam11",
        "time_zone": "Europe/Vilnius",
    }  # fmt: skip
    return registry.add(given, utcnow())


def prove(device: Device) -> None:
    """Take that something proved the vehicle's cameras: its installation is finished."""
    device.proved_at = utcnow()
    db.session.commit()


@pytest.fixture
def van(app: Flask) -> Device:
    return add_van()


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app, Role.ADMIN)


def command(device: Device, number: int = 0, state: State = State.DONE, **more: Any) -> Command:
    now = utcnow()
    row = Command(
        id=new_id(), device_id=device.id, kind="camreq", arguments={"file_type": "photo", "source": "front"},
        text=f"\u2022\u2022 camreq:1,1 number {number}", length=20, state=state, requested_by="tests", due_at=now,
        sending_at=now, history=[{"at": now.isoformat(), "state": "queued", "note": None}],
    )  # fmt: skip
    for name, value in more.items():
        setattr(row, name, value)
    db.session.add(row)
    db.session.commit()
    return row


def flat(answer: TestResponse) -> str:
    """Give a page with one blank wherever its source has any."""
    return " ".join(answer.text.split())


def upload(device: Device | None, state: str = "stored", **more: Any) -> Upload:
    given = {
        "id": new_id(), "imei": device.imei if device else "350612071913857", "device_id": device and device.id,
        "identifier": "%photof", "file_type": "photo", "source": "front", "state": state, "packets": 54, "size": 1000,
    }  # fmt: skip
    row = Upload(**given | more)
    db.session.add(row)
    db.session.commit()
    return row


def text_from(sender: str, body: str) -> Message:
    row = Message(
        id=new_id(), direction="in", gateway="twilio", gateway_id=new_id(), sender=sender,
        recipient="+12025550100", body=body, status="received", claimed=False, created_at=utcnow(),
    )  # fmt: skip
    db.session.add(row)
    db.session.commit()
    return row


def badge(visitor: Visitor) -> str | None:
    """Give how much waits in the inbox, as the head of every page says it; None: nothing."""
    found = re.search(r'class="badge[^>]*>(\d+\+?)', visitor.get("/account").text)
    return found[1] if found else None
