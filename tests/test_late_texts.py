"""Texts that come late or wait for their device: what is older than what is known changes nothing."""

from datetime import timedelta

import pytest
from gateway_double import Phone
from sms_commands import NUMBER, ask, owed_text, photo, send
from sms_rows import VERSION, add_van, claim, item
from sqlalchemy import select, update

from provisioning import schedule
from provisioning.core.errors import Conflict
from provisioning.devices import registry, status_table
from provisioning.models import Device, DevicePhone, Message, ShownState, db, utcnow
from provisioning.phrase import as_it_is
from provisioning.sms import inbound, unmatched
from provisioning.sms.gateway import InboundSms


@pytest.fixture
def van(phone: Phone) -> Device:
    return add_van()


def late(van: Device, hours: float, text: str) -> None:
    """Bring a text as the reconciler does that finds it so long after the gateway took it."""
    db.session.execute(update(DevicePhone).values(since=utcnow() - timedelta(days=9)))
    db.session.commit()
    then = utcnow() - timedelta(hours=hours)
    inbound.receive(
        InboundSms("twilio", f"SMlate{hours}", NUMBER, "", text, then), utcnow(), via="reconciler"
    )
    db.session.expire_all()


def test_a_value_that_comes_hours_late_leaves_the_newer_one(phone: Phone, van: Device) -> None:
    ask(van, "setparam", parameters={"66003": 25})
    send(van)
    phone.reply("New value 66003:25")
    late(van, 20, "Param ID:66003 Value:30")
    assert item(van, "parameter.66003") == ("25", "good")


def test_a_text_that_comes_hours_late_makes_no_contact_older_and_no_camera_busy(
    phone: Phone, van: Device
) -> None:
    phone.reply("hello")
    before = item(van, "contact.sms")
    late(van, 5, "New value 66001:40")
    assert item(van, "contact.sms") == before
    photo(van)
    send(van)
    assert phone.sent[-1].endswith("camreq:1,1")


def test_an_old_text_that_is_claimed_answers_nothing_of_today(phone: Phone, van: Device) -> None:
    phone.reply(VERSION)
    phone.reply("Ver:01.00.00.Rev.01 Hw:FMC125 IMEI:352094082736916", phone="+12025550177")
    message = db.session.scalars(select(Message).where(Message.device_id.is_(None))).one()
    message.created_at = utcnow() - timedelta(days=3)
    row = ask(van, "getver")[0]
    send(van)
    claim(message, van)
    assert (row.shown_state, van.firmware) == (ShownState.SENT, "03.28.03.Rev.05")


def test_a_text_whose_effects_were_owed_counts_as_of_when_it_came(phone: Phone, van: Device) -> None:
    payload = {"id": "SMowed", "from": NUMBER, "text": "Param ID:66001 Value:40"}
    came = utcnow() - timedelta(minutes=4)
    db.session.add(owed_text(payload, received_at=came))
    db.session.commit()
    schedule.sweep(utcnow)
    found = status_table.get(van.id, "parameter.66001")
    assert found is not None
    assert found.checked_at == came


def test_a_clock_that_was_ahead_once_pins_no_fact(phone: Phone, van: Device) -> None:
    ahead = utcnow() + timedelta(days=365)
    status_table.remark_error(van, as_it_is("of 2027"), None, now=ahead, source=("command", "x"))
    status_table.remark_error(van, as_it_is("of today"), None, now=utcnow(), source=("command", "y"))
    assert "of today" in (item(van, "error.last")[0] or "")


@pytest.mark.parametrize("which", ["outgoing", "taken", "of a device"])
def test_only_a_text_that_waits_for_its_device_is_claimed(phone: Phone, van: Device, which: str) -> None:
    photo(van)
    send(van)
    phone.reply("Photo request from source 1.")
    phone.reply("Hello from the driver")
    where = {"outgoing": Message.direction == "out", "taken": Message.command_id.is_not(None) & Message.claimed,
             "of a device": ~Message.claimed}[which]  # fmt: skip
    message = db.session.scalars(select(Message).where(where).order_by(Message.id.desc())).first()
    other = registry.add({"imei": "356307042441013", "phone": "+12025550112"}, utcnow())
    with pytest.raises(Conflict) as refused:
        claim(message, other)  # type: ignore[arg-type]
    db.session.rollback()
    assert (refused.value.code, other.phone) == ("claimed", "+12025550112")


def test_only_a_text_that_waits_is_put_aside(phone: Phone, van: Device) -> None:
    photo(van)
    send(van)
    with pytest.raises(Conflict):
        unmatched.put_aside(db.session.scalars(select(Message)).one(), "tests")
