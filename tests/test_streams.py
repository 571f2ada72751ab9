"""Streams of changes: how a page learns that it has heard of everything, and when a stream ends."""

import itertools
import re
import time
from datetime import timedelta

import pytest
from conftest import wait_until
from flask import Flask
from page_visitor import Visitor
from sqlalchemy.exc import OperationalError

from provisioning.core import change_feed
from provisioning.models import Role, changes, db, utcnow
from provisioning.web.pages import live

ALL = change_feed.Audience(None, None)


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch) -> change_feed.Hub:
    """A hub that has read no rows of another database, with beats that follow each other quickly."""
    monkeypatch.setattr(change_feed, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(change_feed, "CURRENT_SECONDS", 0.5)
    monkeypatch.setattr(change_feed, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(change_feed, "hub", change_feed.Hub())
    return change_feed.hub


def names(lines: list[str]) -> list[str]:
    return re.findall("^event: (.+)$", "".join(lines), re.M)


def test_a_stream_says_again_and_again_that_its_page_has_heard_of_everything(app: Flask) -> None:
    lines = change_feed.stream(app, ALL, None, time.monotonic() + 60, change_feed.Place())
    assert names(list(itertools.islice(lines, 50))).count("heard") > 1
    lines.close()


def test_only_after_all_that_changed_a_page_has_heard_of_everything(app: Flask) -> None:
    for topic in ("uploads", "commands"):
        changes.publish(None, topic)
    db.session.commit()
    since = utcnow() - timedelta(seconds=10)
    lines = change_feed.stream(app, ALL, since, time.monotonic() + 60, change_feed.Place())
    first = [next(lines) for _ in range(4)]
    assert names(first) == ["commands", "uploads", "heard"]
    # the page gives back the id of the last event: it missed nothing before that
    assert ["id: " in line for line in first] == [False, False, False, True]
    lines.close()


def test_while_the_database_cannot_be_read_no_page_is_told_that_it_has_heard_of_everything(
    app: Flask, hub: change_feed.Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("select", {}, Exception("gone"))

    lines = change_feed.stream(app, ALL, None, time.monotonic() + 60, change_feed.Place())
    assert names([next(lines) for _ in range(2)]) == ["heard"]
    wait_until(hub.is_current)
    with monkeypatch.context() as away:
        away.setattr(change_feed.Hub, "_tags_of", fail)
        wait_until(lambda: not hub.is_current())
        ended = change_feed.stream(app, ALL, None, time.monotonic() + 2, change_feed.Place())
        assert names(list(ended)) == ["heard"]  # it begins with what it read itself
    wait_until(hub.is_current)
    next(lines)  # of before
    assert names([next(lines)]) == ["heard"]
    lines.close()


def test_what_happens_between_the_end_of_a_stream_and_the_next_one_is_heard(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "STREAM_SECONDS", 0.2)
    visitor = Visitor(app, Role.VIEWER)

    def listen(**headers: str) -> str:
        answer = visitor.client.get("/events", headers=headers, buffered=False)
        lines = b"".join(answer.response).decode()
        answer.close()
        return lines

    heard = re.findall(r"^id: (\d+)$", listen(), re.M)
    changes.publish(None, "uploads")
    db.session.commit()
    assert "uploads" in names([listen(**{"Last-Event-ID": heard[-1]})])
    assert change_feed.hub._held == {}


def test_a_stream_ends_when_its_time_is_over_and_leaves_no_listener(app: Flask, hub: change_feed.Hub) -> None:
    assert names(list(change_feed.stream(app, ALL, None, time.monotonic() + 0.1, change_feed.Place()))) == [
        "heard"
    ]
    assert hub._listeners == {}
