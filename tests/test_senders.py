"""Commands that are due are sent as soon as a sender is free: several devices at once, each by itself."""

import time
from typing import Any

import pytest
from conftest import wait_until
from flask import Flask
from gateway_double import Phone
from sms_commands import ask
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs
from upload_rows import sidecar

from provisioning import schedule
from provisioning.core import jobs
from provisioning.core.errors import Unavailable
from provisioning.devices import registry
from provisioning.media import registration, settlement
from provisioning.models import Command, Device, JobState, ShownState, State, db, utcnow
from provisioning.sms import dispatch, due_commands
from provisioning.sms.senders import Senders

FLEET = ("352094082736916", "356307042441013", "350000000000014")


@pytest.fixture
def vans(phone: Phone) -> list[Device]:
    credentials = {"sms_login": "fleet", "sms_password": "cam11"}
    return [
        registry.add({"imei": imei, "phone": f"+1202555011{number}"} | credentials, utcnow())
        for number, imei in enumerate(FLEET, 1)
    ]


def states() -> list[str]:
    db.session.rollback()
    return [row.shown_state for row in db.session.scalars(select(Command).order_by(Command.device_id))]


def test_all_devices_that_are_due_are_sent_to(phone: Phone, vans: list[Device]) -> None:
    for van in vans:
        ask(van, "getver")
    Senders(2).send_due(utcnow)
    wait_until(lambda: states() == [ShownState.SENT] * 3)
    assert len(phone.sent) == 3


def test_a_gateway_that_answers_late_for_one_device_holds_no_other_up(
    phone: Phone, vans: list[Device]
) -> None:
    senders = Senders(2)
    phone.twilio.faults.answer_late = 5
    ask(vans[0], "getver")
    senders.send_due(utcnow)
    wait_until(lambda: phone.sent)
    time.sleep(0.5)  # the first answer is being held back by now
    phone.twilio.faults.answer_late = 0
    ask(vans[1], "getver")
    senders.send_due(utcnow)
    wait_until(lambda: states() == [ShownState.SENDING, ShownState.SENT])
    wait_until(lambda: states() == [ShownState.SENT, ShownState.SENT])


def test_a_device_that_fails_by_a_mistake_of_ours_rests_and_stops_no_other(
    phone: Phone, vans: list[Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, _ = (ask(van, "getver")[0] for van in vans[:2])
    bad.arguments = {"encrypted": "not by parameter"}
    db.session.commit()
    senders = Senders()
    senders.send_due(utcnow)
    wait_until(lambda: states() == [ShownState.QUEUED, ShownState.SENT])
    with pytest.raises(jobs.RowsFailed):
        wait_until(lambda: senders.send_due(utcnow))
    assert due_commands.due_devices(utcnow()) == [vans[0].id]
    monkeypatch.setattr(dispatch, "send_next", lambda *given: pytest.fail("it has not rested"))
    senders.send_due(utcnow)


def test_without_a_gateway_the_job_says_so_and_claims_nothing(phone: Phone, vans: list[Device]) -> None:
    ask(vans[0], "getver")
    phone.app.extensions["dualcam_gateway"] = None
    senders = Senders()
    with pytest.raises(Unavailable):
        senders.send_due(utcnow)
    assert states() == [State.QUEUED]


# what is due


def test_one_statement_says_for_which_jobs_something_is_due(phone: Phone, vans: list[Device]) -> None:
    question = jobs.are_due(schedule.table(phone.config))

    def due() -> set[str]:
        (answer,) = db.session.execute(question).mappings()
        db.session.rollback()
        return {name for name, is_due in answer.items() if is_due}

    assert due() == set()
    ask(vans[0], "getver")
    assert due() == {"commands"}
    registration.register([sidecar()], utcnow())
    assert due() == {"commands", "settle"}
    settlement.settle_all(utcnow)
    assert due() == {"commands", "photos"}


# a database that is away


def test_a_database_that_is_away_is_logged_once_and_its_return_too(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*given: Any, **named: Any) -> None:
        raise OperationalError("SELECT 1", {}, Exception("connection refused"))

    job, runs = jobs.Job("one", 3, away), jobs.Runs()
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(jobs, "put_all", away)
        for _ in range(3):
            runs.add(job.name, jobs.run(job, utcnow), utcnow())
            runs.note()
    assert [log["event"] for log in logs] == ["the database is away; work goes on when it is back"]
    with capture_logs() as logs:
        runs.note()
        runs.note()
    assert [log["event"] for log in logs] == ["the database is back"]


def test_an_error_of_one_statement_is_logged_with_its_job(app: Flask) -> None:
    def fail(clock: jobs.Clock) -> None:
        raise OperationalError("SELECT 1", {}, Exception("deadlock detected"))

    with capture_logs() as logs:
        assert jobs.run(jobs.Job("one", 3, fail), utcnow) is jobs.RunResult.FAILED
    assert [(log["event"], log["job"]) for log in logs] == [("a job failed; it is tried again", "one")]
    assert db.session.get_one(JobState, "one").failures == 1
