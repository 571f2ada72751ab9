"""Files and their requests: links by themselves and by hand, what is asked for again, telemetry records."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select
from upload_rows import IMEI, add_van, asked, sidecar, take, wish

from provisioning.core import jobs
from provisioning.core.errors import Conflict, Invalid
from provisioning.devices import registry, status_table
from provisioning.media import link_service, link_words, registration, settlement, telemetry
from provisioning.models import Command, Device, State, TelemetryRecord, Upload, Verdict, db, locks, utcnow
from provisioning.sms import dispatch, due_commands, recovery


@pytest.fixture
def van(app: Flask) -> Device:
    return add_van()


def test_a_file_finds_its_command_and_ends_it(van: Device) -> None:
    row = asked(van)
    take(sidecar())
    upload = db.session.scalars(select(Upload)).one()
    assert upload.command_id == row.id
    assert (row.state, row.capturing) == (State.DONE, False)
    item = status_table.get(van.id, "upload.last")
    assert item is not None
    assert item.source_kind == "upload"


def test_a_request_that_is_under_way_is_not_made_again(van: Device) -> None:
    asked(van)
    with pytest.raises(Conflict, match="still under way") as refused:
        asked(van)
    assert refused.value.code == "already_requested"


def test_a_video_that_is_here_is_not_fetched_again(van: Device) -> None:
    begin = int(utcnow().timestamp()) - 60
    clip = {"file_type": "video", "timestamp": begin, "duration": 5}
    asked(van, **clip)
    video = {"identifier": "%videof", "file_type": "video", "extension": "h265", "duration": 5}
    take(sidecar(**video, timestamp=begin * 1000))
    for source, answer in (
        ("front", f"This video of the front camera (upload {'a' * 32}) is here already. Nothing was sent."),
        (
            "both",
            f"This video of the front camera (upload {'a' * 32}) is here already. Ask for the rear camera alone.",
        ),
    ):
        with pytest.raises(Conflict) as refused:
            wish(van, source, **clip)
        assert (refused.value.code, refused.value.message) == ("already_here", answer)
        db.session.rollback()
    wish(van, "rear", **clip)
    wish(van, "front", **(clip | {"duration": 6}))
    wish(van, "front", **(clip | {"timestamp": begin + 1}))
    assert db.session.scalar(select(func.count()).select_from(Command)) == 4


def test_one_of_two_files_is_partial_when_the_wait_ends(van: Device) -> None:
    row = asked(van, "both")
    take(sidecar())
    assert row.state == State.ANSWERED
    recovery.recover(lambda: utcnow() + timedelta(hours=2))
    db.session.expire_all()
    assert (row.state, row.error_code) == (State.FAILED, "partial")
    later = sidecar("d" * 32, identifier="%photor", source="rear", path=f"{IMEI}/2026/11/24/{'d' * 32}.jpg")
    take(later)
    db.session.expire_all()
    assert (row.state, row.late) == (State.DONE, True)


def test_a_file_of_an_expired_command_is_linked_and_the_command_says_so(van: Device) -> None:
    row = asked(van)
    recovery.recover(lambda: utcnow() + timedelta(hours=2))
    db.session.expire_all()
    assert (row.state, row.error_code) == (State.EXPIRED, "no_file")
    take(sidecar())
    db.session.expire_all()
    assert (row.state, row.late) == (State.DONE, True)


def test_a_link_fixed_by_a_person_stays_and_done_is_withdrawn(van: Device) -> None:
    row = asked(van)
    take(sidecar())
    upload = db.session.scalars(select(Upload)).one()
    link_service.fix(upload, None, "ops@example.com", utcnow())
    db.session.expire_all()
    assert (upload.command_id, upload.link_certainty, row.state) == (None, "manual", State.ANSWERED)
    take(sidecar())
    assert upload.command_id is None
    link_service.fix(upload, row, "ops@example.com", utcnow())
    db.session.expire_all()
    assert (row.state, link_words.reason(upload.link_reason)) == (State.DONE, "linked by ops@example.com")


def test_the_next_request_of_a_device_is_due_when_the_file_of_the_first_is_linked(van: Device) -> None:
    asked(van, "both")
    wish(van, "rear")
    db.session.commit()
    assert not dispatch.send_next(van.id, utcnow)
    take(sidecar())
    assert due_commands.due_devices(utcnow()) == []
    take(sidecar("b" * 32, identifier="%photor", source="rear"))
    assert due_commands.due_devices(utcnow()) == [van.id]


def test_a_link_to_a_command_that_cannot_have_made_it_is_refused(van: Device) -> None:
    row = asked(van, "rear")
    take(sidecar())
    upload = db.session.scalars(select(Upload)).one()
    with pytest.raises(Invalid) as caught:
        link_service.fix(upload, row, "ops@example.com", utcnow())
    assert "command" in caught.value.errors


def test_a_trigger_file_ties_to_the_record_of_the_same_trigger_and_time(van: Device) -> None:
    moment = datetime.now(UTC).replace(microsecond=0)
    take(sidecar(trigger=1, timestamp=int(moment.timestamp() * 1000)))
    assert telemetry.accept(van, moment + timedelta(seconds=3), {"499": 1, "498": 3}, utcnow())
    assert not telemetry.accept(van, moment + timedelta(seconds=3), {"499": 1, "498": 3}, utcnow())
    upload = db.session.scalars(select(Upload)).one()
    assert upload.command_id is None
    assert link_words.reason(upload.link_reason) == "taken by itself: trigger DIN1"
    assert upload.record_id == db.session.scalars(select(TelemetryRecord)).one().id
    item = status_table.get(van.id, "camera.front.state")
    assert item is not None
    assert (item.value, item.verdict, item.source_kind) == ("SD card mounted", "good", "record")


def test_a_file_of_the_end_of_all_times_holds_up_no_other_of_its_device(van: Device) -> None:
    telemetry.accept(van, utcnow(), {"499": 3}, utcnow())
    take(sidecar("a" * 32, trigger=3, timestamp=253_402_300_799_000))
    take(sidecar("b" * 32, trigger=3, path=f"{IMEI}/b.jpg", sha256="b" * 64))
    assert db.session.get_one(Upload, "b" * 32).record_id is not None
    assert not db.session.get_one(Upload, "a" * 32).settle_due


def test_an_older_record_does_not_overwrite_a_newer_state(van: Device) -> None:
    now = utcnow()
    telemetry.accept(van, now, {"497": 3}, now)
    telemetry.accept(van, now - timedelta(minutes=5), {"497": 1}, now)
    item = status_table.get(van.id, "camera.rear.state")
    assert item is not None
    assert item.value == "SD card mounted"


def test_new_files_are_taken_in_their_order_and_so_many_at_once(
    van: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that never stops sending holds no other's file up."""
    monkeypatch.setattr(settlement, "SETTLED_AT_ONCE", 4)
    other = registry.add({"imei": "356307042441013", "phone": "+12025550112"}, utcnow())
    many = [sidecar(f"{n}" * 32, timestamp=1_795_600_000_000 + n) for n in range(1, 9)]
    late = sidecar("25" + "0" * 30, imei=other.imei, timestamp=1_795_600_000_000)
    registration.register([*many, late], utcnow())
    assert settlement.settle(utcnow(), {}) == 4
    assert waiting() == [f"{n}" * 32 for n in range(4, 9)]
    settlement.settle_all(utcnow)
    assert waiting() == []


def waiting() -> list[str]:
    return list(db.session.scalars(select(Upload.id).where(Upload.settle_due).order_by(Upload.id)))


def test_a_device_whose_files_cannot_be_settled_holds_no_other_up(
    van: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = registry.add(
        {"imei": "356307042441013", "phone": "+12025550112", "sms_login": "fleet", "sms_password": "cam12"},
        utcnow(),
    )
    for device in van, other:
        asked(device)
    registration.register([sidecar("1" * 32), sidecar("2" * 32, imei=other.imei)], utcnow())
    relink = link_service.relink

    def relink_no_file_of_it(device: Device, now: datetime) -> None:
        if device.imei == IMEI:
            raise ValueError("a mistake")
        relink(device, now)

    monkeypatch.setattr(link_service, "relink", relink_no_file_of_it)
    seconds = 0.0
    resting = jobs.Resting[int](lambda: seconds)
    with pytest.raises(jobs.RowsFailed):
        settlement.settle_all(utcnow, resting)
    assert waiting() == ["1" * 32]
    settlement.settle_all(utcnow, resting)  # not again at once
    monkeypatch.undo()
    seconds = jobs.RETRY_SECONDS
    settlement.settle_all(utcnow, resting)
    assert waiting() == []


def test_a_record_of_a_clock_that_is_ahead_pins_nothing(van: Device) -> None:
    now = utcnow()
    telemetry.accept(van, now + timedelta(hours=20), {"239": 0}, now - timedelta(seconds=1))
    telemetry.accept(van, now, {"239": 1}, now)
    item = status_table.get(van.id, "ignition")
    assert item is not None
    assert item.value == "on"


@pytest.mark.parametrize(("value", "answer"), [(0, None), (3, ("crash", "unknown"))])
def test_a_trigger_in_a_record_is_told_and_no_fault_of_the_device(
    van: Device, value: int, answer: tuple[str, str] | None
) -> None:
    telemetry.accept(van, utcnow(), {"499": value}, utcnow())
    item = status_table.get(van.id, "sos")
    assert (item and (item.value, item.verdict)) == answer


def test_an_older_file_that_is_told_late_is_not_the_last_one(van: Device) -> None:
    earlier = (utcnow() - timedelta(hours=2)).isoformat()
    take(sidecar(size=2))
    take(sidecar("d" * 32, size=1, sha256="e" * 64, received_at=earlier))
    item = status_table.get(van.id, "upload.last")
    assert item is not None
    assert item.source_id == "a" * 32


def test_a_file_that_was_given_up_and_comes_whole_ends_its_request(van: Device) -> None:
    row = asked(van)
    registration.progress([sidecar(state="receiving", received_at=None, path=None, sha256=None)], utcnow())
    db.session.get_one(Upload, "a" * 32).state = "damaged"
    db.session.commit()
    take(sidecar())
    db.session.expire_all()
    assert (row.state, db.session.get_one(Upload, "a" * 32).command_id) == (State.DONE, row.id)


def test_triggers_that_are_switched_on_later_unlink_nothing(van: Device) -> None:
    source = {"source_kind": "command", "source_id": "x"}
    status_table.note(van, "parameter.66022", "0", Verdict.GOOD, now=utcnow(), **source)
    row = asked(van)
    take(sidecar(metadata=None))
    status_table.note(van, "parameter.66022", "8", Verdict.GOOD, now=utcnow(), **source)
    link_service.relink(locks.lock_device(van.id), utcnow())
    assert (row.state, db.session.get_one(Upload, "a" * 32).command_id) == (State.DONE, row.id)


def test_narrower_windows_unlink_nothing_of_before(app: Flask, van: Device) -> None:
    row = asked(van)
    take(sidecar(timestamp=int((utcnow() - timedelta(seconds=3)).timestamp() * 1000)))
    config = app.extensions["dualcam_config"]
    app.extensions["dualcam_config"] = dataclasses.replace(config, link_capture_tolerance=0.0)
    link_service.relink(locks.lock_device(van.id), utcnow())
    assert (row.state, db.session.get_one(Upload, "a" * 32).command_id) == (State.DONE, row.id)
