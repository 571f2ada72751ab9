"""The tags that somebody limited gives and takes, and who may be limited to tags."""

from typing import Any

import guests
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from guests import GHOST, NORTH, OTHER, OWN, Guest, put
from page_visitor import upload
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from provisioning.core.errors import Conflict
from provisioning.devices import registry
from provisioning.models import Device, Role, Upload, User, db, utcnow, visibility
from provisioning.web import users

fleet, guest = guests.fleet, guests.guest  # the same fixtures


# tags that somebody gives and takes


def added(guest: Guest, **values: Any) -> TestResponse:
    return guest.open("/api/v1/devices", "POST", {"imei": GHOST, "phone": "+12025550177"} | values)


def test_a_device_that_a_limited_person_adds_gets_one_of_their_tags(app: Flask) -> None:
    guest = Guest(app, "two", ["west", "north"])
    assert added(guest).get_json()["tags"] == ["north"]
    assert guest.get(f"/devices/{GHOST}")["imei"] == GHOST


def test_a_device_that_a_limited_person_adds_gets_no_tag_of_others(app: Flask, guest: Guest) -> None:
    answer = added(guest, tags=["north", "south"])
    assert (answer.status_code, answer.get_json()["errors"]) == (
        422, {"tags": ["You may give and take only: north."]},
    )  # fmt: skip
    assert db.session.scalar(select(func.count(Device.id))) == 0


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        (["north", "vip"], 200),
        (["north"], 422),  # would take another's tag
        (["north", "vip", "south"], 422),
        (["vip"], 422),  # would put the vehicle out of their sight
        ([], 422),
    ],
)
def test_a_limited_person_changes_only_their_own_tags(
    app: Flask, guest: Guest, tags: list[str], status: int
) -> None:
    registry.add({"imei": OWN, "phone": "+12025550111", "tags": ["north", "vip"]}, utcnow())
    answer = guest.open(f"/api/v1/devices/{OWN}", "PATCH", {"tags": tags})
    assert answer.status_code == status, answer.text
    assert guest.get(f"/devices/{OWN}")["tags"] == ["north", "vip"]


@pytest.mark.parametrize(
    "given", [{"imei": OTHER, "phone": "+12025550177"}, {"imei": GHOST, "phone": "+12025550112"}]
)
def test_an_imei_or_a_phone_number_of_another_vehicle_is_taken_for_everybody(
    fleet: dict[str, dict[str, str]], guest: Guest, given: dict[str, str]
) -> None:
    answer = added(guest, **given)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "taken")
    assert guest.open(f"/api/v1/devices/{OWN}", "PATCH", {"phone": "+12025550112"}).status_code == 409


def test_files_that_were_kept_of_an_unknown_device_are_its_own_when_a_limited_person_adds_it(
    fleet: dict[str, dict[str, str]], guest: Guest
) -> None:
    waiting = upload(None, "quarantined", imei=GHOST, path=f"quarantine/{GHOST}/a.jpg")
    ident = waiting.id
    put(f"quarantine/{GHOST}/a.jpg", "a")
    put(f"quarantine/{GHOST}/a.jpg.json", "{}")
    assert guest.open(f"/api/v1/uploads/{ident}").status_code == 404
    assert added(guest).status_code == 201
    assert guest.get(f"/uploads/{ident}")["state"] == "stored"


# the command line, and who may be limited


def test_the_command_line_limits_people_and_tokens_to_tags(app: Flask) -> None:
    cli: FlaskCliRunner = app.test_cli_runner()
    args = [
        "users",
        "create",
        "a@example.com",
        "--role",
        "viewer",
        "--tags",
        "south, north",
        "--password-stdin",
    ]
    assert cli.invoke(args=args, input="a long enough password\n").exit_code == 0
    assert cli.invoke(args=["users", "list"]).stdout == (
        "a@example.com\tviewer\tactive\tvehicles tagged north, south\n"
    )
    assert (
        "vehicles tagged east" in cli.invoke(args=["users", "tags", "a@example.com", "--tags", "east"]).output
    )
    assert "the whole fleet" in cli.invoke(args=["users", "tags", "a@example.com", "--whole-fleet"]).output
    assert db.session.scalars(select(User)).one().tags is None
    cli.invoke(args=["tokens", "create", "bakery", "--role", "viewer", "--tags", "south"])
    assert "vehicles tagged south" in cli.invoke(args=["tokens", "list"]).output


def test_an_administrator_always_sees_the_whole_fleet(app: Flask) -> None:
    with pytest.raises(Conflict, match="whole fleet"):
        users.create("a@example.com", Role.ADMIN, "a long enough password", ["north"])
    user = users.create("b@example.com", Role.VIEWER, "a long enough password", ["north"])
    with pytest.raises(Conflict):
        users.set_access(user, Role.ADMIN, user.tags)
    users.create("c@example.com", Role.ADMIN, "a long enough password 7")  # there is another one
    users.set_access(user, Role.ADMIN, None)
    with pytest.raises(Conflict):
        users.set_access(user, Role.ADMIN, ["north"])
    users.set_access(user, Role.VIEWER, ["north"])
    assert (user.role, user.tags) == ("viewer", ["north"])


def test_a_limit_counts_from_the_next_request_on(fleet: dict[str, dict[str, str]], guest: Guest) -> None:
    assert guest.open(f"/vehicles/{OTHER}").status_code == 404
    users.set_access(users.find("north@example.com"), Role.VIEWER, ["south"])
    assert guest.open(f"/vehicles/{OTHER}").status_code == 200
    assert guest.open(f"/vehicles/{OWN}").status_code == 404


def test_rows_of_no_vehicle_are_read_only_by_who_sees_the_whole_fleet(
    fleet: dict[str, dict[str, str]],
) -> None:
    with visibility.limited_to(NORTH):
        assert {row.device_id for row in db.session.scalars(select(Upload))} == {
            db.session.scalar(select(Device.id).where(Device.imei == OWN))
        }
