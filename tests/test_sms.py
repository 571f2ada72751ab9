"""Commands by SMS and what comes back: queueing, sending, replies, reports, losses, repetitions."""

import dataclasses
import threading

import pytest
from gateway_double import Phone
from sms_commands import NUMBER, REQUESTER, ask, claim, owed_text, photo, send
from sms_rows import add_van
from sqlalchemy import select

from provisioning import schedule
from provisioning.commands import command_words, submission
from provisioning.core.errors import Conflict, Forbidden, Invalid
from provisioning.devices import registry, status_table
from provisioning.models import Command, Device, Message, ShownState, State, db, utcnow
from provisioning.roles import Role
from provisioning.sms import dispatch
from provisioning.sms.gateway import Accepted
from provisioning.tracker import language


@pytest.fixture
def van(phone: Phone) -> Device:
    return add_van()


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
