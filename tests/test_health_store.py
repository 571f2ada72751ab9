"""The health that is kept with a vehicle: decided with each fact, by the worker where no lock was held, and in time."""

import dataclasses
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import flask_migrate
import pytest
from conftest import ROOT
from flask import Flask
from gateway_double import Phone
from sqlalchemy import func, select, text

from provisioning.core import jobs
from provisioning.devices import health_facts, health_store, registry, status_table
from provisioning.fleet import presets
from provisioning.media import camera_sessions, registration, settlement, telemetry
from provisioning.models import (
    ChecklistRun,
    Device,
    HealthChange,
    HealthDue,
    Role,
    Verdict,
    db,
    locks,
    utcnow,
)
from receiver.backend.port import SessionFacts

IMEI = "352094082736916"
DAY = timedelta(days=1)


def add(number: int = 0, **values: Any) -> Device:
    imei = (IMEI, "352094082042885", "356307042441013")[number]
    given = {"imei": imei, "phone": f"+1202555011{1 + number}", "sms_login": "fleet", "sms_password": "cam11"}
    return registry.add(given | values, utcnow())


@pytest.fixture
def van(app: Flask) -> Device:
    return add()


def state_and_code(device: Device) -> tuple[str, str]:
    db.session.expire_all()
    return device.health_state, device.health_code


def record(device: Device, at: datetime | None = None, **values: int) -> None:
    """Take a record of the telematics platform: `avl_498=1`."""
    numbers = {name.removeprefix("avl_"): value for name, value in values.items()}
    telemetry.accept(device, at or utcnow(), numbers, utcnow())


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


def connected(imei: str, when: datetime) -> None:
    camera_sessions.note([SessionFacts("1" * 32, "192.0.2.1", when, imei)], when)


def test_a_new_vehicle_was_never_checked(van: Device) -> None:
    assert state_and_code(van) == ("unchecked", "never_checked")
    assert van.health_until is not None
    assert timedelta(days=6.9) < van.health_until - utcnow() < timedelta(days=7.1)


def test_a_fact_and_the_health_that_follows_from_it_appear_together(van: Device) -> None:
    record(van, avl_498=1, avl_497=3)
    assert state_and_code(van) == ("limited", "no_card")
    assert van.health_arguments == {"camera": "front"}
    assert van.seen_at is not None
    record(van, avl_498=3, avl_497=3)
    assert state_and_code(van) == ("working", "proved")


def test_every_change_is_kept_with_its_time_and_what_stays_the_same_is_none(van: Device) -> None:
    began = utcnow() - timedelta(minutes=10)
    for minutes, state in enumerate((1, 1, 3, 3)):
        record(van, began + timedelta(minutes=minutes), avl_498=state)
    rows = db.session.scalars(select(HealthChange).order_by(HealthChange.id)).all()
    assert [(row.state, row.code) for row in rows] == [("limited", "no_card"), ("working", "proved")]
    assert [row.since for row in rows] == [began, began + timedelta(minutes=2)]
    assert all(utcnow() - row.at < timedelta(minutes=1) for row in rows)


def test_a_reason_that_stays_keeps_since_when_it_holds(van: Device) -> None:
    began = utcnow() - timedelta(hours=2)
    record(van, began, avl_498=1)
    record(van, began + timedelta(hours=1), avl_498=1)
    assert state_and_code(van) == ("limited", "no_card")
    assert van.health_since == began


def test_an_older_fact_replaces_no_newer_one(van: Device) -> None:
    record(van, avl_498=3)
    record(van, utcnow() - DAY, avl_498=1)
    assert state_and_code(van) == ("working", "proved")


def test_the_time_of_a_persons_last_change_stays(van: Device) -> None:
    before = van.updated_at
    record(van, avl_498=1)
    assert state_and_code(van)[1] == "no_card"
    assert van.updated_at == before


def test_what_was_rolled_back_changes_nothing(van: Device) -> None:
    locks.lock_device(van.id)
    status_table.note(
        van, "imei", "356307042441013", Verdict.BAD, now=utcnow(), source_kind="message", source_id="1"
    )
    db.session.rollback()
    locks.lock_device(van.id)
    db.session.commit()
    assert state_and_code(van) == ("unchecked", "never_checked")
    assert db.session.scalar(select(func.count()).select_from(HealthDue)) == 0


def test_a_report_of_the_receiver_counts_with_the_workers_next_look(van: Device) -> None:
    now = utcnow()
    connected(IMEI, now)
    assert van.seen_at is None
    assert db.session.scalars(select(HealthDue.device_id)).all() == [van.id]
    health_store.decide_due(utcnow)
    db.session.expire_all()
    assert van.seen_at is not None
    assert abs(van.seen_at - now) < timedelta(seconds=1)
    assert van.connected_at == van.seen_at
    assert db.session.scalar(select(func.count()).select_from(HealthDue)) == 0


def test_a_file_proves_its_camera(app: Flask, van: Device) -> None:
    from upload_rows import sidecar

    registration.register([sidecar("a" * 32)], utcnow())
    settlement.settle_all(utcnow)
    health_store.decide_due(utcnow)
    assert state_and_code(van) == ("working", "proved")
    assert van.file_at is not None
    item = status_table.get(van.id, "camera.front.file")
    assert item is not None
    assert item.source_id == "a" * 32


@pytest.mark.parametrize(
    ("days", "health"),
    [(6.9, ("working", "proved")), (7.1, ("silent", "silent")), (15, ("silent", "silent"))],
)  # fmt: skip
def test_a_health_that_runs_out_is_decided_anew_in_time(
    van: Device, days: float, health: tuple[str, str]
) -> None:
    record(van, avl_498=3)
    health_store.decide_due(at(utcnow() + days * DAY))
    assert state_and_code(van) == health


def test_a_proof_that_is_too_old_leaves_the_vehicle_unchecked(van: Device) -> None:
    record(van, avl_498=3)
    later = utcnow() + 14.5 * DAY
    status_table.note(
        van, "contact.sms", "x", Verdict.GOOD, now=later - DAY, source_kind="message", source_id="1"
    )
    db.session.commit()
    health_store.decide_due(at(later))
    assert state_and_code(van) == ("unchecked", "proof_old")


def test_vehicles_of_before_get_their_health_some_at_a_time(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = [add(number) for number in range(3)]
    health_store.decide_due(utcnow)
    for device in devices:
        record(device, avl_498=3)
    db.session.execute(text("UPDATE devices SET health_state = 'unchecked', health_until = created_at"))
    db.session.commit()
    monkeypatch.setattr(health_store, "DEVICES", 2)
    health_store.decide_due(utcnow)
    assert sorted(state_and_code(device)[0] for device in devices) == ["unchecked", "working", "working"]
    health_store.decide_due(utcnow)
    assert {state_and_code(device)[0] for device in devices} == {"working"}


def test_another_setting_decides_every_health_anew(app: Flask, van: Device) -> None:
    record(van, utcnow() - 3 * DAY, avl_498=3)
    health_store.decide_due(utcnow)
    assert state_and_code(van)[0] == "working"
    config = dataclasses.replace(app.extensions["dualcam_config"], silent_days=2)
    app.extensions["dualcam_config"] = config
    health_store.decide_due(utcnow)
    assert state_and_code(van)[0] == "silent"


def test_a_mistake_in_deciding_loses_no_fact_and_holds_up_no_other_vehicle(
    app: Flask, van: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, real = add(1), health_facts.of

    def broken(device: Device, now: datetime) -> Any:
        if device.imei == IMEI:
            raise ValueError("a mistake of ours")
        return real(device, now)

    with monkeypatch.context() as patched:
        patched.setattr(health_facts, "of", broken)
        for device in (van, other):
            record(device, avl_498=1)
        assert status_table.get(van.id, "camera.front.state") is not None
        assert (state_and_code(van)[1], state_and_code(other)[1]) == ("never_checked", "no_card")
        connected(other.imei, utcnow())
        with pytest.raises(jobs.RowsFailed):
            health_store.decide_due(utcnow)
        db.session.expire_all()
        assert other.connected_at is not None
    health_store.decide_due(utcnow)
    assert state_and_code(van) == ("limited", "no_card")


def test_an_archived_vehicle_is_left_alone(van: Device) -> None:
    registry.archive(van, utcnow())
    connected(IMEI, utcnow())
    health_store.decide_due(at(utcnow() + 30 * DAY))
    db.session.expire_all()
    assert (van.health_state, van.health_until) == ("unchecked", None)


@pytest.mark.parametrize(("ignition", "health"), [(0, "never_checked"), (1, "no_camera")])
def test_cameras_that_sleep_with_the_ignition_are_not_dead(van: Device, ignition: int, health: str) -> None:
    record(van, avl_239=ignition, avl_498=0, avl_497=0)
    assert state_and_code(van)[1] == health


@pytest.mark.parametrize(
    ("state", "health"), [(0, "front_camera"), (1, "no_card"), (4, "faulty_card"), (3, "proved")]
)
def test_what_was_known_of_a_camera_holds_on_while_it_sleeps(van: Device, state: int, health: str) -> None:
    began = utcnow() - timedelta(hours=2)
    record(van, began, avl_239=1, avl_498=state, avl_497=3)
    for minutes in (30, 60):
        record(van, began + timedelta(minutes=minutes), avl_239=0, avl_498=0, avl_497=0)
    assert state_and_code(van)[1] == health
    record(van, avl_239=1, avl_498=3, avl_497=3)
    assert state_and_code(van)[1] == "proved"


@pytest.mark.parametrize("state", [5, 255])
def test_a_state_that_no_page_explains_proves_no_camera(van: Device, state: int) -> None:
    record(van, utcnow() - timedelta(hours=1), avl_239=1, avl_498=state, avl_497=state)
    assert state_and_code(van)[1] == "never_checked"
    record(van, utcnow() - timedelta(minutes=30), avl_239=1, avl_498=0, avl_497=3)
    record(van, avl_239=1, avl_498=state, avl_497=state)
    assert state_and_code(van)[1] == "front_camera"


def test_a_camera_that_always_works_is_dead_though_the_ignition_is_off(van: Device) -> None:
    status_table.note(
        van, "parameter.66020", "1", Verdict.GOOD, now=utcnow(), source_kind="command", source_id=None
    )
    db.session.commit()
    record(van, avl_239=0, avl_498=0, avl_497=0)
    assert state_and_code(van)[1] == "no_camera"


@pytest.mark.parametrize(
    ("verdict", "health"),
    [("no_card", "no_card"), ("good", "proved"), ("stopped", "no_camera"), ("ignition_off", "no_camera")],
)
def test_the_last_check_that_saw_the_cameras_counts(van: Device, verdict: str, health: str) -> None:
    for minutes, word in ((20, "no_camera"), (10, verdict)):
        moment = utcnow() - timedelta(minutes=minutes)
        db.session.add(ChecklistRun(device_id=van.id, verdict=word, ended_at=moment, started_at=moment))
        db.session.commit()
    health_store.refresh(locks.lock_device(van.id), utcnow())
    db.session.commit()
    assert state_and_code(van)[1] == health


def test_two_requests_without_an_answer_and_then_an_sms(phone: Phone, van: Device) -> None:
    from checklist_visits import hand_over

    from provisioning.commands import submission
    from provisioning.sms import recovery
    from provisioning.tracker import language

    for name in ("getver", "getinfo"):
        asked = language.from_arguments(name, {}, now=int(utcnow().timestamp()))
        submission.submit(van, asked, submission.Requester("tests", Role.ADMIN), utcnow())
        db.session.commit()
        assert hand_over(phone, van) == name
        recovery.recover(lambda: utcnow() + timedelta(hours=2))
    assert state_and_code(van) == ("broken", "no_reply")
    assert van.health_arguments == {"unanswered": 2, "asked": 2}
    phone.reply("Ver:03.28.03.Rev.05 Hw:FMC125 IMEI:352094082736916")
    assert state_and_code(van) == ("unchecked", "never_checked")


@pytest.mark.parametrize(
    ("asked", "said", "health"),
    [
        ("both", "Error: Front Camera not present", "front_camera"),
        ("both", "Error: Rear Camera not present", "rear_camera"),
        ("both", "Error: Front / Rear Camera not present", "never_checked"),
        ("rear", "Error: Front / Rear Camera not present", "rear_camera"),
    ],
)
def test_a_refusal_says_which_of_two_cameras_is_missing(
    phone: Phone, van: Device, asked: str, said: str, health: str
) -> None:
    from checklist_visits import hand_over

    from provisioning.commands import submission
    from provisioning.tracker import language

    wanted = {"file_type": "photo", "source": asked}
    command = language.from_arguments("camreq", wanted, now=int(utcnow().timestamp()))
    submission.submit(van, command, submission.Requester("tests", Role.ADMIN), utcnow())
    db.session.commit()
    hand_over(phone, van)
    phone.reply(said)
    assert state_and_code(van)[1] == health


def test_settings_differ_from_a_preset_since_it_is_there(van: Device) -> None:
    ago, now = utcnow() - timedelta(days=1), utcnow()
    status_table.note(
        van, "parameter.66003", "30", Verdict.GOOD, now=ago, source_kind="command", source_id=None
    )
    preset = presets.save("Delivery", "", {"66003": 25}, "tests", now)
    registry.change(van, {"profile_id": preset.id}, now)
    drift = health_facts.of(van, utcnow()).drift
    assert drift is not None
    assert (drift.numbers, drift.since) == ((66003,), preset.created_at)


def test_settings_that_were_just_asked_for_differ_only_once_their_request_has_ended(
    phone: Phone, van: Device
) -> None:
    from checklist_visits import hand_over

    from provisioning.commands import submission
    from provisioning.sms import recovery
    from provisioning.tracker import language

    ago = utcnow() - timedelta(days=1)
    for number, value in ((66001, "1"), (66003, "20"), (66011, "20")):
        row = status_table.note(
            van, f"parameter.{number}", value, Verdict.GOOD, now=ago, source_kind="command", source_id=None
        )
        assert row is not None
    assert row is not None
    row.asked, row.verdict = "10", Verdict.BAD  # 66011 differs anyway
    db.session.commit()
    settings = {"parameters": {"66001": 1, "66003": 25}}
    asked = language.from_arguments("setparam", settings, now=int(utcnow().timestamp()))
    begin = utcnow()
    submission.submit(van, asked, submission.Requester("tests", Role.ADMIN), begin)
    db.session.commit()
    assert hand_over(phone, van).startswith("setparam")
    drift = health_facts.of(van, utcnow()).drift
    assert drift is not None
    assert (drift.numbers, drift.since) == ((66011,), ago)
    row.verdict = Verdict.GOOD
    db.session.commit()
    assert health_facts.of(van, utcnow()).drift is None
    recovery.recover(lambda: utcnow() + timedelta(hours=2))
    drift = health_facts.of(van, utcnow()).drift
    assert drift is not None
    assert (drift.numbers, drift.since) == ((66003,), begin)


def test_the_newest_files_of_before_are_proofs_after_the_migration(app: Flask, van: Device) -> None:
    from upload_rows import sidecar

    came = utcnow() - timedelta(hours=3)
    record = sidecar("a" * 32, timestamp=int(came.timestamp() * 1000))
    registration.register(
        [record | {"started_at": came.isoformat(), "received_at": came.isoformat()}], utcnow()
    )
    db.session.remove()
    folder = str(ROOT / "migrations")
    flask_migrate.downgrade(directory=folder, revision="0020")
    flask_migrate.upgrade(directory=folder)
    health_store.decide_due(utcnow)
    device = db.session.scalars(select(Device)).one()
    assert state_and_code(device) == ("working", "proved")
    assert device.file_at is not None
    assert abs(device.file_at - came) < timedelta(seconds=1)
