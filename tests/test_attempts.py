"""Attempts: each try to carry a command, how far it is, and what its command is shown as."""

import flask_migrate
import pytest
from conftest import ROOT
from credential_rows import OLD, VERSION
from gateway_double import Phone
from sms_commands import NUMBER, ask, at, change_credentials, claim, reply_at, send
from sqlalchemy import select, text, update

from provisioning.core.errors import GatewayError
from provisioning.devices import registry
from provisioning.models import Attempt, Command, Device, Message, Passage, ShownState, State, db, utcnow
from provisioning.models import command_state as states
from provisioning.phrase import as_it_is
from provisioning.sms import dispatch, recovery
from provisioning.sms.gateway import Accepted

FLEET = ("352094082736916", "356307042441013", "350612071913857", "860112046887438")


@pytest.fixture
def van(phone: Phone) -> Device:
    given = {"imei": FLEET[0], "phone": NUMBER, "sms_login": OLD[0], "sms_password": OLD[1]}
    return registry.add(given, utcnow())


def passages(row: Command) -> list[str]:
    db.session.expire_all()
    return [attempt.outcome for attempt in row.attempts]


def busy() -> GatewayError:
    return GatewayError("20429", as_it_is("busy"), permanent=False)


def test_each_try_is_an_attempt_with_its_message(phone: Phone, van: Device) -> None:
    row = ask(van, "getver")[0]
    refused = claim(van)
    assert refused
    assert (row.shown_state, passages(row)) == (ShownState.SENDING, [Passage.SENDING])
    dispatch._note_failure(refused, busy(), utcnow())
    assert (row.shown_state, passages(row)) == (ShownState.QUEUED, [Passage.NOT_SENT])
    assert dispatch.send_next(van.id, at(60))
    assert passages(row) == [Passage.NOT_SENT, Passage.SENT]
    assert (row.state, row.shown_state) == (State.IN_PROGRESS, ShownState.SENT)
    messages = db.session.scalars(select(Message.id).order_by(Message.id)).all()
    assert [attempt.message_id for attempt in row.attempts] == messages


def test_a_delivery_that_is_reported_after_the_answer_is_noted_at_the_attempt_alone(
    phone: Phone, van: Device
) -> None:
    row = ask(van, "getver")[0]
    send(van)
    phone.reply(VERSION)
    phone.report(next(iter(phone.twilio.messages)), "delivered")
    assert (row.state, passages(row)) == (State.DONE, [Passage.DELIVERED])
    assert [step["state"] for step in row.history] == ["queued", "sending", "sent", "done"]


def test_the_late_word_on_an_attempt_that_was_given_up_changes_no_later_one(
    phone: Phone, van: Device
) -> None:
    row = ask(van, "getver")[0]
    slow = claim(van)
    assert slow
    for seconds in (dispatch.LEASE_SECONDS + 1, 300, 600):
        recovery.recover(at(seconds))
    assert passages(row) == [Passage.NOT_SENT]
    assert claim(van, at(601)())
    assert passages(row) == [Passage.NOT_SENT, Passage.SENDING]
    dispatch._note_sent(slow, Accepted(gateway_id="SM" + "9" * 32), at(602)())
    assert (row.shown_state, passages(row)) == (ShownState.SENDING, [Passage.NOT_SENT, Passage.SENDING])
    dispatch._note_failure(slow, busy(), at(603)())
    assert (row.shown_state, passages(row)) == (ShownState.SENDING, [Passage.NOT_SENT, Passage.SENDING])


def test_only_what_was_not_sent_goes_back_into_the_queue(phone: Phone, van: Device) -> None:
    row = ask(van, "getver")[0]
    send(van)
    assert not states.may_move(row, State.QUEUED)


def test_commands_are_found_by_the_state_that_they_are_shown_with(phone: Phone, van: Device) -> None:
    rows = {state: ask(van, "getver")[0] for state in ("queued", "sending", "unknown", "sent", "delivered")}
    for name, passage in {
        "sending": Passage.SENDING,
        "unknown": Passage.UNCLEAR,
        "sent": Passage.SENT,
        "delivered": Passage.DELIVERED,
    }.items():
        rows[name].state = State.IN_PROGRESS
        rows[name].attempts = [Attempt(outcome=Passage.NOT_SENT), Attempt(outcome=passage)]
    db.session.commit()
    for name, row in rows.items():
        found = db.session.scalars(select(Command.id).where(states.is_shown_as(ShownState(name)))).all()
        assert (found, row.shown_state) == ([row.id], name)


@pytest.mark.parametrize(("transport", "phase"), [("sms", None), ("other", "undecided")])
def test_an_answer_proves_a_pair_only_where_it_answers_an_sms(
    phone: Phone, van: Device, transport: str, phase: str | None
) -> None:
    change_credentials(van)
    send(van)
    recovery.recover(at(601))  # nothing has confirmed the change: a getver of this service tries the new pair
    assert dispatch.send_next(van.id, at(602))
    db.session.execute(update(Attempt).values(transport=transport))
    db.session.commit()
    reply_at(phone, 610, VERSION)
    db.session.expire_all()
    assert van.credentials_state == phase


def test_an_attempt_outlives_its_message_and_ends_with_its_command(phone: Phone, van: Device) -> None:
    row = ask(van, "getver")[0]
    send(van)
    db.session.execute(text("DELETE FROM messages"))
    db.session.commit()
    db.session.expire_all()
    assert [(attempt.outcome, attempt.message_id) for attempt in row.attempts] == [("sent", None)]
    db.session.execute(text("DELETE FROM commands"))
    db.session.commit()
    assert db.session.scalars(select(Attempt.id)).all() == []


def test_commands_of_an_older_version_keep_their_states_and_get_their_attempts(phone: Phone) -> None:
    rows = []
    for number, imei in enumerate(FLEET, 1):
        given = {"imei": imei, "phone": f"+1202555011{number}", "sms_login": OLD[0], "sms_password": OLD[1]}
        rows += ask(registry.add(given, utcnow()), "getver")
    sent, unclear, refused, _ = rows
    assert dispatch.send_next(sent.device_id, utcnow)
    for row, error in (
        (unclear, GatewayError("x", as_it_is("?"), permanent=False, sent="unknown")),
        (refused, busy()),
    ):
        handover = claim(row.device)
        assert handover
        dispatch._note_failure(handover, error, utcnow())
    before = [(row.shown_state, passages(row)) for row in rows]
    assert before == [("sent", ["sent"]), ("unknown", ["unclear"]), ("queued", ["not_sent"]), ("queued", [])]
    with_pair = [[attempt.sent_with for attempt in row.attempts] for row in rows]
    db.session.commit()
    flask_migrate.downgrade(revision="0033", directory=str(ROOT / "migrations"))
    older = db.session.execute(text("SELECT state, attempts FROM commands ORDER BY id")).all()
    assert [tuple(row) for row in older] == [("sent", 1), ("unknown", 1), ("queued", 1), ("queued", 0)]
    db.session.commit()
    flask_migrate.upgrade(directory=str(ROOT / "migrations"))
    assert [(row.shown_state, passages(row)) for row in rows] == before
    assert [[attempt.sent_with for attempt in row.attempts] for row in rows] == with_pair
