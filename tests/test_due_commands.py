"""Which commands are due: how many at once, what waits for what, and clocks that were ahead."""

import dataclasses
from datetime import timedelta

import pytest
from gateway_double import Phone
from sms_commands import NUMBER, ask, at, claim, photo, send
from sms_rows import add_van
from stdnum import luhn

from provisioning.commands import submission
from provisioning.core.errors import GatewayError
from provisioning.devices import registry
from provisioning.models import Command, Device, ShownState, State, db, utcnow
from provisioning.phrase import as_it_is
from provisioning.sms import dispatch, due_commands, gateway, reconcile, recovery, sender_bucket


@pytest.fixture
def van(phone: Phone) -> Device:
    return add_van()


def test_the_rate_limit_lets_a_burst_through_and_then_waits(phone: Phone, van: Device) -> None:
    phone.app.extensions["dualcam_config"] = dataclasses.replace(
        phone.config, sms_burst=2, sms_per_second=0.01
    )
    now = utcnow()
    carrier = gateway.gateway()
    assert [sender_bucket.take_token(carrier, now) for _ in range(3)] == [True, True, False]
    assert sender_bucket.take_token(carrier, now + timedelta(seconds=101))
    db.session.rollback()


def test_a_clock_that_was_ahead_once_holds_up_no_sms(phone: Phone, van: Device) -> None:
    year = timedelta(days=365)
    sender_bucket.take_token(gateway.gateway(), utcnow() + year)
    row = ask(van, "getver")[0]
    row.created_at, row.due_at, row.updated_at = (
        row.created_at + year,
        row.due_at + year,
        row.updated_at + year,
    )
    row.expires_at = (row.expires_at or utcnow()) + year
    db.session.commit()
    recovery.recover(utcnow)
    send(van)
    assert (row.shown_state, len(phone.sent)) == (ShownState.SENT, 1)
    assert row.expires_at < utcnow() + timedelta(hours=1)


def test_an_attempt_of_a_clock_that_was_ahead_ends_in_time(phone: Phone, van: Device) -> None:
    row = ask(van, "getver")[0]
    assert claim(van, utcnow() + timedelta(days=365))  # and the process is killed here
    recovery.recover(utcnow)
    recovery.recover(at(200))
    recovery.recover(at(215))
    db.session.expire_all()
    assert row.shown_state != ShownState.SENDING


def test_a_look_ahead_of_now_hides_no_text_from_the_reconciler(phone: Phone, van: Device) -> None:
    row = photo(van)
    send(van)
    reconcile.reconcile(at(365 * 86_400))
    phone.twilio.take(NUMBER, "Photo request from source 1.")
    reconcile.reconcile(utcnow)
    db.session.expire_all()
    assert row.state == State.ANSWERED


@pytest.mark.parametrize("held", ["in_flight", "capturing"])
def test_devices_that_must_wait_hold_up_no_others(
    phone: Phone, van: Device, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    monkeypatch.setattr(due_commands, "DUE_AT_ONCE", 2)
    camreq = {"file_type": "photo", "source": "front"}
    for number in range(4):
        body = f"35209408273{number:03}"
        given = {"imei": body + luhn.calc_check_digit(body), "phone": f"+1202555012{number}"}
        device = registry.add(given | {"sms_login": "fleet", "sms_password": "cam11"}, utcnow())
        if number < 3:
            row = Command(device_id=device.id, kind="camreq", arguments=camreq, text="", length=1)
            row.in_flight, row.capturing, row.state = held == "in_flight", True, State.ANSWERED
            db.session.add(row)
        ask(device, "camreq", file_type="photo", source="rear")
    driven = []
    while due := due_commands.due_devices(utcnow()):
        driven += due
        for device_id in due:
            dispatch.send_next(device_id, utcnow)
    assert [m.recipient for m in phone.twilio.messages.values()] == [device.phone]
    assert len(driven) == len(set(driven)) == (1 if held == "in_flight" else 4)  # each says once why it waits


def test_what_waits_for_another_command_is_due_when_that_has_ended(phone: Phone, van: Device) -> None:
    first, second = photo(van), photo(van, "rear")
    send(van)
    assert due_commands.due_devices(utcnow()) == []
    phone.reply("Photo request from source 1.")
    send(van)
    assert due_commands.due_devices(utcnow()) == []
    submission.cancel(first, utcnow())
    db.session.commit()
    assert due_commands.due_devices(utcnow()) == [van.id]
    send(van)
    db.session.refresh(second)
    assert second.shown_state == ShownState.SENT


def test_many_requests_that_wait_hide_no_command_behind_them(phone: Phone, van: Device) -> None:
    """However many photos of later moments wait for the files of the first one."""
    photo(van)
    send(van)
    phone.reply("Photo request from source 1.")
    for minute in range(60):
        ask(
            van,
            "camreq",
            file_type="video",
            source="front",
            duration=5,
            timestamp=1_795_600_000 + 60 * minute,
        )
    version = ask(van, "getver")[0]
    while due_commands.due_devices(utcnow()):
        send(van)
    db.session.refresh(version)
    assert version.shown_state == ShownState.SENT


def test_no_more_devices_are_due_than_the_sender_may_send_to(phone: Phone, van: Device) -> None:
    config = dataclasses.replace(phone.config, sms_burst=1, sms_per_second=0.01)
    phone.app.extensions["dualcam_config"] = config
    given = {"imei": "356307042441013", "phone": "+12025550112", "sms_login": "a", "sms_password": "b"}
    for device in van, registry.add(given, utcnow()):
        ask(device, "getver")
    assert due_commands.due_devices(utcnow()) == [van.id]
    send(van)
    assert due_commands.due_devices(utcnow()) == []
    assert due_commands.due_devices(at(101)()) == [device.id]


def test_nothing_is_due_for_a_device_that_was_archived(phone: Phone, van: Device) -> None:
    ask(van, "getver")
    attempt = claim(van)
    assert attempt is not None
    registry.archive(van, utcnow())
    dispatch._note_failure(attempt, GatewayError("20429", as_it_is("busy"), permanent=False), utcnow())
    assert due_commands.due_devices(at(3600)()) == []
