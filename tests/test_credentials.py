"""A change of SMS credentials, in every order of late, lost and doubled replies, cancels and expiries."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from conftest import SENDER
from gateway_double import Phone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from page_visitor import Visitor
from sqlalchemy import event, select
from test_sms import NUMBER, REQUESTER, ask, at, change_credentials, claim, reply_at, send

from app import create_app
from provisioning import diagram
from provisioning.commands import submission
from provisioning.core.config import load
from provisioning.core.errors import Conflict, GatewayError
from provisioning.core.sms_capabilities import Capabilities
from provisioning.devices import credential_pairs, credentials, registry, status_table
from provisioning.devices.credential_phases import AT_REST, TRANSITIONS, TRYING, Fact, Phase
from provisioning.models import OPEN, Command, DeliveryStatus, Device, Role, State, db, utcnow
from provisioning.phrase import as_it_is
from provisioning.sms import dispatch, inbound, recovery
from provisioning.sms.gateway import (
    Accepted,
    DeliveryReport,
    ErrorDescription,
    InboundSms,
    ListedSms,
    OutgoingSms,
)
from provisioning.tracker import language
from provisioning.web import auth

OLD, NEW = ("fleet", "cam11"), ("new1", "new2")
CONFIRMED = "New value 3003:new1;3004:new2"
VERSION = "Ver:03.28.03.Rev.05 Hw:FMC125 IMEI:352094082736916"
INFO = "RTC:2026/11/27 7:13 Init:2026/11/27 5:44 UpTime:4744s PWR:PwrVoltage RST:0 GPS:2 SAT:0"


@pytest.fixture
def van(phone: Phone) -> Device:
    given = {"imei": "352094082736916", "phone": NUMBER, "sms_login": OLD[0], "sms_password": OLD[1]}
    return registry.add(given, utcnow())


def pairs(device: Device) -> tuple[Any, Any]:
    db.session.expire_all()
    pending = credential_pairs.pair(device, "pending") if device.pending_login else None
    return credential_pairs.pair(device, "current"), pending


def cancel(command: Command, seconds: float = 0) -> None:
    submission.cancel(command, at(seconds)())
    db.session.commit()


def proof(device: Device) -> Command:
    wanted = select(Command).where(Command.kind == "getver", Command.parent_id.is_not(None))
    return db.session.scalars(wanted.order_by(Command.id.desc())).first()  # type: ignore[return-value]


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


# all orders

PAIRS = [OLD, NEW, ("third", "pair3"), ("4th", "pair4")]
KINDS = ("getver", "getinfo", "getio")
DAY = 86_400.0


@dataclass
class Parcel:
    """An SMS to the device, or a text of it, on its way; both are gone a day after the command was handed over."""

    text: str
    sid: str
    handed_at: datetime


def response(sid: str, status: DeliveryStatus, code: str | None = None) -> DeliveryReport:
    """Report on an SMS."""
    return DeliveryReport("twilio", sid, None, status, status, code)


class Post:
    """Stands for the gateway: takes, refuses, or does not say."""

    name, sender = "twilio", SENDER
    capabilities = Capabilities(lists_messages=True, delivery_reports=True, message_ids=True)

    def __init__(self, check: Callable[[str], None]) -> None:
        self.mode, self.check, self.taken, self.count = "takes", check, [], 0
        self.now = utcnow()

    def send(self, sms: OutgoingSms) -> Accepted:
        self.check(sms.text)
        if self.mode in ("busy", "refuses"):
            raise GatewayError("21211", as_it_is("no"), permanent=self.mode == "refuses")
        if self.mode != "is silent":
            self.count += 1
            self.taken.append(Parcel(sms.text, f"SM{id(self)}-{self.count}", self.now))
        if self.mode in ("is silent", "is unclear"):
            raise GatewayError("gateway_unclear", as_it_is("unclear"), permanent=False, sent="unknown")
        return Accepted(self.taken[-1].sid)

    def messages(self, since: datetime, *, to: str | None = None) -> list[ListedSms]:
        return [
            ListedSms(response(p.sid, DeliveryStatus.SENT), to or "", p.text, p.handed_at) for p in self.taken
        ]

    def describe(self, error_code: str | None) -> ErrorDescription:
        return ErrorDescription(error_code == "30005", "It did not arrive.")

    @staticmethod
    def put(topic: str, ident: str, *, first: bool = False) -> None:
        """Stands for the queue as well: the test drives by itself."""


class Orders(RuleBasedStateMachine):
    """One device, which truly holds one pair, and everything that may happen to what is sent both ways."""

    app: ClassVar[Any]
    clock: ClassVar[datetime] = utcnow()
    count: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        Orders.count += 1
        Orders.clock += timedelta(days=9)
        self.true, self.replies, self.network = OLD, [], []
        self.phone = f"+1{2025550100 + Orders.count}"
        self.post = Post(self._check)
        self.app.extensions["dualcam_gateway"] = self.app.extensions["dualcam_queue"] = self.post
        given = {
            "imei": f"{Orders.count:015d}",
            "phone": self.phone,
            "sms_login": OLD[0],
            "sms_password": OLD[1],
        }
        self.device = registry.add(given, self._now())
        self.phase, self.waiting = Phase.SETTLED, False

    def _now(self, seconds: float = 1) -> datetime:
        Orders.clock += timedelta(seconds=seconds)
        self.post.now = Orders.clock
        return Orders.clock

    def _check(self, text: str) -> None:
        """No SMS carries a pair that is known to be wrong."""
        login, password, _ = text.split(" ", 2)
        device = db.session.get_one(Device, self.device.id)
        held = (credential_pairs.pair(device, "current"), credential_pairs.pair(device, "pending"))
        assert (login, password) in held
        if credentials.phase_of(device) is Phase.SETTLED:
            assert (login, password) == self.true
        db.session.rollback()

    def _submit(self, asked: language.TypedCommand) -> bool:
        try:
            submission.submit(self.device, asked, REQUESTER, self._now())
        except Conflict:
            db.session.rollback()
            return False
        db.session.commit()
        return True

    @rule(pair=st.sampled_from(PAIRS))
    def change(self, pair: tuple[str, str]) -> None:
        self._submit(language.SetParam({3003: pair[0], 3004: pair[1]}))

    @initialize(arrives=st.booleans())
    def begin(self, arrives: bool) -> None:
        """Every example begins with a change that was handed over: without one there is nothing to lose."""
        self.change(NEW)
        self.drive("takes")
        if arrives:
            self.arrive(First())  # type: ignore[arg-type]

    @rule(kind=st.sampled_from(KINDS))
    def ask(self, kind: str) -> None:
        assert self._submit(language.from_arguments(kind, {}, now=0))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        wanted = select(Command).where(Command.device_id == self.device.id, Command.state.in_(OPEN))
        rows = db.session.scalars(wanted.order_by(Command.id)).all()
        db.session.rollback()
        if rows:
            submission.cancel(data.draw(st.sampled_from(rows)), self._now())
            db.session.commit()

    @rule(mode=st.sampled_from(["takes"] * 6 + ["busy", "refuses", "is silent", "is unclear"]))
    def drive(self, mode: str) -> None:
        self.post.mode = mode
        before = len(self.post.taken)
        dispatch.send_next(self.device.id, self._now)
        self.network += self.post.taken[before:]
        self.post.mode = "takes"

    @precondition(lambda self: self.network)
    @rule(data=st.data())
    def arrive(self, data: st.DataObject) -> None:
        parcel = self.network.pop(data.draw(st.integers(0, len(self.network) - 1)))
        login, password, command = parcel.text.split(" ", 2)
        if (login, password) != self.true:
            return
        Orders.count += 1
        words = f"Ver:03.28.03.Rev.05 Hw:FMC125 Uptime:{Orders.count}"
        if found := re.fullmatch(r"setparam 3003:(\w*);3004:(\w*)", command):
            self.true = (found[1], found[2])
            words = f"New value 3003:{found[1]};3004:{found[2]}"
        elif command == "getinfo":
            words = INFO.replace("4744", str(Orders.count))
        elif command == "getio":
            words = f"DI1:0 DI2:0 AIN1:0 AIN2:{Orders.count} DO1:0 DO2:0"
        assert not any(isinstance(reply, language.Unread) for reply in language.read_replies(words))
        self.replies.append(Parcel(words, parcel.sid, parcel.handed_at))

    @precondition(lambda self: self.network)
    @rule(data=st.data(), code=st.sampled_from(["30003", "30005", None]))
    def lose(self, data: st.DataObject, code: str | None) -> None:
        parcel = self.network.pop(data.draw(st.integers(0, len(self.network) - 1)))
        if code is not None:
            report = response(parcel.sid, DeliveryStatus.UNDELIVERED, code)
            inbound.report(report, self._now(), via="webhook")

    @precondition(lambda self: self.replies)
    @rule(data=st.data(), what=st.sampled_from(["hear", "hear", "hear", "double", "lose"]))
    def hear(self, data: st.DataObject, what: str) -> None:
        parcel = data.draw(st.sampled_from(self.replies))
        if what != "double":
            self.replies.remove(parcel)
        if what != "lose":
            Orders.count += 1
            sms = InboundSms("twilio", f"SMin{Orders.count}", self.phone, SENDER, parcel.text)
            inbound.receive(sms, self._now(), via="webhook")

    @precondition(lambda self: self.waiting)
    @rule(times=st.sampled_from([1, 3]))
    def silence(self, times: int) -> None:
        """The next commands are handed over and lost, and the time of each is over."""
        for _ in range(times):
            self.drive("takes")
            self.network.clear()
            self.wait(700.0)

    @precondition(lambda self: self.waiting)
    @rule()
    def exchange(self) -> None:
        """The next command is handed over and answered at once."""
        self.drive("takes")
        self._deliver()

    @rule(seconds=st.sampled_from([30.0, 700.0, 700.0, 700.0, DAY + 1]))
    def wait(self, seconds: float) -> None:
        now = self._now(seconds)
        for way in (self.network, self.replies):
            way[:] = [parcel for parcel in way if (now - parcel.handed_at).total_seconds() < DAY - 60]
        recovery.recover(self._now)

    @precondition(lambda self: self.phase in AT_REST - {Phase.SETTLED})
    @precondition(lambda self: not any("3003" in parcel.text for parcel in self.network))
    @rule()
    def tell(self) -> None:
        """A person who has seen which pair the device holds enters it."""
        try:
            registry.change(
                self.device, {"sms_login": self.true[0], "sms_password": self.true[1]}, self._now()
            )
        except Conflict:
            db.session.rollback()

    @invariant()
    def the_true_pair_is_held(self) -> None:
        db.session.expire_all()
        current = credential_pairs.pair(self.device, "current")
        self.phase = phase = credentials.phase_of(self.device)
        if phase in (Phase.SETTLED, Phase.QUEUED):
            assert self.true == current
        else:
            assert self.true in (current, credential_pairs.pair(self.device, "pending"))
        db.session.rollback()

    @invariant()
    def whatever_waits_has_something_to_wait_for(self) -> None:
        phase = credentials.phase_of(self.device)
        wanted = select(Command).where(
            Command.device_id == self.device.id, Command.in_flight | Command.state.in_(OPEN)
        )
        rows = db.session.scalars(wanted).all()
        self.waiting = bool(rows)
        if phase in TRYING:
            assert any(row.parent_id == self.device.credentials_change and row.state in OPEN for row in rows)
        elif phase not in AT_REST:
            assert any(credential_pairs.is_change(row) for row in rows)
        db.session.rollback()

    def _deliver(self) -> None:
        """Bring everything that is on its way, and the answers to it."""
        while self.network or self.replies:
            if self.network:
                self.arrive(First())  # type: ignore[arg-type]
            while self.replies:
                self.hear(First(), "hear")  # type: ignore[arg-type]

    def _all_goes_well(self) -> None:
        """Drive, deliver and wait until no command is under way any more."""
        wanted = select(Command.id).where(
            Command.device_id == self.device.id, Command.in_flight | Command.state.in_(OPEN)
        )
        for _ in range(100):
            if db.session.scalar(wanted.limit(1)) is None:
                break
            self.drive("takes")
            self._deliver()
            self.wait(700.0)
            self.the_true_pair_is_held()
        assert db.session.scalar(wanted.limit(1)) is None
        db.session.rollback()

    def teardown(self) -> None:
        """Whatever happened, the device is commanded again and its credentials can be changed.

        The getver finds the pair that is answered, by its own answer or by the proofs that follow its silence. After a
        day nothing from before is on its way, so that the next answer leaves no doubt.
        """
        self._all_goes_well()
        self.ask("getver")
        self._all_goes_well()
        self.wait(DAY + 1)
        self.ask("getio")
        self._all_goes_well()
        assert credentials.phase_of(self.device) is Phase.SETTLED
        assert self._submit(language.SetParam({3003: "final", 3004: "pair5"}))
        self._all_goes_well()
        assert self.true == credential_pairs.pair(self.device, "current") == ("final", "pair5")
        registry.archive(self.device, self._now())


class First:
    """Draws the first of what there is."""

    @staticmethod
    def draw(strategy: Any) -> Any:
        elements = getattr(strategy, "elements", None)
        return elements[0] if elements else 0


@pytest.mark.long
def test_no_order_of_events_loses_the_true_pair_or_freezes_the_device(
    sqlite_template: Path, tmp_path: Path
) -> None:
    shutil.copy(sqlite_template, tmp_path / "orders.db")
    config = replace(
        load(), database_url=f"sqlite:///{tmp_path}/orders.db", twilio_account_sid="AC1", twilio_auth_token="none",
        twilio_from=SENDER, sms_per_second=100.0, sms_burst=1000,
    )  # fmt: skip
    Orders.app = create_app(config)
    # four, the same ones each time; by --hypothesis-profile=deep more, and others
    most = settings().max_examples // 25
    with Orders.app.app_context():
        event.listen(db.engine, "connect", lambda raw, record: raw.execute("PRAGMA synchronous=OFF"))
        run_state_machine_as_test(
            Orders,
            settings=settings(
                max_examples=most, stateful_step_count=30, deadline=None, database=None, derandomize=most <= 10,
                suppress_health_check=list(HealthCheck),
            ),
        )  # fmt: skip
        db.session.remove()
        db.engine.dispose()
