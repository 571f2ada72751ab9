"""What replies of a device answer, when they come late, twice, out of order, in two texts or in unknown words."""

import re
from datetime import timedelta

import pytest
from gateway_double import Phone
from sms_commands import REQUESTER, ask, at, photo, send
from sms_rows import VERSION, add_van, file_of, item, relink
from sqlalchemy import select

from provisioning.commands import command_words, submission
from provisioning.devices import registry, status_table
from provisioning.models import Device, GatewayEvent, Message, ShownState, State, db, utcnow
from provisioning.sms import dispatch, inbound_texts, recovery

pytestmark = pytest.mark.on_sqlite


@pytest.fixture
def van(phone: Phone) -> Device:
    return add_van()


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
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


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
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


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
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
    recovery.recover(at(700))
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
    recovery.recover(at(700))
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
    recovery.recover(at(700))
    db.session.expire_all()
    assert (row.state, row.error_code) == (State.EXPIRED, "unreadable_reply")
    assert "Kamera wird neu gestartet" in (command_words.said(row.error) or "")


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
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
    assert words in (command_words.said(row.error) or "")


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
    recovery.recover(at(700))
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


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
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
    assert "half a minute" in (command_words.said(row.note) or "")
    assert dispatch.send_next(van.id, at(31))


def test_a_camera_that_starts_again_is_asked_for_nothing_until_it_has(phone: Phone, van: Device) -> None:
    ask(van, "camget_restart", camera="front")
    send(van)
    phone.reply("Camera front restart success")
    waiting = [photo(van), ask(van, "camgetver")[0]]
    ask(van, "getver")
    send(van)
    assert phone.sent[-1].endswith(" getver")  # the tracker itself answers
    phone.reply(VERSION)
    send(van)
    assert [row.state for row in waiting] == [State.QUEUED] * 2
    assert re.fullmatch(
        r"Waits about \d+ s: the cameras start again\.", command_words.said(waiting[0].note) or ""
    )
    assert dispatch.send_next(van.id, at(41))
    assert phone.sent[-1].endswith("camreq:1,1")


def test_a_camera_that_did_not_start_again_is_waited_for_by_nobody(phone: Phone, van: Device) -> None:
    ask(van, "camget_restart", camera="front")
    send(van)
    phone.reply("Camera front restart fail")
    photo(van)
    send(van)
    assert phone.sent[-1].endswith("camreq:1,1")


def test_reading_a_value_back_makes_nobody_wait(phone: Phone, van: Device) -> None:
    ask(van, "getparam", parameters=[151, 66001])
    send(van)
    phone.reply("Param ID:151 Value:18;66001:40")
    photo(van)
    send(van)
    assert phone.sent[-1].endswith("camreq:1,1")


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_a_text_with_a_nul_is_kept(phone: Phone, van: Device) -> None:
    assert phone.reply("Hello\0driver").status_code == 200
    assert db.session.scalars(select(Message.body)).all() == ["Hellodriver"]


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
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


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
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


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_an_answer_from_the_number_that_was_asked_counts_after_the_number_has_changed(
    phone: Phone, van: Device
) -> None:
    row = photo(van)
    send(van)
    registry.change(van, {"phone": "+12025550177"}, utcnow() - timedelta(seconds=1))
    phone.reply("Photo request from source 1.")
    db.session.expire_all()
    assert row.state == State.ANSWERED


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
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


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
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


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
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
