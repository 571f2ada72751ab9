"""Every order of events around a change of credentials: the true pair is never lost, the device never freezes."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from conftest import SENDER
from credential_rows import INFO, NEW, OLD
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
from sms_commands import REQUESTER
from sqlalchemy import event, select

from app import create_app
from provisioning.commands import submission
from provisioning.core.config import load
from provisioning.core.errors import Conflict, GatewayError
from provisioning.core.sms_capabilities import Capabilities
from provisioning.devices import credential_pairs, credentials, registry
from provisioning.devices.credential_phases import AT_REST, TRYING, Phase
from provisioning.models import OPEN, Command, DeliveryStatus, Device, db, utcnow
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
