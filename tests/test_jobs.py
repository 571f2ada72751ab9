"""Background work is isolated: a job, or one row in it, that fails is named and stops nothing else."""

import dataclasses
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import flask_migrate
import pytest
from conftest import ROOT, SENDER
from flask import Flask
from gateway_double import Phone
from sms_commands import NUMBER, ask, at, claim, owed_text, send
from sqlalchemy import func, select, text
from upload_rows import sidecar, take
from werkzeug.serving import make_server

from provisioning import schedule
from provisioning.core import encryption, jobs
from provisioning.core.errors import GatewayError, Unavailable
from provisioning.devices import registry
from provisioning.media import storage
from provisioning.models import (
    Command,
    Cursor,
    Device,
    GatewayEvent,
    IdempotencyKey,
    JobState,
    Message,
    Passage,
    ShownState,
    State,
    command_state,
    db,
    locks,
    utcnow,
)
from provisioning.models.base import new_id
from provisioning.sms import (
    addressing,
    dispatch,
    factory,
    gateway,
    inbound,
    inbound_texts,
    reconcile,
    recovery,
    recovery_rows,
)
from provisioning.sms.gateway import OutgoingSms
from receiver.store.media_store import MediaError

OTHER = "+12025550112"
MIGRATIONS = str(ROOT / "migrations")
VERSION = "Ver:03.28.03.Rev.05 Hw:FMC125 IMEI:356307042441013"


@pytest.fixture
def van(phone: Phone) -> Device:
    given = {"imei": "352094082736916", "phone": NUMBER, "sms_login": "fleet", "sms_password": "cam11"}
    return registry.add(given, utcnow())


@pytest.fixture
def other(phone: Phone) -> Device:
    given = {"imei": "356307042441013", "phone": OTHER, "sms_login": "abc", "sms_password": "def"}
    return registry.add(given, utcnow())


def lose_key(device: Device) -> str:
    """Have a device's credentials encrypted with a key that is not there any more; give how they were before."""
    before = device.sms_login or ""
    device.sms_login = encryption.encrypt("x")[:-4] + "AAAA"
    db.session.commit()
    return before


def unclear(device: Device) -> Command:
    """A command of which nobody knows whether it went out."""
    row = ask(device, "getver")[0]
    assert claim(device)
    locks.lock_device(device.id)
    assert row.attempt
    command_state.record(row, row.attempt, Passage.UNCLEAR, utcnow())
    row.due_at = utcnow()
    db.session.commit()
    return row


def error_of(job: str) -> str | None:
    db.session.expire_all()
    return db.session.get_one(JobState, job).error


def old_key() -> None:
    """An idempotency key that is due to be forgotten."""
    old = utcnow() - timedelta(days=3)
    db.session.add(IdempotencyKey(scope="x", key="y", fingerprint="z", created_at=old))
    db.session.commit()


def figure(metrics: str, name: str) -> float:
    (line,) = [line for line in metrics.splitlines() if line.startswith(name)]
    return float(line.split()[1])


# a job


def test_a_job_that_fails_stops_no_other_and_health_says_since_when(app: Flask) -> None:
    def fail(clock: jobs.Clock) -> None:
        raise RuntimeError("a value that nobody may read")

    done: list[str] = []
    table = [jobs.Job("bad", 3, fail), jobs.Job("good", 3, lambda clock: done.append("good"))]
    began = utcnow()
    for moment in (began, began + timedelta(hours=1)):
        results = [jobs.run(job, lambda moment=moment: moment) for job in table]
        assert results == [jobs.RunResult.FAILED, jobs.RunResult.DONE]
    assert done == ["good", "good"]
    shown = app.test_client().get("/readyz")
    assert shown.status_code == 200
    assert shown.text == f"ok\njob bad: failing since {began:%Y-%m-%dT%H:%M:%SZ}: RuntimeError\n"
    figures = app.test_client().get("/metrics").text
    assert 'dualcam_job_failures_total{job="bad"} 2.0' in figures
    assert figure(figures, 'dualcam_job_failing_since_seconds{job="bad"}') == began.timestamp()


def test_a_job_that_works_again_is_not_told_of_any_more(app: Flask) -> None:
    trouble: list[Exception] = [Unavailable("The store is away.")]

    def work(clock: jobs.Clock) -> None:
        if trouble:
            raise trouble.pop()

    seconds = 0.0
    runs, job = jobs.Runs(lambda: seconds), jobs.Job("one", 3, work)
    for second in (0.0, 3.0):
        seconds = second
        runs.add(job.name, jobs.run(job, utcnow), utcnow())
    runs.note()
    assert error_of("one") == "unavailable"  # a row that failed may have its next turn soon
    seconds = jobs.PROVED_SECONDS
    runs.note()
    assert app.test_client().get("/readyz").text == "ok\n"
    assert 'dualcam_job_failures_total{job="one"} 1.0' in app.test_client().get("/metrics").text


def test_a_row_that_fails_stops_no_other_row_and_leaves_nothing_half_done(app: Flask) -> None:
    def work(number: int) -> None:
        db.session.add(Cursor(name=f"row {number}", value="x"))
        db.session.flush()
        if number == 2:
            raise ValueError("the second")
        db.session.commit()

    job = jobs.Job("rows", 3, lambda clock: jobs.each("rows", [1, 2, 3], work))
    assert jobs.run(job, utcnow) is jobs.RunResult.ROWS_FAILED
    assert db.session.scalars(select(Cursor.name).order_by(Cursor.name)).all() == ["row 1", "row 3"]
    assert error_of("rows") == "ValueError"
    assert db.session.get_one(JobState, "rows").failures == 1


def test_asking_what_is_due_takes_a_tenth_of_the_time_at_most() -> None:
    assert jobs.pause(0.001) == jobs.POLL_SECONDS
    assert jobs.pause(0.08) == pytest.approx(0.72)


def test_every_job_of_the_worker_has_a_name_of_its_own_and_a_pause(app: Flask) -> None:
    table = schedule.table(app.extensions["dualcam_config"])
    assert len({job.name for job in table}) == len(table)
    assert all(job.seconds > 0 for job in table)


def test_when_a_job_last_ended_is_told_with_the_heartbeat(app: Flask) -> None:
    runs = jobs.Runs()
    runs.add("one", jobs.RunResult.DONE, utcnow() - timedelta(seconds=90))
    runs.note()
    shown = app.test_client().get("/metrics").text
    assert 90 <= figure(shown, 'dualcam_job_age_seconds{job="one"}') < 120


# a missing setting, a dead store, an answer of a proxy


def test_without_a_gateway_all_that_needs_none_goes_on(phone: Phone, van: Device) -> None:
    row = unclear(van)
    waiting = ask(van, "getio")[0]
    old_key()
    phone.app.extensions["dualcam_gateway"] = None
    schedule.sweep(at(3))
    assert db.session.scalar(select(func.count()).select_from(IdempotencyKey)) == 0
    assert error_of("look_up") == "gateway_not_configured"
    assert (row.shown_state, waiting.shown_state) == (ShownState.UNKNOWN, ShownState.QUEUED)


def test_without_a_gateway_nothing_is_claimed_for_sending(phone: Phone, van: Device) -> None:
    row = ask(van, "getver")[0]
    phone.app.extensions["dualcam_gateway"] = None
    with pytest.raises(Unavailable):
        dispatch.send_next(van.id, utcnow)
    db.session.expire_all()
    assert row.state == State.QUEUED


@pytest.fixture
def proxy(phone: Phone) -> Iterator[None]:
    """A proxy that answers everything with a page of its own, and 200."""

    def answer(environ: Any, start: Any) -> list[bytes]:
        page = b"<html>Please sign in</html>"
        start("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(page)))])
        return [page]

    server = make_server("127.0.0.1", 0, answer, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    config = dataclasses.replace(phone.config, twilio_api_base_url=f"http://127.0.0.1:{server.server_port}")
    factory.init_app(phone.app, config)
    yield
    server.shutdown()
    thread.join(5)


@pytest.mark.usefixtures("proxy")
def test_a_page_of_a_proxy_is_no_answer_of_the_gateway_and_ends_no_sweep(
    phone: Phone, van: Device, other: Device
) -> None:
    row, late = unclear(van), ask(other, "getver")[0]
    late.expires_at = utcnow()
    db.session.commit()
    recovery.recover(at(5))
    db.session.expire_all()
    assert (row.shown_state, late.shown_state) == (ShownState.UNKNOWN, ShownState.EXPIRED)
    with pytest.raises(GatewayError) as caught:
        list(gateway.gateway().messages(utcnow()))
    assert (caught.value.code, caught.value.permanent) == ("gateway_unreadable", False)
    with pytest.raises(GatewayError) as caught:
        gateway.gateway().send(OutgoingSms("m", NUMBER, "x", 60))
    assert caught.value.sent == "unknown"


def test_a_command_that_cannot_be_looked_up_now_lets_the_others_have_their_turn(
    phone: Phone, van: Device, other: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = unclear(van), unclear(other)
    monkeypatch.setattr(recovery_rows, "ROWS_AT_ONCE", 1)
    phone.server.shutdown()
    phone.server.server_close()
    recovery.recover(at(1))
    db.session.expire_all()
    assert first.due_at > second.due_at


def test_a_store_that_is_away_stops_only_what_needs_it(
    phone: Phone, van: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def move(*keys: str) -> None:
        raise MediaError("The store is away.")

    take(sidecar(imei="356307042441013", path="quarantine/356307042441013/x.jpg", admission="quarantine"))
    registry.add({"imei": "356307042441013", "phone": OTHER}, utcnow())
    old_key()
    monkeypatch.setattr(storage.media(), "move", move)
    schedule.sweep(at(3))
    assert db.session.scalar(select(func.count()).select_from(IdempotencyKey)) == 0
    assert error_of("adopt") == "MediaError"
    monkeypatch.undo()
    assert schedule.sweep(at(6))["adopt"] is jobs.RunResult.DONE


# a secret that no key opens


def test_a_device_whose_key_is_lost_stops_no_other(phone: Phone, van: Device, other: Device) -> None:
    mine, theirs = ask(van, "getver")[0], ask(other, "getver")[0]
    send(van), send(other)
    lose_key(van)
    phone.twilio.take(NUMBER, "Ver:03.28.03.Rev.05 Hw:FMC125 IMEI:352094082736916")
    phone.twilio.take(OTHER, VERSION)
    reconcile.reconcile(utcnow)
    schedule.sweep(at(3))
    db.session.expire_all()
    assert (mine.shown_state, theirs.shown_state) == (ShownState.SENT, ShownState.DONE)
    assert error_of("unprocessed_events") == "EventUnprocessed"


def test_a_text_whose_secrets_no_key_opens_is_kept_unreadable_until_the_key_is_back(
    phone: Phone, van: Device
) -> None:
    row = ask(van, "getinfo")[0]
    send(van)
    before = lose_key(van)
    text = "RTC:2026/1/2 3:04 Init:2026/1/2 3:00 UpTime:4s USER:fleet PSW:cam11 MD:1"
    assert phone.reply(text).status_code == 200
    (event,) = db.session.scalars(select(GatewayEvent)).all()
    assert "cam11" not in str(event.payload)
    assert not db.session.scalars(select(Message).where(Message.direction == "in")).all()
    schedule.sweep(at(3))
    db.session.get_one(Device, van.id).sms_login = before
    db.session.commit()
    schedule.sweep(at(600))
    db.session.expire_all()
    assert row.state == State.DONE
    assert event.processed_at is not None
    assert "cam11" not in str(event.payload) + str(row.reply)


def test_a_change_of_credentials_ends_also_where_no_key_opens_them(
    phone: Phone, van: Device, other: Device
) -> None:
    mine = ask(van, "setparam", parameters={"3003": "new1", "3004": "new2"})[0]
    theirs = ask(other, "getver")[0]
    send(van), send(other)
    lose_key(van)
    van.pending_login = van.sms_login
    db.session.commit()
    recovery.recover(at(700))
    db.session.expire_all()
    assert (mine.state, theirs.state) == (State.EXPIRED, State.EXPIRED)
    assert van.credentials_state == "undecided"


def test_asking_a_device_whose_key_is_lost_says_that_the_key_must_come_back(
    phone: Phone, van: Device
) -> None:
    lose_key(van)
    with pytest.raises(Unavailable, match="Put the key that they were stored with back") as caught:
        ask(van, "getver")
    assert (caught.value.status, caught.value.code) == (503, "key_missing")


# events of the gateway


def test_a_text_that_cannot_be_taken_is_owed_and_the_next_one_is_taken(
    phone: Phone, van: Device, other: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ask(other, "getver")[0]
    send(other)
    phone.twilio.take(NUMBER, "words")
    phone.twilio.take(OTHER, VERSION)
    real = addressing.find_device

    def find(phone: str, moment: Any) -> int | None:
        if phone == NUMBER:
            raise ArithmeticError("a mistake of ours")
        return real(phone, moment)

    monkeypatch.setattr(addressing, "find_device", find)
    with pytest.raises(jobs.RowsFailed):
        reconcile.reconcile(utcnow)
    db.session.expire_all()
    assert row.state == State.DONE
    monkeypatch.undo()
    schedule.sweep(at(3))
    assert db.session.scalars(select(Message.body).where(Message.sender == NUMBER)).all() == ["words"]


def test_an_owed_event_is_tried_after_ever_longer_waits(
    phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = owed_text(
        {"id": "x", "from": NUMBER, "to": SENDER, "text": "x"}, id=new_id(), received_at=utcnow()
    )
    db.session.add(event)
    db.session.commit()
    monkeypatch.setattr(inbound_texts, "take", lambda *given: 1 / 0)
    now, waits = utcnow(), list[float]()
    for _ in range(10):
        with pytest.raises(inbound.EventUnprocessed):
            inbound.retry_event(event.id, now)
        assert event.due_at is not None
        waits.append((event.due_at - now).total_seconds())
    assert waits[:4] == [0, 3, 9, 21]
    assert waits[-1] == inbound.EVENT_WAIT_SECONDS
    assert inbound.unprocessed_events(now) == []


def test_a_job_that_has_another_name_since_an_update_keeps_its_state(app: Flask) -> None:
    failing = utcnow()
    db.session.add(JobState(name="unprocessed_events", ended_at=failing, failures=3, failing_since=failing))
    db.session.commit()
    flask_migrate.downgrade(revision="0039", directory=MIGRATIONS)
    before = db.session.scalars(text("SELECT name FROM jobs WHERE failures = 3")).all()
    db.session.commit()
    flask_migrate.upgrade(directory=MIGRATIONS)
    db.session.expire_all()
    assert before == ["owed_events"]
    assert [(row.name, row.failures) for row in db.session.scalars(select(JobState))] == [
        ("unprocessed_events", 3)
    ]
