"""What is removed when it is old, on SQLite and on PostgreSQL: nothing by default, and never what is still needed."""

import dataclasses
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update
from upload_rows import add_van, asked, sidecar, take

from provisioning.devices import status_table
from provisioning.fleet import presets
from provisioning.media import previews, registration, retention, storage, telemetry
from provisioning.models import (
    RECONCILER,
    ChecklistRun,
    Command,
    Cursor,
    Device,
    GatewayEvent,
    Message,
    Profile,
    State,
    StatusItem,
    TelemetryRecord,
    Upload,
    Verdict,
    db,
    utcnow,
)
from provisioning.models.base import new_id


@pytest.fixture
def van(app: Flask) -> Device:
    return add_van()


pytestmark = pytest.mark.usefixtures("app")


def an_id(at: datetime) -> str:
    return f"{int(at.timestamp() * 1000):012x}{new_id()[12:]}"


def keep(app: Flask, **days: int) -> None:
    names = {f"retention_days_{kind}": count for kind, count in days.items()}
    app.extensions["dualcam_config"] = dataclasses.replace(app.extensions["dualcam_config"], **names)


def ago(days: float) -> datetime:
    return utcnow() - timedelta(days=days)


def count(model: Any) -> int:
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def stored(at: datetime, **changes: Any) -> Upload:
    """A file that came at some time, with its picture."""
    ident = an_id(at)
    record = sidecar(
        ident, path=f"2026/{ident}.jpg", sha256=ident * 2, timestamp=int(at.timestamp() * 1000), **changes
    )
    storage.media().write(record["path"], b"picture")
    storage.media().write(f"{record['path']}.json", b"{}")
    storage.media().write(previews.key(ident, previews.THUMBNAIL), b"small")
    take(record | {"started_at": at.isoformat(), "received_at": at.isoformat()})
    upload = db.session.get_one(Upload, ident)
    upload.updated_at = at
    db.session.commit()
    return upload


def message(at: datetime, **more: Any) -> None:
    db.session.add(
        Message(id=an_id(at), direction="in", gateway="twilio", sender="+12025550111", recipient="+12025550100",
                body="x", status="received", created_at=at, **more)
    )  # fmt: skip
    db.session.commit()


def gateway_event(at: datetime, *, processed: bool = True) -> None:
    ident = an_id(at)
    db.session.add(
        GatewayEvent(id=ident, kind="status", gateway="twilio", token=ident, payload={}, via="webhook", received_at=at,
                     processed_at=at if processed else None)
    )  # fmt: skip
    db.session.commit()


def test_by_default_nothing_is_removed(van: Device) -> None:
    stored(ago(4000))
    message(ago(4000))
    gateway_event(ago(4000))
    assert retention.sweep(utcnow) == {}
    assert [count(model) for model in (Upload, Message, GatewayEvent)] == [1, 1, 1]


def test_old_files_go_with_their_copies_and_sidecars(app: Flask, van: Device, tmp_path: Path) -> None:
    keep(app, uploads=30)
    old, young = stored(ago(31)), stored(ago(29))
    path, kept = old.path, young.id
    assert retention.sweep(utcnow) == {"uploads": 1}
    assert db.session.scalars(select(Upload.id)).all() == [kept]
    assert storage.media().size(path or "") is None
    assert len([p for p in (tmp_path / "media").rglob("*") if p.is_file()]) == 3
    assert retention.sweep(utcnow) == {}


def test_a_file_that_decides_links_stays_however_short_the_setting(app: Flask, van: Device) -> None:
    keep(app, uploads=1)
    row = asked(van)
    stored(ago(3))
    take(sidecar())
    assert retention.sweep(utcnow) == {}
    assert db.session.get_one(Command, row.id).state == "done"


def test_a_file_whose_store_is_away_keeps_its_row(app: Flask, van: Device, tmp_path: Path) -> None:
    keep(app, uploads=30)
    old = stored(ago(31))
    path = tmp_path / "media" / (old.path or "")
    path.unlink()
    path.mkdir()  # cannot be removed as a file
    assert retention.sweep(utcnow) == {}
    path.rmdir()
    assert retention.sweep(utcnow) == {"uploads": 1}


def test_many_go_in_small_batches(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    keep(app, messages=10)
    for day in range(20):
        message(ago(day + 0.5))
    assert retention.sweep(utcnow) == {"messages": 10}
    assert count(Message) == 10


def test_old_messages_and_events_go_but_those_of_an_open_command(app: Flask, van: Device) -> None:
    keep(app, messages=30)
    row = asked(van)
    before = count(Message)
    message(ago(31), command_id=row.id)
    message(ago(31))
    message(ago(29))
    gateway_event(ago(31))
    gateway_event(ago(31), processed=False)
    gateway_event(ago(29))
    assert retention.sweep(utcnow) == {"messages": 1, "events": 1}
    assert (count(Message), count(GatewayEvent)) == (before + 2, 2)


def test_what_the_reconciler_will_list_again_stays_known(app: Flask) -> None:
    keep(app, messages=30)
    db.session.add(Cursor(name=RECONCILER, value=ago(60).isoformat()))
    message(ago(31))
    gateway_event(ago(40))
    gateway_event(ago(62))
    assert retention.sweep(utcnow) == {"events": 1}


def test_a_file_that_no_receiver_goes_on_with_is_given_up(van: Device) -> None:
    record = sidecar(state="receiving")
    registration.progress([record], ago(16))
    registration.progress([sidecar("d" * 32, state="partial")], ago(14))
    assert retention.sweep(utcnow) == {"given_up": 1}
    assert db.session.get_one(Upload, record["upload"]).state == "damaged"
    assert db.session.get_one(Upload, "d" * 32).state == "partial"


# requests, records, checks, profiles


def ended_command(van: Device, at: datetime, **more: Any) -> Command:
    given = {
        "state": State.DONE,
        "kind": "getver",
        "arguments": {},
        "text": "getver",
        "length": 6,
        "ended_at": at,
    } | more
    row = Command(id=an_id(at), device_id=van.id, created_at=at, updated_at=at, sending_at=at, **given)
    db.session.add(row)
    db.session.commit()
    return row


def record(van: Device, at: datetime, value: int) -> TelemetryRecord:
    telemetry.accept(van, at, {"239": value}, at)
    row = db.session.scalars(select(TelemetryRecord).order_by(TelemetryRecord.received_at.desc())).first()
    assert row is not None
    db.session.execute(
        update(StatusItem).where(StatusItem.source_id == row.id).values(source_id=(new := an_id(at)))
    )
    db.session.execute(update(TelemetryRecord).where(TelemetryRecord.id == row.id).values(id=new))
    db.session.commit()
    return db.session.get_one(TelemetryRecord, new)


def run_of(van: Device, at: datetime, *, is_open: bool = False) -> ChecklistRun:
    row = ChecklistRun(id=an_id(at), device_id=van.id, steps={}, started_at=at, updated_at=at,
                       ended_at=None if is_open else at)  # fmt: skip
    db.session.add(row)
    db.session.commit()
    return row


def test_by_default_requests_records_checks_and_profiles_stay(van: Device) -> None:
    ended_command(van, ago(4000))
    for days in 4000, 3999:
        record(van, ago(days), 1)
        run_of(van, ago(days))
    assert retention.sweep(utcnow) == {}


def test_old_requests_go_and_their_messages_stay(app: Flask, van: Device) -> None:
    keep(app, commands=30)
    old, young = ended_command(van, ago(31)), ended_command(van, ago(29))
    message(ago(31), command_id=old.id)
    kept = young.id
    assert retention.sweep(utcnow) == {"commands": 1}
    assert db.session.scalars(select(Command.id)).all() == [kept]
    assert db.session.scalars(select(Message.command_id)).all() == [None]


def test_an_old_request_stays_while_anything_rests_on_it(app: Flask, van: Device) -> None:
    keep(app, commands=30)
    ended_command(van, ago(50), state=State.ANSWERED, ended_at=None)
    upload = stored(ago(40))
    upload.command_id = ended_command(van, ago(41)).id
    parent = ended_command(van, ago(42))
    ended_command(van, ago(10), parent_id=parent.id)
    status_table.note(van, "firmware", "x", Verdict.GOOD, now=ago(45), source_kind="command",
                  source_id=ended_command(van, ago(45)).id)  # fmt: skip
    db.session.commit()
    assert retention.sweep(utcnow) == {}


@pytest.mark.parametrize("needs", ["an open check", "an undecided change of credentials"])
def test_old_requests_stay_while_their_device_needs_them(app: Flask, van: Device, needs: str) -> None:
    keep(app, commands=30)
    ended_command(van, ago(31))
    run = run_of(van, ago(32), is_open=needs == "an open check")
    van.credentials_state = None if needs == "an open check" else "undecided"
    db.session.commit()
    assert retention.sweep(utcnow) == {}
    run.ended_at, van.credentials_state = utcnow(), None
    db.session.commit()
    assert retention.sweep(utcnow) == {"commands": 1}


def test_old_records_go_but_those_that_a_file_or_the_status_rests_on(app: Flask, van: Device) -> None:
    keep(app, records=30)
    tied = record(van, ago(33), 1)
    upload = stored(ago(33))
    upload.record_id = tied.id
    db.session.commit()
    record(van, ago(32), 0)
    newest = record(van, ago(31), 1)
    left = {tied.id, newest.id}
    assert retention.sweep(utcnow) == {"records": 1}
    assert set(db.session.scalars(select(TelemetryRecord.id))) == left


def test_old_checks_go_but_the_newest_of_a_device(app: Flask, van: Device) -> None:
    keep(app, checks=30)
    run_of(van, ago(33))
    newest = run_of(van, ago(32)).id
    assert retention.sweep(utcnow) == {"checks": 1}
    assert db.session.scalars(select(ChecklistRun.id)).all() == [newest]


def test_older_versions_of_profiles_go_and_the_newest_stays(app: Flask) -> None:
    keep(app, profiles=30)
    for rate, days in ((20, 50), (25, 40), (30, 35), (20, 5)):
        presets.save("Vans", "", {"66003": rate}, "tests", ago(days))
    presets.save("Trucks", "", {"66003": 25}, "tests", ago(900))
    assert retention.sweep(utcnow) == {"profiles": 3}
    assert [(row.name, row.version) for row in presets.newest()] == [("Trucks", 1), ("Vans", 4)]
    assert count(Profile) == 2
