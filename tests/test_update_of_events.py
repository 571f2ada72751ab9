"""An update from a version that kept the events of the gateway in Twilio's own words."""

import json

import flask_migrate
import pytest
from conftest import ROOT
from gateway_double import Phone, message_sid
from sms_commands import NUMBER, at, photo, send
from sms_rows import add_van, claim, item
from sqlalchemy import select, text

from provisioning import schedule
from provisioning.core import encryption
from provisioning.models import Command, Device, GatewayEvent, Message, State, db, utcnow
from provisioning.sms import inbound
from receiver.store.durability import new_id as receiver_id


@pytest.fixture
def van(phone: Phone) -> Device:
    return add_van()


OLD_EVENT = text(
    "INSERT INTO gateway_events (id, kind, token, payload, via, received_at, attempts, processed_at)"
    " VALUES (:id, :kind, :token, :payload, 'webhook', :at, 0, :processed_at)"
)


def old_event(kind: str, token: str, payload: dict[str, str], *, owed: bool = True) -> None:
    at = utcnow()
    values = {"id": receiver_id(at), "kind": kind, "token": token, "payload": json.dumps(payload), "at": at}
    if db.engine.dialect.name == "sqlite":
        values["at"] = at.strftime("%Y-%m-%d %H:%M:%S.%f")
    db.session.execute(OLD_EVENT, values | {"processed_at": None if owed else values["at"]})


def downgrade_database() -> None:
    db.session.commit()
    db.session.remove()
    flask_migrate.downgrade(revision="0019", directory=str(ROOT / "migrations"))


def update_database() -> None:
    db.session.commit()
    db.session.remove()
    flask_migrate.upgrade(directory=str(ROOT / "migrations"))


def test_events_that_an_older_version_left_owed_take_effect_after_the_update(
    phone: Phone, van: Device
) -> None:
    ident, device_id = photo(van).id, van.id
    send(van)
    sid = db.session.scalar(select(Message.gateway_id))
    downgrade_database()
    report = {"MessageSid": sid, "MessageStatus": "delivered", "AccountSid": "AC1", "ErrorCode": "0"}
    old_event("status", f"{sid}:delivered:", report)
    words = {"MessageSid": "SMold", "From": NUMBER, "To": "+12025550100", "NumMedia": "0"}
    old_event("inbound", "in:SMold", words | {"Body": "Photo request from source 1."})
    secret = {"Body": "", "encrypted": encryption.encrypt("Param ID:66001 Value:40")}
    old_event("inbound", "in:SMsecret", words | {"MessageSid": "SMsecret"} | secret)
    update_database()
    schedule.sweep(utcnow)
    row = db.session.get_one(Command, ident)
    assert row.state == State.ANSWERED
    assert [entry["state"] for entry in row.history][-2:] == ["delivered", "answered"]
    assert item(db.session.get_one(Device, device_id), "parameter.66001")[0] == "40"
    assert not inbound.unprocessed_events(at(3600)())


def test_a_text_that_an_older_version_took_is_known_again_and_hides_credentials_once_a_device_takes_it(
    phone: Phone, van: Device
) -> None:
    sid, device_id = message_sid("of before"), van.id
    phone.reply("fleet cam11 what?", phone="+12025550177", sid=sid)
    downgrade_database()
    update_database()
    phone.reply("fleet cam11 what?", phone="+12025550177", sid=sid)
    (message,) = db.session.scalars(select(Message))
    claim(message, db.session.get_one(Device, device_id))
    assert "cam11" not in message.body + str(db.session.scalar(select(GatewayEvent.payload)))
