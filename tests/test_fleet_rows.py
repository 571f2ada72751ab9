"""What a row of the fleet's list says of its vehicle: a check that is open, an installation, and its pictures."""

import re

import pytest
from flask import Flask
from page_visitor import Visitor, upload

from provisioning.devices import registry
from provisioning.media import telemetry
from provisioning.models import ChecklistRun, Device, db, utcnow
from provisioning.web.pages import media


@pytest.fixture
def van(app: Flask) -> Device:
    return registry.add({"imei": "352094082736916", "phone": "+12025550110", "name": "Van 1"}, utcnow())


def lines(visitor: Visitor, path: str = "/") -> tuple[list[str], list[str]]:
    """Give what the only row says beside the name on a phone, and what it says is under way on a desk."""
    text = visitor.get(path).text
    phone = re.search(r'<td class="fleet-name">(.*?<td class="fleet-why">.*?)</td>', text, re.DOTALL)
    desk = re.search(r'<td class="fleet-open">(.*?)</td>', text, re.DOTALL)
    assert phone is not None
    assert desk is not None
    phone_spans = re.findall(r'<span class="phone-only">(.*?)</span>', phone[1], re.DOTALL)
    return phone_spans, re.findall(r"<span>(.*?)</span>", desk[1], re.DOTALL)


@pytest.mark.parametrize(
    ("waits", "phone", "desk"),
    [
        (False, "check under way", "The check is under way"),
        (True, "waits for an answer", "The check waits for an answer."),
    ],
)
def test_an_open_check_is_said_on_a_phone_and_on_a_desk(
    van: Device, visitor: Visitor, waits: bool, phone: str, desk: str
) -> None:
    step = {"led": {"state": "question" if waits else "running"}}
    db.session.add(ChecklistRun(device_id=van.id, started_by="tests", steps=step, waits_for_person=waits))
    db.session.commit()
    assert lines(visitor) == ([phone], [desk])


def test_a_vehicle_that_is_being_set_up_says_so_until_it_is_proved(van: Device, visitor: Visitor) -> None:
    for path in ("/", "/?unfinished=1"):
        assert lines(visitor, path) == (["· being set up"], ["Being set up"])
    telemetry.accept(van, utcnow(), {"498": 3}, utcnow())
    assert van.proved_at is not None
    assert lines(visitor) == ([], [])


@pytest.mark.parametrize("order", [("front", "rear"), ("rear", "front")])
def test_the_front_picture_stands_first_whichever_came_first(
    van: Device, visitor: Visitor, order: tuple[str, str]
) -> None:
    now = utcnow()
    for source in order:
        upload(van, source=source, thumbnail_state="ready", recorded_at=now)
    assert list(media.newest_pictures([van.id])[van.id]) == ["front", "rear"]
    assert re.findall(r'alt="(\w+) photo"', visitor.get("/").text) == ["Front", "Rear"]
