"""Lists for somebody who is limited to tags: complete, and read by an index for few and for many vehicles."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask, g
from page_visitor import Visitor, command, upload
from sqlalchemy import event

from provisioning.devices import listing, registry
from provisioning.models import (
    CameraSession,
    Device,
    Event,
    Message,
    Role,
    State,
    db,
    new_id,
    newest_rows,
    utcnow,
    visibility,
)
from provisioning.web import auth, users

OWN = {"352094082736916": ["north", "cold"], "352094082042885": ["north"]}
OTHER = "356307042441013"
LISTS = ("commands", "uploads", "messages", "sessions", "events")
ROWS = 6  # of each vehicle and list
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(params=[50, 0], ids=["few vehicles", "many vehicles"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Count the limited person's two vehicles as few, and as many."""
    monkeypatch.setattr(newest_rows, "FEW", request.param)
    return int(request.param)


@pytest.fixture
def rows(app: Flask) -> None:
    """Add three vehicles, one of them of others, with rows whose ids take turns."""
    vehicles = [
        registry.add({"imei": imei, "phone": f"+1202555011{number}", "tags": tags}, utcnow())
        for number, (imei, tags) in enumerate([*OWN.items(), (OTHER, ["south"])])
    ]
    for number in range(ROWS):
        for device in vehicles:
            add_row_of_each_list(device, number)
    db.session.commit()


def add_row_of_each_list(device: Device, number: int) -> None:
    command(device, number, State.FAILED if number % 2 else State.DONE)
    upload(device, "stored")
    db.session.add_all(
        [
            Message(
                id=new_id(), direction="in", gateway="twilio", gateway_id=new_id(), sender=device.phone,
                recipient="+12025550100", body="x", status="received", device_id=device.id,
            ),
            CameraSession(id=new_id(), imei=device.imei, device_id=device.id, address="192.0.2.1:1"),
            Event(
                id=new_id(), device_id=device.id, kind="tow" if number % 2 else "asked", at=utcnow(), cameras="front",
                file_types="photo",
            ),
        ]
    )  # fmt: skip


def ask(app: Flask, address: str, tags: list[str] | None = ["north", "cold"]) -> Any:  # noqa: B006 - only read
    for name in list(g):
        g.pop(name)
    token = auth.create_token(new_id(), Role.VIEWER, tags=tags)
    db.session.remove()
    answer = app.test_client().get(f"/api/v1/{address}", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text
    db.session.remove()
    return answer.get_json()


def paged(app: Flask, address: str) -> Iterator[dict[str, Any]]:
    cursor = ""
    while cursor is not None:
        page = ask(app, f"{address}limit=5{cursor and f'&cursor={cursor}'}")
        yield from page["items"]
        cursor = page["next"]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_has_every_row_of_the_own_vehicles_once_and_in_order(
    app: Flask, rows: None, few: int, name: str
) -> None:
    found = list(paged(app, f"{name}?"))
    ids = [item["id"] for item in found]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == len(OWN) * ROWS
    assert {item["imei"] for item in found} == set(OWN)


@pytest.mark.parametrize(
    "address", ["commands?state=failed&", "events?kind=tow&", "commands?state=failed&imei=352094082736916&"]
)
def test_filters_hold_beside_the_limit(app: Flask, rows: None, few: int, address: str) -> None:
    found = list(paged(app, address))
    assert len(found) == ROWS // 2 * (1 if "imei" in address else len(OWN))
    assert {item["imei"] for item in found} <= set(OWN)


def test_who_has_a_tag_of_no_vehicle_gets_empty_lists(app: Flask, rows: None) -> None:
    assert [ask(app, name, ["nowhere"])["items"] for name in LISTS] == [[]] * len(LISTS)


def test_tags_to_choose_are_counted_of_the_own_vehicles_each_once(app: Flask, rows: None) -> None:
    with visibility.limited_to(frozenset({"north", "cold"})):
        assert listing.tags() == [("cold", 1), ("north", 2)]
        registry.archive(registry.find("352094082736916"), utcnow())
        assert listing.tags() == [("north", 1)]
    with visibility.limited_to(frozenset({"nowhere"})):
        assert listing.tags() == []


@contextmanager
def collected() -> Iterator[list[str]]:
    """Collect how SQLite finds the rows of each SELECT, beginning with its words, while something is asked."""
    found: list[str] = []

    def note(connection: Any, _: Any, statement: str, parameters: Any, *__: Any) -> None:
        if statement.startswith("SELECT"):
            steps = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            found.append(" | ".join([" ".join(statement.split()), *(step[-1] for step in steps)]))

    event.listen(db.engine, "before_cursor_execute", note)
    yield found
    event.remove(db.engine, "before_cursor_execute", note)


def plan_of_list(app: Flask, address: str, **given: Any) -> str:
    """Give how SQLite finds the rows of the first statement that orders a list."""
    with collected() as found:
        ask(app, address, **given)
    first = next(one for one in found if re.search(r"ORDER BY \S+\.id DESC", one))
    return first.partition(" | ")[2]


@SQLITE
@pytest.mark.parametrize("name", LISTS)
def test_few_vehicles_are_read_one_by_one_along_an_index(app: Flask, rows: None, name: str) -> None:
    plan = plan_of_list(app, name)
    steps = re.findall(rf"SEARCH {name} USING (?:COVERING )?INDEX \w+ \((?:device_id|imei)=\?\)", plan)
    assert len(steps) == len(OWN), plan
    # only what was found of each is sorted
    assert not re.search(r"SEARCH [^|]*\| USE TEMP B-TREE", plan), plan


@SQLITE
@pytest.mark.parametrize("name", [*LISTS, "commands?state=failed", "events?kind=tow"])
def test_a_list_of_many_vehicles_is_read_in_its_order_and_sorts_nothing(
    app: Flask, rows: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(newest_rows, "FEW", 0)
    plan = plan_of_list(app, name)
    assert "TEMP B-TREE" not in plan, plan
    assert not re.search(rf"SEARCH {name.partition('?')[0]} USING [^(]*\((device_id|imei)=", plan), plan


@SQLITE
def test_requests_of_a_vehicle_in_one_state_are_read_by_an_index_of_both(app: Flask, rows: None) -> None:
    plan = plan_of_list(app, "commands?state=failed&imei=352094082736916", tags=None)
    assert plan.startswith(
        "SEARCH commands USING INDEX ix_commands_device_state_id (device_id=? AND state=?)"
    )
    assert "TEMP B-TREE" not in plan, plan


@SQLITE
@pytest.mark.parametrize(
    "address",
    ["/", "/media", "/inbox?all=1", "/search?q=x", "/settings/presets", "/vehicles/352094082736916",
     "/vehicles/352094082736916/log", "/vehicles/352094082736916/footage", "/vehicles/352094082736916/settings"],
)  # fmt: skip
def test_a_page_reads_no_list_of_all_that_may_be_seen(app: Flask, rows: None, address: str) -> None:
    """A list of the vehicles, or of all their requests, texts or files, is long for half of a large fleet."""
    visitor = Visitor(app, Role.INSTALLER)
    users.find("installer@example.com").tags = ["north"]
    db.session.commit()
    with collected() as found:
        assert visitor.get(address).status_code == 200
    assert any("device_tags" in plan for plan in found)
    for plan in found:
        assert not re.search(r"LIST SUBQUERY \d+ \| SEARCH (?!devices )", plan), plan


@SQLITE
def test_tries_of_requests_are_read_by_request_and_not_all_that_may_be_seen(app: Flask, rows: None) -> None:
    with collected() as found:
        ask(app, "commands")
    (plan,) = [one for one in found if " FROM attempts WHERE" in one]
    assert "SEARCH attempts USING INDEX ix_attempts_command_id_id (command_id=?)" in plan
    assert not re.search(r"LIST SUBQUERY \d+ \| SEARCH commands", plan), plan
