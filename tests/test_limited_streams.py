"""Streams tell only of vehicles that somebody sees, and end with the session."""

import re
import time
from typing import Any

import guests
import pytest
from conftest import wait_until
from flask import Flask
from guests import NORTH, OTHER, OWN
from page_visitor import Visitor
from sqlalchemy import delete, select

from provisioning.core import change_feed
from provisioning.devices import registry
from provisioning.models import Change, Device, Role, User, changes, db, utcnow, visibility
from provisioning.web import sign_in
from provisioning.web.pages import live

fleet = guests.fleet  # the same fixture


def report(app: Flask, audience: change_feed.Audience, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the topics that a stream tells after it has begun, up to that of one's own vehicle."""
    db.session.execute(delete(Change))
    db.session.commit()
    monkeypatch.setattr(change_feed, "hub", change_feed.Hub())  # that has seen no rows of another database
    place, topics = change_feed.Place(), list[str]()
    lines = change_feed.stream(app, audience, None, time.monotonic() + 20, place)
    assert next(lines).startswith("retry")
    publish_all(app)
    for line in lines:
        topics += [name for name in re.findall("^event: (.+)$", line, re.M) if name != "heard"]
        if "uploads" in topics:
            break
    return topics


def publish_all(app: Flask) -> None:
    """Publish a change of each vehicle, and one of none."""
    with app.app_context():
        ids = {device.imei: device.id for device in db.session.scalars(select(Device))}
        changes.publish(ids[OTHER], "commands")
        changes.publish(None, "messages")
        changes.publish(ids[OWN], "uploads")
        db.session.commit()


@pytest.mark.parametrize(
    ("tags", "expected"), [(NORTH, {"uploads"}), (None, {"commands", "messages", "uploads"})]
)
def test_a_stream_tells_only_of_vehicles_that_somebody_sees(
    app: Flask, fleet: dict[str, dict[str, str]], tags: visibility.Tags | None, expected: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert set(report(app, change_feed.Audience(None, tags), monkeypatch)) == expected


def test_what_a_stream_missed_is_told_only_of_vehicles_that_somebody_sees(
    app: Flask, fleet: dict[str, dict[str, str]]
) -> None:
    since = utcnow()
    db.session.execute(delete(Change))
    db.session.commit()
    publish_all(app)
    assert change_feed._missed(app, change_feed.Audience(None, NORTH), since) == {"uploads"}
    assert change_feed._missed(app, change_feed.Audience(None, None), since) == {
        "commands",
        "messages",
        "uploads",
    }


def test_the_poller_reads_the_whole_fleet_whoever_started_it(
    app: Flask, fleet: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Any] = []
    monkeypatch.setattr(change_feed.Hub, "_tags_of", lambda *_: read.append(visibility.tags()) or {})
    hub, place = change_feed.Hub(), change_feed.Place()
    with visibility.limited_to(NORTH):
        number = hub.listen(app, change_feed.Audience(None, NORTH), place)
        wait_until(lambda: read)
    hub.leave(number)
    assert read[0] is None


@pytest.mark.parametrize("change", [{"active": False}, {"tags": ["south"]}, {"signed_out": True}, {}])
def test_a_stream_ends_once_its_user_may_hear_it_no_more(
    app: Flask, fleet: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    monkeypatch.setattr(live, "CHECK_EVERY", 0.0)
    monkeypatch.setattr(live, "STREAM_SECONDS", 3.0)
    monkeypatch.setattr(change_feed, "BEAT_SECONDS", 0.05)
    visitor = Visitor(app, Role.VIEWER)
    began = time.monotonic()
    lines = iter(visitor.client.get("/events", buffered=False).response)
    assert next(lines).startswith(b"retry")
    assert all(next(lines) for _ in range(3))  # it goes on
    user = db.session.scalars(select(User).where(User.email == "viewer@example.com")).one()
    if "signed_out" in change:
        sign_in.end_sessions(user)
    else:
        for name, value in change.items():
            setattr(user, name, value)
        db.session.commit()
    list(lines)
    assert (time.monotonic() - began < 2.5) is bool(change)


@pytest.mark.parametrize("change", ["tags", "archived", "nothing"])
def test_a_vehicles_stream_ends_once_its_user_sees_the_vehicle_no_more(
    app: Flask, fleet: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(live, "CHECK_EVERY", 0.0)
    monkeypatch.setattr(live, "STREAM_SECONDS", 3.0)
    monkeypatch.setattr(change_feed, "BEAT_SECONDS", 0.05)
    visitor = Visitor(app, Role.VIEWER, ["north"])
    began = time.monotonic()
    lines = iter(visitor.client.get(f"/vehicles/{OWN}/events", buffered=False).response)
    assert next(lines).startswith(b"retry")
    assert all(next(lines) for _ in range(3))  # it goes on
    device = registry.find(OWN)
    if change == "tags":
        registry.change(device, {"tags": ["south"]}, utcnow())
    elif change == "archived":
        registry.archive(device, utcnow())
    list(lines)
    assert (time.monotonic() - began < 2.5) is (change != "nothing")
    status = visitor.get(f"/vehicles/{OWN}/events", Accept="text/event-stream").status_code
    assert status == (200 if change == "nothing" else 404)
