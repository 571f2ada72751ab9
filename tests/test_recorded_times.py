"""When files were recorded: by the camera's clock where it is believed, else by when they came."""

from datetime import UTC, datetime, timedelta
from typing import Any

import flask_migrate
import pytest
from conftest import ROOT
from flask import Flask
from page_visitor import Visitor
from sqlalchemy import text, update
from upload_rows import add_van, asked, sidecar, take

from provisioning.devices import health_store, status_table
from provisioning.media import camera_clock
from provisioning.media.camera_clock import recorded_at
from provisioning.models import Command, Device, Role, State, Upload, db, new_id, utcnow
from provisioning.web.pages import media


@pytest.fixture
def van(app: Flask) -> Device:
    return add_van()


HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = utcnow()


@pytest.mark.parametrize(
    ("told", "believed"),
    [
        (NOW - HOUR, NOW - HOUR),
        (NOW - 29 * DAY, NOW - 29 * DAY),
        (NOW - 31 * DAY, NOW),  # a clock that was never set
        (NOW + timedelta(seconds=1), NOW),  # one that is ahead
        (NOW + 400 * DAY, NOW),
        (None, NOW),
    ],
)
def test_a_camera_is_believed_unless_its_clock_cannot_be_right(
    told: datetime | None, believed: datetime
) -> None:
    assert recorded_at(told, NOW) == believed


def test_of_a_vehicle_whose_clock_is_known_to_be_off_nothing_is_believed() -> None:
    assert recorded_at(NOW - HOUR, NOW, is_known_to_be_wrong=True) == NOW


def came(began: datetime, told: datetime, **more: Any) -> str:
    """Take a whole photo that began to come then, and of which the camera tells another time; with a small picture."""
    ident = new_id()
    record = sidecar(ident, sha256=ident * 2, timestamp=int(told.timestamp() * 1000), **more)
    take(record | {"started_at": began.isoformat(), "received_at": began.isoformat()})
    db.session.execute(update(Upload).where(Upload.id == ident).values(thumbnail_state="ready"))
    db.session.commit()
    health_store.decide_due(utcnow)
    db.session.expire_all()
    return ident


def shown(device: Device) -> str:
    return media.newest_pictures([device.id])[device.id]["front"].id


def is_at(moment: datetime | None, other: datetime) -> bool:
    return moment is not None and abs(moment - other) < timedelta(seconds=1)


def announced(device: Device, moment: datetime, **more: Any) -> Command:
    """Ask for a photo, to which the device answers that it sends the one of that time."""
    row = asked(device)
    row.result = {"accepted": True, "file_timestamps": [int(moment.timestamp()) * 1000]} | more
    db.session.commit()
    return row


def clock_of(device: Device) -> float | None:
    row = status_table.get(device.id, status_table.CLOCK)
    return None if row is None or row.value is None else float(row.value)


@pytest.mark.parametrize("behind", [2 * HOUR, 20_000 * DAY])
def test_a_photo_that_the_device_announced_shows_how_far_its_clock_is_behind(
    app: Flask, van: Device, behind: timedelta
) -> None:
    told = utcnow() - behind
    row = announced(van, told)
    ident = came(utcnow(), told)
    upload = db.session.get_one(Upload, ident)
    assert (upload.command_id, row.state) == (None, State.ANSWERED)
    assert clock_of(van) == pytest.approx(-behind.total_seconds(), abs=5)
    assert van.health_code == "wrong_clock"


def test_a_photo_of_a_clock_that_counts_from_1970_is_known_by_its_announcement(
    app: Flask, van: Device
) -> None:
    seconds = 259_211
    announced(van, datetime.fromtimestamp(seconds, UTC))
    # the receiver took its milliseconds for seconds
    came(utcnow(), datetime.fromtimestamp(seconds * 1000, UTC))
    assert (clock_of(van) or 0) < -10_000 * DAY.total_seconds()


@pytest.mark.parametrize(
    ("source", "trigger", "more"),
    [
        ("rear", 0, {}),
        ("front", 9, {}),
        ("front", 0, {"already_captured": True}),
        ("front", 0, {"file_timestamps": []}),
    ],
)
def test_another_photo_says_nothing_of_the_clock(
    app: Flask, van: Device, source: str, trigger: int, more: dict[str, Any]
) -> None:
    told = utcnow() - 2 * HOUR
    announced(van, told, **more)
    came(utcnow(), told, source=source, trigger=trigger)
    assert clock_of(van) is None


def test_an_old_clip_that_comes_later_makes_no_picture_younger(app: Flask, van: Device) -> None:
    now = utcnow()
    photo = came(now - 2 * HOUR, now - 2 * HOUR, trigger=9)
    came(now, now - 9 * HOUR, trigger=9, file_type="video")
    assert shown(van) == photo
    assert is_at(van.file_at, now - 2 * HOUR)


def test_pictures_of_a_camera_without_a_clock_are_ranked_by_when_they_came(app: Flask, van: Device) -> None:
    now, never_set = utcnow(), datetime.fromisoformat("2021-01-01T00:00:00+00:00")
    came(now - 2 * HOUR, now - 2 * HOUR, trigger=9)
    newest = came(now - HOUR, never_set, trigger=9)
    assert shown(van) == newest
    assert is_at(van.file_at, now - HOUR)


def test_a_clock_that_is_ahead_hides_no_later_picture(app: Flask, van: Device) -> None:
    now = utcnow()
    came(now - 2 * HOUR, now + 300 * DAY, trigger=9)
    newest = came(now - HOUR, now - HOUR, trigger=9)
    assert shown(van) == newest
    assert is_at(van.file_at, now - HOUR)


def test_a_clock_that_is_known_to_be_behind_hides_no_new_picture(app: Flask, van: Device) -> None:
    now = utcnow()
    came(now - 2 * HOUR, now - 2 * HOUR, trigger=9)
    camera_clock.note(van, -3 * 3600.0, None, now)
    db.session.commit()
    newest = came(now - HOUR, now - 4 * HOUR, trigger=9)
    assert shown(van) == newest
    assert is_at(van.file_at, now - HOUR)


def test_a_photo_that_was_asked_for_is_new_though_its_clock_says_it_is_older_than_the_request(
    app: Flask, van: Device
) -> None:
    now = utcnow()
    came(now - HOUR, now - HOUR, trigger=9)
    asked(van)
    newest = came(utcnow(), now - 3 * HOUR)
    assert shown(van) == newest


def test_the_list_sorts_by_the_time_that_it_shows(app: Flask, van: Device) -> None:
    now = utcnow()
    came(now - HOUR, now - 9 * HOUR, trigger=9)
    page = Visitor(app, Role.VIEWER).get("/?sort=pictures").text
    assert f'datetime="{(now - 9 * HOUR).strftime("%Y-%m-%dT%H:%M")}' in page


def test_an_update_finds_when_the_files_of_before_were_recorded(app: Flask, van: Device) -> None:
    now = utcnow()
    right = came(now - HOUR, now - 9 * HOUR, trigger=9)
    behind = came(now - 10 * HOUR, now - 50 * DAY, trigger=9)
    ahead = came(now - 11 * HOUR, now + DAY, trigger=9)
    db.session.remove()
    flask_migrate.downgrade(directory=str(ROOT / "migrations"), revision="0046")
    db.session.execute(text("UPDATE devices SET file_at = :at"), {"at": now})  # as it came
    db.session.commit()
    flask_migrate.upgrade(directory=str(ROOT / "migrations"))
    found = {row.id: row.recorded_at for row in db.session.query(Upload)}
    assert is_at(found[right], now - 9 * HOUR)
    assert is_at(found[behind], now - 10 * HOUR)
    assert is_at(found[ahead], now - 11 * HOUR)
    assert is_at(db.session.query(Device).one().file_at, now - 9 * HOUR)
