"""SMS are lost, processes are killed, the gateway answers late: nothing is sent twice, and nothing is lost."""

import dataclasses
import threading

import pytest
from conftest import free_port
from gateway_double import Phone, message_sid
from sms_commands import NUMBER, ask, at, change_credentials, claim, owed_text, photo, reply_at, send
from sms_rows import VERSION, add_van
from sqlalchemy import select

from provisioning import schedule
from provisioning.commands import submission
from provisioning.core.errors import Conflict, GatewayError
from provisioning.devices import registry, status_table
from provisioning.models import Command, Device, GatewayEvent, Message, ShownState, State, db, utcnow
from provisioning.phrase import as_it_is
from provisioning.sms import dispatch, factory, gateway, reconcile, recovery, sender_bucket


@pytest.fixture
def van(phone: Phone) -> Device:
    return add_van()


def test_a_webhook_that_is_repeated_does_what_was_left_of_the_first(phone: Phone, van: Device) -> None:
    row = ask(van, "getver")[0]
    send(van)
    payload = {"id": message_sid("owed"), "from": NUMBER, "text": VERSION}
    db.session.add(owed_text(payload, attempts=1))
    db.session.commit()
    phone.reply(VERSION, sid=payload["id"])
    db.session.expire_all()
    assert row.state == State.DONE


@pytest.mark.parametrize(
    "name", ["camreq", "camget_sdformat", "camget_restart", "cpureset", "getver", "setparam"]
)
def test_a_kill_between_the_gateways_yes_and_our_note_sends_nothing_twice(
    phone: Phone, van: Device, name: str
) -> None:
    arguments = {
        "camreq": {"file_type": "photo", "source": "front"}, "camget_sdformat": {"camera": "front"},
        "camget_restart": {"camera": "front"}, "setparam": {"parameters": {"66001": 40}},
    }.get(name, {})  # fmt: skip
    row = ask(van, name, **arguments)[0]
    attempt = claim(van)
    assert attempt is not None
    gateway.gateway().send(attempt.sms)  # and then kill -9
    for seconds in (1, 95, 110, 300):
        recovery.recover(at(seconds))
        dispatch.send_next(van.id, at(seconds))
    db.session.expire_all()
    assert len(phone.sent) == 1
    assert row.shown_state == ShownState.SENT


@pytest.mark.parametrize("name", ["camreq", "camget_sdformat", "camget_restart", "cpureset"])
def test_what_costs_or_destroys_is_never_sent_again_by_itself(phone: Phone, van: Device, name: str) -> None:
    arguments = {"camreq": {"file_type": "photo", "source": "front"}, "cpureset": {}}.get(
        name, {"camera": "front"}
    )
    row = ask(van, name, **arguments)[0]
    assert claim(van)  # killed before the gateway was asked
    for seconds in (95, 110, 300, 4000):
        recovery.recover(at(seconds))
        dispatch.send_next(van.id, at(seconds))
    db.session.expire_all()
    assert (phone.sent, row.state, row.error_code) == ([], State.FAILED, "not_sent")


def test_a_report_that_comes_before_its_message_is_known_is_not_lost(phone: Phone, van: Device) -> None:
    row = photo(van)
    attempt = claim(van)
    assert attempt is not None
    accepted = gateway.gateway().send(attempt.sms)
    assert accepted.gateway_id
    phone.report(accepted.gateway_id, "delivered")  # without our id: nobody knows this message yet
    dispatch._note_sent(attempt, accepted, utcnow())
    assert row.shown_state == ShownState.SENT
    schedule.sweep(at(6))
    db.session.expire_all()
    assert row.shown_state == ShownState.DELIVERED


def test_cancelling_while_the_gateway_says_no_frees_the_line(phone: Phone, van: Device) -> None:
    row = photo(van)
    attempt = claim(van)
    assert attempt is not None
    submission.cancel(row, utcnow())
    db.session.commit()
    dispatch._note_failure(attempt, GatewayError("20429", as_it_is("busy"), permanent=False), utcnow())
    ask(van, "getver")
    send(van)
    assert [text.split()[-1] for text in phone.sent] == ["getver"]


def test_a_command_that_no_longer_fits_one_sms_fails_and_blocks_nobody(phone: Phone, van: Device) -> None:
    registry.change(van, {"sms_login": "a", "sms_password": "b"}, utcnow())
    values = {str(number): "x" * 20 for number in (70001, 70002, 70003, 70004)} | {"70005": "y" * 28}
    row = ask(van, "setparam", parameters=values, raw=True)[0]
    assert row.length > 152
    registry.change(van, {"sms_login": "fleet", "sms_password": "cam11"}, utcnow())
    ask(van, "getver")
    send(van)
    send(van)
    assert (row.state, row.error_code) == (State.FAILED, "unsendable")
    assert phone.sent == ["fleet cam11 getver"]


# credentials


def undecided(phone: Phone, van: Device) -> Command:
    """A change of credentials after which the device answered to neither pair."""
    row = change_credentials(van)
    for seconds in (700, 1400, 2100):
        recovery.recover(at(seconds))
        dispatch.send_next(van.id, at(seconds + 1))
    db.session.expire_all()
    assert van.credentials_state == "undecided"
    return row


def test_a_vehicle_that_was_asleep_is_found_again_by_asking_for_getver(phone: Phone, van: Device) -> None:
    undecided(phone, van)
    ask(van, "getver")
    dispatch.send_next(van.id, at(3000))
    assert phone.sent[-1] == "fleet cam11 getver"
    recovery.recover(at(3700))
    dispatch.send_next(van.id, at(3701))
    assert phone.sent[-1] == "new1 new2 getver"
    reply_at(phone, 3705, VERSION)
    db.session.expire_all()
    assert van.credentials_state is None
    ask(van, "getio")
    dispatch.send_next(van.id, at(3710))
    assert phone.sent[-1] == "new1 new2 getio"


def test_a_person_may_enter_the_credentials_of_an_undecided_device(phone: Phone, van: Device) -> None:
    undecided(phone, van)
    registry.change(van, {"sms_login": "new1", "sms_password": "new2"}, utcnow())
    assert (van.credentials_state, van.pending_login) == (None, None)
    ask(van, "getio")
    dispatch.send_next(van.id, at(3000))
    assert phone.sent[-1] == "new1 new2 getio"


def test_credentials_are_not_overwritten_while_their_change_is_under_way(phone: Phone, van: Device) -> None:
    change_credentials(van)
    with pytest.raises(Conflict) as caught:
        registry.change(van, {"sms_login": "other"}, utcnow())
    assert caught.value.code == "credentials_pending"


def test_a_reconciler_that_was_away_for_two_days_finds_what_came(phone: Phone, van: Device) -> None:
    row = photo(van)
    send(van)
    reconcile.reconcile(at(-2 * 86_400))
    phone.twilio.take(NUMBER, "Photo request from source 1.")
    reconcile.reconcile(utcnow)
    db.session.expire_all()
    assert row.state == State.ANSWERED
    assert status_table.get(van.id, "contact.sms") is not None


def test_a_setparam_that_a_newer_one_overtook_is_not_sent_again_but_read_back(
    phone: Phone, van: Device
) -> None:
    row = ask(van, "setparam", parameters={"66001": 40})[0]
    assert claim(van)  # killed before the gateway was asked
    ask(van, "setparam", parameters={"66001": 60})
    recovery.recover(at(300))
    db.session.expire_all()
    assert (row.state, row.error_code) == (State.FAILED, "superseded")
    dispatch.send_next(van.id, at(301))
    assert phone.sent == ["fleet cam11 getparam 66001"]


def test_many_processes_take_no_more_from_the_rate_limit_than_there_is(phone: Phone) -> None:
    phone.app.extensions["dualcam_config"] = dataclasses.replace(
        phone.config, sms_burst=5, sms_per_second=0.01
    )
    app, now, taken = phone.app, utcnow(), []
    db.session.remove()

    def take() -> None:
        with app.app_context():
            taken.append(sender_bucket.take_token(gateway.gateway(), now))
            db.session.commit()

    threads = [threading.Thread(target=take) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(taken), sum(taken)) == (16, 5)


def test_a_signature_over_another_address_than_ours_is_forged(phone: Phone, van: Device) -> None:
    form = {"MessageSid": "SMx", "From": NUMBER, "Body": "Hello"}
    other = phone._validator.compute_signature("http://localhost/webhooks/twilio/inbound", form)
    assert phone.post("/webhooks/twilio/inbound", form, signature=other).status_code == 403
    assert db.session.scalar(select(GatewayEvent)) is None


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
    # and the process that sent it is killed before it heard the sid
    phone.reply("Photo request from source 1.")
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
