"""Thumbnails and copies of files: which are made first, and what becomes of a file that cannot be decoded."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import bombs
import pytest
from conftest import ROOT
from flask import Flask
from page_visitor import Visitor
from sqlalchemy import select
from upload_rows import IMEI, add_van, asked, sidecar, take

from provisioning.media import copy_words, photo_decoder, previews, registration, settlement, storage
from provisioning.media.decoder_pool import Outcome
from provisioning.models import Device, Role, Upload, db, utcnow
from provisioning.phrase import Phrase
from receiver.store.media_store import MediaError
from simulator import media

VECTORS = ROOT / "tests" / "vectors" / "media"


@pytest.fixture
def van(app: Flask) -> Device:
    return add_van()


def _store(tmp_path: Path, record: dict[str, Any], data: bytes) -> Upload:
    path = tmp_path / "media" / record["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    take(record)
    return db.session.get_one(Upload, record["upload"])


@pytest.mark.on_sqlite
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


def test_a_worker_that_ends_gives_back_the_copies_that_it_was_making(
    van: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = {"identifier": "%videof", "file_type": "video", "extension": "h265"}
    upload = _store(tmp_path, sidecar(path=f"{IMEI}/2026/11/24/{'a' * 32}.h265", **video), b"video")

    def end(*_: Any) -> None:
        previews.give_back()
        raise SystemExit

    monkeypatch.setattr(previews, "decode_video", end)
    with pytest.raises(SystemExit):
        previews.make([upload.id], utcnow)
    db.session.rollback()
    assert previews.due("video", 9, utcnow()) == ["a" * 32]
    assert db.session.get_one(Upload, "a" * 32).derive_attempts == 0


@pytest.mark.on_sqlite
@pytest.mark.parametrize("data", [b"", b"no picture at all" * 100])
def test_what_cannot_be_decoded_stays_stored_and_says_why(van: Device, tmp_path: Path, data: bytes) -> None:
    upload = _store(tmp_path, sidecar(), data)
    assert not previews.make([upload.id], utcnow)
    assert not previews.make([upload.id], utcnow)
    db.session.expire_all()
    assert (upload.state, upload.thumbnail_state) == ("stored", "failed")
    assert upload.derived_error


@pytest.mark.on_sqlite
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
    assert upload.derived_error
    said = copy_words.problem(upload.derived_error)
    assert "decoded" in said
    assert "/" not in said
    assert "Errno" not in said


@pytest.mark.on_sqlite
def test_a_photo_without_its_end_is_shown_as_far_as_it_goes(app: Flask, van: Device, tmp_path: Path) -> None:
    upload = _store(tmp_path, sidecar(), (VECTORS / "photo-cut-at-60-percent.jpg").read_bytes())
    assert previews.make([upload.id], utcnow)
    db.session.expire_all()
    assert (upload.thumbnail_state, upload.derived_error) == ("ready", photo_decoder.END_MISSING)
    page = Visitor(app, Role.VIEWER).get(f"/uploads/{upload.id}").text
    assert f"/uploads/{upload.id}/content?inline=1" in page
    assert "The end of this photo is missing" in page
    assert "Download the original" in page


@pytest.mark.on_sqlite
def test_a_video_that_is_too_long_is_shown_up_to_the_limit_and_its_page_says_so(
    app: Flask, van: Device, tmp_path: Path
) -> None:
    video = {"identifier": "%videof", "file_type": "video", "extension": "h265", "frame_rate": 1}
    record = sidecar(path=f"{IMEI}/2026/11/24/{'a' * 32}.h265", **video)
    upload = _store(tmp_path, record, bombs.h265(128, 128, 130))
    assert previews.make([upload.id], utcnow)
    page = Visitor(app, Role.VIEWER).get(f"/uploads/{upload.id}").text
    assert "<video controls" in page
    assert "The copy holds the first 120 seconds of this clip" in page


FULL = Phrase("copy_unwritable", {"cause": "No space left on device"})


@pytest.mark.on_sqlite
def test_a_full_disk_is_never_the_photos_fault(
    van: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = _store(tmp_path, sidecar(), media.photo("front", "Van", 1_795_500_000, 3, 75))
    now = utcnow()
    full = [
        (previews, "_photos", Mock(decode=lambda photos, most_pixels: [Outcome(FULL, retry=True)])),
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


def test_a_lease_of_a_clock_that_was_ahead_holds_up_no_copies(van: Device) -> None:
    take(sidecar())
    assert previews._claim(["a" * 32], utcnow() + timedelta(days=365))
    assert not previews._claim(["a" * 32], utcnow() + timedelta(days=365))
    assert previews._claim(["a" * 32], utcnow())
