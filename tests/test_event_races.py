"""Events that are made anew while a person keeps, sees or shares one, or while their files are removed, at this moment.

What the other does may wait for the event or come before it, and is never lost.
"""

import dataclasses
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from test_events import stored
from upload_rows import add_van

from provisioning.core.errors import NotFound
from provisioning.media import event_list, event_service, retention, shares
from provisioning.models import Device, Event, Share, Upload, db, new_id, utcnow


@pytest.fixture
def van(app: Flask) -> Device:
    return add_van()


class Meanwhile:
    """Somebody in another process, who does something while this one is at work."""

    def __init__(self, app: Flask, work: Callable[[], object]) -> None:
        self.error: BaseException | None = None

        def run() -> None:
            with app.app_context():
                try:
                    work()
                except BaseException as error:  # noqa: BLE001 - shown to the test
                    self.error = error
                finally:
                    db.session.remove()

        self._thread = threading.Thread(target=run)
        self._thread.start()
        self._thread.join(1)  # it is done, or waits for a lock

    def end(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()


def made(van: Device) -> str:
    """Make an event of one photo; give its id."""
    now = utcnow()
    stored(van, new_id(), timestamp=now, started_at=now)
    event_service.remake_all(utcnow)
    return db.session.scalars(select(Event.id)).one()


def second_file(van: Device) -> None:
    """Have the photo of the other camera come, which changes the event."""
    first = db.session.scalars(select(Upload)).one()
    stored(van, new_id(), source="rear", timestamp=first.timestamp, started_at=first.started_at)


def while_remaking(
    app: Flask, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object], before: str
) -> Meanwhile:
    """Make the due events anew while somebody else works, from a certain function on."""
    real: Any = getattr(event_service, before)
    other: list[Meanwhile] = []

    def wrapped(*given: Any) -> Any:
        found = real(*given) if before == "_events" else None
        if not other:
            other.append(Meanwhile(app, work))
        return found if before == "_events" else real(*given)

    monkeypatch.setattr(event_service, before, wrapped)
    event_service.remake_all(utcnow)
    other[0].end()
    db.session.expire_all()
    return other[0]


def test_an_event_that_somebody_keeps_while_it_is_made_anew_is_kept(
    app: Flask, van: Device, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    ident = made(van)
    second_file(van)
    other = while_remaking(
        app, monkeypatch, lambda: event_list.save(event_list.find(ident), "ops", utcnow()), "_events"
    )
    assert other.error is None
    event = db.session.get_one(Event, ident)
    assert (event.cameras, event.saved_by) == ("both", "ops")


def test_an_event_that_somebody_sees_while_it_is_made_anew_is_seen(
    app: Flask, van: Device, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    ident = made(van)
    second_file(van)
    other = while_remaking(
        app, monkeypatch, lambda: event_list.see(event_list.find(ident), "ops", utcnow()), "_events"
    )
    assert other.error is None
    event = db.session.get_one(Event, ident)
    assert (event.cameras, event.seen_at is not None) == ("both", True)


def test_an_event_that_is_no_more_is_neither_kept_nor_seen_nor_shared(app: Flask, van: Device) -> None:
    event = event_list.find(made(van))
    other = Meanwhile(app, lambda: retention_of(app, utcnow() + timedelta(days=99)))
    other.end()
    assert other.error is None
    for work in (
        lambda: event_list.save(event, "ops", utcnow()),
        lambda: event_list.see(event, "ops", utcnow()),
        lambda: shares.make(event, 1, None, "ops", utcnow()),
    ):
        with pytest.raises(NotFound):
            work()
    assert db.session.scalar(select(func.count()).select_from(Share)) == 0


def retention_of(app: Flask, now: datetime) -> None:
    """Remove all files that are older than a day at that time, with their events."""
    config = app.extensions["dualcam_config"]
    app.extensions["dualcam_config"] = dataclasses.replace(config, retention_days_uploads=1)
    retention.sweep(lambda: now)
    app.extensions["dualcam_config"] = config


def test_files_that_are_removed_while_their_event_is_made_anew_leave_no_empty_event(
    app: Flask, van: Device, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    made(van)
    second_file(van)
    later = utcnow() + timedelta(days=99)
    other = while_remaking(app, monkeypatch, lambda: retention_of(app, later), "_store")
    assert other.error is None
    event_service.remake_all(utcnow)
    assert db.session.scalar(select(func.count()).select_from(Upload)) == 0
    assert db.session.scalar(select(func.count()).select_from(Event)) == 0
