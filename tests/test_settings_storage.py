"""Settings, Storage: what is used, how fast it grows, and what a change of days removes."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from page_visitor import Visitor, configure, flat, upload
from sqlalchemy import select

from provisioning.core import fleet_settings
from provisioning.media import retention, storage_use
from provisioning.media.kept_days import KeptDays
from provisioning.media.storage_use import Amount, Removal
from provisioning.models import Device, Event, StoredAmount, Upload, db, first_id, new_id, utcnow

STORAGE = "/settings/storage"


def stored(device: Device, ago: timedelta, **changes: Any) -> Upload:
    """A file that came so long ago."""
    at = utcnow() - ago
    ident = first_id(at) + new_id()[12:]
    given = {
        "id": ident,
        "started_at": at,
        "received_at": at,
        "updated_at": at,
        "file_type": "photo",
        "size": 4000,
    }
    return upload(device, **given | changes)


@pytest.mark.on_sqlite
def test_what_is_used_and_how_fast_it_grows_is_shown(van: Device, visitor: Visitor) -> None:
    stored(van, timedelta(days=30))
    stored(van, timedelta(days=1), size=3_000_000)
    stored(van, timedelta(days=1), file_type="video", size=4_000_000)
    stored(van, timedelta(hours=1), state="partial")
    storage_use.count(utcnow)
    text = flat(visitor.get(STORAGE))
    assert "<dt>Photos</dt> <dd> 2 · 3.0 MB </dd>" in text
    assert "<dt>Clips</dt> <dd> 1 · 4.0 MB </dd>" in text
    assert "1.0 MB a day (average of the last 7 days)" in text


@pytest.mark.on_sqlite
def test_growth_is_the_average_since_the_first_file_where_that_came_lately(
    van: Device, visitor: Visitor
) -> None:
    stored(van, timedelta(days=2), size=4_000_000)
    storage_use.count(utcnow)
    assert "2.0 MB a day (average since the first file," in flat(visitor.get(STORAGE))


@pytest.mark.parametrize(("hours", "says"), [(2, False), (26, True)])
def test_how_long_the_disk_lasts_is_said_of_a_growth_that_was_seen_for_a_day(
    van: Device, visitor: Visitor, tmp_path: Path, hours: int, says: bool
) -> None:
    (tmp_path / "media").mkdir(exist_ok=True)
    stored(van, timedelta(hours=hours), size=50_000_000_000)
    storage_use.count(utcnow)
    assert ("at this growth" in visitor.get(STORAGE).text) is says


@pytest.mark.on_sqlite
def test_a_change_that_removes_nothing_yet_says_when_the_first_file_goes(
    van: Device, visitor: Visitor
) -> None:
    day = stored(van, timedelta(days=1)).updated_at + timedelta(days=10)
    text = flat(visitor.get(f"{STORAGE}?photo=10&video="))
    assert "Clips: for ever." in text
    assert f"The first file goes on {day.day} {day:%B %Y}." in text


def test_what_is_used_is_said_as_of_the_last_count(van: Device, visitor: Visitor) -> None:
    stored(van, timedelta(days=1))
    text = flat(visitor.get(STORAGE))
    assert "The files are not counted yet; that is done every 10 minutes." in text
    assert "<dt>Photos</dt>" not in text
    counted_at = utcnow() - timedelta(minutes=7)
    storage_use.count(lambda: counted_at)
    stored(van, timedelta(days=1))
    text = flat(visitor.get(STORAGE))
    assert "<dt>Photos</dt> <dd> 1 · 4 kB </dd>" in text
    assert re.search(
        rf'As of <time datetime="{re.escape(counted_at.isoformat())}"[^>]*>[^<]+</time>, counted again every 10',
        text,
    )
    storage_use.count(utcnow)
    assert "<dt>Photos</dt> <dd> 2 · 8 kB </dd>" in flat(visitor.get(STORAGE))


def test_files_are_counted_some_at_a_time(van: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_use, "STEP", 2)
    for number in range(4):
        stored(van, timedelta(days=number))
        stored(van, timedelta(days=number), file_type="video", size=10)
    storage_use.count(utcnow)
    assert storage_use.in_use().by_type == {"photo": Amount(4, 16_000), "video": Amount(4, 40)}


def test_what_a_change_of_days_removes_is_exact_for_few_files_and_more_than_many_else(
    van: Device, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_use, "MANY", 2)
    for _ in range(2):
        stored(van, timedelta(days=31))
    stored(van, timedelta(days=31), file_type="video")
    question = f"{STORAGE}?photo=30&video=30"
    text = flat(visitor.get(question))
    assert "2 photos (8 kB) that are older than 30 days, 1 clip (4 kB) that is older than 30 days." in text
    assert "remove 3 files" in text
    stored(van, timedelta(days=31))
    stored(van, timedelta(days=29))
    text = flat(visitor.get(question))
    assert "more than 2 photos (at least 12 kB) that are older than 30 days, 1 clip (4 kB)" in text
    assert "remove more than 3 files" in text


def test_files_of_a_type_that_is_kept_for_ever_are_not_among_what_a_change_removes(van: Device) -> None:
    stored(van, timedelta(days=31))
    assert storage_use.would_remove(KeptDays(photo=0, video=30), utcnow()) == {
        "photo": Removal(), "video": Removal(),
    }  # fmt: skip


@pytest.mark.on_sqlite
def test_large_numbers_of_files_have_a_separator_in_the_readers_language(
    van: Device, visitor: Visitor
) -> None:
    now = utcnow()
    for name in ("photo", storage_use.NEW):
        db.session.add(StoredAmount(name=name, files=12_345, size=4_000, counted_at=now))
    db.session.commit()
    assert "<dd> 12,345 · 4 kB </dd>" in flat(visitor.get(STORAGE))
    assert "<dd> 12.345 · 4 kB </dd>" in flat(visitor.get(STORAGE, **{"Accept-Language": "de"}))


def test_what_a_change_of_days_removes_is_shown_before_and_removed_only_after_it(
    van: Device, visitor: Visitor
) -> None:
    old, clip, young = (
        stored(van, timedelta(days=31)).id,
        stored(van, timedelta(days=31), file_type="video").id,
        stored(van, timedelta(days=29)).id,
    )
    question = f"{STORAGE}?photo=30&video=0"
    text = flat(visitor.get(question))
    assert "1 photo (4 kB) that is older than 30 days." in text
    assert "remove 1 file" in text
    assert retention.sweep(utcnow) == {}
    assert visitor.send(question, STORAGE, photo="30", video="0").status_code == 302
    assert retention.sweep(utcnow) == {"uploads": 1}
    assert set(db.session.scalars(select(Upload.id))) == {clip, young} - {old}
    assert 'value="30"' in flat(visitor.get(STORAGE))


def test_files_of_saved_events_are_not_among_what_a_change_removes(van: Device, visitor: Visitor) -> None:
    saved = Event(
        id=new_id(), device_id=van.id, kind="crash", at=utcnow(), cameras="front", file_types="photo",
        saved_at=utcnow(), saved_by="tests",
    )  # fmt: skip
    db.session.add(saved)
    db.session.commit()
    stored(van, timedelta(days=31), event_id=saved.id)
    storage_use.count(utcnow)
    assert "This removes nothing now" in flat(visitor.get(f"{STORAGE}?photo=30&video=30"))
    assert "<dt>Of these in saved events</dt> <dd> 1 · 4 kB </dd>" in flat(visitor.get(STORAGE))


@pytest.mark.on_sqlite
@pytest.mark.parametrize("days", ["4", "-1", "x", "40000"])
def test_days_that_cannot_be_are_refused_beside_their_field(visitor: Visitor, days: str) -> None:
    answer = visitor.get(f"{STORAGE}?photo={days}&video=0")
    assert answer.status_code == 422
    assert "field-error" in answer.text
    assert visitor.send(STORAGE, STORAGE, photo=days, video="0").status_code == 422


@pytest.mark.on_sqlite
@pytest.mark.parametrize("days", [0, 90])
def test_days_that_the_server_sets_are_shown_and_not_changed_on_the_page(
    app: Flask, van: Device, visitor: Visitor, days: int
) -> None:
    fleet_settings.change({"photo_days": 30, "video_days": 30}, utcnow())
    stored(van, timedelta(days=31))
    configure(app, retention_days_uploads=days)
    text = flat(visitor.get(STORAGE))
    assert f"Photos and clips: {f'{days} days' if days else 'for ever'}." in text
    assert "Set on the server: <code>RETENTION_DAYS_UPLOADS</code>" in text
    assert visitor.send("/settings/cameras", STORAGE, photo="30", video="30").status_code in (400, 409)
    assert retention.sweep(utcnow) == {}


def test_a_blank_number_of_days_is_for_ever_as_an_empty_one(visitor: Visitor) -> None:
    assert visitor.send(STORAGE, STORAGE, photo=" ", video="7").status_code == 302
    row = fleet_settings.current()
    assert (row.photo_days, row.video_days) == (0, 7)
