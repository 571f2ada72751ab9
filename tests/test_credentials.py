"""A change of SMS credentials: late, lost and doubled replies, cancels and expiries."""

from typing import Any

import pytest
from credential_rows import CONFIRMED, INFO, NEW, OLD, VERSION, cancel, proof
from gateway_double import Phone
from page_visitor import Visitor
from sms_commands import NUMBER, REQUESTER, ask, at, change_credentials, claim, reply_at, send
from sqlalchemy import select

from provisioning import diagram
from provisioning.commands import submission
from provisioning.core.errors import Conflict, GatewayError
from provisioning.devices import credential_pairs, registry, status_table
from provisioning.devices.credential_phases import TRANSITIONS, Fact, Phase
from provisioning.models import Command, Device, GatewayEvent, Message, Role, State, db, utcnow
from provisioning.phrase import as_it_is
from provisioning.sms import dispatch, recovery
from provisioning.tracker import language
from provisioning.web import auth


@pytest.fixture
def van(phone: Phone) -> Device:
    given = {"imei": "352094082736916", "phone": NUMBER, "sms_login": OLD[0], "sms_password": OLD[1]}
    return registry.add(given, utcnow())


def pairs(device: Device) -> tuple[Any, Any]:
    db.session.expire_all()
    pending = credential_pairs.pair(device, "pending") if device.pending_login else None
    return credential_pairs.pair(device, "current"), pending


def test_a_late_answer_to_an_older_command_proves_nothing_of_a_change(phone: Phone, van: Device) -> None:
    ask(van, "getinfo")
    send(van)
    recovery.recover(at(700))
    ask(van, "setparam", parameters={"3003": "new1", "3004": "new2"})
    dispatch.send_next(van.id, at(701))
    recovery.recover(at(1400))
    reply_at(phone, 1401, INFO)
    assert pairs(van) == (OLD, NEW)
    dispatch.send_next(van.id, at(1402))
    reply_at(phone, 1403, VERSION)
    assert pairs(van)[0] == NEW


def test_words_that_confirm_a_change_late_are_taken_while_it_is_being_proved(
    phone: Phone, van: Device
) -> None:
    row = change_credentials(van)
    recovery.recover(at(700))
    reply_at(phone, 701, CONFIRMED)
    assert (pairs(van), row.state) == ((NEW, None), State.DONE)
    assert proof(van).state == State.CANCELLED
    assert not dispatch.send_next(van.id, at(702))


def test_a_change_that_is_cancelled_before_it_is_sent_leaves_the_old_pair(phone: Phone, van: Device) -> None:
    cancel(ask(van, "setparam", parameters={"3003": "new1", "3004": "new2"})[0])
    assert (pairs(van), van.credentials_state) == ((OLD, None), None)
    change_credentials(van)
    assert phone.sent == ["fleet cam11 setparam 3003:new1;3004:new2"]


def test_a_change_that_is_cancelled_after_it_was_sent_is_proved(phone: Phone, van: Device) -> None:
    cancel(change_credentials(van))
    recovery.recover(at(700))
    dispatch.send_next(van.id, at(701))
    assert phone.sent[-1] == "new1 new2 getver"
    reply_at(phone, 702, VERSION)
    assert (pairs(van)[0], van.credentials_state) == (NEW, None)


def test_an_answer_to_a_change_that_was_cancelled_counts(phone: Phone, van: Device) -> None:
    row = change_credentials(van)
    cancel(row)
    phone.reply(CONFIRMED)
    assert (pairs(van), row.state) == ((NEW, None), State.DONE)


def test_a_change_that_was_cancelled_and_never_left_is_forgotten(phone: Phone, van: Device) -> None:
    row = ask(van, "setparam", parameters={"3003": "new1", "3004": "new2"})[0]
    attempt = claim(van)
    assert attempt is not None
    cancel(row)
    dispatch._note_failure(attempt, GatewayError("20429", as_it_is("busy"), permanent=False), utcnow())
    assert (pairs(van), van.credentials_state) == ((OLD, None), None)


@pytest.mark.parametrize("handed_over", [False, True])
def test_a_cancelled_proof_blocks_no_command_and_forgets_no_pair(
    phone: Phone, van: Device, handed_over: bool
) -> None:
    change_credentials(van)
    recovery.recover(at(700))
    if handed_over:
        dispatch.send_next(van.id, at(701))
    cancel(proof(van), 702)
    ask(van, "getinfo")
    recovery.recover(at(1500))
    dispatch.send_next(van.id, at(1501))
    assert phone.sent[-1] == "fleet cam11 getinfo"
    assert (pairs(van), van.credentials_state) == ((OLD, NEW), "undecided")


def test_a_late_answer_to_the_first_proof_does_not_forget_the_pair_that_the_second_asks_with(
    phone: Phone, van: Device
) -> None:
    change_credentials(van)
    for seconds in (700, 1400):
        recovery.recover(at(seconds))
        dispatch.send_next(van.id, at(seconds + 1))
    assert phone.sent[-1] == "fleet cam11 getver"
    reply_at(phone, 1405, VERSION)  # of either getver: nobody can tell
    assert (set(pairs(van)), van.credentials_state) == ({OLD, NEW}, None)


def test_a_third_pair_waits_until_it_is_proved_which_of_two_the_device_holds(
    phone: Phone, van: Device
) -> None:
    change_credentials(van)
    for seconds in (700, 1400):
        recovery.recover(at(seconds))
        dispatch.send_next(van.id, at(seconds + 1))
    reply_at(phone, 1405, VERSION)
    with pytest.raises(Conflict, match="a third pair could lock it out"):
        ask(van, "setparam", parameters={"3003": "other", "3004": "again"})
    db.session.rollback()
    assert ask(van, "setparam", parameters={"3003": "new1", "3004": "new2"})


def test_a_pair_is_forgotten_when_the_change_can_come_no_more(phone: Phone, van: Device) -> None:
    change_credentials(van)
    for seconds in (700, 1400):
        recovery.recover(at(seconds))
        dispatch.send_next(van.id, at(seconds + 1))
    reply_at(phone, 1405, VERSION)
    ask(van, "getinfo")
    dispatch.send_next(van.id, at(90_000))
    reply_at(phone, 90_005, INFO)
    assert pairs(van) == (OLD, None)


def test_words_that_came_before_are_not_taken_for_the_answer_to_a_new_change(
    phone: Phone, van: Device
) -> None:
    change_credentials(van)
    phone.reply(CONFIRMED)
    ask(van, "setparam", parameters={"3003": "fleet", "3004": "cam11"})
    send(van)
    phone.reply("New value 3003:fleet;3004:cam11")
    assert pairs(van) == (OLD, None)
    change_credentials(van)
    phone.reply(CONFIRMED)  # perhaps the first change's, once more
    assert pairs(van) == (NEW, OLD)


def test_a_proof_that_cannot_be_sent_counts_as_unanswered(phone: Phone, van: Device) -> None:
    submission.submit(van, language.SetParam({3003: "", 3004: ""}), REQUESTER, utcnow())
    db.session.commit()
    send(van)
    recovery.recover(at(700))
    dispatch.send_next(van.id, at(701))
    assert phone.sent[-1] == "fleet cam11 getver"


def test_only_who_may_change_credentials_may_cancel_their_change(phone: Phone, van: Device) -> None:
    row = ask(van, "setparam", parameters={"3003": "new1", "3004": "new2"})[0]
    client = phone.app.test_client()
    codes = []
    for role in (Role.SUPPORT, Role.INSTALLER):
        token = auth.create_token(role.value, role)
        answer = client.post(
            f"/api/v1/commands/{row.id}/cancel", headers={"Authorization": f"Bearer {token}"}
        )
        codes.append(answer.status_code)
    assert codes == [403, 200]


def test_the_support_desk_is_offered_no_button_that_cancels_a_change(phone: Phone, van: Device) -> None:
    row = ask(van, "setparam", parameters={"3003": "new1", "3004": "new2"})[0]
    support, installer = Visitor(phone.app, Role.SUPPORT), Visitor(phone.app, Role.INSTALLER)
    assert "/cancel" not in support.get(f"/requests/{row.id}").text
    page = f"/requests/{row.id}"
    assert support.send(page, f"{page}/cancel").status_code == 403
    assert "/cancel" in installer.get(f"/requests/{row.id}").text


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


# what is asked of parameters


def held_and_asked(van: Device) -> tuple[Any, ...]:
    item = status_table.get(van.id, "parameter.66003")
    assert item is not None
    return item.value, item.asked, item.verdict


def provision(van: Device, value: int) -> Command:
    (row,) = submission.provision(van, {"66003": value}, REQUESTER, utcnow())
    db.session.commit()
    return row


def test_a_setparam_that_is_never_sent_leaves_no_bad_verdict(phone: Phone, van: Device) -> None:
    provision(van, 30)
    send(van)
    phone.reply("New value 151:18;150:1;66003:30")
    cancel(provision(van, 25))
    provision(van, 25)
    recovery.recover(at(100_000))
    db.session.expire_all()
    assert held_and_asked(van) == ("30", "30", "good")


def test_a_setparam_that_the_gateway_refuses_leaves_no_bad_verdict(phone: Phone, van: Device) -> None:
    provision(van, 30)
    send(van)
    phone.reply("New value 151:18;150:1;66003:30")
    provision(van, 25)
    attempt = claim(van)
    assert attempt is not None
    dispatch._note_failure(
        attempt, GatewayError("21211", as_it_is("no such number"), permanent=True), utcnow()
    )
    assert held_and_asked(van) == ("30", "30", "good")


def test_a_setparam_that_went_out_is_remembered_though_its_answer_overtakes_the_gateway(
    phone: Phone, van: Device
) -> None:
    provision(van, 30)
    assert claim(van) is not None
    phone.reply("New value 151:18;150:1;66003:31")
    db.session.expire_all()
    assert held_and_asked(van) == ("31", "30", "bad")


# the table


def test_every_phase_has_a_row_and_every_fact_leads_somewhere() -> None:
    assert set(TRANSITIONS) == set(Phase)
    assert {fact for row in TRANSITIONS.values() for fact in row} == set(Fact)
    reached = {phase for row in TRANSITIONS.values() for phase in row.values()}
    assert reached == set(Phase)


def test_the_phases_are_listed_in_the_documents_from_the_table_that_runs() -> None:
    document = diagram.DOCS / "sms.md"
    assert diagram.filled(document) == document.read_text(), "run python -m provisioning.diagram"
