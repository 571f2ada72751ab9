"""Files in the database: registering, linking, records, quarantine, fixing by hand."""

import dataclasses
import itertools
import os
import threading
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import bombs
import pytest
from conftest import ROOT
from flask import Flask
from sqlalchemy import func, select, update
from test_pages import Visitor

from provisioning import schedule
from provisioning.commands import reply_effects
from provisioning.commands.submission import Requester, provision, server_advice, submit, typed
from provisioning.core import jobs
from provisioning.core.config import Config
from provisioning.core.errors import Conflict, Forbidden, Invalid
from provisioning.devices import registry, status_table
from provisioning.media import (
    device_networks,
    link_service,
    photo_decoder,
    previews,
    registration,
    settlement,
    storage,
    telemetry,
)
from provisioning.media.decoder_pool import Outcome
from provisioning.models import (
    Attempt,
    Command,
    Device,
    Passage,
    Role,
    State,
    TelemetryRecord,
    Upload,
    Verdict,
    command_state,
    db,
    first_id,
    locks,
    new_id,
    utcnow,
)
from provisioning.sms import dispatch, due_commands, recovery
from provisioning.tracker.language import Values, from_arguments, read_replies
from provisioning.web import auth
from receiver.backend.port import RecordRefused
from receiver.store.media_store import MediaError
from receiver.wire.metadata import read_path_metadata
from simulator import media

IMEI = "352094082736916"
VECTORS = ROOT / "tests" / "vectors" / "media"


@pytest.fixture
def van(app: Flask) -> Device:
    given = {"imei": IMEI, "phone": "+12025550111", "sms_login": "fleet", "sms_password": "cam11"}
    return registry.add(given, utcnow())


def wish(device: Device, source: str = "front", **arguments: Any) -> Command:
    """A camreq that waits."""
    now = utcnow()
    given = {"file_type": "photo", "source": source} | arguments
    (row,) = submit(
        device,
        from_arguments("camreq", given, now=int(now.timestamp())),
        Requester("tests", Role.INSTALLER),
        now,
    )
    return row


def hand_over(row: Command, now: datetime) -> None:
    """As the worker does when the gateway takes the SMS."""
    attempt = Attempt(id=new_id(), command_id=row.id, began_at=now, outcome=Passage.SENDING)
    command_state.begin(row, attempt, now, expires_at=now + timedelta(hours=1))
    command_state.record(row, attempt, Passage.SENT, now)


def asked(device: Device, source: str = "front", **arguments: Any) -> Command:
    """A camreq that was handed over a moment ago and accepted."""
    now = utcnow()
    row = wish(device, source, **arguments)
    row.capturing = True
    hand_over(row, now)
    command_state.move(row, State.ANSWERED, now, expires_at=now + timedelta(hours=1))
    row.capturing = True
    db.session.commit()
    return row


def take(record: dict[str, Any]) -> None:
    """As the receiver and then the worker do."""
    registration.register([record], utcnow())
    settlement.settle_all(utcnow)


def sidecar(upload: str = "a" * 32, **changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    metadata = {
        "version": 4, "file_type": 4, "timestamp": int(now.timestamp() * 1000), "trigger": 0, "duration": 0,
        "frame_rate": 0, "time_zone": 0, "latitude": 54.6872, "longitude": 25.2797, "trigger_timestamp": None,
    }  # fmt: skip
    record = {
        "upload": upload, "imei": IMEI, "session": "b" * 32, "admission": "known", "identifier": "%photof",
        "file_type": "photo", "source": "front", "extension": "jpg", "metadata": metadata, "packets": 3,
        "received_packets": 3, "size": 2500, "sha256": "c" * 64, "path": f"{IMEI}/2026/11/24/{upload}.jpg",
        "state": "stored", "started_at": now.isoformat(), "received_at": now.isoformat(), "resumes": 0,
        "crc_errors": 0, "updated_at": now.isoformat(), "count": 3, "by_path": False, "safe": 0, "boot": "x",
    }  # fmt: skip
    extra = {key: value for key, value in changes.items() if key in metadata and key not in record}
    return record | {"metadata": metadata | extra} | {k: v for k, v in changes.items() if k not in extra}


def test_a_file_finds_its_command_and_ends_it(van: Device) -> None:
    row = asked(van)
    take(sidecar())
    upload = db.session.scalars(select(Upload)).one()
    assert upload.command_id == row.id
    assert (row.state, row.capturing) == (State.DONE, False)
    item = status_table.get(van.id, "upload.last")
    assert item is not None
    assert item.source_kind == "upload"


def reached_at(app: Flask, domain: str) -> None:
    """Let cameras reach this service under this name from now on."""
    config = app.extensions["dualcam_config"]
    app.extensions["dualcam_config"] = dataclasses.replace(config, camera_server_domain=domain)


def test_files_and_their_requests_stay_as_they_are_when_the_server_gets_another_name(
    app: Flask, van: Device
) -> None:
    reached_at(app, "old.example.com")
    row = asked(van)
    take(sidecar())
    reached_at(app, "new.example.com")
    asked(van, "rear")
    take(sidecar("d" * 32, identifier="%photor", source="rear", sha256="e" * 64))
    db.session.expire_all()
    assert (row.state, db.session.get_one(Upload, "a" * 32).command_id) == (State.DONE, row.id)


def test_an_open_request_to_our_own_server_stays_ours_when_that_gets_another_name(
    app: Flask, van: Device
) -> None:
    reached_at(app, "old.example.com")
    row = asked(van)
    reached_at(app, "new.example.com")
    with pytest.raises(Conflict, match="still under way"):
        wish(van)
    reply_effects.apply(row, van, read_replies("Preparing to send file from timestamp 1"), "", utcnow())
    assert (row.state, typed(row, utcnow()).server.domain) == (State.ANSWERED, "new.example.com")


def test_a_request_to_another_server_stays_so_when_that_becomes_ours(app: Flask, van: Device) -> None:
    config = dataclasses.replace(
        app.extensions["dualcam_config"], camera_servers_allowed=("new.example.com",)
    )
    app.extensions["dualcam_config"] = config
    given = {"file_type": "photo", "source": "front", "server": {"domain": "new.example.com", "port": 7160}}
    asked_for = from_arguments("camreq", given, now=int(utcnow().timestamp()))
    (row,) = submit(van, asked_for, Requester("tests", Role.ADMIN), utcnow())
    reached_at(app, "new.example.com")
    hand_over(row, utcnow())
    reply_effects.apply(row, van, read_replies("Preparing to send file from timestamp 1"), "", utcnow())
    assert (row.state, row.result["foreign_server"]) == (State.DONE, True)


SERVER_IDS = {"camera_domain_parameter": 66080, "camera_port_parameter": 66081}


def set_server(app: Flask, van: Device, *, admin: bool, values: dict[str, Any]) -> Command:
    """Send parameters that name a server; new.example.com:7160 is allowed beside our own."""
    reached_at(app, "own.example.com")
    changes = SERVER_IDS | {"camera_servers_allowed": ("new.example.com:7160",)}
    config = dataclasses.replace(app.extensions["dualcam_config"], **changes)
    app.extensions["dualcam_config"] = config
    (row,) = provision(
        van, values, Requester("tests", Role.ADMIN if admin else Role.INSTALLER), utcnow(), raw=True
    )
    return row


@pytest.mark.parametrize("admin", [True, False])
def test_a_device_may_always_be_told_our_own_server(app: Flask, van: Device, admin: bool) -> None:
    values = {"66080": "own.example.com", "66081": app.extensions["dualcam_config"].camera_server_port}
    assert set_server(app, van, admin=admin, values=values).state == State.QUEUED


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"66080": "new.example.com", "66081": 7160}, None),
        ({"66080": "evil.example", "66081": 80}, Invalid),
        ({"66080": "new.example.com", "66081": 80}, Invalid),
        ({"66081": 80}, Invalid),
        ({"2004": "evil.example"}, None),  # the tracker's own server: no file goes there
    ],
)
def test_only_an_admin_may_set_another_server_and_only_an_allowed_one(
    app: Flask, van: Device, values: dict[str, Any], problem: type[Exception] | None
) -> None:
    with pytest.raises(Forbidden, match="Only an admin"):
        set_server(app, van, admin=False, values=values)
    if problem is None:
        assert set_server(app, van, admin=True, values=values).state == State.QUEUED
        return
    with pytest.raises(problem, match="not allowed") as refused:
        set_server(app, van, admin=True, values=values)
    assert set(refused.value.errors) == set(values)  # type: ignore[attr-defined]


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
    for source, told in (
        ("front", f"This video of the front camera (upload {'a' * 32}) is here already. Nothing was sent."),
        (
            "both",
            f"This video of the front camera (upload {'a' * 32}) is here already. Ask for the rear camera alone.",
        ),
    ):
        with pytest.raises(Conflict) as refused:
            wish(van, source, **clip)
        assert (refused.value.code, refused.value.message) == ("already_here", told)
        db.session.rollback()
    wish(van, "rear", **clip)
    wish(van, "front", **(clip | {"duration": 6}))
    wish(van, "front", **(clip | {"timestamp": begin + 1}))
    assert db.session.scalar(select(func.count()).select_from(Command)) == 4


def test_registering_the_same_file_again_changes_nothing(van: Device) -> None:
    for _ in range(3):
        take(sidecar())
    assert db.session.scalar(select(func.count()).select_from(Upload)) == 1


@pytest.mark.parametrize(
    "told", [None, {"timestamp": 0, "trigger": 0, "duration": 0}], ids=["silent", "time 0"]
)
@pytest.mark.parametrize(
    "imeis", [(IMEI, IMEI), (IMEI, "356307042441013")], ids=["one device", "two devices"]
)
def test_files_without_a_camera_time_in_one_report_are_all_kept(
    van: Device, config: Config, told: dict[str, Any] | None, imeis: tuple[str, str]
) -> None:
    reported = [
        sidecar(ident * 32, imei=imei, sha256="c" * 64) | {"metadata": told}
        for ident, imei in zip("ab", imeis, strict=True)
    ]
    folder = Path(config.media_url.removeprefix("file://"))
    kept = registration.register([in_media(folder, record) for record in reported], utcnow())
    assert db.session.scalars(select(Upload.id).order_by(Upload.id)).all() == ["a" * 32, "b" * 32]
    assert all((folder / record["path"]).exists() for record in kept)


def in_media(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Put a file where its record says that it is stored."""
    file = folder / record["path"]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(record["upload"].encode())
    return record


def kept(tmp_path: Path, record: dict[str, Any]) -> Path:
    """Put a file of the record's size where it says that it is stored."""
    file = tmp_path / "media" / record["path"]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(bytes(record["size"]))
    return file


def told_twice(tmp_path: Path) -> tuple[dict[str, Any], Path, Path]:
    """A file that is registered, and the same one stored again under another upload; give the second record."""
    first = sidecar()
    again = sidecar("b" * 32, metadata=first["metadata"])
    files = kept(tmp_path, first), kept(tmp_path, again)
    registration.register([first], utcnow())
    return again, *files


def test_a_file_that_two_receivers_stored_is_kept_once(van: Device, tmp_path: Path) -> None:
    again, first, second = told_twice(tmp_path)
    registration.register([again], utcnow())
    assert db.session.scalars(select(Upload.id)).all() == ["a" * 32]
    assert (first.exists(), second.exists()) == (True, False)


def test_a_file_that_came_again_takes_over_the_row_of_the_lost_one(van: Device, tmp_path: Path) -> None:
    again, lost, second = told_twice(tmp_path)
    db.session.execute(update(Upload).values(thumbnail_state="failed", derive_attempts=3))
    lost.unlink()
    for _ in range(2):  # told again where the receiver was killed before it knew of the first answer
        registration.register([again], utcnow())
        assert second.exists()
    row = db.session.scalars(select(Upload)).one()
    assert (row.id, row.path, row.state) == ("a" * 32, again["path"], "stored")
    assert (row.thumbnail_state, row.derive_attempts) == (None, 0)


def test_a_double_is_deleted_only_after_the_commit(
    van: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again, _, second = told_twice(tmp_path)
    monkeypatch.setattr(registration, "put_all", Mock(side_effect=ValueError("another record of the report")))
    with pytest.raises(ValueError, match="another record"):
        registration.register([again], utcnow())
    assert second.exists()


def test_a_file_that_cannot_be_moved_to_its_place_is_refused_alone(van: Device, tmp_path: Path) -> None:
    stuck, good = sidecar(path=f"quarantine/{IMEI}/2026/1.jpg"), sidecar("b" * 32, path="2025/1.jpg")
    for record in (stuck, good):
        kept(tmp_path, record)
    (tmp_path / "media" / "2026").write_text("no folder")
    with pytest.raises(RecordRefused):
        registration.register([stuck, good], utcnow())
    db.session.rollback()
    registration.register([good], utcnow())
    assert db.session.scalars(select(Upload.id)).all() == ["b" * 32]


def test_progress_of_many_files_is_one_bulk_and_a_stored_one_stays_stored(van: Device) -> None:
    registration.register([sidecar()], utcnow())
    coming = [
        sidecar(f"{n:032x}", state="receiving", received_packets=n, sha256=None, identifier=f"cam/{n}.mp4")
        for n in range(1, 4)
    ]
    late = sidecar(state="receiving", received_packets=1, sha256=None)
    registration.progress([*coming, late], utcnow())
    for record in coming:
        record["received_packets"] += 10
    coming[0]["metadata"] = None  # what is known stays
    registration.progress(coming, utcnow())
    db.session.expire_all()
    rows = {u.id: u for u in db.session.scalars(select(Upload))}
    assert [(rows[c["upload"]].state, rows[c["upload"]].received_packets) for c in coming] == [
        ("receiving", n + 10) for n in range(1, 4)
    ]
    assert all(rows[c["upload"]].timestamp is not None for c in coming)
    assert (rows["a" * 32].state, rows["a" * 32].received_packets) == ("stored", 3)


def test_files_of_one_bulk_that_are_known_and_new_and_of_strangers_are_stored(van: Device) -> None:
    known, new = (
        sidecar("1" * 32, timestamp=1_795_600_000_000),
        sidecar("2" * 32, timestamp=1_795_600_001_000),
    )
    strange = sidecar("3" * 32, timestamp=1_795_600_002_000, imei="356307042441013")
    registration.progress([known | {"state": "receiving"}], utcnow())
    began = db.session.get_one(Upload, "1" * 32).started_at
    db.session.rollback()
    registration.register([known | {"started_at": utcnow().isoformat()}, new, strange], utcnow())
    db.session.expire_all()
    rows = {u.id[0]: u for u in db.session.scalars(select(Upload))}
    assert {n: u.state for n, u in rows.items()} == {"1": "stored", "2": "stored", "3": "quarantined"}
    assert {n: u.settle_due for n, u in rows.items()} == {"1": True, "2": True, "3": False}
    assert rows["1"].started_at == began
    settlement.settle_all(utcnow)
    registration.register([known], utcnow())  # told again
    assert not db.session.get_one(Upload, "1" * 32, populate_existing=True).settle_due


@pytest.mark.parametrize(
    "told", [b'"\\u0000"', b'"\\ud800"', b"9" * 4000, b"1e999", b"[" * 3000 + b"]" * 3000, b'"\xff"', b"-0.0"]
)
def test_whatever_a_camera_tells_of_a_file_in_json_its_row_is_made(van: Device, told: bytes) -> None:
    said = read_path_metadata(
        b'{"version": 1, "file": {"file_timestamp": 1795600000, "more": ' + told + b"}}"
    )
    take(sidecar(identifier="dsm/picture.jpg", metadata=asdict(said)))
    db.session.expire_all()
    upload = db.session.scalars(select(Upload)).one()
    assert upload.details == said.details


def test_one_of_two_files_is_partial_when_the_wait_ends(van: Device) -> None:
    row = asked(van, "both")
    take(sidecar())
    assert row.state == State.ANSWERED
    recovery.sweep(lambda: utcnow() + timedelta(hours=2))
    db.session.expire_all()
    assert (row.state, row.error_code) == (State.FAILED, "partial")
    later = sidecar("d" * 32, identifier="%photor", source="rear", path=f"{IMEI}/2026/11/24/{'d' * 32}.jpg")
    take(later)
    db.session.expire_all()
    assert (row.state, row.late) == (State.DONE, True)


def test_a_file_of_an_expired_command_is_linked_and_the_command_says_so(van: Device) -> None:
    row = asked(van)
    recovery.sweep(lambda: utcnow() + timedelta(hours=2))
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
    assert (row.state, upload.link_reason) == (State.DONE, "linked by ops@example.com")


def test_the_next_request_of_a_device_is_due_when_the_file_of_the_first_is_linked(van: Device) -> None:
    asked(van, "both")
    wish(van, "rear")
    db.session.commit()
    assert not dispatch.drive(van.id, utcnow)
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
    assert upload.link_reason == "taken by itself: trigger DIN1"
    assert upload.record_id == db.session.scalars(select(TelemetryRecord)).one().id
    item = status_table.get(van.id, "camera.front.state")
    assert item is not None
    assert (item.value, item.verdict, item.source_kind) == ("SD card mounted", "good", "record")


def test_the_first_file_that_comes_by_a_trigger_proves_the_devices_own_server(
    app: Flask, van: Device
) -> None:
    reached_at(app, "cams.example.com")
    take(sidecar(trigger=0))
    assert "cams.example.com" in (server_advice(van, {}) or "")
    take(sidecar("b" * 32, trigger=3, timestamp=1_795_600_000_000))
    assert server_advice(van, {}) is None
    reached_at(app, "new.example.com")  # the device still holds the other name
    assert "new.example.com" in (server_advice(van, {}) or "")


def test_a_server_that_the_device_confirmed_otherwise_is_not_ours_whatever_was_said(
    app: Flask, van: Device
) -> None:
    config = app.extensions["dualcam_config"]
    ids = {
        "camera_domain_parameter": 2020,
        "camera_port_parameter": 2021,
        "camera_server_domain": "cams.example.com",
    }
    app.extensions["dualcam_config"] = dataclasses.replace(config, **ids)
    van.camera_server_configured = True
    assert server_advice(van, {}) is None
    status_table.note(
        van,
        "parameter.2020",
        "other.example.com",
        Verdict.GOOD,
        now=utcnow(),
        source_kind="command",
        source_id=None,
    )
    assert "send 2020 = cams.example.com" in (server_advice(van, {}) or "")
    assert server_advice(van, {2020: "cams.example.com", 2021: config.camera_server_port}) is None


def test_an_older_record_does_not_overwrite_a_newer_state(van: Device) -> None:
    now = utcnow()
    telemetry.accept(van, now, {"497": 3}, now)
    telemetry.accept(van, now - timedelta(minutes=5), {"497": 1}, now)
    item = status_table.get(van.id, "camera.rear.state")
    assert item is not None
    assert item.value == "SD card mounted"


def test_files_of_an_unknown_device_are_adopted_when_it_is_added(app: Flask, tmp_path: Path) -> None:
    path = f"quarantine/{IMEI}/2026/11/24/{'a' * 32}.jpg"
    (tmp_path / "media" / path).parent.mkdir(parents=True)
    (tmp_path / "media" / path).write_bytes(b"picture")
    (tmp_path / "media" / f"{path}.json").write_bytes(b"what the camera told")
    take(sidecar(path=path, admission="quarantine"))
    upload = db.session.scalars(select(Upload)).one()
    assert upload.state == "quarantined"
    device = registry.add({"imei": IMEI, "phone": "+12025550111"}, utcnow())
    assert settlement.adopt(device, utcnow()) == 1
    db.session.expire_all()
    assert (upload.state, upload.device_id) == ("stored", device.id)
    assert upload.path is not None
    found = storage.media().path(upload.path)
    assert found is not None
    assert found.read_bytes() == b"picture"
    assert found.with_name(f"{found.name}.json").read_bytes() == b"what the camera told"
    assert not (tmp_path / "media" / path).exists()
    assert not (tmp_path / "media" / f"{path}.json").exists()


def test_a_device_is_added_while_the_store_is_away_and_its_files_are_adopted_later(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def move(*keys: str) -> None:
        raise MediaError("away")

    take(sidecar(path=f"quarantine/{IMEI}/x.jpg", admission="quarantine"))
    headers = {"Authorization": f"Bearer {auth.create_token('t', Role.ADMIN)}", "Idempotency-Key": "one"}
    given = {"imei": IMEI, "phone": "+12025550111"}
    monkeypatch.setattr(storage.media(), "move", move)
    for _ in range(2):
        assert app.test_client().post("/api/v1/devices", json=given, headers=headers).status_code == 201
    assert db.session.get_one(Upload, "a" * 32).state == "quarantined"
    monkeypatch.undo()
    schedule.sweep(utcnow)
    db.session.expire_all()
    assert db.session.get_one(Upload, "a" * 32).state == "stored"


def test_many_tabs_that_begin_to_watch_a_device_at_once_all_may(van: Device, app: Flask) -> None:
    ident, errors = van.id, list[BaseException]()
    db.session.remove()
    ready = threading.Barrier(4)

    def watch() -> None:
        with app.app_context():
            try:
                ready.wait(20)
                registration.watch(ident, utcnow())
            except BaseException as error:  # noqa: BLE001 - told below
                errors.append(error)

    threads = [threading.Thread(target=watch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not errors
    assert registration.watched(utcnow()) == {IMEI}


def test_a_file_of_a_device_that_was_deleted_meanwhile_goes_into_quarantine(
    van: Device, tmp_path: Path
) -> None:
    record = sidecar()
    plain = tmp_path / "media" / record["path"]
    plain.parent.mkdir(parents=True)
    plain.write_bytes(b"picture")
    registry.archive(van, utcnow())
    for _ in range(2):  # told again: the receiver was killed before it knew that it had been heard
        (told,) = registration.register([record], utcnow())
    assert (told["admission"], told["path"]) == ("quarantine", f"quarantine/{IMEI}/{record['path']}")
    assert (tmp_path / "media" / told["path"]).read_bytes() == b"picture"
    assert not plain.exists()
    upload = db.session.scalars(select(Upload)).one()
    assert (upload.state, upload.path, upload.device_id) == ("quarantined", told["path"], None)
    again = registry.add({"imei": IMEI, "phone": "+12025550112"}, utcnow())
    assert settlement.adopt(again, utcnow()) == 1
    assert plain.read_bytes() == b"picture"


def _store(tmp_path: Path, record: dict[str, Any], data: bytes) -> Upload:
    path = tmp_path / "media" / record["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    take(record)
    return db.session.get_one(Upload, record["upload"])


def test_a_photo_gets_a_thumbnail(van: Device, tmp_path: Path) -> None:
    upload = _store(tmp_path, sidecar(), media.photo("front", "Van", 1_795_500_000, 3, 75))
    assert previews.make([upload.id], utcnow)
    db.session.expire_all()
    found = storage.media().path(previews.thumbnail(upload) or "")
    assert found is not None
    assert found.read_bytes()[:2] == b"\xff\xd8"


def test_photos_that_wait_get_their_thumbnails_at_once_and_a_bad_one_harms_no_other(
    van: Device, tmp_path: Path
) -> None:
    picture = media.photo("front", "Van", 1_795_500_000, 3, 75)
    by_data = {f"{n}" * 32: picture if n != 2 else b"no picture" for n in range(1, 6)}
    for n, (ident, data) in enumerate(by_data.items()):
        path = f"{IMEI}/2026/11/24/{ident}.jpg"
        _store(tmp_path, sidecar(ident, path=path, timestamp=1_795_600_000_000 + n), data)
    assert previews.due("photo", 99, utcnow()) == list(by_data)
    assert previews.make([ident for ident in by_data if ident[0] in "13"], utcnow)
    assert not previews.make(list(by_data), utcnow)  # two are done, one is no picture
    db.session.expire_all()
    rows = db.session.scalars(select(Upload).order_by(Upload.id)).all()
    assert [row.thumbnail_state for row in rows] == ["ready", "failed", "ready", "ready", "ready"]
    assert [row.derived_error is None for row in rows] == [True, False, True, True, True]
    assert [row.derive_attempts for row in rows] == [1] * 5
    assert all(
        storage.media().path(previews.thumbnail(row) or "") for row in rows if row.thumbnail_state == "ready"
    )


def test_a_photo_whose_original_cannot_be_had_now_holds_up_no_other(
    van: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idents = [f"{n}" * 32 for n in range(1, 4)]
    for n, ident in enumerate(idents):
        path = f"{IMEI}/2026/11/24/{ident}.jpg"
        picture = media.photo("front", "Van", 1_795_500_000, 3, 75)
        _store(tmp_path, sidecar(ident, path=path, timestamp=1_795_600_000_000 + n), picture)
    real = type(storage.media()).path

    def path_of(self: Any, name: str) -> Path | None:
        if idents[0] in name:
            raise MediaError("The store is away.")
        return real(self, name)

    monkeypatch.setattr(type(storage.media()), "path", path_of)
    assert not previews.make(idents, utcnow)
    db.session.expire_all()
    rows = db.session.scalars(select(Upload).order_by(Upload.id)).all()
    assert [row.thumbnail_state for row in rows] == [None, "ready", "ready"]
    assert [row.derive_attempts for row in rows] == [0, 1, 1]
    assert rows[0].derive_lease_until is not None


def test_a_video_gets_a_copy_at_its_frame_rate_and_says_when_that_is_assumed(
    van: Device, tmp_path: Path
) -> None:
    import av

    video = {
        "identifier": "%videof",
        "file_type": "video",
        "extension": "h265",
        "duration": 2,
        "frame_rate": 0,
    }
    record = sidecar(path=f"{IMEI}/2026/11/24/{'a' * 32}.h265", **video)
    upload = _store(tmp_path, record, media.clip("front", "Van", 1_795_500_000, 2, 25))
    assert previews.make([upload.id], utcnow)
    db.session.expire_all()
    assert (upload.playback_frame_rate, upload.playback_assumed) == (30, True)
    with av.open(str(storage.media().path(previews.video(upload) or ""))) as made:
        stream = made.streams.video[0]
        assert (stream.codec_context.name, stream.frames, int(stream.average_rate or 0)) == ("h264", 50, 30)


@pytest.mark.parametrize("data", [b"", b"no picture at all" * 100])
def test_what_cannot_be_decoded_stays_stored_and_says_why(van: Device, tmp_path: Path, data: bytes) -> None:
    upload = _store(tmp_path, sidecar(), data)
    assert not previews.make([upload.id], utcnow)
    assert not previews.make([upload.id], utcnow)
    db.session.expire_all()
    assert (upload.state, upload.thumbnail_state) == ("stored", "failed")
    assert upload.derived_error


@pytest.mark.parametrize("extension", ["h265", "mp4", "jpg"])
def test_why_a_file_cannot_be_decoded_names_no_folder_of_this_machine(
    van: Device, tmp_path: Path, extension: str
) -> None:
    kind = "photo" if extension == "jpg" else "video"
    record = sidecar(file_type=kind, extension=extension, path=f"{IMEI}/2026/11/24/{'a' * 32}.{extension}")
    torn = media.photo("front", "Van", 1_795_500_000, 3, 75)[:400] if kind == "photo" else b"no video" * 100
    upload = _store(tmp_path, record, torn)
    assert not previews.make([upload.id], utcnow)
    db.session.expire_all()
    assert "decoded" in (upload.derived_error or "")
    assert "/" not in (upload.derived_error or "")
    assert "Errno" not in (upload.derived_error or "")


def test_a_photo_without_its_end_is_shown_as_far_as_it_goes(app: Flask, van: Device, tmp_path: Path) -> None:
    upload = _store(tmp_path, sidecar(), (VECTORS / "photo-cut-at-60-percent.jpg").read_bytes())
    assert previews.make([upload.id], utcnow)
    db.session.expire_all()
    assert (upload.thumbnail_state, upload.derived_error) == ("ready", photo_decoder.END_MISSING)
    page = Visitor(app, Role.VIEWER).get(f"/uploads/{upload.id}").text
    assert f"/uploads/{upload.id}/content?inline=1" in page
    assert "The end of this photo is missing" in page
    assert "Download the original" in page


def test_a_video_that_is_too_long_is_shown_up_to_the_limit_and_its_page_says_so(
    app: Flask, van: Device, tmp_path: Path
) -> None:
    video = {"identifier": "%videof", "file_type": "video", "extension": "h265", "frame_rate": 1}
    record = sidecar(path=f"{IMEI}/2026/11/24/{'a' * 32}.h265", **video)
    upload = _store(tmp_path, record, bombs.h265(128, 128, 130))
    assert previews.make([upload.id], utcnow)
    page = Visitor(app, Role.VIEWER).get(f"/uploads/{upload.id}").text
    assert "<video controls" in page
    assert "The copy holds the first 120 seconds of this video" in page


def test_a_full_disk_is_never_the_photos_fault(
    van: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = _store(tmp_path, sidecar(), media.photo("front", "Van", 1_795_500_000, 3, 75))
    now = utcnow()
    full = [
        (
            previews,
            "_photos",
            Mock(decode=lambda photos, most_pixels: [Outcome("No space left on device", retry=True)]),
        ),
        (previews.tempfile, "TemporaryDirectory", Mock(side_effect=OSError(28, "No space left on device"))),
    ]
    for minute, (where, name, stand_in) in enumerate(full * 3):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, stand_in)
            at = now + timedelta(minutes=2 * minute)
            assert not previews.make([upload.id], lambda at=at: at)
    db.session.expire_all()
    assert (upload.thumbnail_state, upload.derived_error, upload.derive_attempts) == (None, None, 0)
    assert previews.make([upload.id], lambda: now + timedelta(hours=1))


def test_a_file_at_which_a_worker_was_ended_each_time_says_so_and_is_not_waited_for(
    van: Device, tmp_path: Path
) -> None:
    upload = _store(tmp_path, sidecar(), b"never read")
    now = utcnow()
    for attempt in range(previews.ATTEMPTS):
        assert previews._claim([upload.id], now + attempt * previews.LEASE * 2)
        db.session.commit()
    last = now + (previews.ATTEMPTS - 1) * previews.LEASE * 2
    previews.give_up(lambda: last)
    db.session.expire_all()
    assert upload.thumbnail_state is None
    previews.give_up(lambda: last + previews.LEASE * 2)
    db.session.expire_all()
    assert (upload.thumbnail_state, upload.derived_error) == ("failed", previews.BROKEN_OFF)


def test_what_a_killed_worker_left_is_removed_and_what_is_worked_on_stays(app: Flask) -> None:
    spool = app.extensions["dualcam_config"].media_spool
    old, young = spool / "derive-old", spool / "derive-young"
    for folder in old, young:
        folder.mkdir(parents=True)
        (folder / "original.h265").write_bytes(b"x" * 1000)
    before = (utcnow() - 2 * previews.LEFT_AFTER).timestamp()
    for path in (old / "original.h265", old, young):
        os.utime(path, (before, before))
    previews.remove_left(utcnow)
    assert [path.name for path in spool.iterdir() if path.name.startswith("derive-")] == ["derive-young"]


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


def test_copies_of_a_file_that_was_asked_for_are_made_first(van: Device) -> None:
    row = asked(van)
    by_itself = [sidecar(f"{n}" * 32, timestamp=1_795_600_000_000 + n, trigger=9) for n in range(1, 4)]
    registration.register([*by_itself, sidecar("9" * 32)], utcnow())
    settlement.settle_all(utcnow)
    assert db.session.get_one(Upload, "9" * 32).command_id == row.id
    assert previews.due("photo", 9, utcnow()) == ["9" * 32, "1" * 32, "2" * 32, "3" * 32]
    assert previews.due("photo", 2, utcnow()) == ["9" * 32, "1" * 32]
    assert previews.due("video", 9, utcnow()) == []


def test_copies_wait_until_it_is_known_who_asked_for_them_but_not_for_long(van: Device) -> None:
    registration.register([sidecar()], utcnow())
    assert previews.due("photo", 9, utcnow()) == []
    assert previews.due("photo", 9, utcnow() + 2 * previews.LINKED_WITHIN) == ["a" * 32]
    settlement.settle_all(utcnow)
    assert previews.due("photo", 9, utcnow()) == ["a" * 32]


def test_a_file_that_another_worker_is_at_is_not_due(van: Device) -> None:
    take(sidecar())
    assert previews._claim(["a" * 32], utcnow())
    db.session.commit()
    assert previews.due("photo", 9, utcnow()) == []
    assert previews.due("photo", 9, utcnow() + 1.5 * previews.LEASE) == ["a" * 32]


def test_a_record_of_a_clock_that_is_ahead_pins_nothing(van: Device) -> None:
    now = utcnow()
    telemetry.accept(van, now + timedelta(hours=20), {"239": 0}, now - timedelta(seconds=1))
    telemetry.accept(van, now, {"239": 1}, now)
    item = status_table.get(van.id, "ignition")
    assert item is not None
    assert item.value == "on"


@pytest.mark.parametrize(("value", "told"), [(0, None), (3, ("crash", "unknown"))])
def test_a_trigger_in_a_record_is_told_and_no_fault_of_the_device(
    van: Device, value: int, told: tuple[str, str] | None
) -> None:
    telemetry.accept(van, utcnow(), {"499": value}, utcnow())
    item = status_table.get(van.id, "sos")
    assert (item and (item.value, item.verdict)) == told


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


def test_a_device_that_holds_our_earlier_name_is_told_the_new_one(app: Flask, van: Device) -> None:
    config = app.extensions["dualcam_config"]
    app.extensions["dualcam_config"] = dataclasses.replace(
        config,
        camera_server_domain="old.example.com",
        camera_domain_parameter=70001,
        camera_port_parameter=70002,
    )
    told = Values({70001: "old.example.com", 70002: str(config.camera_server_port)}, new=False)
    reply_effects.learn(van, [told], ("message", "x"), utcnow(), changing=False)
    db.session.commit()
    assert "server" not in wish(van).arguments
    reached_at(app, "new.example.com")
    assert wish(van, "rear").arguments["server"]["domain"] == "new.example.com"


def test_a_lease_of_a_clock_that_was_ahead_holds_up_no_copies(van: Device) -> None:
    take(sidecar())
    assert previews._claim(["a" * 32], utcnow() + timedelta(days=365))
    assert not previews._claim(["a" * 32], utcnow() + timedelta(days=365))
    assert previews._claim(["a" * 32], utcnow())


# from where a file came

FIRST_AT = datetime(2026, 11, 24, 12, tzinfo=UTC)


def came(number: int, address: str | None, hours: float = 0) -> Upload:
    """Take a file that came from an address, so many hours after the first."""
    at, upload = (FIRST_AT + timedelta(hours=hours)).isoformat(), f"{number:032x}"
    take(sidecar(upload, address=address, received_at=at, sha256=f"{number:064x}", timestamp=number))
    db.session.expire_all()
    return db.session.get_one(Upload, upload)


@pytest.mark.parametrize(
    ("usual", "same", "other"),
    [
        ("198.51.100.7", "198.51.100.9", "192.0.2.1"),
        ("198.51.100.7", "::ffff:198.51.100.9", "2001:db8::1"),
        ("2001:db8:0:1::1", "2001:db8:0:1:f::2", "2001:db8:0:2::1"),
    ],
)
def test_a_file_tells_its_address_and_whether_that_is_of_another_network_than_before(
    van: Device, usual: str, same: str, other: str
) -> None:
    found = [came(n, address, n) for n, address in enumerate((usual, same, other, other, usual), 1)]
    assert [upload.address for upload in found] == [usual, same, other, other, usual]
    assert [upload.other_network for upload in found] == [False, False, True, True, False]


def test_a_network_that_files_keep_coming_from_is_another_one_for_a_day(van: Device) -> None:
    came(1, "198.51.100.7")
    assert [came(2 + n, "192.0.2.1", hours).other_network for n, hours in enumerate((1, 23, 26))] == [
        True, True, False,
    ]  # fmt: skip


def test_a_file_that_is_told_again_says_the_same_of_its_network(van: Device) -> None:
    came(1, "198.51.100.7")
    assert [came(2, "192.0.2.1", 1).other_network for _ in range(2)] == [True, True]


def test_a_network_that_was_not_seen_for_long_is_another_one_again(van: Device) -> None:
    came(1, "198.51.100.7")
    came(2, "192.0.2.1", 30)
    device_networks.forget_networks(FIRST_AT + timedelta(days=2), 1)
    assert came(3, "198.51.100.7", 60).other_network


def test_a_file_of_an_older_receiver_has_no_address(van: Device) -> None:
    take(sidecar())
    upload = db.session.get_one(Upload, "a" * 32)
    assert (upload.address, upload.other_network) == (None, None)


def test_what_a_device_sent_today_is_counted_for_its_limit(van: Device) -> None:
    for number, day in enumerate((FIRST_AT - timedelta(days=1), FIRST_AT, FIRST_AT)):
        upload = first_id(day) + f"{number:020x}"
        take(sidecar(upload, size=1000, sha256=f"{number:064x}", timestamp=number + 1))
    assert registration.sent_today(IMEI, FIRST_AT) == (2, 2000)


# files that only looked like the answer

FALSE, TRUE = "1" * 32, "2" * 32


def looked_like() -> dict[str, str | None]:
    db.session.expire_all()
    return {upload.id: upload.looked_like for upload in db.session.scalars(select(Upload))}


def false_and_true(row: Command) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give a photo that only looks like the answer to a request and, begun later, the one whose time is told."""
    assert row.sending_at is not None
    ms = int(row.sending_at.timestamp() * 1000)
    began = [(row.sending_at + timedelta(seconds=seconds)).isoformat() for seconds in (5, 30, 60)]
    false = sidecar(FALSE, timestamp=ms + 3000, started_at=began[0], received_at=began[1])
    true = sidecar(TRUE, timestamp=ms + 25000, sha256="d" * 64, started_at=began[1], received_at=began[2])
    return false, true


@pytest.mark.parametrize("order", list(itertools.permutations(("false", "true", "told"))))
def test_a_file_that_gave_way_to_the_certain_answer_is_doubtful_in_whatever_order_facts_come(
    van: Device, order: tuple[str, ...]
) -> None:
    row = asked(van)
    false, true = false_and_true(row)
    for fact in order:
        if fact == "told":
            row.result = {"file_timestamps": [true["metadata"]["timestamp"]]}
            db.session.commit()
            link_service.relink(locks.lock_device(van.id), utcnow())
            db.session.commit()
        else:
            take(false if fact == "false" else true)
    assert looked_like() == {FALSE: row.id, TRUE: None}
    assert (row.state, db.session.get_one(Upload, TRUE).command_id) == (State.DONE, row.id)


@pytest.fixture
def doubtful(van: Device) -> Upload:
    row = asked(van)
    false, true = false_and_true(row)
    row.result = {"file_timestamps": [true["metadata"]["timestamp"]]}
    db.session.commit()
    take(false)
    take(true)
    return db.session.get_one(Upload, FALSE)


def test_a_person_takes_the_doubt_of_a_file_back_and_it_stays_so(van: Device, doubtful: Upload) -> None:
    assert doubtful.looked_like
    link_service.fix(doubtful, None, "ops@example.com", utcnow())
    link_service.relink(locks.lock_device(van.id), utcnow())
    assert looked_like() == {FALSE: None, TRUE: None}


def test_a_file_is_not_doubtful_any_more_when_the_answer_turns_out_to_be_another(doubtful: Upload) -> None:
    request = doubtful.looked_like
    link_service.fix(db.session.get_one(Upload, TRUE), None, "ops@example.com", utcnow())
    assert looked_like() == {FALSE: None, TRUE: None}
    assert doubtful.command_id == request


def test_a_file_stays_doubtful_when_only_the_answer_is_too_old_to_be_decided_anew(
    van: Device, doubtful: Upload
) -> None:
    request = doubtful.looked_like
    older = first_id(utcnow() - timedelta(days=30)) + "2" * 20
    db.session.execute(update(Upload).where(Upload.id == TRUE).values(id=older))
    db.session.execute(update(Upload).where(Upload.id == FALSE).values(id="f" * 32))
    db.session.commit()
    link_service.relink(locks.lock_device(van.id), utcnow())
    assert looked_like() == {older: None, "f" * 32: request}


def test_a_doubtful_video_is_no_reason_not_to_fetch_the_true_one(van: Device) -> None:
    moment = int(utcnow().timestamp()) - 600
    take(sidecar(FALSE, identifier="%videof", file_type="video", timestamp=moment * 1000, duration=10))
    with pytest.raises(Conflict):
        wish(van, file_type="video", timestamp=moment, duration=10)
    db.session.execute(update(Upload).values(looked_like="c" * 32))
    db.session.commit()
    assert wish(van, file_type="video", timestamp=moment, duration=10).state == State.QUEUED
