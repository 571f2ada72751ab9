"""Settings of the service: what administrators see of cameras, and what is set on the server."""

import dataclasses
import re
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from gateway_double import Phone
from page_visitor import IMEI, Visitor, command, flat, upload
from sqlalchemy import select
from test_fleet_lists import statements_of

from provisioning.commands import sms_prices
from provisioning.core import fleet_settings
from provisioning.core.prices import Price
from provisioning.core.sms_capabilities import EXTENSION
from provisioning.devices import credential_pairs
from provisioning.media import retention, storage_use
from provisioning.media.kept_days import KeptDays
from provisioning.media.storage_use import Amount, Removal
from provisioning.models import (
    CameraSession,
    Device,
    Event,
    GatewayEvent,
    Message,
    Role,
    StoredAmount,
    Upload,
    db,
    first_id,
    new_id,
    utcnow,
)
from provisioning.sms import gateway, key_rotation

CAMERAS, SMS, STORAGE = "/settings/cameras", "/settings/sms", "/settings/storage"
NUMBER = "+12025550188"


def configure(app: Flask, **changes: Any) -> None:
    app.extensions["dualcam_config"] = dataclasses.replace(app.extensions["dualcam_config"], **changes)


def connect(device: Device | None, address: str, ago: timedelta) -> None:
    db.session.add(
        CameraSession(
            id=new_id(), imei=IMEI, device_id=device.id if device else None, address=address,
            started_at=utcnow() - ago, ended_at=utcnow(),
        )
    )  # fmt: skip
    db.session.commit()


def make_certificate(path: Path, ends: datetime) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cameras.example.com")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(ends - timedelta(days=90))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.on_sqlite
@pytest.mark.parametrize("role", [Role.INSTALLER, Role.ADMIN])
def test_the_settings_list_only_pages_that_the_role_may_see(app: Flask, role: Role) -> None:
    page = Visitor(app, role)
    assert (CAMERAS in page.get("/settings").text) is (role is Role.ADMIN)
    assert page.get(CAMERAS).status_code == (200 if role is Role.ADMIN else 403)


# cameras


@pytest.mark.on_sqlite
def test_the_address_that_vehicles_are_told_is_shown_as_set_on_the_server(
    app: Flask, visitor: Visitor
) -> None:
    configure(app, camera_server_domain="cams.example.com", camera_server_port=7160)
    text = flat(visitor.get(CAMERAS))
    assert "cams.example.com:7160" in text
    assert "Set on the server: <code>CAMERA_SERVER_DOMAIN</code>" in text
    configure(app, camera_server_domain=None)
    assert "No address is set." in flat(visitor.get(CAMERAS))


def test_connections_of_the_last_day_show_that_vehicles_get_through(van: Device, visitor: Visitor) -> None:
    assert "no vehicle has connected from outside yet" in flat(visitor.get(CAMERAS))
    connect(van, "198.51.100.7:4000", timedelta(days=2))
    assert "No vehicle connected in the last 24 hours" in flat(visitor.get(CAMERAS))
    for _ in range(2):
        connect(van, "198.51.100.7:4000", timedelta(minutes=2))
    text = flat(visitor.get(CAMERAS))
    assert "One vehicle connected in the last 24 hours. One vehicle connected in the last hour." in text


def test_vehicles_that_cannot_reach_the_server_are_named(van: Device, visitor: Visitor) -> None:
    assert "cannot reach the server now" not in flat(visitor.get(CAMERAS))
    van.health_state, van.health_code = "broken", "server_unreachable"
    db.session.commit()
    text = flat(visitor.get(CAMERAS)).partition("These vehicles cannot reach the server now")[2]
    assert f'<a href="/vehicles/{van.imei}/check"><bdi>Van 11</bdi></a>' in text


@pytest.mark.on_sqlite
@pytest.mark.parametrize("address", ["127.0.0.1:4000", "::1:4000"])
def test_connections_of_this_machine_and_of_unknown_vehicles_prove_nothing(
    van: Device, visitor: Visitor, address: str
) -> None:
    connect(van, address, timedelta(minutes=2))
    connect(None, "198.51.100.7:4000", timedelta(minutes=2))
    text = flat(visitor.get(CAMERAS))
    assert "no vehicle has connected from outside yet" in text
    assert "Connections came from this machine alone" in text
    assert "One vehicle connected in the last hour." in text


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    ("days", "expected"),
    [(60, "The certificate is valid"), (20, "The certificate ends soon"), (-1, "The certificate has ended")],
)
def test_the_last_day_of_the_certificate_is_shown_with_what_it_means(
    app: Flask, visitor: Visitor, tmp_path: Path, days: int, expected: str
) -> None:
    ends = datetime.now(UTC) + timedelta(days=days)
    configure(app, receiver_tls_cert=make_certificate(tmp_path / "cert.pem", ends))
    text = flat(visitor.get(CAMERAS))
    assert expected in text
    assert f"{ends.day} {ends:%B %Y}" in text


@pytest.mark.on_sqlite
@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_certificate_that_cannot_be_read_is_said_to_be_so(
    app: Flask, visitor: Visitor, tmp_path: Path, content: bytes | None
) -> None:
    if content:
        (tmp_path / "cert.pem").write_bytes(content)
    configure(app, receiver_tls_cert=tmp_path / "cert.pem")
    assert "last day is not known" in flat(visitor.get(CAMERAS))


# SMS


def trial(page: Visitor, number: str = NUMBER) -> str:
    """Send a test SMS; give the page that follows."""
    answer = page.send(SMS, f"{SMS}/test", phone=number)
    return flat(answer) if answer.status_code != 302 else flat(page.get(SMS))


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
    sms = Message(
        id=new_id(), direction="out", gateway="twilio", sender="+1", recipient=van.phone, body="x",
        status="delivered", device_id=van.id, price="0.0079", currency="USD",
    )  # fmt: skip
    db.session.add(sms)
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
        sms = Message(
            id=new_id(), direction="out", gateway="twilio", sender="+1", recipient=van.phone, body="x",
            status=status, device_id=van.id, command_id=row.id,
        )  # fmt: skip
        db.session.add(sms)
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
        sms = Message(
            id=new_id(), direction="out", gateway="twilio", sender="+1", recipient=van.phone, body="x",
            status=status, device_id=van.id, price=price, currency="EUR" if price else None,
        )  # fmt: skip
        db.session.add(sms)
    db.session.commit()
    text = flat(visitor.get(SMS))
    assert "<dt>Cost, 24 hours</dt> <dd> 0.19 EUR (estimated) </dd>" in text
    assert "<dt>Cost, this month</dt>" in text


def test_each_period_adds_up_its_own_sms(app: Flask, van: Device) -> None:
    now = utcnow()
    for number, (days, price) in enumerate(((0, "0.05"), (2, "0.07"), (2, None), (40, "1.00"))):
        sms = Message(
            id=f"{first_id(now - timedelta(days=days))}{number:020x}", direction="out", gateway="twilio", sender="+1",
            recipient=van.phone, body="x", status="sent", device_id=van.id, price=price,
            currency="EUR" if price else None,
        )  # fmt: skip
        db.session.add(sms)
    db.session.commit()
    day, month = sms_prices.spent(now - timedelta(days=1), now - timedelta(days=30))
    assert (day.amounts, day.is_estimate) == ([Price(Decimal("0.05"), "EUR")], False)
    assert (month.amounts, month.is_estimate) == ([Price(Decimal("0.17"), "EUR")], True)


@pytest.mark.parametrize(("page", "words"), [(SMS, "sum(CASE WHEN"), (CAMERAS, "count(distinct")])
def test_what_is_counted_of_two_periods_is_read_once(
    van: Device, visitor: Visitor, page: str, words: str
) -> None:
    connect(van, "198.51.100.7:4000", timedelta(minutes=2))
    seen = [" ".join(statement.split()) for statement, _ in statements_of(visitor, page)]
    assert sum(words.lower() in statement.lower() for statement in seen) == 1


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("people", {"email": "a@b.de", "role": "viewer", "tags": "x" * 300}, "A tag has at most"),
        ("tokens", {"name": "ERP", "role": "viewer", "days": "0"}, "Give a number of days from 1 to 36500."),
        ("tokens", {"name": "F\u00fcr SAP", "role": "viewer", "days": "9"}, "Letters from A to Z, digits"),
        ("wall", {"name": "x" * 101}, "At most 100 characters."),
    ],
)
def test_a_field_that_is_wrong_says_what_it_takes_and_keeps_what_was_typed(
    visitor: Visitor, name: str, fields: dict[str, str], words: str
) -> None:
    page = f"/settings/{name}"
    answer = visitor.send(page, page, **fields)
    assert answer.status_code == 422
    assert f'<p class="field-error" role="alert">{words}' in flat(answer)
    assert all(value in answer.text for value in fields.values())


def test_a_blank_number_of_days_is_for_ever_as_an_empty_one(visitor: Visitor) -> None:
    assert visitor.send(STORAGE, STORAGE, photo=" ", video="7").status_code == 302
    row = fleet_settings.current()
    assert (row.photo_days, row.video_days) == (0, 7)


def test_the_start_page_tells_administrators_whether_sms_work(
    phone: Phone, visitor: Visitor, van: Device
) -> None:
    assert f'hx-get="{SMS}/part"' in visitor.get("/").text
    assert "No SMS were sent in the last 24 hours" in flat(visitor.get(f"{SMS}/part"))
    row = command(van)
    sms = Message(
        id=new_id(), direction="out", gateway="twilio", sender="+1", recipient=van.phone, body="x",
        status="delivered", device_id=van.id, command_id=row.id,
    )  # fmt: skip
    db.session.add(sms)
    db.session.commit()
    assert "No vehicle answered an SMS in the last 24 hours" in flat(visitor.get(f"{SMS}/part"))
    row.answered_at = utcnow()
    db.session.commit()
    text = flat(visitor.get(f"{SMS}/part"))
    assert "SMS work" in text
    assert "1 sent in the last 24 hours, 1 answered, 0 not delivered" in text


def test_a_gateway_that_never_called_is_pointed_out_once_an_sms_was_sent(
    phone: Phone, visitor: Visitor, van: Device
) -> None:
    warning, address = "Answers of vehicles may not reach us", "/webhooks/twilio/inbound"
    text = flat(visitor.get(SMS))
    assert (warning in text, address in text) == (False, True)
    sms = Message(
        id=new_id(), direction="out", gateway="twilio", sender="+1", recipient=van.phone, body="x",
        status="delivered", device_id=van.id, command_id=command(van).id,
    )  # fmt: skip
    db.session.add(sms)
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


# storage


def stored(device: Device, ago: timedelta, **changes: Any) -> Upload:
    """A file that came so long ago."""
    at = utcnow() - ago
    ident = first_id(at) + new_id()[12:]
    given = {
        "id": ident,
        "started_at": at,
        "received_at": at,
        "updated_at": at,
        "file_type": "photo",
        "size": 4000,
    }
    return upload(device, **given | changes)


@pytest.mark.on_sqlite
def test_what_is_used_and_how_fast_it_grows_is_shown(van: Device, visitor: Visitor) -> None:
    stored(van, timedelta(days=30))
    stored(van, timedelta(days=1), size=3_000_000)
    stored(van, timedelta(days=1), file_type="video", size=4_000_000)
    stored(van, timedelta(hours=1), state="partial")
    storage_use.count(utcnow)
    text = flat(visitor.get(STORAGE))
    assert "<dt>Photos</dt> <dd> 2 · 3.0 MB </dd>" in text
    assert "<dt>Clips</dt> <dd> 1 · 4.0 MB </dd>" in text
    assert "1.0 MB a day (average of the last 7 days)" in text


@pytest.mark.on_sqlite
def test_growth_is_the_average_since_the_first_file_where_that_came_lately(
    van: Device, visitor: Visitor
) -> None:
    stored(van, timedelta(days=2), size=4_000_000)
    storage_use.count(utcnow)
    assert "2.0 MB a day (average since the first file," in flat(visitor.get(STORAGE))


@pytest.mark.parametrize(("hours", "says"), [(2, False), (26, True)])
def test_how_long_the_disk_lasts_is_said_of_a_growth_that_was_seen_for_a_day(
    van: Device, visitor: Visitor, tmp_path: Path, hours: int, says: bool
) -> None:
    (tmp_path / "media").mkdir(exist_ok=True)
    stored(van, timedelta(hours=hours), size=50_000_000_000)
    storage_use.count(utcnow)
    assert ("at this growth" in visitor.get(STORAGE).text) is says


@pytest.mark.on_sqlite
def test_a_change_that_removes_nothing_yet_says_when_the_first_file_goes(
    van: Device, visitor: Visitor
) -> None:
    day = stored(van, timedelta(days=1)).updated_at + timedelta(days=10)
    text = flat(visitor.get(f"{STORAGE}?photo=10&video="))
    assert "Clips: for ever." in text
    assert f"The first file goes on {day.day} {day:%B %Y}." in text


def test_what_is_used_is_said_as_of_the_last_count(van: Device, visitor: Visitor) -> None:
    stored(van, timedelta(days=1))
    text = flat(visitor.get(STORAGE))
    assert "The files are not counted yet; that is done every 10 minutes." in text
    assert "<dt>Photos</dt>" not in text
    counted_at = utcnow() - timedelta(minutes=7)
    storage_use.count(lambda: counted_at)
    stored(van, timedelta(days=1))
    text = flat(visitor.get(STORAGE))
    assert "<dt>Photos</dt> <dd> 1 · 4 kB </dd>" in text
    assert re.search(
        rf'As of <time datetime="{re.escape(counted_at.isoformat())}"[^>]*>[^<]+</time>, counted again every 10',
        text,
    )
    storage_use.count(utcnow)
    assert "<dt>Photos</dt> <dd> 2 · 8 kB </dd>" in flat(visitor.get(STORAGE))


def test_files_are_counted_some_at_a_time(van: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_use, "STEP", 2)
    for number in range(4):
        stored(van, timedelta(days=number))
        stored(van, timedelta(days=number), file_type="video", size=10)
    storage_use.count(utcnow)
    assert storage_use.in_use().by_type == {"photo": Amount(4, 16_000), "video": Amount(4, 40)}


def test_what_a_change_of_days_removes_is_exact_for_few_files_and_more_than_many_else(
    van: Device, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_use, "MANY", 2)
    for _ in range(2):
        stored(van, timedelta(days=31))
    stored(van, timedelta(days=31), file_type="video")
    question = f"{STORAGE}?photo=30&video=30"
    text = flat(visitor.get(question))
    assert "2 photos (8 kB) that are older than 30 days, 1 clip (4 kB) that is older than 30 days." in text
    assert "remove 3 files" in text
    stored(van, timedelta(days=31))
    stored(van, timedelta(days=29))
    text = flat(visitor.get(question))
    assert "more than 2 photos (at least 12 kB) that are older than 30 days, 1 clip (4 kB)" in text
    assert "remove more than 3 files" in text


def test_files_of_a_type_that_is_kept_for_ever_are_not_among_what_a_change_removes(van: Device) -> None:
    stored(van, timedelta(days=31))
    assert storage_use.would_remove(KeptDays(photo=0, video=30), utcnow()) == {
        "photo": Removal(), "video": Removal(),
    }  # fmt: skip


@pytest.mark.on_sqlite
def test_large_numbers_of_files_have_a_separator_in_the_readers_language(
    van: Device, visitor: Visitor
) -> None:
    now = utcnow()
    for name in ("photo", storage_use.NEW):
        db.session.add(StoredAmount(name=name, files=12_345, size=4_000, counted_at=now))
    db.session.commit()
    assert "<dd> 12,345 · 4 kB </dd>" in flat(visitor.get(STORAGE))
    assert "<dd> 12.345 · 4 kB </dd>" in flat(visitor.get(STORAGE, **{"Accept-Language": "de"}))


def test_what_a_change_of_days_removes_is_shown_before_and_removed_only_after_it(
    van: Device, visitor: Visitor
) -> None:
    old, clip, young = (
        stored(van, timedelta(days=31)).id,
        stored(van, timedelta(days=31), file_type="video").id,
        stored(van, timedelta(days=29)).id,
    )
    question = f"{STORAGE}?photo=30&video=0"
    text = flat(visitor.get(question))
    assert "1 photo (4 kB) that is older than 30 days." in text
    assert "remove 1 file" in text
    assert retention.sweep(utcnow) == {}
    assert visitor.send(question, STORAGE, photo="30", video="0").status_code == 302
    assert retention.sweep(utcnow) == {"uploads": 1}
    assert set(db.session.scalars(select(Upload.id))) == {clip, young} - {old}
    assert 'value="30"' in flat(visitor.get(STORAGE))


def test_files_of_saved_events_are_not_among_what_a_change_removes(van: Device, visitor: Visitor) -> None:
    saved = Event(
        id=new_id(), device_id=van.id, kind="crash", at=utcnow(), cameras="front", file_types="photo",
        saved_at=utcnow(), saved_by="tests",
    )  # fmt: skip
    db.session.add(saved)
    db.session.commit()
    stored(van, timedelta(days=31), event_id=saved.id)
    storage_use.count(utcnow)
    assert "This removes nothing now" in flat(visitor.get(f"{STORAGE}?photo=30&video=30"))
    assert "<dt>Of these in saved events</dt> <dd> 1 · 4 kB </dd>" in flat(visitor.get(STORAGE))


@pytest.mark.on_sqlite
@pytest.mark.parametrize("days", ["4", "-1", "x", "40000"])
def test_days_that_cannot_be_are_refused_beside_their_field(visitor: Visitor, days: str) -> None:
    answer = visitor.get(f"{STORAGE}?photo={days}&video=0")
    assert answer.status_code == 422
    assert "field-error" in answer.text
    assert visitor.send(STORAGE, STORAGE, photo=days, video="0").status_code == 422


@pytest.mark.on_sqlite
@pytest.mark.parametrize("days", [0, 90])
def test_days_that_the_server_sets_are_shown_and_not_changed_on_the_page(
    app: Flask, van: Device, visitor: Visitor, days: int
) -> None:
    fleet_settings.change({"photo_days": 30, "video_days": 30}, utcnow())
    stored(van, timedelta(days=31))
    configure(app, retention_days_uploads=days)
    text = flat(visitor.get(STORAGE))
    assert f"Photos and clips: {f'{days} days' if days else 'for ever'}." in text
    assert "Set on the server: <code>RETENTION_DAYS_UPLOADS</code>" in text
    assert visitor.send(CAMERAS, STORAGE, photo="30", video="30").status_code in (400, 409)
    assert retention.sweep(utcnow) == {}
