"""Addresses of before lead to the new ones."""

import re

import pytest
from flask import Flask
from page_visitor import IMEI, Visitor, command
from sqlalchemy import select

from provisioning.fleet import presets
from provisioning.models import Command, Device, db, utcnow
from provisioning.web.moved_addresses import MOVED

pytestmark = pytest.mark.on_sqlite


@pytest.mark.parametrize("rule", MOVED)
def test_an_old_address_leads_to_the_new_one(app: Flask, van: Device, visitor: Visitor, rule: str) -> None:
    names = {"imei": van.imei, "ident": command(van).id, "name": "Trucks"}
    presets.save("Trucks", "", {"66003": 25}, "tests", utcnow())
    path = rule
    for name, value in names.items():
        path = path.replace(f"<{name}>", value)
    answer = visitor.get(f"{path}?page=2")
    assert answer.status_code == 301
    assert re.search(r"[?&]page=2", answer.location)
    found, _ = app.url_map.bind("localhost").match(
        answer.location.partition("?")[0], method="POST" if rule.endswith(FORMS) else "GET"
    )
    assert found == f"pages.{MOVED[rule][0]}"


@pytest.mark.parametrize("rule", [rule for rule in MOVED if "/part/" in rule])
def test_a_part_that_an_open_old_page_asks_for_is_there(van: Device, visitor: Visitor, rule: str) -> None:
    answer = visitor.get(rule.replace("<imei>", van.imei))
    assert visitor.get(answer.location).status_code == 200


FORMS = ("archive", "plan", "ask", "command", "credentials", "cancel", "again", "claim", "aside")


def test_a_form_of_an_open_old_page_is_done_at_the_new_address(van: Device, visitor: Visitor) -> None:
    answer = visitor.send(
        f"/vehicles/{IMEI}/footage", f"/devices/{IMEI}/ask", file_type="photo", source="rear"
    )
    assert (answer.status_code, answer.location) == (308, f"/vehicles/{IMEI}/ask")
    answer = visitor.send(f"/vehicles/{IMEI}/footage", answer.location, file_type="photo", source="rear")
    assert db.session.scalars(select(Command)).one().arguments["source"] == "rear"


@pytest.mark.parametrize(
    "query",
    [
        "endpoint=x",
        "_scheme=ftp",
        "_scheme=ftp&_external=1",
        "_anchor=x",
        "_method=POST",
        "self=x",
        "values=x",
        "name=x",
    ],
)
def test_no_query_of_an_old_address_leads_elsewhere_or_breaks_it(app: Flask, query: str) -> None:
    for path in (f"/devices/{IMEI}", f"/devices/{IMEI}/part/status", f"/devices/{IMEI}/all/messages"):
        answer = app.test_client().get(f"{path}?{query}")
        assert answer.status_code == 301
        assert answer.location.startswith(f"/vehicles/{IMEI}")
        assert query in answer.location


def test_an_old_address_of_a_list_keeps_its_own_kind(app: Flask) -> None:
    answer = app.test_client().get(f"/devices/{IMEI}/all/messages?kind=people&before=x")
    assert answer.location == f"/vehicles/{IMEI}/log?kind=messages&before=x"
