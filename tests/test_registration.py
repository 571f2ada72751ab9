"""Files become rows: stored ones, those on their way, those that come twice, and those of unknown devices."""

import threading
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from flask import Flask
from sqlalchemy import func, select, update
from upload_rows import IMEI, add_van, sidecar, take

from provisioning import schedule
from provisioning.core.config import Config
from provisioning.devices import registry
from provisioning.media import registration, settlement, storage
from provisioning.models import Device, Role, Upload, db, first_id, utcnow
from provisioning.web import auth
from receiver.backend.port import RecordRefused
from receiver.store.media_store import MediaError
from receiver.wire.metadata import read_path_metadata


@pytest.fixture
def van(app: Flask) -> Device:
    return add_van()


def test_registering_the_same_file_again_changes_nothing(van: Device) -> None:
    for _ in range(3):
        take(sidecar())
    assert db.session.scalar(select(func.count()).select_from(Upload)) == 1


@pytest.mark.parametrize(
    "given_metadata", [None, {"timestamp": 0, "trigger": 0, "duration": 0}], ids=["silent", "time 0"]
)
@pytest.mark.parametrize(
    "imeis", [(IMEI, IMEI), (IMEI, "356307042441013")], ids=["one device", "two devices"]
)
def test_files_without_a_camera_time_in_one_report_are_all_kept(
    van: Device, config: Config, given_metadata: dict[str, Any] | None, imeis: tuple[str, str]
) -> None:
    reported = [
        sidecar(ident * 32, imei=imei, sha256="c" * 64) | {"metadata": given_metadata}
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


def reported_twice(tmp_path: Path) -> tuple[dict[str, Any], Path, Path]:
    """A file that is registered, and the same one stored again under another upload; give the second record."""
    first = sidecar()
    again = sidecar("b" * 32, metadata=first["metadata"])
    files = kept(tmp_path, first), kept(tmp_path, again)
    registration.register([first], utcnow())
    return again, *files


def test_a_file_that_two_receivers_stored_is_kept_once(van: Device, tmp_path: Path) -> None:
    again, first, second = reported_twice(tmp_path)
    registration.register([again], utcnow())
    assert db.session.scalars(select(Upload.id)).all() == ["a" * 32]
    assert (first.exists(), second.exists()) == (True, False)


def test_a_file_that_came_again_takes_over_the_row_of_the_lost_one(van: Device, tmp_path: Path) -> None:
    again, lost, second = reported_twice(tmp_path)
    db.session.execute(update(Upload).values(thumbnail_state="failed", derive_attempts=3))
    lost.unlink()
    for _ in range(2):  # reported again where the receiver was killed before it knew of the first answer
        registration.register([again], utcnow())
        assert second.exists()
    row = db.session.scalars(select(Upload)).one()
    assert (row.id, row.path, row.state) == ("a" * 32, again["path"], "stored")
    assert (row.thumbnail_state, row.derive_attempts) == (None, 0)


def test_a_double_is_deleted_only_after_the_commit(
    van: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again, _, second = reported_twice(tmp_path)
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
    registration.register([known], utcnow())  # reported again
    assert not db.session.get_one(Upload, "1" * 32, populate_existing=True).settle_due


@pytest.mark.parametrize(
    "given_metadata",
    [b'"\\u0000"', b'"\\ud800"', b"9" * 4000, b"1e999", b"[" * 3000 + b"]" * 3000, b'"\xff"', b"-0.0"],
)
def test_whatever_a_camera_tells_of_a_file_in_json_its_row_is_made(
    van: Device, given_metadata: bytes
) -> None:
    said = read_path_metadata(
        b'{"version": 1, "file": {"file_timestamp": 1795600000, "more": ' + given_metadata + b"}}"
    )
    take(sidecar(identifier="dsm/picture.jpg", metadata=asdict(said)))
    db.session.expire_all()
    upload = db.session.scalars(select(Upload)).one()
    assert upload.details == said.details


def test_files_of_an_unknown_device_are_adopted_when_it_is_added(app: Flask, tmp_path: Path) -> None:
    path = f"quarantine/{IMEI}/2026/11/24/{'a' * 32}.jpg"
    (tmp_path / "media" / path).parent.mkdir(parents=True)
    (tmp_path / "media" / path).write_bytes(b"picture")
    (tmp_path / "media" / f"{path}.json").write_bytes(b"what the camera gave")
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
    assert found.with_name(f"{found.name}.json").read_bytes() == b"what the camera gave"
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
    for _ in range(2):  # reported again: the receiver was killed before it knew that it had been heard
        (given_metadata,) = registration.register([record], utcnow())
    assert (given_metadata["admission"], given_metadata["path"]) == (
        "quarantine",
        f"quarantine/{IMEI}/{record['path']}",
    )
    assert (tmp_path / "media" / given_metadata["path"]).read_bytes() == b"picture"
    assert not plain.exists()
    upload = db.session.scalars(select(Upload)).one()
    assert (upload.state, upload.path, upload.device_id) == ("quarantined", given_metadata["path"], None)
    again = registry.add({"imei": IMEI, "phone": "+12025550112"}, utcnow())
    assert settlement.adopt(again, utcnow()) == 1
    assert plain.read_bytes() == b"picture"


FIRST_AT = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_what_a_device_sent_today_is_counted_for_its_limit(van: Device) -> None:
    for number, day in enumerate((FIRST_AT - timedelta(days=1), FIRST_AT, FIRST_AT)):
        upload = first_id(day) + f"{number:020x}"
        take(sidecar(upload, size=1000, sha256=f"{number:064x}", timestamp=number + 1))
    sent = registration.sent_today(db.session.connection(), [IMEI, "356307042441021", IMEI], FIRST_AT)
    assert sent == [(2, 2000), (0, 0), (2, 2000)]
