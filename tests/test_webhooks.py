"""Webhooks and texts that come in: who may bring them, what counts once, where a text belongs."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from conftest import ACCOUNT_SID
from gateway_double import Phone, message_sid
from sms_commands import NUMBER, ask, at, photo, send
from sms_rows import add_van
from sqlalchemy import event, func, select
from werkzeug.datastructures import MultiDict

from provisioning.devices import registry, status_table
from provisioning.models import Device, GatewayEvent, Message, ShownState, State, db, utcnow
from provisioning.sms import reconcile, recovery


@pytest.fixture
def van(phone: Phone) -> Device:
    return add_van()


# webhooks


def test_a_forged_webhook_gets_403_and_changes_nothing(phone: Phone, van: Device) -> None:
    row = photo(van)
    send(van)
    form = {"MessageSid": "SMx", "From": NUMBER, "Body": "Error: DualCam not present"}
    for signature in ("", "forged"):
        assert phone.post("/webhooks/twilio/inbound", form, signature=signature).status_code == 403
        assert phone.post("/webhooks/twilio/status", form, signature=signature).status_code == 403
    db.session.expire_all()
    assert row.shown_state == ShownState.SENT
    assert db.session.scalar(select(GatewayEvent)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"AccountSid": "AC" + "9" * 32},  # signed, for another account
        {"AccountSid": ""},
        # the same signed text, split into names and values in another way
        {"MessageSid": None, "MessageSi": "d" + "SM" + "a" * 32},
        {"MessageSid": "SM" + "a" * 31},
    ],
    ids=["another account", "no account", "split elsewhere", "no message id"],
)
def test_a_signed_webhook_that_is_not_about_a_message_of_ours_is_refused(
    phone: Phone, van: Device, change: dict[str, str | None]
) -> None:
    form = {"AccountSid": ACCOUNT_SID, "MessageSid": "SM" + "a" * 32, "From": NUMBER, "Body": "hello"}
    form = {name: value for name, value in (form | change).items() if value is not None}
    answer = phone.post("/webhooks/twilio/inbound", form)
    assert (answer.status_code, answer.json["code"]) == (403, "not_ours")
    assert db.session.scalar(select(GatewayEvent)) is None


def test_a_webhook_with_fields_that_repeat_is_taken(phone: Phone, van: Device) -> None:
    fields = [
        ("MessageSid", message_sid("twice")),
        ("AccountSid", ACCOUNT_SID),
        ("From", NUMBER),
        ("Body", "hello"),
        ("Tag", "a"),
        ("Tag", "b"),
    ]
    assert phone.post("/webhooks/twilio/inbound", MultiDict(fields)).status_code == 200
    assert db.session.scalars(select(Message.body)).all() == ["hello"]


def test_a_picture_without_text_is_kept(phone: Phone, van: Device) -> None:
    form = {
        "MessageSid": message_sid("picture", "MM"), "AccountSid": ACCOUNT_SID, "From": NUMBER, "NumMedia": "1",
        "MediaUrl0": "https://example.com/1",
    }  # fmt: skip
    assert phone.post("/webhooks/twilio/inbound", form).status_code == 200
    assert db.session.scalars(select(Message.body)).all() == [""]


def test_the_same_text_twice_is_taken_once(phone: Phone, van: Device) -> None:
    row = photo(van)
    send(van)
    for _ in range(2):
        answer = phone.reply("Photo request from source 1.", sid=message_sid("same"))
        assert answer.status_code == 200
    db.session.expire_all()
    assert row.reply == "Photo request from source 1."


def test_what_no_webhook_told_is_reconciled_and_only_once(phone: Phone, van: Device) -> None:
    row = photo(van)
    send(van)
    phone.twilio.take(NUMBER, "Photo request from source 1.")  # no webhook is configured in the stand-in
    for _ in range(2):
        reconcile.reconcile(utcnow)
    db.session.expire_all()
    assert row.state == State.ANSWERED
    assert row.reply == "Photo request from source 1."


def test_messages_that_are_known_cost_no_statement_each(phone: Phone, van: Device) -> None:
    photo(van)
    send(van)
    costs = []
    for count in 0, 30:
        for number in range(count):
            phone.twilio.take(NUMBER, f"words {number}")
        reconcile.reconcile(utcnow)
        with counted() as statements:
            reconcile.reconcile(utcnow)
        costs.append(len(statements))
    assert db.session.scalar(select(func.count()).where(GatewayEvent.kind == "inbound")) == 30
    assert costs[0] == costs[1] < 12


@contextlib.contextmanager
def counted() -> Iterator[list[str]]:
    """Collect the statements of a block."""
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    yield statements
    event.remove(db.engine, "before_cursor_execute", note)


def test_a_text_nobody_asked_for_is_kept_and_its_values_are_learnt(phone: Phone, van: Device) -> None:
    phone.reply("Hello from the driver")
    phone.reply("Param ID:66001 Value:50")
    texts = db.session.scalars(select(Message).order_by(Message.id)).all()
    assert [m.claimed for m in texts] == [False, True]
    item = status_table.get(van.id, "parameter.66001")
    assert item is not None
    assert item.value == "50"


def test_a_text_of_an_unknown_number_is_kept_apart(phone: Phone, van: Device) -> None:
    phone.reply("Photo request from source 1.", phone="+12025550199")
    (message,) = db.session.scalars(select(Message)).all()
    assert message.device_id is None
    assert not message.claimed


def test_a_reply_to_an_older_unanswered_command_goes_there_by_its_content(phone: Phone, van: Device) -> None:
    old = ask(van, "getio")[0]
    send(van)
    recovery.recover(at(700))
    new = ask(van, "getver")[0]
    send(van)
    phone.reply("DI1:1 AIN1:12000 DO1:0")
    db.session.expire_all()
    assert (old.shown_state, new.shown_state) == (ShownState.DONE, ShownState.SENT)


def test_a_reply_counts_for_the_number_that_the_device_had_then(phone: Phone, van: Device) -> None:
    row = photo(van)
    send(van)
    registry.change(van, {"phone": "+12025550177"}, utcnow() + timedelta(seconds=5))
    phone.reply("Photo request from source 1.")
    db.session.expire_all()
    assert row.state == State.ANSWERED


def test_another_trackers_imei_is_a_bad_sign(phone: Phone, van: Device) -> None:
    ask(van, "getver")
    send(van)
    phone.reply("Ver:03.28.03.Rev.05 Hw:FMC125 IMEI:356307042441013")
    item = status_table.get(van.id, "imei")
    assert item is not None
    assert item.verdict == "bad"
