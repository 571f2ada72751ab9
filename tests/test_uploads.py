"""Files in the database: registering, linking, records, quarantine, fixing by hand."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from provisioning import devices, leftovers, lifecycle, links, records, statuses, uploads, videos
from provisioning.commands import from_arguments
from provisioning.errors import Invalid
from provisioning.models import Command, Device, Record, State, Upload, db, utcnow
from provisioning.outbox import Asker, submit
from receiver.protocol import _path_metadata
from simulator import media

IMEI = "352094082736916"


@pytest.fixture
def van(app: Flask) -> Device:
    given = {"imei": IMEI, "phone": "+12025550111", "sms_login": "fleet", "sms_password": "cam11"}
    return devices.add(given, utcnow())


def asked(device: Device, source: str = "front", **arguments: Any) -> Command:
    """A camreq that was handed over a moment ago and accepted."""
    now = utcnow()
    given = {"file_type": "photo", "source": source} | arguments
    (row,) = submit(device, from_arguments("camreq", given, now=int(now.timestamp())), Asker("tests"), now)
    row.capturing = True
    row.sending_at = now
    lifecycle.move(row, State.SENDING, now)
    lifecycle.move(row, State.SENT, now)
    lifecycle.move(row, State.ANSWERED, now, expires_at=now + timedelta(hours=1))
    row.capturing = True
    db.session.commit()
    return row


def take(record: dict[str, Any]) -> None:
    """As the receiver and then the worker do."""
    uploads.register([record], utcnow())
    while uploads.settle(utcnow()):
        pass


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
    item = statuses.get(van.id, "upload.last")
    assert item is not None
    assert item.source_kind == "upload"


def test_registering_the_same_file_again_changes_nothing(van: Device) -> None:
    for _ in range(3):
        take(sidecar())
    assert db.session.scalar(select(func.count()).select_from(Upload)) == 1


@pytest.mark.parametrize(
    "told", [b'"\\u0000"', b'"\\ud800"', b"9" * 4000, b"1e999", b"[" * 3000 + b"]" * 3000, b'"\xff"', b"-0.0"]
)
def test_whatever_a_camera_tells_of_a_file_in_json_its_row_is_made(van: Device, told: bytes) -> None:
    said = _path_metadata(b'{"version": 1, "file": {"file_timestamp": 1795600000, "more": ' + told + b"}}")
    take(sidecar(identifier="dsm/picture.jpg", metadata=asdict(said)))
    db.session.expire_all()
    upload = db.session.scalars(select(Upload)).one()
    assert upload.details == said.details


def test_one_of_two_files_is_partial_when_the_wait_ends(van: Device) -> None:
    row = asked(van, "both")
    take(sidecar())
    assert row.state == State.ANSWERED
    leftovers.sweep(lambda: utcnow() + timedelta(hours=2))
    db.session.expire_all()
    assert (row.state, row.error_code) == (State.FAILED, "partial")
    later = sidecar("d" * 32, identifier="%photor", source="rear", path=f"{IMEI}/2026/11/24/{'d' * 32}.jpg")
    take(later)
    db.session.expire_all()
    assert (row.state, row.late) == (State.DONE, True)


def test_a_file_of_an_expired_command_is_linked_and_the_command_says_so(van: Device) -> None:
    row = asked(van)
    leftovers.sweep(lambda: utcnow() + timedelta(hours=2))
    db.session.expire_all()
    assert (row.state, row.error_code) == (State.EXPIRED, "no_file")
    take(sidecar())
    db.session.expire_all()
    assert (row.state, row.late) == (State.DONE, True)


def test_a_link_fixed_by_a_person_stays_and_done_is_withdrawn(van: Device) -> None:
    row = asked(van)
    take(sidecar())
    upload = db.session.scalars(select(Upload)).one()
    links.fix(upload, None, "ops@example.com", utcnow())
    db.session.expire_all()
    assert (upload.command_id, upload.link_certainty, row.state) == (None, "manual", State.ANSWERED)
    take(sidecar())
    assert upload.command_id is None
    links.fix(upload, row, "ops@example.com", utcnow())
    db.session.expire_all()
    assert (row.state, upload.link_reason) == (State.DONE, "linked by ops@example.com")


def test_a_link_to_a_command_that_cannot_have_made_it_is_refused(van: Device) -> None:
    row = asked(van, "rear")
    take(sidecar())
    upload = db.session.scalars(select(Upload)).one()
    with pytest.raises(Invalid) as caught:
        links.fix(upload, row, "ops@example.com", utcnow())
    assert "command" in caught.value.errors


def test_a_trigger_file_ties_to_the_record_of_the_same_trigger_and_time(van: Device) -> None:
    moment = datetime.now(UTC).replace(microsecond=0)
    take(sidecar(trigger=1, timestamp=int(moment.timestamp() * 1000)))
    assert records.accept(van, moment + timedelta(seconds=3), {"499": 1, "498": 3}, utcnow())
    assert not records.accept(van, moment + timedelta(seconds=3), {"499": 1, "498": 3}, utcnow())
    upload = db.session.scalars(select(Upload)).one()
    assert upload.command_id is None
    assert upload.link_reason == "taken by itself: trigger DIN1"
    assert upload.record_id == db.session.scalars(select(Record)).one().id
    item = statuses.get(van.id, "camera.front.state")
    assert item is not None
    assert (item.value, item.verdict, item.source_kind) == ("SD card mounted", "good", "record")


def test_an_older_record_does_not_overwrite_a_newer_state(van: Device) -> None:
    now = utcnow()
    records.accept(van, now, {"497": 3}, now)
    records.accept(van, now - timedelta(minutes=5), {"497": 1}, now)
    item = statuses.get(van.id, "camera.rear.state")
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
    device = devices.add({"imei": IMEI, "phone": "+12025550111"}, utcnow())
    assert uploads.adopt(device, utcnow()) == 1
    db.session.expire_all()
    assert (upload.state, upload.device_id) == ("stored", device.id)
    assert upload.path is not None
    found = uploads.media().path(upload.path)
    assert found is not None
    assert found.read_bytes() == b"picture"
    assert found.with_name(f"{found.name}.json").read_bytes() == b"what the camera told"
    assert not (tmp_path / "media" / path).exists()
    assert not (tmp_path / "media" / f"{path}.json").exists()


def test_a_file_of_a_device_that_was_deleted_meanwhile_goes_into_quarantine(
    van: Device, tmp_path: Path
) -> None:
    record = sidecar()
    plain = tmp_path / "media" / record["path"]
    plain.parent.mkdir(parents=True)
    plain.write_bytes(b"picture")
    devices.archive(van, utcnow())
    for _ in range(2):  # told again: the receiver was killed before it knew that it had been heard
        (told,) = uploads.register([record], utcnow())
    assert (told["admission"], told["path"]) == ("quarantine", f"quarantine/{IMEI}/{record['path']}")
    assert (tmp_path / "media" / told["path"]).read_bytes() == b"picture"
    assert not plain.exists()
    upload = db.session.scalars(select(Upload)).one()
    assert (upload.state, upload.path, upload.device_id) == ("quarantined", told["path"], None)
    again = devices.add({"imei": IMEI, "phone": "+12025550112"}, utcnow())
    assert uploads.adopt(again, utcnow()) == 1
    assert plain.read_bytes() == b"picture"


def _store(tmp_path: Path, record: dict[str, Any], data: bytes) -> Upload:
    path = tmp_path / "media" / record["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    take(record)
    return db.session.get_one(Upload, record["upload"])


def test_a_photo_gets_a_thumbnail(van: Device, tmp_path: Path) -> None:
    upload = _store(tmp_path, sidecar(), media.photo("front", "Van", 1_795_500_000, 3, 75))
    assert videos.make(upload.id, utcnow)
    db.session.expire_all()
    found = uploads.media().path(videos.thumbnail(upload) or "")
    assert found is not None
    assert found.read_bytes()[:2] == b"\xff\xd8"


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
    assert videos.make(upload.id, utcnow)
    db.session.expire_all()
    assert (upload.playback_frame_rate, upload.playback_assumed) == (30, True)
    with av.open(str(uploads.media().path(videos.video(upload) or ""))) as made:
        stream = made.streams.video[0]
        assert (stream.codec_context.name, stream.frames, int(stream.average_rate or 0)) == ("h264", 50, 30)


@pytest.mark.parametrize("data", [b"", b"no picture at all" * 100])
def test_what_cannot_be_decoded_stays_stored_and_says_why(van: Device, tmp_path: Path, data: bytes) -> None:
    upload = _store(tmp_path, sidecar(), data)
    assert not videos.make(upload.id, utcnow)
    assert not videos.make(upload.id, utcnow)
    db.session.expire_all()
    assert (upload.state, upload.thumbnail_state) == ("stored", "failed")
    assert upload.derived_error
