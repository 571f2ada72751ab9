"""How the log of people is read: on its page in words, by its filters, by the API and as CSV."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from audit_rows import add_photo, audited, entries
from flask import Flask
from page_visitor import IMEI, Visitor, command, flat, text_from
from sqlalchemy import text
from test_api import Api

from provisioning.core import audit
from provisioning.core.audit import AuditAction, AuditKind
from provisioning.media import shares
from provisioning.models import AuditEntry, Device, Event, Role, Upload, db, new_id, utcnow
from provisioning.web import audit_notes, users


@pytest.fixture
def photo(app: Flask, van: Device, config: Any) -> Upload:
    return add_photo(van, config.media_url)


@pytest.mark.on_sqlite
def test_the_log_says_yes_and_no_of_what_was_ticked_and_leaves_out_what_was_not(app: Flask) -> None:
    given = {"imei": IMEI, "phone": "+12025550111", "name": "Van 11", "cabin_private": True}
    Api(app, Role.ADMIN)("POST", "/devices", given)
    (entry,) = entries(imei=IMEI)
    assert {"cabin_private", "camera_server_configured"} & entry.detail.keys() == {"cabin_private"}
    assert entry.detail["cabin_private"] is True
    visitor = Visitor(app, Role.ADMIN)
    page = f"/vehicles/{IMEI}/settings/vehicle"
    visitor.send(page, page, phone="+12025550111", name="Van 11", time_zone="UTC")
    for log in ("/settings/log", f"/vehicles/{IMEI}/log"):
        text = visitor.get(log).text
        assert "IMEI: <bdi>" in text
        assert "nothing of the cabin: <bdi>yes</bdi>" in text
        assert "nothing of the cabin: <bdi>no</bdi>" in text


@pytest.mark.on_sqlite
def test_the_log_names_roles_in_words(app: Flask) -> None:
    visitor = Visitor(app, Role.ADMIN)
    visitor.send("/settings/people", "/settings/people", email="ada@example.com", role="support")
    assert "role: <bdi>Support</bdi>" in visitor.get("/settings/log").text


@pytest.mark.on_sqlite
def test_yes_and_no_stand_in_words_in_the_log(app: Flask, van: Device) -> None:
    Api(app, Role.ADMIN)("PATCH", f"/devices/{IMEI}", {"cabin_private": True})
    (entry,) = entries(imei=IMEI)
    assert entry.detail == {"cabin_private": True}
    # versions before wrote the word of the program
    before = audit.NewEntry(
        "ada@example.com", "", AuditAction.CHANGED, "user:a@b.de", None, {"active": "False"}
    )
    audit.write([before], utcnow())
    page = flat(Visitor(app, Role.ADMIN).get("/settings/log"))
    assert "nothing of the cabin: <bdi>yes</bdi>" in page
    assert "<bdi>disabled</bdi>" in page
    assert "active" not in without_addresses(page)


@pytest.mark.on_sqlite
def test_the_log_says_the_details_of_entries_in_words_and_nothing_that_is_empty(
    app: Flask, van: Device
) -> None:
    given = [
        (AuditAction.SIGNED_IN, None, {"password": audit_notes.HIDDEN}),
        (AuditAction.INVITED, "user:a@b.de", {"role": "viewer", "tags": ""}),
        (AuditAction.ADDED, f"device:{IMEI}", {"cabin_private": False, "camera_server_configured": "False"}),
        (AuditAction.ASKED, f"command:{command(van).id}", {"command": "camreq"}),
        (AuditAction.ASKED, f"command:{new_id()}", {"command": "setparam"}),
        (AuditAction.EXPORTED, "log", {"who": "", "from": "2026-11-28"}),
        (AuditAction.CHANGED, "settings:storage", {"photo_days": 0}),
        (AuditAction.CHANGED, f"device:{IMEI}", {"tags": ""}),
    ]
    audit.write([audit.NewEntry("token seed", "", *one[:2], None, one[2]) for one in given], utcnow())
    text = without_addresses(flat(Visitor(app, Role.ADMIN).get("/settings/log")))
    said = re.findall(r"on the server(?: · (.+?))? \d\d:\d\d", " ".join(text.split()))
    assert said == [
        "tags: none",
        "days of photos: for ever",
        "from: 28 November 2026",
        "command: set settings",
        "",
        "",
        "role: Viewer",
        "password: set",
    ]


@pytest.mark.on_sqlite
def test_the_log_of_people_has_a_heading_for_each_day_and_its_filter_is_closed(app: Flask) -> None:
    days = [utcnow() - timedelta(days=age) for age in (3, 2)]
    for day in days:
        audit.write([audit.NewEntry("ada@example.com", "", AuditAction.SIGNED_IN)], day)
    page = flat(Visitor(app, Role.ADMIN).get("/settings/log?who=ada@example.com"))
    headings = [f"{day:%a} {day.day} {day:%b}" for day in reversed(days)]
    assert re.findall(r'<h2 class="day">([^<]+)</h2>', page) == headings
    assert re.search(r'<details class="card" id="filter" ?>', page)
    assert "Filter: <bdi>ada@example.com</bdi>" in page


@pytest.fixture
def happened(app: Flask, van: Device) -> dict[str, str]:
    """An event, a link to it and a request, each in the log of people: their ids by kind."""
    now = datetime(2026, 1, 15, 20, 57, 21, tzinfo=UTC)
    crash = Event(id=new_id(), device_id=van.id, kind="crash", at=now, cameras="front", file_types="photo")
    db.session.add(crash)
    db.session.commit()
    share, _ = shares.make(crash, 24, None, "tests", utcnow())
    text = text_from("+37061111111", "hello")
    found = {"event": crash.id, "share": share.id, "command": command(van).id, "message": text.id}
    written = [
        audit.NewEntry("ada@example.com", "127.0.0.1", AuditAction.CORRECTED, f"{kind}:{ident}", van.imei)
        for kind, ident in found.items()
    ]
    of_link = audit.NewEntry(
        f"shared link {share.id}", "127.0.0.1", AuditAction.SAW, f"event:{crash.id}", van.imei
    )
    audit.write([*written, of_link], utcnow())
    return found


def without_addresses(page: str) -> str:
    """Give what people read of a page: no tags."""
    return re.sub(r"<[^>]*>", "", page)


@pytest.mark.on_sqlite
@pytest.mark.parametrize("path", ["/settings/log", f"/vehicles/{IMEI}/log"])
def test_the_log_names_in_words_with_a_link_what_an_entry_is_about(
    app: Flask, happened: dict[str, str], path: str
) -> None:
    page = flat(Visitor(app, Role.ADMIN).get(path))
    event = "the event “Crash” of 2026-01-15"
    assert page.count(f'<a href="/media/{happened["event"]}"><bdi>{event}') == 3  # of the link, too
    assert f'<a href="/requests/{happened["command"]}"><bdi>Photo, front camera' in page
    assert "the SMS from +37061111111 of" in page
    assert "Somebody with a shared link" in page
    assert [ident for ident in happened.values() if ident in without_addresses(page)] == []


def test_the_log_says_in_words_that_what_an_entry_is_about_was_removed_and_its_csv_keeps_the_ids(
    app: Flask, happened: dict[str, str]
) -> None:
    ident = new_id()
    kinds = ("event", "share", "command", "message", "upload")
    audit.write(
        [audit.NewEntry("ada@example.com", "", AuditAction.CORRECTED, f"{kind}:{ident}") for kind in kinds],
        utcnow(),
    )
    visitor = Visitor(app, Role.ADMIN)
    page = visitor.get("/settings/log").text
    for words in ("an event", "a shared link", "a request", "an SMS", "a file"):
        assert f"{words} that was removed" in page
    assert ident not in page
    table = visitor.get("/settings/log.csv").text
    assert [f"{kind}:{ident}" in table for kind in kinds] == [True] * 5
    assert f"event:{happened['event']}" in table


@pytest.fixture
def filled(app: Flask, photo: Upload) -> Upload:
    """Entries of two people about a vehicle, its file and other things; the newest was written last."""
    now = utcnow()
    file, device = f"upload:{photo.id}", f"device:{IMEI}"
    audit.write(
        [
            audit.NewEntry("ada@example.com", "192.0.2.1", AuditAction.SIGNED_IN),
            audit.NewEntry("ada@example.com", "192.0.2.1", AuditAction.SAW, file, IMEI),
            audit.NewEntry(
                "bob@example.com", "192.0.2.2", AuditAction.CHANGED, device, IMEI, {"name": "=1+1"}
            ),
            audit.NewEntry("bob@example.com", "192.0.2.2", AuditAction.ADDED, "token:platform"),
        ],
        now,
    )
    return photo


def test_the_api_lists_entries_by_person_object_and_time(app: Flask, filled: Upload) -> None:
    api, hour = Api(app, Role.ADMIN), timedelta(hours=1)

    def actions(**query: str) -> list[str]:
        answer = app.test_client().get("/api/v1/audit", query_string=query, headers=api.headers)
        return [item["action"] for item in answer.json["items"]]

    assert actions() == ["added", "changed", "saw", "signed_in"]
    assert actions(who="ada@example.com") == ["saw", "signed_in"]
    assert actions(object=f"upload:{filled.id}") == ["saw"]
    assert actions(object=f"device:{IMEI}") == ["changed", "saw"]
    assert actions(**{"from": (utcnow() + hour).isoformat()}) == []
    assert actions(to=(utcnow() - hour).isoformat()) == []
    assert len(actions(**{"from": (utcnow() - hour).isoformat(), "to": (utcnow() + hour).isoformat()})) == 4
    first = api("GET", "/audit?limit=3").json
    rest = api("GET", f"/audit?limit=3&cursor={first['next']}").json
    assert [item["action"] for item in rest["items"]] == ["signed_in"]
    assert rest["next"] is None
    assert first["items"][1] == {
        "id": first["items"][1]["id"], "at": first["items"][1]["at"], "who": "bob@example.com",
        "address": "192.0.2.2", "action": "changed", "object": f"device:{IMEI}", "imei": IMEI,
        "detail": {"name": "=1+1"},
    }  # fmt: skip


def test_the_page_finds_entries_by_the_name_of_a_vehicle_and_keeps_its_filters(
    app: Flask, filled: Upload
) -> None:
    visitor = Visitor(app, Role.ADMIN)
    page = flat(visitor.get("/settings/log?object=Van+11&who=ada@example.com"))
    assert 'value="Van 11"' in page
    assert page.count('class="entry"') == 1
    assert f'href="/uploads/{filled.id}"' in page
    assert "log.csv?who=ada%40example.com&amp;object=Van+11" in page.replace("@", "%40")
    assert "No entry fits." in visitor.get("/settings/log?who=nobody@example.com").text
    assert "No entry fits." in visitor.get("/settings/log?to=2020-01-01").text
    assert visitor.get("/settings/log?from=not-a-day&to=99999").text.count('class="entry"') == 4


@pytest.mark.parametrize(
    ("day", "count"), [("2026-10-25", 1), ("2026-10-26", 0), ("2026-03-29", 0), ("2026-03-30", 1)]
)
def test_a_day_of_the_filters_is_as_long_as_the_readers_zone_has_it(app: Flask, day: str, count: int) -> None:
    visitor = Visitor(app, Role.ADMIN)
    users.set_reading(users.find("admin@example.com"), None, "Europe/Berlin")
    # 23:30 of a day of 25 hours, and 0:30 after one of 23
    for moment in (datetime(2026, 10, 25, 22, 30, tzinfo=UTC), datetime(2026, 3, 29, 22, 30, tzinfo=UTC)):
        ident = f"{int(moment.timestamp() * 1000):012x}{new_id()[12:]}"
        db.session.add(AuditEntry(id=ident, at=moment, who="ada@example.com", address="", action="signed_in"))
    db.session.commit()
    page = visitor.get(f"/settings/log?who=ada@example.com&from={day}&to={day}").text
    assert page.count('class="entry"') == count


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_a_day_at_an_end_of_all_times_bounds_nothing(app: Flask, filled: Upload, day: str) -> None:
    visitor = Visitor(app, Role.ADMIN)
    assert visitor.get(f"/settings/log?to={day}").status_code == 200
    assert visitor.get(f"/settings/log?from={day}").status_code == 200


def test_the_csv_holds_what_the_filters_leave_and_is_an_entry_itself(app: Flask, filled: Upload) -> None:
    answer = Visitor(app, Role.ADMIN).get(f"/settings/log.csv?object=device:{IMEI}")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["who"], row["action"]) for row in rows] == [
        ("bob@example.com", "changed"),
        ("ada@example.com", "saw"),
    ]
    assert audited()[-1] == ("admin@example.com", "exported", "log")


def test_the_csv_says_each_entry_in_words_behind_its_codes_in_english_for_every_reader(
    app: Flask, filled: Upload
) -> None:
    visitor = Visitor(app, Role.ADMIN)
    users.set_reading(users.find("admin@example.com"), "de", "Europe/Berlin")
    answer = visitor.get(f"/settings/log.csv?object=device:{IMEI}")
    head, *_ = csv.reader(io.StringIO(answer.text))
    assert head == [
        "at",
        "who",
        "address",
        "action",
        "object",
        "imei",
        "detail",
        "sentence",
        "vehicle",
        "details",
    ]
    row = next(iter(csv.DictReader(io.StringIO(answer.text))))
    assert (row["sentence"], row["vehicle"]) == ("bob@example.com changed Van 11", "Van 11")
    assert row["details"] == "name: =1+1"


@pytest.mark.on_sqlite
def test_no_cell_of_the_csv_is_a_formula(app: Flask) -> None:
    audit.write([audit.NewEntry("=cmd()", "", AuditAction.CHANGED, detail={"name": "Van"})], utcnow())
    answer = Visitor(app, Role.ADMIN).get("/settings/log.csv")
    assert [row["who"] for row in csv.DictReader(io.StringIO(answer.text))][-1] == "'=cmd()"


@pytest.mark.on_sqlite
def test_every_action_is_of_one_kind(app: Flask) -> None:
    of_kinds = [action for kind in AuditKind for action in audit.actions_of(kind)]
    assert sorted(of_kinds) == sorted(AuditAction)


def test_the_log_is_read_by_what_its_entries_are_about(app: Flask, filled: Upload) -> None:
    visitor = Visitor(app, Role.ADMIN)
    audit.write([audit.NewEntry("ada@example.com", "", AuditAction.SIGN_IN_FAILED)], utcnow())
    audit.write([audit.NewEntry("ada@example.com", "", AuditAction.CHANGED, f"device:{IMEI}")], utcnow())
    page = flat(visitor.get("/settings/log?kind=sign_in&who=ada@example.com"))
    assert 'name="kind" value="sign_in"' in page
    log = without_addresses(page)
    assert "could not sign in" in log
    assert "changed" not in log
    log = without_addresses(flat(visitor.get("/settings/log?kind=change&who=ada@example.com")))
    assert "could not sign in" not in log
    assert "changed" in log
    assert "could not sign in" in flat(visitor.get("/settings/log?kind=other&who=ada@example.com"))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_filters_read_by_an_index(app: Flask) -> None:
    device, person = audit.EntryFilter(object=f"device:{IMEI}"), audit.EntryFilter(who="ada@example.com")
    for wanted in (person, device, audit.EntryFilter(object="upload:1")):
        query = audit.select_entries(wanted).order_by(AuditEntry.id.desc()).limit(50)
        sql = str(query.compile(db.engine, compile_kwargs={"literal_binds": True}))
        plan = " ".join(row[3] for row in db.session.execute(text(f"EXPLAIN QUERY PLAN {sql}")))
        assert "USING INDEX ix_audit_entries_" in plan
        assert "TEMP B-TREE" not in plan
