"""Files and texts of requests: which file a request gets, also when nobody waits for it any more."""

from datetime import timedelta

import pytest
from gateway_double import Phone
from sms_commands import NUMBER, at, photo, send
from sms_rows import add_van, file_of, relink
from sqlalchemy import select

from provisioning.commands import submission
from provisioning.media import link_service, link_words, telemetry
from provisioning.models import Device, Direction, Message, State, db, utcnow
from provisioning.sms import inbound, recovery
from provisioning.sms.gateway import InboundSms


@pytest.fixture
def van(phone: Phone) -> Device:
    return add_van()


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


def test_an_old_file_that_a_person_links_ends_its_request(phone: Phone, van: Device) -> None:
    row = photo(van)
    send(van)
    week = timedelta(days=7)
    row.sending_at = utcnow() - week
    recovery.recover(at(700))
    upload = file_of(van, captured=-week.total_seconds())
    link_service.fix(upload, row, "tests", utcnow())
    db.session.expire_all()
    assert (row.state, row.late) == (State.DONE, True)
    link_service.fix(upload, None, "tests", utcnow())
    db.session.expire_all()
    assert row.state != State.DONE


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
    recovery.recover(at(4000))  # no file came: expired
    second = photo(van)
    send(van)
    phone.reply("Warning: Photo already captured previously, trying to send it")
    upload = file_of(van, captured=1)
    relink(van)
    assert (first.state, first.late, upload.command_id) == (State.DONE, True, first.id)
    assert (second.state, second.error_code) == (State.FAILED, "already_captured")


def test_an_earlier_file_that_cannot_be_sent_says_that_the_server_is_not_reached(
    phone: Phone, van: Device
) -> None:
    row = photo(van)
    send(van)
    phone.reply("Warning: Photo already captured previously, trying to send it")
    assert (row.state, row.error_code) == (State.FAILED, "already_captured")
    phone.reply("Error: connect to server")
    db.session.expire_all()
    assert (row.state, row.error_code, van.health_code) == (
        State.FAILED,
        "server_unreachable",
        "server_unreachable",
    )
    texts = select(Message.claimed).where(Message.direction == Direction.IN)
    assert list(db.session.scalars(texts)) == [True, True]


def test_already_captured_with_no_request_before_leaves_the_file_unlinked(phone: Phone, van: Device) -> None:
    photo(van)
    send(van)
    phone.reply("Already connected. Warning: Photo already captured previously, trying to send it")
    upload = file_of(van, captured=-600)
    upload.started_at = utcnow()
    relink(van)
    assert (upload.command_id, link_words.reason(upload.link_reason)) == (None, "captured before we asked")


def test_both_cameras_end_done_with_two_files_and_partial_with_one(phone: Phone, van: Device) -> None:
    row = photo(van, "both")
    send(van)
    phone.reply("Photo request from source 3.")
    file_of(van, captured=1)
    relink(van)
    assert row.state == State.ANSWERED
    recovery.recover(at(4000))
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
