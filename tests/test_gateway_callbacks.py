"""Texts and reports that a gateway brings: what is read, what counts once, what comes too early."""

import joined_gateways
import pytest
from conftest import SENDER
from gateway_double import HttpPhone, Joined, Phone, message_sid
from joined_gateways import VERSION, known_id, only_message
from sms_commands import NUMBER, ask, at, claim, photo, send
from sqlalchemy import select

from provisioning import schedule
from provisioning.core.errors import GatewayError
from provisioning.models import Device, Direction, GatewayEvent, Message, ShownState, State, db, utcnow
from provisioning.phrase import as_it_is
from provisioning.sms import dispatch, factory, gateway
from provisioning.sms.gateway import Accepted

# the same fixtures
joined = joined_gateways.joined
texting = joined_gateways.texting
reporting = joined_gateways.reporting
van = joined_gateways.van

# what comes back


def test_a_text_is_read_and_counts_once_however_often_it_is_brought(texting: Joined, van: Device) -> None:
    row = ask(van, "getver")[0]
    send(van)
    ident = message_sid("same")
    for _ in range(2):
        assert texting.reply(VERSION, sid=ident).status_code == 200
    db.session.expire_all()
    (message,) = db.session.scalars(select(Message).where(Message.direction == Direction.IN))
    assert (row.state, row.reply, message.gateway_id) == (State.DONE, VERSION, ident)
    assert (message.sender, message.recipient, message.gateway) == (NUMBER, SENDER, texting.name)


@pytest.mark.parametrize("text", ["", "Grüße aus Köln: 5 €", "x" * 160, "  two blanks", "a\0b"])
def test_any_text_is_kept(texting: Joined, van: Device, text: str) -> None:
    assert texting.reply(text).status_code == 200
    assert db.session.scalars(select(Message.body)).all() == [text.replace("\0", "")]


@pytest.mark.parametrize("signature", ["", "forged", "ä"])
def test_a_webhook_that_the_gateway_did_not_sign_gets_403_and_changes_nothing(
    reporting: Phone | HttpPhone, van: Device, signature: str
) -> None:
    row = photo(van)
    send(van)
    ident = known_id(reporting)
    text = "Error: DualCam not present"
    assert reporting.reply(text, sid=message_sid("x"), signature=signature).status_code == 403
    assert (
        reporting.report(ident, "undelivered", error=reporting.absent, signature=signature).status_code == 403
    )
    db.session.expire_all()
    assert row.shown_state == ShownState.SENT
    assert db.session.scalar(select(GatewayEvent)) is None


def test_the_webhooks_of_another_gateway_than_the_chosen_one_are_closed(joined: Joined, van: Device) -> None:
    client = joined.app.test_client()
    for other in {*factory.GATEWAYS, "nobody"} - {joined.name}:
        assert (
            client.post(f"/webhooks/{other}/inbound", json={"text": "x", "from": NUMBER}).status_code == 403
        )


def test_reports_move_an_sms_only_forward_and_each_counts_once(reporting: Joined, van: Device) -> None:
    row = photo(van)
    send(van)
    ident = known_id(reporting)
    for status in ("sent", "delivered", "delivered", "sent", "queued"):
        assert reporting.report(ident, status).status_code == 200
    db.session.expire_all()
    assert (row.shown_state, only_message().status) == (ShownState.DELIVERED, "delivered")
    tokens = db.session.scalars(select(GatewayEvent.token)).all()
    assert len(tokens) == len(set(tokens)) == 3


def test_an_sms_that_is_not_delivered_ends_its_command_with_the_gateways_code(
    reporting: Joined, van: Device
) -> None:
    row = photo(van)
    send(van)
    reporting.report(known_id(reporting), "undelivered", error=reporting.absent)
    db.session.expire_all()
    assert (row.state, row.error_code, row.error_retry) == (State.FAILED, reporting.absent, True)
    assert row.error


def test_a_report_on_an_sms_that_nobody_knows_is_acknowledged(reporting: Joined, van: Device) -> None:
    assert reporting.report(message_sid("of somebody else"), "delivered").status_code == 200
    assert reporting.report(message_sid("of ours"), "delivered", message="f" * 32).status_code == 200
    schedule.sweep(utcnow)
    assert all(event.processed_at is not None for event in db.session.scalars(select(GatewayEvent)))


def test_a_word_of_the_gateway_that_means_nothing_here_is_acknowledged_and_changes_nothing(
    reporting: Joined, van: Device
) -> None:
    photo(van)
    send(van)
    assert reporting.report(known_id(reporting), "teleported").status_code == 200
    assert only_message().status == "queued"


@pytest.mark.parametrize("names_ours", [True, False])
def test_a_report_may_come_before_the_gateway_has_answered(
    reporting: Joined, van: Device, names_ours: bool
) -> None:
    row = photo(van)
    attempt = claim(van)
    assert attempt is not None
    accepted = gateway.gateway().send(attempt.sms)
    assert accepted.gateway_id
    reporting.report(accepted.gateway_id, "delivered", message=attempt.sms.message_id if names_ours else None)
    dispatch._note_sent(attempt, accepted, utcnow())
    schedule.sweep(at(6))
    db.session.expire_all()
    message = only_message()
    assert (row.shown_state, message.status, message.gateway_id) == (
        ShownState.DELIVERED,
        "delivered",
        accepted.gateway_id,
    )


def test_a_report_that_comes_before_an_unclear_answer_is_not_forgotten(
    reporting: Joined, van: Device
) -> None:
    row = photo(van)
    attempt = claim(van)
    assert attempt is not None
    reporting.report(message_sid("x"), "delivered", message=attempt.sms.message_id)
    failure = GatewayError("gateway_unclear", as_it_is("?"), permanent=False, sent="unknown")
    dispatch._note_failure(attempt, failure, utcnow())
    db.session.expire_all()
    assert (row.shown_state, only_message().status) == (ShownState.DELIVERED, "delivered")


def test_a_report_that_waits_for_its_sms_is_let_go_after_two_minutes(reporting: Joined, van: Device) -> None:
    photo(van)
    assert claim(van)
    reporting.report(message_sid("of somebody else"), "delivered")
    schedule.sweep(at(6))
    event = db.session.scalars(select(GatewayEvent)).one()
    assert (event.processed_at, event.error) == (None, None)
    schedule.sweep(at(130))
    db.session.expire_all()
    assert event.processed_at is not None


# ids


def test_both_directions_and_other_gateways_may_use_the_same_id(texting: Joined, van: Device) -> None:
    row = ask(van, "getver")[0]
    attempt = claim(van)
    assert attempt is not None
    same = message_sid("one")
    dispatch._note_sent(attempt, Accepted(same), utcnow())
    other = {"direction": "in", "sender": NUMBER, "recipient": SENDER, "status": "received"}
    db.session.add(Message(gateway="another", gateway_id=same, body="x", created_at=utcnow(), **other))
    db.session.commit()
    texting.reply(VERSION, sid=same)
    db.session.expire_all()
    assert row.state == State.DONE
    assert db.session.scalars(select(Message.gateway_id)).all() == [same] * 3


def test_a_gateway_that_uses_an_id_again_takes_no_report_from_the_first_sms(
    reporting: Joined, van: Device
) -> None:
    ids = []
    for _ in range(2):
        ask(van, "getver")
        attempt = claim(van)
        assert attempt is not None
        ids.append(attempt.sms.message_id)
        dispatch._note_sent(attempt, Accepted(message_sid("one")), utcnow())
        reporting.reply(VERSION)
    reporting.report(message_sid("one"), "delivered", message=ids[1])
    db.session.expire_all()
    statuses = [db.session.get_one(Message, ident).status for ident in ids]
    assert statuses == ["queued", "delivered"]
