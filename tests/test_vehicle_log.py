"""The log of a vehicle: every kind in one line of time, filters in the address, pages, notes, and who may see what."""

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from page_visitor import IMEI, Visitor, command, flat, upload

from provisioning.core import audit
from provisioning.core.audit import AuditAction, NewEntry
from provisioning.devices import history
from provisioning.devices.history import Kind
from provisioning.models import (
    AuditEntry,
    CameraSession,
    Device,
    HealthChange,
    Message,
    Role,
    VehicleNote,
    db,
    first_id,
    new_id,
    utcnow,
)
from provisioning.phrase import AS_IT_IS, Phrase

LOG = f"/vehicles/{IMEI}/log"


def fill(device: Device) -> list[str]:
    """Put one entry of each kind into the log, a minute apart; give their kinds, newest first."""
    begin = utcnow() - timedelta(hours=1)
    device.created_at = begin
    kinds = list(Kind)
    for number, kind in enumerate(kinds):
        at = begin + timedelta(minutes=number)
        ident = first_id(at) + f"{number:020x}"
        given: dict[str, Any] = {"id": ident, "device_id": device.id}
        match kind:
            case Kind.REQUESTS:
                command(device, id=ident, created_at=at)
            case Kind.SETTINGS:
                command(
                    device, id=ident, created_at=at, kind="setparam", arguments={"parameters": {"66003": 25}}
                )
            case Kind.MESSAGES:
                db.session.add(
                    Message(**given, direction="in", gateway="twilio", sender="+1", recipient="+2", body="<b>Ver</b>",
                            status="received", created_at=at)
                )  # fmt: skip
            case Kind.SESSIONS:
                db.session.add(CameraSession(**given, imei=device.imei, address="192.0.2.1:1", started_at=at))
            case Kind.FILES:
                upload(device, "stored", id=ident, started_at=at)
            case Kind.HEALTH:
                db.session.add(
                    HealthChange(
                        device_id=device.id, state="limited", code="no_card", arguments={}, since=at, at=at
                    )
                )
            case Kind.NOTES:
                db.session.add(VehicleNote(**given, who="ada@example.com", text="A <i>note</i>", at=at))
            case Kind.PEOPLE:
                entry = NewEntry("ada@example.com", "192.0.2.7", AuditAction.CHANGED, f"device:{IMEI}", IMEI)
                db.session.commit()
                audit.write([entry], at)
    db.session.commit()
    return [str(kind) for kind in kinds[::-1]]


def kinds_of(entries: list[history.LogEntry]) -> list[str]:
    return [str(entry.kind) for entry in entries]


def test_all_kinds_stand_in_one_line_of_time(app: Flask, van: Device) -> None:
    expected = fill(van)
    found = history.entries(van, list(Kind), "", 50)
    assert sorted(kinds_of(found)) == sorted(expected)
    assert [entry.at for entry in found] == sorted((entry.at for entry in found), reverse=True)


def test_pages_join_without_a_gap_or_a_repetition(app: Flask, van: Device) -> None:
    fill(van)
    whole = [entry.key for entry in history.entries(van, list(Kind), "", 50)]
    read, before = [], ""
    while page := history.entries(van, list(Kind), before, 3):
        read += [entry.key for entry in page]
        before = page[-1].key
    assert read == whole


def test_a_vehicle_that_works_again_says_so_once(van: Device, visitor: Visitor) -> None:
    db.session.add(
        HealthChange(device_id=van.id, state="working", code="proved", since=utcnow(), at=utcnow())
    )
    db.session.commit()
    page = visitor.get(f"{LOG}?kind=health").text
    assert "Working" in page
    assert "Works" not in page


def test_changes_of_health_at_the_same_time_are_all_read(app: Flask, van: Device) -> None:
    at = utcnow() - timedelta(hours=1)
    for _ in range(5):
        db.session.add(HealthChange(device_id=van.id, state="limited", code="no_card", since=at, at=at))
    db.session.commit()
    first = history.entries(van, [Kind.HEALTH], "", 5)
    assert len(history.entries(van, [Kind.HEALTH], first[1].key, 5)) == len(first) - 2


def test_each_entry_is_a_sentence_with_its_raw_text_behind_it(visitor: Visitor, van: Device) -> None:
    fill(van)
    page = flat(visitor.get(LOG))
    for said in (
        "Set quality (one setting)", "SMS from the vehicle", "Connection from 192.0.2.1:1", "No SD card: photos only",
        "A &lt;i&gt;note&lt;/i&gt;",
    ):  # fmt: skip
        assert said in page, said
    assert '<code class="sms">&lt;b&gt;Ver&lt;/b&gt;</code>' in page
    assert "<b>Ver</b>" not in page


def test_entries_stand_under_their_days_and_a_long_sentence_is_folded(visitor: Visitor, van: Device) -> None:
    fill(van)
    words = "The tracker has this. " * 10
    row = db.session.query(Message).first()
    assert row is not None
    row.note = Phrase(AS_IT_IS, {"text": words})
    db.session.commit()
    page = flat(visitor.get(LOG))
    assert re.search(r'<h2 class="day">(Today|Yesterday)</h2>', page)
    folded = page.partition(f'<details id="note-{row.id}">')[2].partition("</details>")[0]
    assert words.strip() in folded.partition("</summary>")[2]
    assert words.strip() not in folded.partition("</summary>")[0]


def test_filters_can_be_combined_and_stand_in_the_address(visitor: Visitor, van: Device) -> None:
    fill(van)
    page = visitor.get(f"{LOG}?kind=messages,health").text
    assert page.count('class="entry"') == 2
    assert re.search(r'href="[^"]+kind=messages,health,notes"|kind=messages%2Chealth%2Cnotes', page)
    assert visitor.get(f"{LOG}?kind=nothing").text.count('class="entry"') > 2


def test_what_people_did_is_for_those_who_may_read_the_log_of_people(app: Flask, van: Device) -> None:
    fill(van)
    shown = "ada@example.com</bdi> changed"
    assert shown in flat(Visitor(app, Role.ADMIN).get(LOG))
    support = Visitor(app, Role.SUPPORT)
    assert shown not in flat(support.get(LOG))
    assert shown not in flat(support.get(f"{LOG}?kind=people"))


def test_an_earlier_vehicle_with_the_same_imei_has_a_log_of_its_own(app: Flask, van: Device) -> None:
    audit.write([NewEntry("eve@example.com", "", AuditAction.CHANGED, f"device:{IMEI}", IMEI)], utcnow())
    van.created_at = utcnow() + timedelta(seconds=1)
    db.session.commit()
    assert history.entries(van, [Kind.PEOPLE], "", 9) == []


def test_a_note_is_kept_with_its_author_and_shown_as_text(visitor: Visitor, van: Device) -> None:
    assert (
        visitor.send(LOG, f"/vehicles/{IMEI}/notes", text="  <script>alert(1)</script>\nline 2 ").status_code
        == 302
    )
    page = visitor.get(LOG).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\nline 2</p>" in page
    assert "<script>alert" not in page
    (note,) = db.session.query(VehicleNote)
    assert note.who.endswith("@example.com")


@pytest.mark.usefixtures("van")
def test_a_note_is_a_note_for_the_log_of_people_too_and_stands_once_in_the_vehicles_own(app: Flask) -> None:
    admin = Visitor(app, Role.ADMIN)
    admin.send(LOG, f"/vehicles/{IMEI}/notes", text="The seal is broken.")
    assert [entry.action for entry in db.session.query(AuditEntry)] == ["noted"]
    assert admin.get(LOG).text.count('class="entry"') == 1
    for page in (f"{LOG}?kind=people", "/settings/log"):
        assert "wrote a note about" in flat(admin.get(page)), page


@pytest.mark.usefixtures("van")
@pytest.mark.parametrize("text", ["", "   ", "x" * 2001])
def test_a_note_without_words_or_with_too_many_is_refused(visitor: Visitor, text: str) -> None:
    answer = visitor.send(LOG, f"/vehicles/{IMEI}/notes", text=text)
    assert answer.status_code == 422
    assert "at most 2000 characters" in answer.text
    assert db.session.query(VehicleNote).count() == 0


def test_a_viewer_reads_notes_and_writes_none(app: Flask, van: Device) -> None:
    fill(van)
    viewer = Visitor(app, Role.VIEWER)
    assert "Write a note" not in viewer.get(LOG).text
    assert "A &lt;i&gt;note" in viewer.get(LOG).text
    assert viewer.send("/account", f"/vehicles/{IMEI}/notes", text="x").status_code == 403


def test_why_a_connection_ended_is_read_in_the_readers_language(van: Device, visitor: Visitor) -> None:
    db.session.add(
        CameraSession(id=new_id(), imei=IMEI, device_id=van.id, address="192.0.2.1:1", ended_at=utcnow(),
                      code="bad_crc", reason=Phrase("bad_packets", {"packets": 31}))
    )  # fmt: skip
    db.session.commit()
    assert "31 packets in a row with a wrong CRC." in flat(visitor.get(LOG))
    assert "31 Pakete in Folge mit falscher CRC." in flat(visitor.get(LOG, **{"Accept-Language": "de"}))
