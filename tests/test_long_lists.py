"""Long lists are paged to their end, and a page reads no more for many rows than for few."""

import re
from typing import Any

import pytest
from flask import Flask
from page_visitor import IMEI, Visitor, command, prove, text_from
from sqlalchemy import event

from provisioning.core import audit
from provisioning.core.audit import AuditAction, NewEntry
from provisioning.devices import status_table
from provisioning.media import event_service
from provisioning.models import (
    CameraSession,
    Command,
    Device,
    Message,
    State,
    StatusItem,
    Upload,
    Verdict,
    db,
    new_id,
    utcnow,
)
from provisioning.web.pages import inbox

MANY = 260  # rows: more than five pages


@pytest.mark.parametrize("name", ["requests", "uploads", "messages", "sessions"])
def test_every_list_of_a_vehicle_is_paged_to_its_end(van: Device, visitor: Visitor, name: str) -> None:
    life = [{"at": utcnow().isoformat(), "state": "done", "note": None}]
    for number in range(MANY):
        stamp = f"{number:032x}"
        row: Any = {
            "requests": lambda s: Command(id=s, device_id=van.id, kind="getver", arguments={}, text="x", length=1,
                                          state="done", history=life),
            "uploads": lambda s: Upload(id=s, imei=IMEI, device_id=van.id, identifier="%photof", file_type="photo",
                                        source="front", state="stored", event_due=True),
            "messages": lambda s: Message(id=s, direction="out", gateway="twilio", sender="+1", recipient="+2",
                                          body="x", status="sent", device_id=van.id),
            "sessions": lambda s: CameraSession(id=s, imei=IMEI, device_id=van.id, address="192.0.2.1:1"),
        }[name](stamp)  # fmt: skip
        db.session.add(row)
    db.session.commit()
    event_service.remake_all(utcnow)
    path = f"/media?vehicle={IMEI}" if name == "uploads" else f"/vehicles/{IMEI}/log?kind={name}"
    rows, mark = 0, "<article" if name == "uploads" else '<li class="entry'
    for _ in range(MANY // 20):
        text = visitor.get(path).text
        found = re.search(r'id="more-\w+"\s+href="([^"#]+)[^>]*>(More|Older)<', text)
        if found is None or found[2] == "Older":
            rows += text.count(mark)
        if found is None:
            break
        path = found[1].replace("&amp;", "&")
    assert rows == MANY


@pytest.mark.usefixtures("van")
@pytest.mark.parametrize(
    ("asked", "shown"),
    [("", 15), ("60", 60), ("1", 15), ("-5", 15), ("9999", 215), ("x", 15), ("9" * 5000, 15)],
)
def test_an_address_says_how_many_rows_a_list_shows_within_bounds(
    visitor: Visitor, asked: str, shown: int
) -> None:
    write = [NewEntry(f"{number}@example.com", "", AuditAction.SAW, "log") for number in range(250)]
    audit.write(write, utcnow())
    text = visitor.get(f"/settings/log?rows={asked}").text
    assert len(re.findall(r'class="entry( desk-only)?"', text)) == shown


def test_the_log_has_requests_sms_and_connections_in_the_order_of_time(van: Device, visitor: Visitor) -> None:
    ids = [new_id() for _ in range(3)]
    db.session.add(CameraSession(id=ids[0], imei=IMEI, device_id=van.id, address="192.0.2.1:1"))
    command(van, id=ids[1])
    db.session.add(
        Message(
            id=ids[2],
            direction="in",
            gateway="twilio",
            sender="+1",
            recipient="+2",
            body="x",
            status="received",
            device_id=van.id,
        )
    )
    db.session.commit()
    text = visitor.get(f"/vehicles/{IMEI}/log").text
    assert re.findall(r'<li class="entry" id="([^"]+)"', text) == ids[::-1]


def test_a_thousand_vehicles_are_paged_and_found_by_name(app: Flask, visitor: Visitor) -> None:
    for number in range(1000):
        db.session.add(
            Device(imei=f"{number:015d}", phone=f"+1{number:010d}", name=f"Van {number:04d}", time_zone="UTC")
        )
    db.session.commit()
    first = visitor.get("/").text
    assert "1000 vehicles · page 1 of 20" in " ".join(first.split())
    assert first.count("<tr") == 51
    assert "Van 0999" in visitor.get("/?page=20").text
    assert visitor.get("/?q=Van+0777").text.count("<tr") == 2


def test_a_page_past_the_end_of_the_devices_offers_a_way_back(van: Device, visitor: Visitor) -> None:
    for page in ("7", "0", "-1", "9" * 40, "x"):
        assert "Van 11" in visitor.get(f"/?page={page}").text


def test_unclaimed_texts_are_paged_and_name_every_device_once(van: Device, visitor: Visitor) -> None:
    prove(van)
    for number in range(120):
        text_from(f"+1202555{number:04d}", "hello")
    text = visitor.get("/inbox").text
    assert text.count('<li class="text') == 10
    assert text.count(f'<option value="{IMEI}"') == 1
    assert "/inbox?rows=60" in text
    assert visitor.get("/inbox?rows=60").text.count('<li class="text') == 60


def test_a_list_that_does_not_exist_is_not_found(van: Device, visitor: Visitor) -> None:
    assert visitor.get(f"/devices/{IMEI}/all/secrets").status_code == 404
    assert visitor.get(f"/vehicles/{IMEI}/part/secrets").status_code == 404


class Statements:
    """Counts the statements of a request, and the status items that it makes objects of."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.items = 0

    def __enter__(self) -> "Statements":
        event.listen(db.engine, "before_cursor_execute", self._executed)
        event.listen(StatusItem, "load", self._loaded)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(db.engine, "before_cursor_execute", self._executed)
        event.remove(StatusItem, "load", self._loaded)

    def _executed(self, _: Any, __: Any, statement: str, *___: Any) -> None:
        self.texts.append(statement)

    def _loaded(self, *_: Any) -> None:
        self.items += 1


def statements_of(visitor: Visitor, path: str) -> Statements:
    db.session.expunge_all()
    with Statements() as counted:
        assert visitor.get(path).status_code == 200
    return counted


def test_the_list_of_devices_reads_only_the_items_that_it_shows(van: Device, visitor: Visitor) -> None:
    now = utcnow()
    for number in range(30):
        status_table.note(
            van, f"info.{number}", "x", Verdict.WARN, now=now, source_kind="message", source_id=None
        )
    status_table.note(van, "contact.sms", None, Verdict.GOOD, now=now, source_kind="message", source_id=None)
    db.session.commit()
    assert statements_of(visitor, "/").items == 0


def test_the_page_of_unclaimed_texts_asks_no_more_for_many_texts(van: Device, visitor: Visitor) -> None:
    command(van, state=State.EXPIRED)
    pages = []
    for number in (0, 1, 20):
        for _ in range(number):
            text_from("+12025550133", f"Param ID:66003 Value:25 {IMEI}")
            text_from("+12025550134", "Param ID:66003 Value:25")
        pages.append(len(statements_of(visitor, "/inbox?rows=60").texts))
    assert pages[2] == pages[1]
    assert visitor.get("/inbox?rows=60").text.count("It is Van 11") == 42


def test_the_page_of_a_provisioning_does_not_ask_for_each_parameter(van: Device, visitor: Visitor) -> None:
    counted = statements_of(visitor, f"/vehicles/{IMEI}/settings/all")
    assert len([text for text in counted.texts if "FROM status_items" in text]) == 2  # fields, plan


def test_a_large_fleet_is_not_listed_beside_each_text_of_an_unknown_number(
    visitor: Visitor, van: Device
) -> None:
    db.session.add(
        Message(
            direction="in",
            gateway="twilio",
            gateway_id="SM1",
            sender="+12025550133",
            recipient="+12025550100",
            body="?",
            status="received",
        )
    )
    db.session.commit()
    assert f'<option value="{van.imei}">' in visitor.get("/inbox").text
    db.session.add_all(
        Device(imei=f"{number:015d}", phone=f"+1{number:014d}") for number in range(inbox.SUGGESTED)
    )
    db.session.commit()
    page = visitor.get("/inbox").text
    assert "<option" not in page
    assert "IMEI or name of the vehicle" in page
