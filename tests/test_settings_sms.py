"""Settings, SMS: the gateway, what SMS cost and how they go, the test SMS, and what new vehicles begin with."""

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from gateway_double import Phone
from page_visitor import IMEI, Visitor, command, flat
from sqlalchemy import select

from provisioning.commands import sms_prices
from provisioning.core import fleet_settings
from provisioning.core.prices import Price
from provisioning.core.sms_capabilities import EXTENSION
from provisioning.devices import credential_pairs
from provisioning.models import Device, GatewayEvent, Message, db, first_id, new_id, utcnow
from provisioning.sms import gateway, key_rotation

SMS = "/settings/sms"
NUMBER = "+12025550188"


def trial(page: Visitor, number: str = NUMBER) -> str:
    """Send a test SMS; give the page that follows."""
    answer = page.send(SMS, f"{SMS}/test", phone=number)
    return flat(answer) if answer.status_code != 302 else flat(page.get(SMS))


def add_sms(van: Device, **columns: Any) -> None:
    """Store an SMS that went out to a vehicle."""
    given: dict[str, Any] = {
        "id": new_id(), "direction": "out", "gateway": "twilio", "sender": "+1", "recipient": van.phone, "body": "x",
        "device_id": van.id,
    }  # fmt: skip
    db.session.add(Message(**given | columns))
    db.session.commit()


@pytest.mark.on_sqlite
def test_the_gateway_and_its_number_are_shown_and_the_balance_once_it_is_asked_for(
    phone: Phone, visitor: Visitor
) -> None:
    text = flat(visitor.get(SMS))
    assert "Twilio" in text
    assert phone.config.twilio_from in text
    assert "25.00 USD" not in text
    assert "25.00 USD" in flat(visitor.get(f"{SMS}?balance=1"))
    phone.faults.no_balance = True
    assert "Twilio tells no balance of this account." in flat(visitor.get(f"{SMS}?balance=1"))


def test_the_price_of_an_sms_is_shown_with_who_told_it(phone: Phone, van: Device, visitor: Visitor) -> None:
    unknown = flat(visitor.get(SMS))
    assert "Not known, so that no request says what it costs." in unknown
    assert "<code>SMS_PRICE</code>" in unknown
    add_sms(van, status="delivered", price="0.0079", currency="USD")
    db.session.commit()
    text = flat(visitor.get(SMS))
    assert "0.0079 USD" in text
    assert "as the gateway reported of past SMS" in text
    assert "SMS_PRICE" not in text
    phone.use(phone.address, sms_price=Price(Decimal("0.05"), "EUR"))
    text = flat(visitor.get(SMS))
    assert "0.05 EUR" in text
    assert "<code>SMS_PRICE</code>" in text
    assert "as the gateway reported" not in text


@pytest.mark.on_sqlite
def test_a_gateway_that_is_away_does_not_break_the_page(phone: Phone, visitor: Visitor) -> None:
    phone.use("http://127.0.0.1:9")
    assert "Twilio cannot be reached." in flat(visitor.get(f"{SMS}?balance=1"))


def test_the_sms_of_the_last_day_are_counted(van: Device, visitor: Visitor) -> None:
    now = utcnow()
    for number, status, answered in (
        (1, "delivered", now), (2, "undelivered", None), (3, "sent", None), (4, "undelivered", now),
    ):  # fmt: skip
        row = command(van, number, answered_at=answered)
        add_sms(van, status=status, command_id=row.id)
    db.session.commit()
    text = flat(visitor.get(SMS))
    assert "<dt>Sent to vehicles</dt> <dd> 4 </dd>" in text
    assert "<dt>Answered</dt> <dd> 2 </dd>" in text
    assert "<dt>Not delivered</dt> <dd> 1 </dd>" in text
    assert "<dt>Without an answer yet</dt> <dd> 1 </dd>" in text


@pytest.mark.on_sqlite
def test_the_page_says_what_sms_cost_as_the_gateway_reported_and_estimates_the_rest(
    app: Flask, van: Device, visitor: Visitor
) -> None:
    assert "<dt>Cost, 24 hours</dt> <dd> nothing </dd>" in flat(visitor.get(SMS))
    for status, price in (("delivered", "0.05"), ("delivered", "0.07"), ("sent", None), ("failed", None)):
        add_sms(van, status=status, price=price, currency="EUR" if price else None)
    db.session.commit()
    text = flat(visitor.get(SMS))
    assert "<dt>Cost, 24 hours</dt> <dd> 0.19 EUR (estimated) </dd>" in text
    assert "<dt>Cost, this month</dt>" in text


def test_each_period_adds_up_its_own_sms(app: Flask, van: Device) -> None:
    now = utcnow()
    for number, (days, price) in enumerate(((0, "0.05"), (2, "0.07"), (2, None), (40, "1.00"))):
        ident = f"{first_id(now - timedelta(days=days))}{number:020x}"
        add_sms(van, id=ident, status="sent", price=price, currency="EUR" if price else None)
    day, month = sms_prices.spent(now - timedelta(days=1), now - timedelta(days=30))
    assert (day.amounts, day.is_estimate) == ([Price(Decimal("0.05"), "EUR")], False)
    assert (month.amounts, month.is_estimate) == ([Price(Decimal("0.17"), "EUR")], True)


def test_the_start_page_tells_administrators_whether_sms_work(
    phone: Phone, visitor: Visitor, van: Device
) -> None:
    assert f'hx-get="{SMS}/part"' in visitor.get("/").text
    assert "No SMS were sent in the last 24 hours" in flat(visitor.get(f"{SMS}/part"))
    row = command(van)
    add_sms(van, status="delivered", command_id=row.id)
    db.session.commit()
    assert "No vehicle answered an SMS in the last 24 hours" in flat(visitor.get(f"{SMS}/part"))
    row.answered_at = utcnow()
    db.session.commit()
    text = flat(visitor.get(f"{SMS}/part"))
    assert "SMS work" in text
    assert "<strong>SMS work</strong>" in visitor.get(SMS).text
    assert "1 sent in the last 24 hours, 1 answered, 0 not delivered" in text


def test_a_gateway_that_never_called_is_pointed_out_once_an_sms_was_sent(
    phone: Phone, visitor: Visitor, van: Device
) -> None:
    warning, address = "Answers of vehicles may not reach us", "/webhooks/twilio/inbound"
    text = flat(visitor.get(SMS))
    assert (warning in text, address in text) == (False, True)
    add_sms(van, status="delivered", command_id=command(van).id)
    db.session.commit()
    text = flat(visitor.get(SMS))
    assert (warning in text, address in text) == (True, True)
    db.session.add(GatewayEvent(kind="inbound", gateway="twilio", token="in:1", payload={}, via="webhook"))
    db.session.commit()
    text = flat(visitor.get(SMS))
    assert (warning in text, address in text) == (False, False)


def test_a_test_sms_goes_out_once_and_its_delivery_is_shown(phone: Phone, visitor: Visitor) -> None:
    fields = visitor.hidden(SMS)
    for _ in range(2):  # a double click
        visitor._forget()
        assert visitor.client.post(f"{SMS}/test", data=fields | {"phone": NUMBER}).status_code == 302
    (sms,) = phone.sent
    assert sms.startswith("Test SMS of DualCam at ")
    message = db.session.scalars(select(Message)).one()
    assert message.recipient == NUMBER
    assert message.gateway_id is not None
    phone.report(message.gateway_id, "delivered")
    assert "Delivered" in flat(visitor.get(SMS))


def test_a_test_sms_that_is_refused_or_not_delivered_says_why(phone: Phone, visitor: Visitor) -> None:
    phone.faults.refuse[NUMBER] = 21211
    assert "The phone number is not one that Twilio can send to" in trial(visitor)
    trial(visitor, "+12025550189")
    message = db.session.scalars(select(Message).where(Message.recipient == "+12025550189")).one()
    assert message.gateway_id is not None
    phone.report(message.gateway_id, "undelivered", error="30005")
    assert "The number is unknown" in flat(visitor.get(SMS))


def test_a_test_sms_that_is_delivered_before_the_gateway_has_answered_stays_delivered(
    phone: Phone, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = gateway.gateway()
    real = type(carrier).send

    def send(self: Any, sms: Any) -> Any:
        accepted = real(self, sms)

        def report() -> None:  # by another process
            assert phone.report(accepted.gateway_id, "delivered", message=sms.message_id).status_code == 200

        other = threading.Thread(target=report)
        other.start()
        other.join(30)
        return accepted

    monkeypatch.setattr(type(carrier), "send", send)
    trial(visitor)
    db.session.expire_all()
    assert db.session.scalars(select(Message.status)).one() == "delivered"


@pytest.mark.on_sqlite
def test_a_test_sms_goes_to_no_vehicle_and_to_no_wrong_number(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    assert "This is the number of a vehicle" in trial(visitor, van.phone)
    assert "Give the number with its country code" in trial(visitor, "0600 12345")
    assert phone.sent == []


def test_five_test_sms_an_hour_are_sent_and_no_more(phone: Phone, visitor: Visitor) -> None:
    for _ in range(5):
        trial(visitor)
    assert "5 test SMS were sent within an hour" in trial(visitor)
    assert len(phone.sent) == 5


@pytest.mark.on_sqlite
def test_without_a_gateway_the_page_says_what_to_set(app: Flask, visitor: Visitor) -> None:
    app.extensions[EXTENSION] = None
    assert "No gateway is set" in flat(visitor.get(SMS))


def test_the_usual_login_is_kept_encrypted_and_a_new_vehicle_gets_it(app: Flask, visitor: Visitor) -> None:
    given = {"country_code": "+ 370", "sms_login": "fleet", "sms_password": "cam11"}
    assert visitor.send(SMS, SMS, **given).status_code == 302
    row = fleet_settings.current()
    assert row.country_code == "+370"
    assert "cam11" not in f"{row.sms_login}{row.sms_password}"
    assert "cam11" not in visitor.get(SMS).text
    form = visitor.get("/vehicles/new").text
    assert 'value="+370"' in form
    assert "cam11" not in form
    vehicle = {"imei": IMEI, "phone": "+37060012345", "sms_login": "", "sms_password": ""}
    assert visitor.send("/vehicles/new", "/vehicles/new", usual_login="on", **vehicle).status_code == 302
    device = db.session.scalars(select(Device)).one()
    assert tuple(credential_pairs.pair(device, "current")) == ("fleet", "cam11")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [({}, ("", "")), ({"usual_login": "on", "sms_login": "own", "sms_password": "own11"}, ("own", "own11"))],
)
def test_a_new_vehicle_gets_the_usual_login_only_where_that_is_chosen_and_none_is_typed(
    app: Flask, visitor: Visitor, typed: dict[str, str], expected: tuple[str, str]
) -> None:
    fleet_settings.change({"sms_login": "fleet", "sms_password": "cam11"}, utcnow())
    given = {"imei": IMEI, "phone": "+37060012345"} | typed
    assert visitor.send("/vehicles/new", "/vehicles/new", **given).status_code == 302
    assert tuple(credential_pairs.pair(db.session.scalars(select(Device)).one(), "current")) == expected


def test_empty_fields_keep_the_usual_login_until_it_is_to_be_forgotten(visitor: Visitor) -> None:
    fleet_settings.change({"sms_login": "fleet", "sms_password": "cam11"}, utcnow())
    visitor.send(SMS, SMS, country_code="", sms_login="", sms_password="")
    db.session.expire_all()
    assert fleet_settings.usual_credentials() == {"sms_login": "fleet", "sms_password": "cam11"}
    visitor.send(SMS, SMS, country_code="", forget_login="on")
    db.session.expire_all()
    assert fleet_settings.usual_credentials() == {}


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    "wrong",
    [{"country_code": "370"}, {"sms_login": "fleet"}, {"sms_login": "too long", "sms_password": "cam11"}],
)
def test_half_a_login_and_a_wrong_country_are_refused_beside_their_fields(
    visitor: Visitor, wrong: dict[str, str]
) -> None:
    answer = visitor.send(SMS, SMS, **{"country_code": ""} | wrong)
    assert answer.status_code == 422
    assert "field-error" in answer.text
    assert fleet_settings.current().updated_at is None


def test_the_usual_login_is_encrypted_anew_with_the_other_secrets(app: Flask) -> None:
    fleet_settings.change({"sms_login": "fleet", "sms_password": "cam11"}, utcnow())
    before = fleet_settings.current().sms_password
    assert key_rotation.rotate() == (2, 0)
    assert fleet_settings.current().sms_password != before
    assert fleet_settings.usual_credentials()["sms_password"] == "cam11"
