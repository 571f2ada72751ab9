"""What every SMS gateway has to do, held over all of them: send, refuse, stay unclear, bring texts and reports."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from conftest import SENDER, wait_until
from flask import Flask
from gateway_double import HARNESSES, HttpPhone, Joined, Phone, message_sid
from page_visitor import Visitor
from sqlalchemy import select
from test_sms import NUMBER, ask, at, claim, photo, send
from werkzeug.serving import make_server

from provisioning import schedule
from provisioning.core.config_checks import SMS_GATEWAYS
from provisioning.core.errors import GatewayError
from provisioning.devices import registry
from provisioning.media import request_progress
from provisioning.models import (
    Command,
    DeliveryStatus,
    Device,
    Direction,
    GatewayEvent,
    Message,
    Role,
    ShownState,
    State,
    db,
    utcnow,
)
from provisioning.phrase import as_it_is
from provisioning.sms import dispatch, factory, gateway, reconcile, recovery, twilio
from provisioning.sms.gateway import Accepted, InboundSms, ListedSms, OutgoingSms

VERSION = "Ver:03.28.03.Rev.05 Hw:FMC125 IMEI:352094082736916"


def join(app: Flask, request: pytest.FixtureRequest) -> Iterator[Joined]:
    harness = HARNESSES[request.param](app)
    yield harness
    harness.close()


def able_to(*abilities: str) -> list[str]:
    """Name the harnesses whose gateway can do this."""
    return [name for name, harness in HARNESSES.items() if harness.abilities.issuperset(abilities)]


# the app with each gateway, one after the other: with every one, and with those of some abilities
joined = pytest.fixture(params=able_to(), name="joined")(join)
answering = pytest.fixture(params=able_to("answers"), name="answering")(join)
texting = pytest.fixture(params=able_to("texts"), name="texting")(join)
reporting = pytest.fixture(params=able_to("answers", "texts", "reports"), name="reporting")(join)


@pytest.fixture
def http_phone(app: Flask) -> Iterator[HttpPhone]:
    harness = HttpPhone(app)
    yield harness
    harness.close()


@pytest.fixture
def van(app: Flask) -> Device:
    given = {"imei": "352094082736916", "phone": NUMBER, "sms_login": "fleet", "sms_password": "cam11"}
    return registry.add(given, utcnow())


def outgoing(text: str = "fleet cam11 getver") -> OutgoingSms:
    return OutgoingSms("a" * 32, NUMBER, text, 600)


def only_message() -> Message:
    return db.session.scalars(select(Message).where(Message.direction == Direction.OUT)).one()


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
    said = request_progress.sentence(row, [], [], None, "UTC")
    assert "not clear whether the SMS went out, and the SMS gateway cannot be asked" in said
    assert "We wait until" in said
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


def known_id(joined: Joined) -> str:
    """Give the gateway's id of the only SMS that it has."""
    (ident,) = joined.stand_in.messages
    return ident.removeprefix("out:")


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


# the HTTP gateway's own connection


def serving(answer: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, answer, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(5)


@pytest.fixture
def taken() -> list[str]:
    """The paths that were asked for."""
    return []


@pytest.fixture
def odd_server(taken: list[str]) -> Iterator[str]:
    """A server that redirects, sends without end, or sends one byte at a time."""

    def answer(environ: Any, start: Any) -> Any:
        path = environ["PATH_INFO"]
        taken.append(path)
        if path.startswith("/redirect"):
            start("302 Found", [("Location", "/elsewhere")])
            return [b""]
        start("200 OK", [("Content-Type", "application/json")])
        if path.startswith("/endless"):
            return (b" " * 65_536 for _ in range(1000))
        return slowly()

    def slowly() -> Iterator[bytes]:
        stop = threading.Event()
        for _ in range(100):
            yield b" "
            stop.wait(0.1)

    yield from serving(answer)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("path", ["/redirect", "/endless", "/slow"])
def test_redirects_endless_and_dripping_answers_are_unclear_within_the_time_limit(
    http_phone: HttpPhone, monkeypatch: pytest.MonkeyPatch, odd_server: str, taken: list[str], path: str
) -> None:
    monkeypatch.setenv("SMS_HTTP_TIMEOUT", "1")
    http_phone.use(f"{odd_server}{path}")
    began = utcnow()
    with pytest.raises(GatewayError) as caught:
        gateway.gateway().send(outgoing())
    assert caught.value.sent == "unknown"
    assert utcnow() - began < timedelta(seconds=8)  # the whole answer takes ten
    assert len(taken) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_report_named_by_our_id_alone_finds_its_sms(http_phone: HttpPhone, van: Device) -> None:
    row = photo(van)
    send(van)
    found = {"reference": only_message().id, "state": "DELIVRD"}
    assert http_phone.post("status", found).status_code == 200
    db.session.expire_all()
    assert row.shown_state == ShownState.DELIVERED


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("path", "found", "field"),
    [
        ("inbound", {"id": "1", "text": "x"}, "from"),
        ("inbound", {"id": "1", "from": NUMBER}, "text"),
        ("inbound", [], "from"),
        ("status", {"id": "1"}, "state"),
        ("status", {"state": "SENT"}, "id"),
    ],
)
def test_a_webhook_without_a_field_that_is_needed_is_refused_by_its_name(
    http_phone: HttpPhone, path: str, found: Any, field: str
) -> None:
    answer = http_phone.post(path, found)
    assert (answer.status_code, list(answer.json["errors"])) == (422, [field])
    assert db.session.scalar(select(GatewayEvent)) is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_simulated_provider_brings_reports_and_replies_by_itself(
    http_phone: HttpPhone, van: Device
) -> None:
    """The stand-in posts to a real server what a provider would."""
    bring = make_server("127.0.0.1", 0, http_phone.app, threaded=True)
    thread = threading.Thread(target=bring.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    http_phone.provider.webhook = f"http://127.0.0.1:{bring.server_port}/webhooks/http/inbound"
    http_phone.faults.no_callbacks = False
    row = ask(van, "getver")[0]
    send(van)
    http_phone.provider._move(http_phone.provider.messages["out:1"], "delivered", None)
    http_phone.stand_in.take(NUMBER, VERSION)
    wait_until(lambda: ended(row))
    bring.shutdown()
    thread.join(5)
    assert [entry["state"] for entry in row.history][-2:] == ["delivered", "done"]
    assert only_message().status == DeliveryStatus.DELIVERED


def ended(row: Command) -> bool:
    db.session.rollback()
    db.session.refresh(row)
    return row.state == State.DONE
