"""Events in the database: made, made anew and removed with their files, on SQLite and on PostgreSQL."""

import dataclasses
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, func, select, update
from test_event_rules import VECTORS, read
from upload_rows import IMEI, add_van, asked, sidecar, take

from provisioning.devices import registry
from provisioning.media import event_service, link_service, retention, settlement, storage, telemetry
from provisioning.media.event_rules import EventFile, group
from provisioning.models import (
    BY_CHECK,
    Change,
    Command,
    Cursor,
    Device,
    Event,
    EventView,
    Upload,
    UploadState,
    db,
    new_id,
    utcnow,
)


@pytest.fixture
def van(app: Flask) -> Device:
    return add_van()


NOW = 1_700_000_000


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def stored(device: Device, ident: str = "", **columns: Any) -> Upload:
    """A whole file that waits for its event."""
    given: dict[str, Any] = {
        "file_type": "photo", "source": "front", "state": UploadState.STORED, "has_metadata": True, "trigger": 3,
        "timestamp": at(NOW), "started_at": at(NOW + 60), "identifier": "%photof",
    }  # fmt: skip
    row = Upload(
        id=ident or new_id(), imei=device.imei, device_id=device.id, event_due=True, **(given | columns)
    )
    db.session.add(row)
    db.session.commit()
    return row


def events() -> list[tuple[str, tuple[str, ...]]]:
    """Kind and files of every event, in the order of their ids."""
    db.session.expire_all()
    files = db.session.scalars(select(Upload).where(Upload.event_id.is_not(None)).order_by(Upload.id)).all()
    rows = db.session.scalars(select(Event).order_by(Event.id)).all()
    assert {file.event_id for file in files} == {row.id for row in rows}
    return [(row.kind, tuple(file.id for file in files if file.event_id == row.id)) for row in rows]


def remade() -> list[tuple[str, tuple[str, ...]]]:
    event_service.remake_all(utcnow)
    return events()


def requested(device: Device, name: str, *, by_check: bool) -> Command:
    row = db.session.get(Command, name)
    if row is None:
        by = f"{BY_CHECK}ops" if by_check else "ops"
        row = Command(
            id=name, device_id=device.id, kind="camreq", arguments={}, text="x", length=1, requested_by=by
        )
        db.session.add(row)
        db.session.commit()
    return row


def from_vector(device: Device, file: EventFile) -> Upload:
    command = requested(device, file.request, by_check=file.by_check) if file.request else None
    return stored(
        device, file.id, file_type=file.file_type, source=file.source, trigger=file.trigger,
        has_metadata=file.trigger is not None, started_at=at(file.arrived),
        timestamp=at(file.captured) if file.captured else None,
        trigger_timestamp=at(file.trigger_time) if file.trigger_time else None,
        latitude=file.latitude, longitude=file.longitude, command_id=command.id if command else None,
    )  # fmt: skip


def test_files_that_come_one_by_one_end_as_the_rules_say_in_whatever_order(van: Device) -> None:
    for path in VECTORS:
        scenario = read(path)
        expected = sorted(
            (event.kind, tuple(sorted(file.id for file in event.files)), at(event.at), event.cameras)
            for event in group(scenario.files, 15.0)
        )
        orders = list(itertools.permutations(scenario.files))
        for order in orders if len(orders) <= 6 else orders[::7]:
            for file in order:
                from_vector(van, file)
                event_service.remake_all(utcnow)
            found = {row.id: row for row in db.session.scalars(select(Event))}
            assert expected == sorted(
                (kind, files, found[str(db.session.get_one(Upload, files[0]).event_id)].at,
                 found[str(db.session.get_one(Upload, files[0]).event_id)].cameras)
                for kind, files in events()
            ), path.stem  # fmt: skip
            for model in (Upload, Event, Command):
                db.session.execute(delete(model))
            db.session.commit()


def test_a_file_of_the_receiver_has_its_event_when_it_is_settled(van: Device) -> None:
    take(sidecar("a" * 32, trigger=3))
    take(sidecar("b" * 32, trigger=3, source="rear", identifier="%photor"))
    command = asked(van)
    take(sidecar("c" * 32, path=f"{IMEI}/c.jpg"))
    assert command.state == "done"
    assert sorted(events()) == [("asked", ("c" * 32,)), ("crash", ("a" * 32, "b" * 32))]
    assert db.session.scalar(select(func.count()).where(Change.topic == "events"))


def test_pieces_of_one_request_are_one_event(van: Device) -> None:
    for number, name in enumerate(("p", "q")):
        requested(van, name, by_check=False).batch = "together"
        db.session.commit()
        stored(van, name * 32, file_type="video", command_id=name, trigger=0, timestamp=at(NOW + 30 * number))
        event_service.remake_all(utcnow)
    assert events() == [("asked", ("p" * 32, "q" * 32))]


def test_a_link_that_a_person_fixes_moves_the_file_to_another_event(van: Device) -> None:
    command = asked(van)
    take(sidecar("a" * 32, trigger=3))
    take(sidecar("b" * 32, trigger=3, source="rear", identifier="%photor"))
    front = db.session.get_one(Upload, "a" * 32)
    link_service.fix(front, command, "ops@example.com", utcnow())
    assert sorted(events()) == [("asked", ("a" * 32,)), ("crash", ("b" * 32,))]
    link_service.fix(front, None, "ops@example.com", utcnow())
    assert events() == [("crash", ("a" * 32, "b" * 32))]


def test_the_record_of_a_trigger_joins_its_event_whichever_comes_first(van: Device) -> None:
    for number, first in enumerate(("record", "file")):
        now = utcnow() - timedelta(minutes=10 * number)
        ident, milliseconds = str(number) * 32, int(now.timestamp() * 1000)

        def report(now: datetime = now) -> None:
            telemetry.accept(db.session.get_one(Device, van.id), now, {"499": 3}, utcnow())

        if first == "record":
            report()
        take(sidecar(ident, trigger=3, timestamp=milliseconds, path=f"{IMEI}/{number}.jpg", sha256=ident * 2))
        if first == "file":
            report()
        assert db.session.get_one(Upload, ident).record_id, first
    assert [kind for kind, _ in events()] == ["crash", "crash"]


def test_what_is_not_whole_or_may_be_of_another_vehicle_is_no_part_of_an_event(van: Device) -> None:
    whole = stored(van, "a" * 32)
    for ident, columns in {
        "b" * 32: {"state": UploadState.DAMAGED},
        "c" * 32: {"state": UploadState.PARTIAL},
        "d" * 32: {"looked_like": "x" * 32},
        "e" * 32: {"state": UploadState.QUARANTINED, "device_id": None},
    }.items():
        row = stored(van, ident, source="rear")
        for name, value in columns.items():
            setattr(row, name, value)
        db.session.commit()
    assert remade() == [("crash", (whole.id,))]
    assert not db.session.scalar(select(func.count()).where(Upload.event_due))
    db.session.execute(
        update(Upload).where(Upload.id == whole.id).values(looked_like="x" * 32, event_due=True)
    )
    db.session.commit()
    assert remade() == []


def test_an_adopted_file_gets_its_event(app: Flask) -> None:
    record = sidecar("a" * 32, trigger=4, path=f"quarantine/{IMEI}/a.jpg", admission="quarantine")
    storage.media().write(record["path"], b"picture")
    storage.media().write(f"{record['path']}.json", b"{}")
    take(record)
    assert events() == []
    device = registry.add({"imei": IMEI, "phone": "+12025550111"}, utcnow())
    settlement.adopt(device, utcnow())
    settlement.settle_all(utcnow)
    assert events() == [("tow", ("a" * 32,))]
    registry.archive(device, utcnow())
    assert events() == [("tow", ("a" * 32,))]


def test_an_event_goes_with_its_last_file_and_a_saved_one_stays_with_all_of_them(
    app: Flask, van: Device
) -> None:
    config = app.extensions["dualcam_config"]
    app.extensions["dualcam_config"] = dataclasses.replace(config, retention_days_uploads=30)
    old = utcnow() - timedelta(days=40)
    for number, days in enumerate((0, 1, 2)):
        moment = old + timedelta(days=days)
        ident = f"{int(moment.timestamp() * 1000):012x}{new_id()[12:]}"
        stored(van, ident, timestamp=moment, started_at=moment, updated_at=moment, path=f"{number}.jpg")
    young = stored(van, timestamp=utcnow(), started_at=utcnow())
    assert len(remade()) == 4
    first, second, *_ = db.session.scalars(select(Event).order_by(Event.id)).all()
    second.saved_at, kept = utcnow(), second.id
    db.session.add(EventView(event_id=first.id, who="ops", at=utcnow()))
    db.session.commit()
    retention.sweep(utcnow)
    assert db.session.scalars(select(Event.id).order_by(Event.id)).all() == [kept, young.event_id]
    assert len(events()) == 2
    assert db.session.scalar(select(func.count()).select_from(EventView)) == 0


def test_what_is_left_of_an_event_is_made_anew(app: Flask, van: Device) -> None:
    config = app.extensions["dualcam_config"]
    app.extensions["dualcam_config"] = dataclasses.replace(config, retention_days_uploads=30)
    old = utcnow() - timedelta(days=40)
    ident = f"{int(old.timestamp() * 1000):012x}{new_id()[12:]}"
    stored(van, ident, updated_at=old, path="a.jpg")
    left = stored(van, source="rear", timestamp=at(NOW + 4))
    assert [event.cameras for event in (remade(), db.session.scalars(select(Event)).all())[1]] == ["both"]
    retention.sweep(utcnow)
    assert remade() == [("crash", (left.id,))]
    assert [(event.cameras, event.at) for event in db.session.scalars(select(Event))] == [
        ("rear", at(NOW + 4))
    ]


def test_an_event_that_is_made_of_others_was_seen_and_is_kept_as_they_were(van: Device) -> None:
    """Two events of one trigger become one when the first file, which joins them, comes last."""
    recent = time.time() - 600
    for ident, seconds, source in (("a", 14, "rear"), ("b", 20, "front")):
        stored(van, ident * 32, timestamp=at(recent + seconds), source=source, started_at=at(recent + 60))
        event_service.remake_all(utcnow)
    assert len(events()) == 1
    (event,) = db.session.scalars(select(Event))
    event.seen_at, event.saved_at, event.saved_by = utcnow(), utcnow(), "ops"
    db.session.add(EventView(event_id=event.id, who="ops", at=utcnow()))
    db.session.commit()
    # the front of an earlier moment takes the rear: what is left is another event, seen and kept like the first
    stored(van, "c" * 32, timestamp=at(recent), started_at=at(recent + 60))
    assert {files for _, files in remade()} == {("a" * 32, "c" * 32), ("b" * 32,)}
    for row in db.session.scalars(select(Event)):
        assert (row.seen_at is None, row.saved_by) == (False, "ops")
    assert db.session.scalar(select(func.count()).select_from(EventView)) == 2


def test_nobody_has_to_look_at_what_came_long_ago(van: Device) -> None:
    stored(van, "a" * 32)
    stored(van, "b" * 32, timestamp=utcnow(), started_at=utcnow())
    event_service.remake_all(utcnow)
    assert [row.seen_at is None for row in db.session.scalars(select(Event).order_by(Event.id))] == [
        False,
        True,
    ]


def test_files_of_before_get_their_events_some_at_a_time(
    van: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_service, "OLD_AT_ONCE", 2)
    for number in range(5):
        stored(van, f"{number:032x}", timestamp=at(NOW + 100 * number)).event_due = False
    db.session.add(Cursor(name=event_service.OLD_FILES, value="g"))
    db.session.commit()
    counts = []
    for _ in range(4):
        event_service.remake_job(utcnow)
        counts.append(len(events()))
    assert counts == [2, 4, 5, 5]
    assert db.session.get(Cursor, event_service.OLD_FILES) is None


def test_a_time_at_the_end_of_all_times_holds_nothing_up(van: Device) -> None:
    stored(van, "a" * 32, timestamp=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
    stored(van, "b" * 32, timestamp=datetime(1, 1, 1, tzinfo=UTC) + timedelta(days=1))
    assert len(remade()) == 2


def test_many_files_of_many_vehicles_take_a_bounded_number_of_statements(app: Flask) -> None:
    """350 files, of as many vehicles: the statements of a round, whatever their number."""
    from sqlalchemy import event as sql_event

    now = utcnow()
    db.session.add_all(
        Device(imei=f"{number:015d}", phone=f"+1202{number:07d}") for number in range(175)
    )  # fmt: skip
    db.session.flush()
    rows = db.session.execute(select(Device.id, Device.imei)).all()
    db.session.add_all(
        Upload(id=new_id(), imei=row.imei, device_id=row.id, file_type="photo", source=source, state="stored",
               has_metadata=True, trigger=9, timestamp=now, started_at=now, identifier="x", event_due=True)
        for row in rows for source in ("front", "rear")
    )  # fmt: skip
    db.session.commit()
    statements: list[str] = []
    sql_event.listen(db.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    assert event_service.remake(now) == 350
    assert len(statements) < 20
    assert len(events()) == 175


def test_a_trigger_that_repeats_for_long_ends_as_the_rules_say_too(van: Device) -> None:
    """A chain of two minutes without any pause, from back to front and in a mixed order."""
    moments = [NOW + 10 * number for number in range(14)]
    sources = ["front", "rear", "rear", "front", "front", "rear", "front"] * 2
    for order in (range(13, -1, -1), [7, 3, 11, 0, 9, 1, 13, 5, 2, 12, 4, 10, 8, 6]):
        for number in order:
            stored(van, f"{number:032x}", timestamp=at(moments[number]), source=sources[number])
            event_service.remake_all(utcnow)
        files = [
            EventFile(f"{number:032x}", "photo", source, NOW + 60.0, trigger=3, captured=float(moment))
            for number, (moment, source) in enumerate(zip(moments, sources, strict=True))
        ]
        expected = sorted(tuple(file.id for file in event.files) for event in group(files, 15.0))
        assert sorted(files for _, files in events()) == expected
        for model in (Upload, Event):
            db.session.execute(delete(model))
        db.session.commit()
