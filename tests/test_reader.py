"""The language and the time zone that a person chose: on the account's page, in the times of pages, by the API."""

import re
from datetime import UTC, datetime
from gettext import NullTranslations

import pytest
from audit_rows import entries
from flask import Flask
from page_visitor import Visitor, command, flat
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from test_api import Api

from provisioning import translation
from provisioning.models import AuditEntry, Device, Role, User, db, new_id
from provisioning.models import Event as EventRow
from provisioning.models.base import first_id
from provisioning.web.pages import times

pytestmark = pytest.mark.on_sqlite

GERMAN = {"Accept-Language": "de-DE, de;q=0.9, en;q=0.5"}
LATE = datetime(2026, 1, 15, 20, 57, 21, tzinfo=UTC)  # 22:57:21 in Vilnius, 05:57 of the next day in Tokyo


def person() -> User:
    db.session.rollback()
    return db.session.get_one(User, 1)


def choose(visitor: Visitor, **fields: str) -> None:
    answer = visitor.send("/account", "/account/language", **fields)
    assert (answer.status_code, answer.location) == (302, "/account#language")


def test_pages_are_in_the_language_that_the_person_chose_and_else_in_that_of_the_browser(app: Flask) -> None:
    visitor = Visitor(app, Role.VIEWER)
    assert '<html lang="en"' in visitor.get("/account").text
    assert '<html lang="de"' in visitor.get("/account", **GERMAN).text
    choose(visitor, language="en", time_zone="")
    assert '<html lang="en"' in visitor.get("/account", **GERMAN).text
    choose(visitor, language="de", time_zone="")
    assert '<html lang="de"' in visitor.get("/account").text
    choose(visitor, language="", time_zone="")
    assert (person().language, person().time_zone) == (None, None)
    assert '<html lang="en"' in visitor.get("/account").text


def test_the_choice_is_shown_and_is_an_entry_of_the_log(app: Flask) -> None:
    visitor = Visitor(app, Role.VIEWER)
    choose(visitor, language="de", time_zone="America/Chicago")
    page = flat(visitor.get("/account"))
    assert '<option value="de" lang="de" selected>Deutsch</option>' in page
    assert "<option selected>America/Chicago</option>" in page
    assert [(row.action, row.detail) for row in entries()] == [
        ("changed", {"language": "de", "time_zone": "America/Chicago"})
    ]


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [("language", "tlh", "Must be one of: en, de."), ("time_zone", "Mars/Olympus", "Not an IANA time zone")],
)
def test_a_language_or_a_zone_that_is_none_is_refused_beside_its_field(
    app: Flask, field: str, value: str, text: str
) -> None:
    visitor = Visitor(app, Role.VIEWER)
    answer = visitor.send("/account", "/account/language", **{field: value})
    assert answer.status_code == 422
    assert text in answer.text
    assert (person().language, person().time_zone) == (None, None)


def test_the_menu_leads_to_password_language_and_time_zone(app: Flask) -> None:
    page = Visitor(app, Role.VIEWER).get("/").text
    assert 'href="/account#password"' in page
    assert 'href="/account#language"' in page


def test_the_exact_time_has_the_persons_zone_beside_it_and_the_day_where_that_is_another_one(
    app: Flask, van: Device
) -> None:
    row = EventRow(id=new_id(), device_id=van.id, kind="crash", at=LATE, cameras="front", file_types="photo")
    db.session.add(row)
    db.session.commit()
    path, visitor = f"/media/{row.id}", Visitor(app, Role.VIEWER)
    assert "2026-01-15 22:57:21 EET (20:57 UTC)" in visitor.get(path).text
    choose(visitor, language="", time_zone="Asia/Tokyo")
    assert "2026-01-15 22:57:21 EET (2026-01-16 05:57 JST)" in visitor.get(path).text
    choose(visitor, language="", time_zone="Europe/Helsinki")  # the same time under another name
    page = visitor.get(path).text
    assert "2026-01-15 22:57:21 EET" in page
    assert "EET (" not in page


def test_the_persons_own_time_stands_beside_the_vehicles_where_exact_times_are_given(
    app: Flask, van: Device
) -> None:
    row = EventRow(id=new_id(), device_id=van.id, kind="crash", at=LATE, cameras="front", file_types="photo")
    db.session.add(row)
    db.session.commit()
    asked = command(van, created_at=LATE, sending_at=LATE)
    visitor = Visitor(app, Role.VIEWER)
    paths = (f"/media/{row.id}", f"/requests/{asked.id}", f"/vehicles/{van.imei}/log")
    shown = '</time> <span class="text-secondary">(15:57 New York)</span>'
    # with its year once that is long ago
    shown_next_day = r'</time> <span class="text-secondary">\(16 Jan( 2026)? 05:57 Tokyo\)</span>'
    for zone, is_beside in (("", False), ("Asia/Tokyo", True), ("Europe/Helsinki", False)):
        choose(visitor, language="", time_zone=zone)
        for path in paths[:2]:
            page = flat(visitor.get(path))
            assert bool(re.search(shown_next_day, page)) == is_beside, (zone, path)
            assert "Helsinki)" not in page
    choose(visitor, language="", time_zone="America/New_York")
    assert "New York)</span>" in flat(visitor.get(paths[2]))
    assert shown in flat(visitor.get(paths[0]))


def test_a_time_in_a_list_says_whose_it_is_unless_it_is_in_the_zone_that_the_reader_chose(
    app: Flask, van: Device
) -> None:
    row = EventRow(id=new_id(), device_id=van.id, kind="crash", at=LATE, cameras="front", file_types="photo")
    db.session.add(row)
    asked = {"file_type": "video", "source": "front", "timestamp": int(LATE.timestamp()), "duration": 20}
    command(van, created_at=LATE, sending_at=LATE, arguments=asked)
    visitor = Visitor(app, Role.VIEWER)
    lists = ("/media", f"/vehicles/{van.imei}/log")
    for zone, label in (("", " EET"), ("Asia/Tokyo", " EET"), ("Europe/Helsinki", "")):
        choose(visitor, language="", time_zone=zone)
        for path in lists:
            page = visitor.get(path).text
            found = set(re.findall(r">[^<>]*?22:57([^<>,]*)</time>", page))
            assert found == {label}, (zone, path)
        assert f"20 s from 22:57:21{label}, front camera" in page


def test_a_zone_without_a_name_is_labelled_by_its_distance_from_utc(app: Flask) -> None:
    assert times.zone_label(LATE, "America/Sao_Paulo") == " UTC-03"


def test_pages_of_no_vehicle_are_in_the_persons_zone(app: Flask) -> None:
    visitor = Visitor(app, Role.ADMIN)
    choose(visitor, language="", time_zone="Asia/Tokyo")
    for path in ("/account", "/settings/people/1", "/settings/log"):
        page = visitor.get(path).text
        assert " JST" in page, path
        assert " UTC" not in page.replace("None: UTC", ""), path


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_the_days_of_the_logs_filter_are_those_of_the_persons_zone(app: Flask) -> None:
    visitor = Visitor(app, Role.ADMIN)
    ident = f"{first_id(LATE)}{new_id()[12:]}"
    db.session.add(AuditEntry(id=ident, at=LATE, who="ada@example.com", address="", action="signed_in"))
    db.session.commit()
    days = ("2026-01-15", "2026-01-16")

    def found() -> list[bool]:
        return ['class="entry"' in visitor.get(f"/settings/log?from={day}&to={day}").text for day in days]

    assert found() == [True, False]
    choose(visitor, language="", time_zone="Asia/Tokyo")
    assert found() == [False, True]


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_the_page_of_an_error_is_shown_in_a_language_while_the_database_is_away(app: Flask) -> None:
    visitor = Visitor(app, Role.VIEWER)

    def away(*_: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("the server closed the connection"))

    event.listen(db.engine, "before_cursor_execute", away)
    try:
        answer = visitor.get("/media", **GERMAN)
    finally:
        event.remove(db.engine, "before_cursor_execute", away)
    assert answer.status_code == 503
    assert '<html lang="de"' in answer.text


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_administrators_set_both_by_the_api_and_what_is_left_out_stays(app: Flask) -> None:
    Visitor(app, Role.VIEWER)
    api = Api(app, Role.ADMIN)
    answer = api("PATCH", "/users/1", {"language": "de", "time_zone": "Asia/Tokyo"})
    assert (answer.json["language"], answer.json["time_zone"]) == ("de", "Asia/Tokyo")
    assert api("PATCH", "/users/1", {"language": None}).json["time_zone"] == "Asia/Tokyo"
    assert api("PATCH", "/users/1", {"name": "Ada"}).json["language"] is None
    assert api("GET", "/users").json["items"][0]["time_zone"] == "Asia/Tokyo"
    refused = api("PATCH", "/users/1", {"language": "tlh", "time_zone": "Mars/Olympus"})
    assert (refused.status_code, sorted(refused.json["errors"])) == (422, ["language", "time_zone"])


def test_outside_of_a_request_the_other_zone_is_utc() -> None:
    assert times.full_time(LATE, "Europe/Vilnius") == "2026-01-15 22:57:21 EET (20:57 UTC)"
    assert times.full_time(LATE) == "2026-01-15 20:57:21 UTC"


class Shouting(NullTranslations):
    """A language that is English in capitals, but for the gaps of a sentence."""

    def gettext(self, message: str) -> str:
        return re.sub(
            r"%\(\w+\)s|\{\w+\}|[^%{]+", lambda m: m[0] if m[0][0] in "%{" else m[0].upper(), message
        )


@pytest.mark.parametrize(
    ("path", "fields", "text"),
    [
        ("/settings/people", {"email": "ada", "role": "viewer"}, "NOT AN E-MAIL ADDRESS."),
        ("/settings/people", {"email": "ada@example.com"}, "MISSING DATA FOR REQUIRED FIELD."),
        ("/settings/tokens", {"name": "x", "role": "viewer", "days": "0"}, "GIVE A NUMBER OF DAYS FROM 1 TO 36500."),
        ("/settings/tokens", {"name": "?", "role": "viewer", "days": "1"}, "LETTERS FROM A TO Z, DIGITS, BLANKS"),
        ("/settings/sms", {"country_code": "370"}, "GIVE + AND THE DIGITS OF THE COUNTRY"),
        ("/settings/storage", {"photo": "x", "video": "0"}, "GIVE A NUMBER OF DAYS FROM 0 TO 36500."),
        ("/account/password", {"current_password": "wrong"}, "THIS IS NOT YOUR PASSWORD."),
    ],
)  # fmt: skip
def test_what_a_form_says_of_a_field_is_in_the_language_of_the_page(
    app: Flask, monkeypatch: pytest.MonkeyPatch, path: str, fields: dict[str, str], text: str
) -> None:
    visitor = Visitor(app, Role.ADMIN)
    monkeypatch.setattr(translation, "_choose", Shouting)
    answer = visitor.send(path.replace("/password", ""), path, **fields)
    assert answer.status_code == 422
    assert text in answer.text


def test_the_api_refuses_in_english_whatever_the_browser_asks_for(app: Flask) -> None:
    answer = Api(app, Role.ADMIN)("POST", "/users", {"email": "ada"}, **GERMAN)
    assert answer.json["errors"]["email"] == ["Not an e-mail address."]
    assert answer.json["errors"]["role"] == ["Missing data for required field."]
