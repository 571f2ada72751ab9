"""What every SMS gateway has to do, held over all of them: send, refuse, stay unclear, bring texts and reports."""

from datetime import timedelta

import joined_gateways
import pytest
from flask import Flask
from gateway_double import HARNESSES, Joined, Phone
from joined_gateways import VERSION, known_id, only_message, outgoing
from page_visitor import Visitor
from sms_commands import NUMBER, ask, at, claim, photo, send

from provisioning.core.config_checks import SMS_GATEWAYS
from provisioning.core.errors import GatewayError
from provisioning.media import request_progress
from provisioning.models import Device, Role, ShownState, State, db, utcnow
from provisioning.sms import dispatch, factory, gateway, reconcile, recovery, twilio
from provisioning.sms.gateway import InboundSms, ListedSms

# the same fixtures
joined = joined_gateways.joined
answering = joined_gateways.answering
texting = joined_gateways.texting
reporting = joined_gateways.reporting
van = joined_gateways.van


def test_every_gateway_that_can_be_chosen_is_tested_here() -> None:
    tested = {harness.name for harness in HARNESSES.values()}
    assert tested == set(factory.GATEWAYS) == set(SMS_GATEWAYS)


# sending


def test_an_accepted_sms_is_sent_once_and_its_id_is_kept_where_it_has_one(
    joined: Joined, van: Device
) -> None:
    row = photo(van)
    send(van)
    message = only_message()
    assert joined.sent == ["fleet cam11 camreq:1,1"]
    assert (row.shown_state, message.status, message.gateway) == (ShownState.SENT, "queued", joined.name)
    assert bool(message.gateway_id) == gateway.gateway().capabilities.message_ids


@pytest.mark.parametrize(
    "text",
    ["fleet cam11 " + "x" * 148, "fleet cam11 äöüÄÖÜß", "a&to=+12025550199", 'a","to":"+1', "a{id}b {to}", "100% + 1"],
    ids=["160 characters", "umlauts", "another field", "JSON", "placeholders", "signs"],
)  # fmt: skip
def test_a_text_reaches_the_gateway_as_it_is_and_its_own_recipient(joined: Joined, text: str) -> None:
    gateway.gateway().send(outgoing(text))
    assert joined.taken == [(NUMBER, text)]


def test_leading_blanks_are_handed_only_to_a_gateway_that_keeps_them(joined: Joined, van: Device) -> None:
    van.sms_login = van.sms_password = None
    db.session.commit()
    keeps = joined.name != "twilio"  # which trims them
    joined.use(joined.address, sms_keeps_leading_spaces=keeps)
    assert gateway.gateway().capabilities.keeps_leading_spaces is keeps
    page = Visitor(joined.app, Role.ADMIN).get("/vehicles/new").text
    assert ("Leave both empty" in page, "removes the two blanks" in page) == (keeps, not keeps)
    if keeps:
        ask(van, "getver")
        send(van)
        assert joined.sent == ["  getver"]
    else:
        with pytest.raises(Exception, match="begins with a blank"):
            ask(van, "getver")


def test_a_refusal_for_good_ends_the_command_and_one_for_now_is_tried_again(
    answering: Joined, van: Device
) -> None:
    answering.faults.refuse[NUMBER] = answering.refusal
    row = photo(van)
    send(van)
    assert (row.state, row.error_code, row.error_retry) == (State.FAILED, str(answering.refusal), False)
    answering.faults.refuse[NUMBER] = answering.busy
    second = photo(van)
    send(van)
    assert second.state == State.QUEUED
    answering.faults.refuse.clear()
    assert dispatch.send_next(van.id, at(30))
    db.session.expire_all()
    assert (second.shown_state, len(answering.sent)) == (ShownState.SENT, 1)


def test_a_gateway_that_is_away_is_tried_again_by_itself(joined: Joined, van: Device) -> None:
    joined.use(joined.nowhere)
    row = photo(van)
    send(van)
    assert (row.state, only_message().error_code) == (State.QUEUED, "gateway_unreachable")
    joined.use(joined.address)
    assert dispatch.send_next(van.id, at(30))
    assert len(joined.sent) == 1


def test_an_answer_that_takes_too_long_is_unclear_and_nothing_is_sent_twice(
    answering: Joined, van: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(answering, monkeypatch)
    answering.faults.answer_late = 2
    row = photo(van)
    send(van)
    assert (row.shown_state, only_message().status) == (ShownState.UNKNOWN, "unknown")
    for seconds in (20, 200, 400):
        recovery.recover(at(seconds))
        dispatch.send_next(van.id, at(seconds))
    db.session.expire_all()
    assert len(answering.sent) == 1
    assert row.shown_state == (
        ShownState.SENT if gateway.gateway().capabilities.lists_messages else ShownState.UNKNOWN
    )


def impatient(joined: Joined, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the gateway's client wait half a second for an answer."""
    monkeypatch.setattr(twilio, "TIMEOUT_SECONDS", 0.5)
    monkeypatch.setenv("SMS_HTTP_TIMEOUT", "1")
    joined.use(joined.address)


@pytest.mark.parametrize("fault", ["answer_html", "lose_answers"])
def test_a_page_or_an_error_of_the_server_is_unclear(answering: Joined, van: Device, fault: str) -> None:
    setattr(answering.faults, fault, 1)
    with pytest.raises(GatewayError) as caught:
        gateway.gateway().send(outgoing())
    assert (caught.value.sent, caught.value.code) == ("unknown", "gateway_unclear")
    assert "cam11" not in str(caught.value.phrase)


# what the gateway did not say


@pytest.mark.parametrize("name", ["camreq", "getver"])
def test_only_a_gateway_that_lists_messages_lets_conclude_that_an_sms_was_not_sent(
    joined: Joined, van: Device, name: str
) -> None:
    row = photo(van) if name == "camreq" else ask(van, name)[0]
    assert claim(van)  # and the process is killed before the gateway was asked
    for seconds in (95, 300, 500):
        recovery.recover(at(seconds))
        dispatch.send_next(van.id, at(seconds))
    db.session.expire_all()
    if gateway.gateway().capabilities.lists_messages:
        assert row.shown_state == (ShownState.SENT if name == "getver" else ShownState.FAILED)
        return
    assert (row.shown_state, joined.sent) == (ShownState.UNKNOWN, [])
    (progress,) = request_progress.of([row], van).values()
    assert "not clear whether the SMS went out, and the SMS gateway cannot be asked" in progress.sentence
    assert progress.until == row.expires_at
    recovery.recover(at(700))
    db.session.expire_all()
    assert (row.state, row.error_code) == (State.EXPIRED, "unclear")


def test_an_unclear_sms_of_another_gateway_than_todays_stays_unclear(
    app: Flask, phone: Phone, van: Device
) -> None:
    row = ask(van, "getver")[0]
    attempt = claim(van)
    assert attempt is not None
    only_message().gateway = "another"
    db.session.commit()
    for seconds in (95, 300):
        recovery.recover(at(seconds))
    db.session.expire_all()
    assert (row.shown_state, phone.sent) == (ShownState.UNKNOWN, [])


def test_what_is_unclear_is_settled_by_a_reply_or_a_report(reporting: Joined, van: Device) -> None:
    row = ask(van, "getver")[0]
    reporting.faults.lose_answers = 1
    send(van)
    assert row.shown_state == ShownState.UNKNOWN
    reporting.report(known_id(reporting), "delivered", message=only_message().id)
    db.session.expire_all()
    assert (row.shown_state, only_message().status) == (ShownState.DELIVERED, "delivered")
    reporting.reply(VERSION)
    db.session.expire_all()
    assert row.state == State.DONE


def test_a_message_whose_end_nobody_noted_is_not_called_under_way_for_ever(
    texting: Joined, van: Device
) -> None:
    ask(van, "getver")
    assert claim(van)
    texting.reply(VERSION)  # an answer, before the process that sends has noted anything
    recovery.recover(at(200))
    db.session.expire_all()
    lists = gateway.gateway().capabilities.lists_messages
    assert only_message().status == ("failed" if lists else "unknown")


def test_a_gateway_lists_what_it_sent_and_received_or_says_that_it_cannot(
    joined: Joined, van: Device
) -> None:
    gateway.gateway().send(outgoing("fleet cam11 getver"))
    if not gateway.gateway().capabilities.lists_messages:
        with pytest.raises(GatewayError):
            list(gateway.gateway().messages(utcnow() - timedelta(minutes=1)))
        assert reconcile.reconcile(utcnow) == 0
        return
    joined.stand_in.take(NUMBER, VERSION)
    inbound, sent = list(gateway.gateway().messages(utcnow() - timedelta(minutes=1)))
    assert isinstance(inbound, InboundSms)
    assert isinstance(sent, ListedSms)
    assert (inbound.text, inbound.sender, sent.text, sent.recipient) == (
        VERSION,
        NUMBER,
        "fleet cam11 getver",
        NUMBER,
    )
    assert inbound.gateway_id != sent.report.gateway_id


def test_a_gateway_tells_the_balance_or_says_that_it_cannot(joined: Joined) -> None:
    if not gateway.gateway().capabilities.balance:
        with pytest.raises(GatewayError):
            gateway.gateway().balance()
        return
    assert str(gateway.gateway().balance()) == "25 USD"
