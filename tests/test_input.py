"""What pages, API and command line make of what they are given: pasted numbers, characters that are no text, and
fields that stay when another is wrong.
"""

import json
import re
from pathlib import Path

import pytest
from flask import Flask
from page_visitor import Visitor, flat
from sqlalchemy import func, select

from provisioning.models import Device, LoginFailure, Role, db
from provisioning.web import auth

IMEI = "352094082736916"
FORM = "application/x-www-form-urlencoded"
PASTED = {"imei": "IMEI: 35-209408 273691/6", "phone": "00 1 (202) 555-0196", "name": "\ufeffVan\u00a011 "}


def added() -> Device:
    return db.session.scalars(select(Device)).one()


def known_as(device: Device) -> tuple[str, str, str]:
    return device.imei, device.phone, device.name


# pasted numbers


@pytest.mark.on_sqlite
def test_the_form_takes_numbers_as_labels_and_people_write_them(app: Flask, visitor: Visitor) -> None:
    answer = visitor.send(
        "/vehicles/new", "/vehicles/new", **PASTED, sms_login=" fleet ", sms_password="cam11\u200b"
    )
    assert answer.status_code == 302
    assert known_as(added()) == (IMEI, "+12025550196", "Van 11")


def test_the_api_takes_the_same(app: Flask) -> None:
    headers = {"Authorization": f"Bearer {auth.create_token('tests', Role.ADMIN)}"}
    answer = app.test_client().post("/api/v1/devices", json=PASTED, headers=headers)
    assert answer.status_code == 201
    assert known_as(added()) == (IMEI, "+12025550196", "Van 11")


def test_the_command_line_takes_the_same_and_knows_it_again(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "devices.json"
    file.write_text(json.dumps([PASTED, PASTED | {"name": "Again"}]))
    report = app.test_cli_runner().invoke(args=["devices", "import", str(file)]).stdout
    assert report.split() == [IMEI, "added", IMEI, "known"]
    assert known_as(added()) == (IMEI, "+12025550196", "Van 11")


@pytest.mark.parametrize("pasted", ["35-209408-273691-6", "0012025550111", "van\u00a011"])
def test_a_device_is_found_by_what_is_pasted_into_the_search(
    van: Device, visitor: Visitor, pasted: str
) -> None:
    assert IMEI in visitor.get(f"/?q={pasted}").text


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("imei", "35-209408-273691", "exactly 15 digits"), ("imei", "35-209408-273691-7", "check digit"),
        ("phone", "(202) 555-0196", "country code"), ("card_gb", "9" * 5000, "Not a valid integer"),
    ],
)  # fmt: skip
def test_what_is_wrong_keeps_its_words_and_empties_no_field(
    app: Flask, visitor: Visitor, field: str, value: str, words: str
) -> None:
    given = {
        "imei": IMEI,
        "phone": "+12025550111",
        "sms_login": "fleet",
        "sms_password": "cam11",
        "model": "FMB125",
    }
    given[field] = value
    answer = visitor.send("/vehicles/new", "/vehicles/new", **given)
    assert answer.status_code == 422
    assert words in answer.text
    assert all(
        f'name="{name}" value="{kept}"' in flat(answer) for name, kept in given.items() if "sms" not in name
    )
    assert 'name="sms_login" value="fleet"' in flat(answer)
    assert 'name="sms_password" type="password" value="cam11"' in flat(answer)


def test_a_refused_change_of_credentials_keeps_what_was_typed(van: Device, visitor: Visitor) -> None:
    page = f"/vehicles/{IMEI}/settings/tracker"
    answer = visitor.send(page, f"/vehicles/{IMEI}/credentials", login="newlo", password="too long")
    assert answer.status_code == 422
    assert 'name="login" value="newlo"' in flat(answer)
    assert 'name="password" type="password" value="too long"' in flat(answer)


@pytest.mark.on_sqlite
def test_a_refused_profile_keeps_the_values_of_fields_that_are_not_ticked(
    app: Flask, visitor: Visitor
) -> None:
    answer = visitor.send("/settings/presets", "/settings/presets", **{"name": "?", "p-66001": "77"})
    assert answer.status_code == 422
    assert 'name="p-66001" value="77"' in flat(answer)


@pytest.mark.on_sqlite
def test_no_address_fills_in_a_password(visitor: Visitor) -> None:
    assert "cam11" not in visitor.get("/vehicles/new?sms_password=cam11&sms_login=cam11").text


# characters that are no text


def addresses(app: Flask, method: str, stray: str) -> list[str]:
    """Every address of the app with the stray text wherever a name stands in it."""
    return [
        re.sub(r"<[^>]+>", f"a{stray}b", rule.rule)
        for rule in app.url_map.iter_rules()
        if method in (rule.methods or ())
    ]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("stray", ["%00", "%01", "%1B", "%7F"])
def test_no_address_with_a_control_character_leads_anywhere(app: Flask, visitor: Visitor, stray: str) -> None:
    app.config["WTF_CSRF_ENABLED"] = False
    for method in ("GET", "POST", "PATCH", "DELETE"):
        for address in (address for address in addresses(app, method, stray) if stray in address):
            visitor._forget()
            assert visitor.client.open(address, method=method).status_code == 404, (method, address)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_no_query_or_form_with_a_control_character_reaches_a_view(app: Flask, visitor: Visitor) -> None:
    app.config["WTF_CSRF_ENABLED"] = False
    for address in addresses(app, "GET", ""):
        if not address.startswith("/webhooks"):
            assert visitor.get(f"{address}?q=%00").status_code == 422, address
            assert visitor.get(f"{address}?%1B=1").status_code == 422, address
    for address in addresses(app, "POST", ""):
        if not address.startswith("/webhooks"):
            visitor._forget()
            assert visitor.client.post(address, data={"name": "a\0b"}).status_code == 422, address


def test_signing_in_with_a_control_character_is_refused_without_a_guess(app: Flask) -> None:
    app.config["WTF_CSRF_ENABLED"] = False
    answer = app.test_client().post("/login", data={"email": "a\0b@example.com", "password": "x" * 12})
    assert answer.status_code == 422
    assert db.session.scalar(select(func.count()).select_from(LoginFailure)) == 0


def test_line_ends_and_tabs_are_text(app: Flask, visitor: Visitor) -> None:
    answer = visitor.send(
        "/settings/presets", "/settings/presets", name="City", description="Two\r\nlines\tof text"
    )
    assert answer.status_code == 302


@pytest.mark.parametrize("host", ["a" * 64, "a..b", "a" * 3000])
def test_a_host_that_is_none_is_refused_and_is_no_mistake_of_ours(app: Flask, host: str) -> None:
    for path in ("/", "/nowhere", "/api/v1/devices"):
        answer = app.test_client().get(path, headers={"Host": host})
        assert answer.status_code == 400, path
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/login", "/theme"])
def test_a_form_of_many_thousand_fields_is_refused_before_it_is_read(app: Flask, path: str) -> None:
    answer = app.test_client().post(path, data="a&" * 100_000, content_type=FORM)
    assert answer.status_code == 413


def test_a_body_that_is_no_form_may_be_as_long_as_a_megabyte(app: Flask) -> None:
    headers = {"Authorization": f"Bearer {auth.create_token('tests', Role.ADMIN)}"}
    answer = app.test_client().post("/api/v1/devices", json={"name": "x" * 200_000}, headers=headers)
    assert answer.status_code == 422
