"""Commands by SMS and what comes back: queueing, sending, replies, reports, losses, repetitions."""

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from conftest import ACCOUNT_SID, free_port
from gateway_double import Phone, message_sid
from sqlalchemy import event, func, select
from stdnum import luhn
from werkzeug.datastructures import MultiDict

from provisioning import schedule
from provisioning.commands import command_words, submission
from provisioning.core.errors import Conflict, Forbidden, GatewayError, Invalid
from provisioning.devices import registry, status_table
from provisioning.models import Command, Device, GatewayEvent, Message, ShownState, State, db, utcnow
from provisioning.phrase import as_it_is
from provisioning.roles import Role
from provisioning.sms import (
    dispatch,
    due_commands,
    factory,
    gateway,
    inbound,
    reconcile,
    recovery,
    sender_bucket,
)
from provisioning.sms.gateway import Accepted, InboundSms
from provisioning.tracker import language

REQUESTER = submission.Requester("tests", Role.INSTALLER)
NUMBER = "+12025550111"


@pytest.fixture
def van(phone: Phone) -> Device:
    given = {"imei": "352094082736916", "phone": NUMBER, "sms_login": "fleet", "sms_password": "cam11"}
    return registry.add(given, utcnow())


def ask(device: Device, name: str, **arguments: Any) -> list[Command]:
    now = utcnow()
    asked = language.from_arguments(name, arguments, now=int(now.timestamp()))
    rows = submission.submit(device, asked, REQUESTER, now)
    db.session.commit()
    return rows


def photo(device: Device, source: str = "front") -> Command:
    return ask(device, "camreq", file_type="photo", source=source)[0]


def send(device: Device) -> None:
    while dispatch.send_next(device.id, utcnow):
        pass
    db.session.expire_all()


def claim(device: Device, now: datetime | None = None) -> dispatch.Handover | None:
    """Claim the device's next command, as a process does that is killed before it asks the gateway."""
    return dispatch._claim(device.id, gateway.gateway(), now or utcnow())


def owed_text(payload: dict[str, Any], **values: Any) -> GatewayEvent:
    """An inbound text of which only the event was stored."""
    given = {"via": "webhook", "attempts": 0} | values
    return GatewayEvent(
        kind="inbound", gateway="twilio", token=f"in:{payload['id']}", payload=payload, **given
    )


def at(seconds: float) -> Any:
    return lambda: utcnow() + timedelta(seconds=seconds)


def test_a_command_is_sent_with_credentials_and_shown_without(phone: Phone, van: Device) -> None:
    row = photo(van)
    send(van)
    assert phone.sent == ["fleet cam11 camreq:1,1"]
    assert row.shown_state == ShownState.SENT
    stored = [row.text, *db.session.scalars(select(Message.body))]
    assert all("cam11" not in text and "fleet" not in text for text in stored)


def test_one_sms_in_flight_per_device_and_the_next_after_the_reply(phone: Phone, van: Device) -> None:
    ask(van, "getver")
    ask(van, "getio")
    send(van)
    assert len(phone.sent) == 1
    phone.reply("Ver:03.28.03.Rev.05 Hw:FMC125 IMEI:352094082736916")
    send(van)
    assert [text.split()[-1] for text in phone.sent] == ["getver", "getio"]


def test_many_drivers_at_once_send_one_sms(phone: Phone, van: Device) -> None:
    photo(van)
    app, device_id = phone.app, van.id
    db.session.remove()

    def drive() -> None:
        with app.app_context():
            dispatch.send_next(device_id, utcnow)

    threads = [threading.Thread(target=drive) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(phone.sent) == 1


def test_a_setparam_is_done_when_every_id_is_confirmed(phone: Phone, van: Device) -> None:
    (row,) = submission.provision(van, {"66003": 25}, REQUESTER, utcnow())
    db.session.commit()
    send(van)
    assert phone.sent[0].endswith("setparam 151:18;150:1;66003:25")
    phone.reply("New value 151:18;150:1;66003:25")
    db.session.expire_all()
    assert row.state == State.DONE
    item = status_table.get(van.id, "parameter.66003")
    assert item is not None
    assert (item.value, item.asked, item.verdict, item.source_kind) == ("25", "25", "good", "command")


def test_a_text_value_is_confirmed_letter_by_letter(phone: Phone, van: Device) -> None:
    row = ask(van, "setparam", parameters={"2003": "0123"}, raw=True)[0]
    send(van)
    phone.reply("New value 2003:123")
    send(van)
    assert (row.state, phone.sent[-1]) == (State.ANSWERED, "fleet cam11 getparam 2003")


def test_what_a_setparam_did_not_confirm_is_read_back(phone: Phone, van: Device) -> None:
    (row,) = submission.provision(van, {"66003": 25, "66001": 40}, REQUESTER, utcnow())
    db.session.commit()
    send(van)
    phone.reply("New value 151:18;150:1;66003:25 WARNING: Not supported Param ID or Value detected")
    send(van)
    assert row.state == State.ANSWERED
    assert phone.sent[-1].endswith("getparam 66001")
    phone.reply("Param ID:66001 Value:50")
    db.session.expire_all()
    assert (row.state, row.error_code) == (State.FAILED, "value_differs")
    assert "Picture compression (66001): asked for 40 %, the tracker has 50 %" in (
        command_words.said(row.error) or ""
    )


@pytest.mark.parametrize(
    ("text", "code", "retry"),
    [
        ("Error: Cannot capture because ignition is off", "ignition_off", True),
        ("Error: DualCam not present", "dualcam_not_present", None),
        ("Error: Rear Camera not present", "camera_not_present", None),
        ("Cannot send, DualCam configuration is in progress", "configuring", True),
        ("Error: something nobody has seen", "unknown_refusal", None),
        ("Warning: Photo already captured previously, trying to send it", "already_captured", True),
    ],
)
def test_a_refused_request_fails_with_a_code_and_the_next_is_accepted(
    phone: Phone, van: Device, text: str, code: str, retry: bool | None
) -> None:
    row = photo(van)
    send(van)
    phone.reply(text)
    db.session.expire_all()
    assert (row.state, row.error_code) == (State.FAILED, code)
    assert row.error
    if retry is not None:
        assert row.error_retry is retry
    assert photo(van).id != row.id


def test_the_same_request_is_refused_while_the_first_is_open(phone: Phone, van: Device) -> None:
    row = photo(van)
    with pytest.raises(Conflict, match=row.id):
        photo(van)


def test_an_accepted_request_frees_the_line_but_keeps_the_capture_place(phone: Phone, van: Device) -> None:
    photo(van)
    second = photo(van, "rear")
    ask(van, "getver")
    send(van)
    phone.reply("Photo request from source 1.")
    send(van)
    assert [text.split()[-1] for text in phone.sent] == ["camreq:1,1", "getver"]
    db.session.refresh(second)
    assert "Waits for the files" in (command_words.said(second.note) or "")


def test_a_reply_may_come_before_the_gateway_has_answered(phone: Phone, van: Device) -> None:
    row = ask(van, "getver")[0]
    attempt = claim(van)
    assert attempt is not None
    phone.reply("Ver:03.28.03.Rev.05 Hw:FMC125 IMEI:352094082736916")
    dispatch._note_sent(attempt, Accepted("SMlate"), utcnow())
    db.session.expire_all()
    assert row.state == State.DONE


def test_without_credentials_a_command_is_refused_before_it_exists(phone: Phone) -> None:
    device = registry.add({"imei": "352094082042885", "phone": "+12025550112"}, utcnow())
    with pytest.raises(Conflict) as caught:
        photo(device)
    assert caught.value.code == "no_sms_credentials"
    db.session.rollback()
    assert db.session.scalar(select(Command)) is None


def test_only_an_admin_names_another_server_and_only_an_allowed_one(phone: Phone, van: Device) -> None:
    server = {"domain": "files.example.com", "port": 7160}
    with pytest.raises(Forbidden):
        ask(van, "camreq", file_type="photo", source="front", server=server)
    admin = submission.Requester("tests", Role.ADMIN)
    asked = language.from_arguments(
        "camreq", {"file_type": "photo", "source": "front", "server": server}, now=int(utcnow().timestamp())
    )
    with pytest.raises(Invalid):
        submission.submit(van, asked, admin, utcnow())
    phone.app.extensions["dualcam_config"] = dataclasses.replace(
        phone.config, camera_servers_allowed=("files.example.com",)
    )
    (row,) = submission.submit(van, asked, admin, utcnow())
    db.session.commit()
    send(van)
    phone.reply("Photo request from source 1.")
    phone.reply("Preparing to send file from timestamp 1795500000")
    db.session.expire_all()
    assert row.state == State.DONE
    assert row.result is not None
    assert row.result["foreign_server"] is True


def test_the_services_own_server_is_named_where_the_device_has_none(phone: Phone, van: Device) -> None:
    phone.app.extensions["dualcam_config"] = dataclasses.replace(
        phone.config, camera_server_domain="cam.example.com", camera_server_port=7160
    )
    photo(van)
    send(van)
    assert phone.sent == ["fleet cam11 camreq:1,1,cam.example.com,7160"]


# losses


def test_a_lost_answer_is_looked_up_and_nothing_is_sent_twice(phone: Phone, van: Device) -> None:
    row = photo(van)
    phone.twilio.faults.lose_answers = 1
    send(van)
    assert row.shown_state == ShownState.UNKNOWN
    recovery.recover(at(20))
    db.session.expire_all()
    assert row.shown_state == ShownState.SENT
    assert len(phone.sent) == 1


def test_a_request_that_never_went_out_fails_and_says_so(phone: Phone, van: Device) -> None:
    row = photo(van)
    attempt = claim(van)  # and the process is killed here
    assert attempt is not None
    recovery.recover(at(200))
    db.session.expire_all()
    assert (row.state, row.error_code, row.error_retry) == (State.FAILED, "not_sent", True)
    assert phone.sent == []


def test_a_harmless_command_that_never_went_out_is_sent_again(phone: Phone, van: Device) -> None:
    row = ask(van, "getver")[0]
    assert claim(van)
    recovery.recover(at(200))
    db.session.expire_all()
    assert row.state == State.QUEUED
    dispatch.send_next(van.id, at(201))
    assert len(phone.sent) == 1


def test_a_callback_with_our_id_resolves_what_the_gateway_never_answered(phone: Phone, van: Device) -> None:
    row = photo(van)
    attempt = claim(van)
    assert attempt is not None
    failure = GatewayError("gateway_unclear", as_it_is("?"), permanent=False, sent="unknown")
    dispatch._note_failure(attempt, failure, utcnow())
    phone.report("SM" + "0" * 32, "delivered", message=attempt.sms.message_id)
    db.session.expire_all()
    assert row.shown_state == ShownState.DELIVERED
    assert db.session.scalar(select(Message.gateway_id)) == "SM" + "0" * 32


def test_a_message_that_a_reply_overtook_is_found_at_the_gateway_after_a_crash(
    phone: Phone, van: Device
) -> None:
    photo(van)
    attempt = claim(van)
    assert attempt is not None
    sid = phone.twilio.create({"To": NUMBER, "From": "+12025550100", "Body": attempt.sms.text}).ident
    phone.reply(
        "Photo request from source 1."
    )  # and the process that sent it is killed before it heard the sid
    recovery.recover(at(200))
    db.session.expire_all()
    message = db.session.get_one(Message, attempt.sms.message_id)
    assert (message.gateway_id, message.status) == (sid, "sent")


def test_a_message_that_never_left_is_not_shown_as_under_way_for_ever(phone: Phone, van: Device) -> None:
    photo(van)
    attempt = claim(van)
    assert attempt is not None
    phone.reply("Photo request from source 1.")  # an answer to something else, taken for this one's
    recovery.recover(at(200))
    db.session.expire_all()
    assert db.session.get_one(Message, attempt.sms.message_id).status == "failed"


@pytest.mark.parametrize(("code", "retry"), [(21211, False), (21610, False)])
def test_a_permanent_refusal_of_the_gateway_ends_the_command(
    phone: Phone, van: Device, code: int, retry: bool
) -> None:
    phone.twilio.faults.refuse[NUMBER] = code
    row = photo(van)
    send(van)
    assert (row.state, row.error_code, row.error_retry) == (State.FAILED, str(code), retry)


def test_a_busy_gateway_is_tried_again_later(phone: Phone, van: Device) -> None:
    phone.twilio.faults.refuse[NUMBER] = 20429
    row = photo(van)
    send(van)
    assert row.state == State.QUEUED
    assert row.due_at > utcnow()
    phone.twilio.faults.refuse.clear()
    assert dispatch.send_next(van.id, at(30))
    assert len(phone.sent) == 1


def test_a_gateway_that_refuses_connections_is_tried_again_by_itself(phone: Phone, van: Device) -> None:
    away = dataclasses.replace(phone.config, twilio_api_base_url=f"http://127.0.0.1:{free_port()}")
    factory.init_app(phone.app, away)
    row = photo(van)
    send(van)
    assert (row.state, row.error_code) == (State.QUEUED, None)
    assert db.session.scalar(select(Message.error_code)) == "gateway_unreachable"
    factory.init_app(phone.app, phone.config)
    assert dispatch.send_next(van.id, at(30))
    db.session.expire_all()
    assert (row.shown_state, len(phone.sent)) == (ShownState.SENT, 1)


def test_reports_move_only_forward(phone: Phone, van: Device) -> None:
    row = photo(van)
    send(van)
    sid = db.session.scalar(select(Message.gateway_id))
    assert sid
    for status in ("delivered", "sent", "queued", "undelivered"):
        phone.report(sid, status, error="30008" if status == "undelivered" else None)
    db.session.expire_all()
    assert (row.shown_state, db.session.scalar(select(Message.status))) == (ShownState.DELIVERED, "delivered")


def test_an_sms_that_is_not_delivered_fails_and_says_why(phone: Phone, van: Device) -> None:
    row = photo(van)
    send(van)
    sid = db.session.scalar(select(Message.gateway_id))
    assert sid
    other = ask(van, "getver")[0]
    phone.report(sid, "undelivered", error="30003")
    db.session.expire_all()
    assert (row.state, row.error_code, row.error_retry) == (State.FAILED, "30003", True)
    assert other.state == State.QUEUED


def test_silence_ends_with_a_reason_and_a_late_reply_is_still_taken(phone: Phone, van: Device) -> None:
    row = ask(van, "getver")[0]
    send(van)
    recovery.recover(at(700))
    db.session.expire_all()
    assert (row.state, row.error_code) == (State.EXPIRED, "no_reply")
    phone.reply("Ver:03.28.03.Rev.05 Hw:FMC125 IMEI:352094082736916")
    db.session.expire_all()
    assert row.state == State.DONE
    assert row.late


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


# credentials


def reply_at(phone: Phone, seconds: float, text: str) -> None:
    """Bring a text as if it came so many seconds from now."""
    now = at(seconds)()
    sms = InboundSms("twilio", f"SMat{seconds:.0f}", NUMBER, "+12025550100", text)
    inbound.receive(sms, now, via="webhook")


def change_credentials(van: Device) -> Command:
    row = ask(van, "setparam", parameters={"3003": "new1", "3004": "new2"})[0]
    send(van)
    return row


def test_confirmed_credentials_are_used_from_then_on(phone: Phone, van: Device) -> None:
    row = change_credentials(van)
    phone.reply("New value 3003:new1;3004:new2")
    db.session.expire_all()
    assert row.state == State.DONE
    ask(van, "getver")
    send(van)
    assert phone.sent[-1] == "new1 new2 getver"
    stored = [row.text, row.reply, str(row.result), *db.session.scalars(select(Message.body))]
    stored += [str(payload) for payload in db.session.scalars(select(GatewayEvent.payload))]
    assert all("new1" not in str(text) and "new2" not in str(text) for text in stored)


def test_a_lost_confirmation_is_settled_by_a_getver_with_each_pair(phone: Phone, van: Device) -> None:
    row = change_credentials(van)
    recovery.recover(at(700))
    dispatch.send_next(van.id, at(701))
    assert phone.sent[-1] == "new1 new2 getver"
    reply_at(phone, 705, "Ver:03.28.03.Rev.05 IMEI:352094082736916")
    db.session.expire_all()
    assert van.credentials_state is None
    assert row.state == State.DONE
    ask(van, "getio")
    dispatch.send_next(van.id, at(710))
    assert phone.sent[-1] == "new1 new2 getio"


def test_a_device_that_obeys_its_old_credentials_keeps_them(phone: Phone, van: Device) -> None:
    change_credentials(van)
    recovery.recover(at(700))
    dispatch.send_next(van.id, at(701))
    recovery.recover(at(1400))
    dispatch.send_next(van.id, at(1401))
    assert phone.sent[-1] == "fleet cam11 getver"
    reply_at(phone, 1405, "Ver:03.28.03.Rev.05 IMEI:352094082736916")
    db.session.expire_all()
    assert van.credentials_state is None
    ask(van, "getio")
    dispatch.send_next(van.id, at(1410))
    assert phone.sent[-1] == "fleet cam11 getio"


def test_an_event_whose_effects_failed_is_tried_again(phone: Phone, van: Device) -> None:
    row = photo(van)
    send(van)
    payload = {"id": "SMowed", "from": NUMBER, "to": "+12025550100", "text": "Photo request from source 1."}
    db.session.add(owed_text(payload))
    db.session.commit()
    schedule.sweep(utcnow)
    db.session.expire_all()
    assert row.state == State.ANSWERED


def test_cancelling_before_sending_means_never_sent(phone: Phone, van: Device) -> None:
    row = photo(van)
    submission.cancel(row, utcnow())
    db.session.commit()
    send(van)
    assert (row.state, phone.sent) == (State.CANCELLED, [])


def test_cancelling_after_sending_keeps_the_sms_place_until_the_reply(phone: Phone, van: Device) -> None:
    row = photo(van)
    send(van)
    submission.cancel(row, utcnow())
    db.session.commit()
    ask(van, "getver")
    send(van)
    assert len(phone.sent) == 1
    phone.reply("Photo request from source 1.")
    send(van)
    assert len(phone.sent) == 2
