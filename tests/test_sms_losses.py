"""The ordinary weather of SMS: replies late, reordered or in strange words, reports before answers, kills, changes
of number and of credentials in between.
"""

import dataclasses
import json
import threading
from datetime import datetime, timedelta

import flask_migrate
import pytest
from conftest import ROOT
from gateway_double import Phone, message_sid
from sqlalchemy import select, text, update
from test_sms import NUMBER, REQUESTER, ask, at, change_credentials, owed_text, photo, reply_at, send
from test_sms import claim as claim_next

from provisioning import schedule
from provisioning.commands import submission
from provisioning.core import encryption
from provisioning.core.errors import Conflict, GatewayError
from provisioning.devices import registry, status_table
from provisioning.media import link_service, telemetry
from provisioning.models import (
    Command,
    Device,
    DevicePhone,
    GatewayEvent,
    Message,
    ShownState,
    State,
    Upload,
    UploadState,
    db,
    locks,
    utcnow,
)
from provisioning.sms import (
    dispatch,
    gateway,
    inbound,
    inbound_texts,
    reconcile,
    recovery,
    sender_bucket,
    unmatched,
)
from provisioning.sms.gateway import InboundSms
from receiver.store.durability import new_id as receiver_id

VERSION = "Ver:03.28.03.Rev.05 Hw:FMC125 IMEI:352094082736916"


@pytest.fixture
def van(phone: Phone) -> Device:
    given = {"imei": "352094082736916", "phone": NUMBER, "sms_login": "fleet", "sms_password": "cam11"}
    return registry.add(given, utcnow())


def file_of(
    van: Device, *, captured: float = 0.0, source: str = "front", taken: datetime | None = None
) -> Upload:
    """A stored photo that was taken, and arrived, so many seconds from now or at a moment."""
    moment = taken or utcnow() + timedelta(seconds=captured)
    upload = Upload(
        id=receiver_id(moment), imei=van.imei, device_id=van.id, identifier=f"%photo{source[0]}",
        file_type="photo", source=source, state=UploadState.STORED, has_metadata=True, trigger=0, timestamp=moment,
        started_at=moment, sha256="0" * 64,
    )  # fmt: skip
    db.session.add(upload)
    db.session.commit()
    return upload


def relink(van: Device) -> None:

    link_service.relink(locks.lock_device(van.id), utcnow())
    db.session.commit()


# replies


def test_a_file_that_overtakes_its_announcement_leaves_no_text_unclaimed(phone: Phone, van: Device) -> None:
    row = photo(van)
    send(van)
    phone.reply("Photo request from source 1.")
    upload = file_of(van, captured=1)
    relink(van)
    assert row.state == State.DONE
    phone.reply(f"Preparing to send file from timestamp {int(upload.timestamp.timestamp())}")  # type: ignore[union-attr]
    db.session.expire_all()
    assert row.state == State.DONE
    assert db.session.scalars(select(Message.claimed).where(Message.direction == "in")).all() == [True, True]
    assert upload.link_certainty == "certain"


def test_a_late_announcement_goes_by_its_time_and_not_to_the_next_request(phone: Phone, van: Device) -> None:
    first = photo(van)
    send(van)
    phone.reply("Photo request from source 1.")
    upload = file_of(van, captured=1)
    relink(van)
    second = photo(van, "rear")
    send(van)
    phone.reply(f"Preparing to send file from timestamp {int(upload.timestamp.timestamp())}")  # type: ignore[union-attr]
    db.session.expire_all()
    assert (first.shown_state, second.shown_state) == (ShownState.DONE, ShownState.SENT)
    assert second.reply is None


def test_two_photos_of_one_camera_within_two_seconds_belong_to_their_own_requests(
    phone: Phone, van: Device
) -> None:
    taken = utcnow().replace(microsecond=700_000) + timedelta(seconds=1)
    rows = []
    for moment in (taken, taken + timedelta(seconds=1.7)):
        rows.append(photo(van))
        send(van)
        phone.reply("Photo request from source 1.")
        phone.reply(f"Preparing to send file from timestamp {int(moment.timestamp())}")
        file_of(van, taken=moment)
        relink(van)
    db.session.expire_all()
    assert [row.state for row in rows] == [State.DONE, State.DONE]
    assert [len(row.result["file_timestamps"]) for row in rows] == [1, 1]


def test_an_announcement_that_is_repeated_goes_to_the_request_that_had_it(phone: Phone, van: Device) -> None:
    first = photo(van)
    send(van)
    phone.reply("Photo request from source 1.")
    phone.reply("Preparing to send file from timestamp 1795500100")
    file_of(van, captured=1)
    relink(van)
    second = photo(van)
    send(van)
    phone.reply("Photo request from source 1.")
    phone.reply("Preparing to send file from timestamp 1795500100")
    db.session.expire_all()
    assert (first.state, second.state) == (State.DONE, State.ANSWERED)
    assert "file_timestamps" not in second.result


def test_a_late_acceptance_goes_to_the_request_that_nobody_answered_yet(phone: Phone, van: Device) -> None:
    answered = photo(van)
    send(van)
    phone.reply("Photo request from source 1.")
    file_of(van, captured=1)
    relink(van)
    unanswered = photo(van)
    send(van)
    recovery.sweep(at(700))
    db.session.expire_all()
    assert (answered.state, unanswered.state) == (State.DONE, State.EXPIRED)
    phone.reply("Photo request from source 1.")
    db.session.expire_all()
    assert answered.reply == "Photo request from source 1."
    assert (unanswered.reply, unanswered.match) == ("Photo request from source 1.", "certain")


def test_an_acceptance_that_comes_twice_stays_with_its_request(phone: Phone, van: Device) -> None:
    row = photo(van)
    send(van)
    phone.reply("Photo request from source 1.")
    file_of(van, captured=1)
    relink(van)
    phone.reply("Photo request from source 1.")
    db.session.expire_all()
    assert (row.state, row.match) == (State.DONE, "certain")
    assert db.session.scalars(select(Message.claimed).where(Message.direction == "in")).all() == [True, True]


def test_words_that_fit_the_request_in_flight_and_an_unanswered_one_are_only_probable(
    phone: Phone, van: Device
) -> None:
    expired = photo(van)
    send(van)
    recovery.sweep(at(700))
    in_flight = photo(van)
    send(van)
    phone.reply("Photo request from source 1.")
    db.session.expire_all()
    assert (expired.state, expired.reply) == (State.EXPIRED, None)
    assert (in_flight.state, in_flight.match) == (State.ANSWERED, "probable")


def test_words_that_nobody_knows_stay_with_the_command_in_flight(phone: Phone, van: Device) -> None:
    row = ask(van, "camget_restart", camera="front")[0]
    send(van)
    phone.reply("Kamera wird neu gestartet")
    db.session.expire_all()
    assert (row.reply, row.match, row.shown_state) == (
        "Kamera wird neu gestartet",
        "probable",
        ShownState.SENT,
    )
    recovery.sweep(at(700))
    db.session.expire_all()
    assert (row.state, row.error_code) == (State.EXPIRED, "unreadable_reply")
    assert "Kamera wird neu gestartet" in (row.error_message or "")


@pytest.mark.parametrize(
    ("name", "given", "words", "code"),
    [
        ("camget_sdformat", {"camera": "front"}, "Error: DualCam is not configured!", "not_configured"),
        ("camget_sdformat", {"camera": "front"}, "Error: SD card busy", "unknown_refusal"),
        ("camgetver", {}, "Cannot do this now", "unknown_refusal"),
        ("getparam", {"parameters": [66001]}, "Error: busy", "unknown_refusal"),
        ("setparam", {"parameters": {"66001": 40}}, "Error: busy", "unknown_refusal"),
    ],
)
def test_a_refusal_ends_the_command_in_flight_with_its_words_and_a_code(
    phone: Phone, van: Device, name: str, given: dict[str, object], words: str, code: str
) -> None:
    row = ask(van, name, **given)[0]
    send(van)
    phone.reply(words)
    db.session.expire_all()
    assert (row.state, row.error_code, row.reply, row.match) == (State.FAILED, code, words, "probable")
    assert words in (row.error_message or "")


def test_a_refusal_that_may_be_the_photos_leaves_another_command_alone(phone: Phone, van: Device) -> None:
    request = photo(van)
    send(van)
    phone.reply("Photo request from source 1.")
    other = ask(van, "getver")[0]
    send(van)
    phone.reply("Error: capture failed")
    db.session.expire_all()
    assert (request.error_code, other.shown_state) == ("capture_failed", ShownState.SENT)


def test_a_refusal_that_comes_late_goes_to_the_only_command_without_an_answer(
    phone: Phone, van: Device
) -> None:
    row = photo(van)
    send(van)
    recovery.sweep(at(700))
    phone.reply("Error: Ignition not detected!")
    db.session.expire_all()
    assert (row.state, row.error_code, row.match) == (State.FAILED, "ignition_off", "probable")


def test_a_refused_read_back_tells_its_setparam_that_it_is_not_confirmed(phone: Phone, van: Device) -> None:
    row = ask(van, "setparam", parameters={"66001": 40})[0]
    send(van)
    phone.reply("WARNING: Not supported Param ID or Value detected")
    send(van)
    phone.reply("Error: busy")
    db.session.expire_all()
    assert (row.state, row.error_code) == (State.FAILED, "not_confirmed")


def test_a_known_reply_after_unknown_words_still_counts(phone: Phone, van: Device) -> None:
    row = ask(van, "getver")[0]
    send(van)
    phone.reply("Guten Tag")
    phone.reply(VERSION)
    db.session.expire_all()
    assert (row.state, row.reply) == (State.DONE, f"Guten Tag\n{VERSION}")


@pytest.mark.parametrize("form", ["New value {}", "Param ID:{}"])
def test_a_confirmed_change_lets_the_next_photo_wait_in_both_forms_of_reply(
    phone: Phone, van: Device, form: str
) -> None:
    submission.provision(van, {"66001": 40}, REQUESTER, utcnow())
    db.session.commit()
    send(van)
    pairs = {"New value {}": "151:18;150:1;66001:40", "Param ID:{}": "151 Value:18;150:1;66001:40"}[form]
    phone.reply(form.format(pairs))
    row = photo(van)
    send(van)
    assert (row.state, len(phone.sent)) == (State.QUEUED, 1)
    assert "half a minute" in (row.note or "")
    assert dispatch.drive(van.id, at(31))


def test_reading_a_value_back_makes_nobody_wait(phone: Phone, van: Device) -> None:
    ask(van, "getparam", parameters=[151, 66001])
    send(van)
    phone.reply("Param ID:151 Value:18;66001:40")
    photo(van)
    send(van)
    assert phone.sent[-1].endswith("camreq:1,1")


def test_a_text_with_a_nul_is_kept(phone: Phone, van: Device) -> None:
    assert phone.reply("Hello\0driver").status_code == 200
    assert db.session.scalars(select(Message.body)).all() == ["Hellodriver"]


def test_credentials_in_an_answer_are_dots_wherever_the_answer_is_shown(phone: Phone, van: Device) -> None:
    row = ask(van, "getinfo")[0]
    send(van)
    phone.reply("RTC:2026/1/2 3:04 Init:2026/1/2 3:00 UpTime:4s USER:fleet PSW:cam11 MD:1")
    db.session.expire_all()
    assert row.state == State.DONE
    stored = [row.reply, row.result, row.history, row.note, *db.session.scalars(select(Message.body))]
    stored += db.session.scalars(select(Message.note)).all()
    stored += db.session.scalars(select(GatewayEvent.payload)).all()
    from provisioning.models import StatusItem

    stored += db.session.scalars(select(StatusItem.value)).all()
    assert all("fleet" not in str(text) and "cam11" not in str(text) for text in stored)


def test_credentials_in_a_text_of_an_unknown_number_are_dots_once_a_device_takes_it(
    phone: Phone, van: Device
) -> None:
    phone.reply("fleet cam11 what?", phone="+12025550177")
    (message,) = db.session.scalars(select(Message)).all()
    inbound_texts.claim_sender(
        message, van, lambda device, number: registry.set_phone(device, number, utcnow()), utcnow()
    )
    db.session.expire_all()
    assert "cam11" not in message.body + str(db.session.scalar(select(GatewayEvent.payload)))


def test_an_answer_from_the_number_that_was_asked_counts_after_the_number_has_changed(
    phone: Phone, van: Device
) -> None:
    row = photo(van)
    send(van)
    registry.change(van, {"phone": "+12025550177"}, utcnow() - timedelta(seconds=1))
    phone.reply("Photo request from source 1.")
    db.session.expire_all()
    assert row.state == State.ANSWERED


def test_a_number_that_a_device_gave_up_means_nothing_without_an_open_question(
    phone: Phone, van: Device
) -> None:
    registry.change(van, {"phone": "+12025550177"}, utcnow() - timedelta(seconds=1))
    phone.reply("Photo request from source 1.")
    assert db.session.scalars(select(Message.device_id)).all() == [None]


# answers in two texts

INFO = (
    "RTC:2021/3/4 9:12 Init:2021/3/4 9:10 UpTime:187s PWR:PwrVoltage RST:0 GPS:2 SAT:11 TTFF:14 NOGPS:0:14"
    " SR:22 FG:0 FL:12 SMS:2 BR:0 CF:0 UT:0 RS:3 RF:0 SF:1 REC:1886 MD:1 DB:0"
)


@pytest.mark.parametrize("cut", [153, 160])
@pytest.mark.parametrize("order", [1, -1])
def test_an_answer_in_two_texts_is_joined_in_any_order(
    phone: Phone, van: Device, cut: int, order: int
) -> None:
    row = ask(van, "getinfo")[0]
    send(van)
    for part in (INFO[:cut], INFO[cut:])[::order]:
        phone.reply(part)
    db.session.expire_all()
    assert (row.state, item(van, "info.getinfo.REC")[0]) == (State.DONE, "1886")
    assert item(van, "info.getinfo.DB")[0] == "0"
    inbound = select(Message.command_id).where(Message.direction == "in", Message.claimed)
    assert db.session.scalars(inbound).all() == [row.id, row.id]


def test_the_rest_of_an_answer_goes_to_its_command_and_not_to_the_next(phone: Phone, van: Device) -> None:
    row = ask(van, "getinfo")[0]
    send(van)
    phone.reply(INFO[:160])
    other = ask(van, "getstatus")[0]
    send(van)
    phone.reply(INFO[160:])
    db.session.expire_all()
    assert (row.reply, other.reply) == (f"{INFO[:160]}\n{INFO[160:]}", None)


def test_a_value_that_may_be_cut_is_not_believed(phone: Phone, van: Device) -> None:
    ask(van, "getinfo")
    send(van)
    phone.reply(INFO[:160])
    assert status_table.get(van.id, "info.getinfo.REC") is None
    assert item(van, "info.getinfo.SF")[0] == "1"


@pytest.mark.parametrize("text", ["Ignition is on now", "Photo request from source 1."])
def test_another_text_is_no_rest_of_an_answer(phone: Phone, van: Device, text: str) -> None:
    ask(van, "getinfo")
    send(van)
    phone.reply(INFO[:160])
    phone.reply(text)
    assert status_table.get(van.id, "info.getinfo.REC") is None


# what is older than what is known


def item(van: Device, name: str) -> tuple[str | None, str]:
    found = status_table.get(van.id, name)
    assert found is not None
    return found.value, found.verdict


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
    status_table.remark_error(van, "of 2027", now=utcnow() + timedelta(days=365), source=("command", "x"))
    status_table.remark_error(van, "of today", now=utcnow(), source=("command", "y"))
    assert item(van, "error.last")[0] == "of today"


# texts that wait for their device


def claim(message: Message, van: Device) -> None:
    inbound_texts.claim_sender(
        message, van, lambda device, number: registry.set_phone(device, number, utcnow()), utcnow()
    )
    db.session.expire_all()


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


# losses and kills


def test_a_file_is_linked_anew_with_the_text_that_tells_its_time(phone: Phone, van: Device) -> None:
    photo(van)
    send(van)
    upload = file_of(van, captured=60)
    relink(van)
    assert upload.link_certainty == "probable"
    stamp = int(upload.timestamp.timestamp())  # type: ignore[union-attr]
    sms = InboundSms("twilio", "SMx", NUMBER, "", f"Preparing to send file from timestamp {stamp}")
    inbound.receive(sms, utcnow(), via="webhook")  # and the process is killed here
    db.session.expire_all()
    assert upload.link_certainty == "certain"


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
    attempt = claim_next(van)
    assert attempt is not None
    gateway.gateway().send(attempt.sms)  # and then kill -9
    for seconds in (1, 95, 110, 300):
        recovery.sweep(at(seconds))
        dispatch.drive(van.id, at(seconds))
    db.session.expire_all()
    assert len(phone.sent) == 1
    assert row.shown_state == ShownState.SENT


@pytest.mark.parametrize("name", ["camreq", "camget_sdformat", "camget_restart", "cpureset"])
def test_what_costs_or_destroys_is_never_sent_again_by_itself(phone: Phone, van: Device, name: str) -> None:
    arguments = {"camreq": {"file_type": "photo", "source": "front"}, "cpureset": {}}.get(
        name, {"camera": "front"}
    )
    row = ask(van, name, **arguments)[0]
    assert claim_next(van)  # killed before the gateway was asked
    for seconds in (95, 110, 300, 4000):
        recovery.sweep(at(seconds))
        dispatch.drive(van.id, at(seconds))
    db.session.expire_all()
    assert (phone.sent, row.state, row.error_code) == ([], State.FAILED, "not_sent")


def test_a_report_that_comes_before_its_message_is_known_is_not_lost(phone: Phone, van: Device) -> None:
    row = photo(van)
    attempt = claim_next(van)
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
    attempt = claim_next(van)
    assert attempt is not None
    submission.cancel(row, utcnow())
    db.session.commit()
    dispatch._note_failure(attempt, GatewayError("20429", "busy", permanent=False), utcnow())
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
        recovery.sweep(at(seconds))
        dispatch.drive(van.id, at(seconds + 1))
    db.session.expire_all()
    assert van.credentials_state == "undecided"
    return row


def test_a_vehicle_that_was_asleep_is_found_again_by_asking_for_getver(phone: Phone, van: Device) -> None:
    undecided(phone, van)
    ask(van, "getver")
    dispatch.drive(van.id, at(3000))
    assert phone.sent[-1] == "fleet cam11 getver"
    recovery.sweep(at(3700))
    dispatch.drive(van.id, at(3701))
    assert phone.sent[-1] == "new1 new2 getver"
    reply_at(phone, 3705, VERSION)
    db.session.expire_all()
    assert van.credentials_state is None
    ask(van, "getio")
    dispatch.drive(van.id, at(3710))
    assert phone.sent[-1] == "new1 new2 getio"


def test_a_person_may_enter_the_credentials_of_an_undecided_device(phone: Phone, van: Device) -> None:
    undecided(phone, van)
    registry.change(van, {"sms_login": "new1", "sms_password": "new2"}, utcnow())
    assert (van.credentials_state, van.pending_login) == (None, None)
    ask(van, "getio")
    dispatch.drive(van.id, at(3000))
    assert phone.sent[-1] == "new1 new2 getio"


def test_credentials_are_not_overwritten_while_their_change_is_under_way(phone: Phone, van: Device) -> None:
    change_credentials(van)
    with pytest.raises(Conflict) as caught:
        registry.change(van, {"sms_login": "other"}, utcnow())
    assert caught.value.code == "credentials_pending"


# links


def test_an_old_file_that_a_person_links_ends_its_request(phone: Phone, van: Device) -> None:
    row = photo(van)
    send(van)
    week = timedelta(days=7)
    row.sending_at = utcnow() - week
    recovery.sweep(at(700))
    upload = file_of(van, captured=-week.total_seconds())
    link_service.fix(upload, row, "tests", utcnow())
    db.session.expire_all()
    assert (row.state, row.late) == (State.DONE, True)
    link_service.fix(upload, None, "tests", utcnow())
    db.session.expire_all()
    assert row.state != State.DONE


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
    assert claim_next(van)  # killed before the gateway was asked
    ask(van, "setparam", parameters={"66001": 60})
    recovery.sweep(at(300))
    db.session.expire_all()
    assert (row.state, row.error_code) == (State.FAILED, "superseded")
    dispatch.drive(van.id, at(301))
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


# files that come when nobody waits any more


def test_a_file_of_a_cancelled_request_is_linked_and_the_command_says_so(phone: Phone, van: Device) -> None:
    row = photo(van)
    send(van)
    submission.cancel(row, utcnow())
    db.session.commit()
    upload = file_of(van, captured=1)
    relink(van)
    assert (row.state, row.late, upload.command_id) == (State.DONE, True, row.id)


def test_already_captured_gives_the_file_to_the_request_before(phone: Phone, van: Device) -> None:
    first = photo(van)
    send(van)
    phone.reply("Photo request from source 1.")
    recovery.sweep(at(4000))  # no file came: expired
    second = photo(van)
    send(van)
    phone.reply("Warning: Photo already captured previously, trying to send it")
    upload = file_of(van, captured=1)
    relink(van)
    assert (first.state, first.late, upload.command_id) == (State.DONE, True, first.id)
    assert (second.state, second.error_code) == (State.FAILED, "already_captured")


def test_already_captured_with_no_request_before_leaves_the_file_unlinked(phone: Phone, van: Device) -> None:
    photo(van)
    send(van)
    phone.reply("Already connected. Warning: Photo already captured previously, trying to send it")
    upload = file_of(van, captured=-600)
    upload.started_at = utcnow()
    relink(van)
    assert (upload.command_id, upload.link_reason) == (None, "captured before we asked")


def test_both_cameras_end_done_with_two_files_and_partial_with_one(phone: Phone, van: Device) -> None:
    row = photo(van, "both")
    send(van)
    phone.reply("Photo request from source 3.")
    file_of(van, captured=1)
    relink(van)
    assert row.state == State.ANSWERED
    recovery.sweep(at(4000))
    db.session.expire_all()
    assert (row.state, row.error_code) == (State.FAILED, "partial")
    file_of(van, captured=2, source="rear")
    relink(van)
    assert (row.state, row.late, row.error_code) == (State.DONE, True, None)


def test_a_record_of_a_server_request_is_tied_to_its_file_too(phone: Phone, van: Device) -> None:
    upload = file_of(van, captured=1)
    telemetry.accept(van, upload.timestamp, {"499": 0}, utcnow())  # type: ignore[arg-type]
    db.session.expire_all()
    assert upload.record_id is not None


# an update from a version that kept Twilio's own words

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
    assert not inbound.owed_events(at(3600)())


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
