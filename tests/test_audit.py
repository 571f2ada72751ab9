"""The log of people: who did and saw what, from where; once for a viewing; never a secret; never changed."""

import threading
from datetime import timedelta
from typing import Any

import pytest
import structlog
from audit_rows import add_photo, audited, entries
from flask import Flask
from page_visitor import IMEI, Visitor, flat
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError, OperationalError
from test_api import Api

from provisioning.core import audit
from provisioning.core.audit import AuditAction
from provisioning.media import retention, shares
from provisioning.models import AuditEntry, Device, Event, Role, Upload, WallLink, db, new_id, utcnow
from provisioning.web import access, users

PASSWORD = "a long enough password"


@pytest.fixture
def photo(app: Flask, van: Device, config: Any) -> Upload:
    return add_photo(van, config.media_url)


# signing in and out


def test_signing_in_and_out_are_entries_with_the_address(app: Flask) -> None:
    users.create("ada@example.com", Role.VIEWER, PASSWORD)
    visitor = Visitor.__new__(Visitor)
    visitor.client = app.test_client()
    visitor.send("/login", "/login", email="Ada@example.com", password=PASSWORD)
    visitor.send("/", "/logout")
    assert audited() == [("ada@example.com", "signed_in", None), ("ada@example.com", "signed_out", None)]
    assert {row.address for row in entries()} == {"127.0.0.1"}


def test_a_sign_in_that_failed_names_a_user_and_never_what_else_was_typed(app: Flask) -> None:
    users.create("ada@example.com", Role.VIEWER, PASSWORD)
    visitor = Visitor.__new__(Visitor)
    visitor.client = app.test_client()
    for email in ("ada@example.com", "my p@ssword.1"):
        visitor.send("/login", "/login", email=email, password="wrong " + PASSWORD)
    assert audited() == [("ada@example.com", "sign_in_failed", None), ("unknown", "sign_in_failed", None)]


# what was done


def test_what_changes_a_vehicle_names_the_fields_and_hides_the_secrets(app: Flask, van: Device) -> None:
    api = Api(app, Role.ADMIN)
    api("PATCH", f"/devices/{IMEI}", {"name": "Van 12", "phone": van.phone, "sms_password": "new22"})
    (entry,) = entries(imei=IMEI)
    assert (entry.who, entry.action, entry.object) == ("token admin", "changed", f"device:{IMEI}")
    assert entry.detail == {"name": "Van 12", "sms_password": "•••••"}


@pytest.mark.on_sqlite
def test_a_form_that_is_sent_leaves_the_fields_out_that_stayed_the_same(app: Flask, van: Device) -> None:
    visitor = Visitor(app, Role.INSTALLER)
    page = f"/vehicles/{IMEI}/settings/vehicle"
    visitor.send(page, page, phone=van.phone, name="Van 11", tags="north, day", time_zone="Europe/Vilnius")
    (entry,) = entries(imei=IMEI)
    assert (entry.who, entry.detail) == ("installer@example.com", {"tags": "day, north"})


@pytest.mark.on_sqlite
@pytest.mark.usefixtures("van")
def test_the_page_after_a_vehicle_was_changed_says_that_it_is_saved(app: Flask) -> None:
    visitor = Visitor(app, Role.INSTALLER)
    page = f"/vehicles/{IMEI}/settings/vehicle"
    answer = visitor.send(page, page, phone="+12025550111", name="Van 11", time_zone="Europe/Vilnius")
    said = "<p data-done>Saved.</p>"
    assert said in visitor.get(str(answer.location)).text
    assert said not in visitor.get(f"/vehicles/{IMEI}").text


def test_a_request_is_an_entry_once_however_often_its_form_is_sent(app: Flask, van: Device) -> None:
    visitor = Visitor(app, Role.SUPPORT)
    fields = {"file_type": "photo", "source": "front", "nonce": "the same"}
    for _ in range(2):
        visitor.send(f"/vehicles/{IMEI}/footage", f"/vehicles/{IMEI}/ask", **fields)
    (entry,) = entries()
    assert (entry.who, entry.action, entry.imei) == ("support@example.com", "asked", IMEI)
    assert (entry.object or "").startswith("command:")
    assert entry.detail == {"command": "camreq"}


def test_a_call_that_is_repeated_by_its_key_is_one_entry(app: Flask) -> None:
    api = Api(app, Role.ADMIN)
    body = {"imei": IMEI, "phone": "+12025550111"}
    assert [api("POST", "/devices", body, **{"Idempotency-Key": "1"}).status_code for _ in "12"] == [201, 201]
    assert audited() == [("token admin", "added", f"device:{IMEI}")]


@pytest.mark.on_sqlite
def test_what_is_refused_is_no_entry(app: Flask, van: Device) -> None:
    api = Api(app, Role.VIEWER)
    assert api("PATCH", f"/devices/{IMEI}", {"name": "x"}).status_code == 403
    assert Api(app, Role.ADMIN)("PATCH", f"/devices/{IMEI}", {"phone": "x"}).status_code == 422
    assert audited() == []


def test_correcting_a_link_is_an_entry_of_the_file_and_its_vehicle(app: Flask, photo: Upload) -> None:
    Api(app, Role.SUPPORT)("PATCH", f"/uploads/{photo.id}/link", {"command": None})
    assert audited(imei=IMEI) == [("token support", "corrected", f"upload:{photo.id}")]


@pytest.mark.on_sqlite
def test_what_the_command_line_does_is_an_entry(app: Flask) -> None:
    cli = app.test_cli_runner()
    cli.invoke(
        args=["users", "create", "a@example.com", "--role", "viewer", "--password-stdin"], input=PASSWORD
    )
    cli.invoke(args=["users", "role", "a@example.com", "support"])
    token = cli.invoke(args=["tokens", "create", "platform", "--role", "viewer"]).stdout.strip()
    assert audited() == [
        ("command line", "added", "user:a@example.com"),
        ("command line", "changed", "user:a@example.com"),
        ("command line", "added", "token:platform"),
    ]
    assert not any(secret in str(vars(row)) for row in entries() for secret in (token, PASSWORD))


@pytest.mark.on_sqlite
@pytest.mark.quick
def test_a_test_sms_is_an_entry_with_its_number_without_the_digits_in_the_middle(app: Flask) -> None:
    visitor = Visitor(app, Role.ADMIN)
    visitor.send("/settings/sms", "/settings/sms/test", phone="+37061234567")
    assert audited(action="asked") == [("admin@example.com", "asked", "test_sms:+370•••••67")]
    assert "asked for: <bdi>a test SMS to +370•••••67</bdi>" in flat(visitor.get("/settings/log"))


def test_keeping_an_event_and_no_longer_keeping_it_are_two_words(app: Flask, van: Device) -> None:
    crash = Event(
        id=new_id(), device_id=van.id, kind="crash", at=utcnow(), cameras="front", file_types="photo"
    )
    db.session.add(crash)
    db.session.commit()
    page, visitor = f"/media/{crash.id}", Visitor(app, Role.SUPPORT)
    for saved in "10":
        visitor.send(page, f"{page}/saved", saved=saved)
    api = Api(app, Role.SUPPORT)
    api("PUT", f"/events/{crash.id}/saved")
    api("DELETE", f"/events/{crash.id}/saved")
    assert [row[1] for row in audited(object=f"event:{crash.id}")] == ["saved", "unsaved", "saved", "unsaved"]
    assert "stopped keeping" in flat(Visitor(app, Role.ADMIN).get("/settings/log"))


def test_what_a_program_repeats_changes_nothing_and_is_one_entry(
    app: Flask, van: Device, photo: Upload
) -> None:
    crash = Event(
        id=new_id(), device_id=van.id, kind="crash", at=utcnow(), cameras="front", file_types="photo"
    )
    db.session.add(crash)
    db.session.commit()
    share, _ = shares.make(crash, 24, None, "tests", utcnow())
    person = users.add("ada@example.com", "Ada", Role.VIEWER)
    api = Api(app, Role.ADMIN)
    for method, path, body in (
        ("PUT", f"/events/{crash.id}/saved", None),
        ("DELETE", f"/events/{crash.id}/saved", None),
        ("DELETE", f"/shares/{share.id}", None),
        ("PATCH", f"/devices/{IMEI}", {"name": "Van 12"}),
        ("PATCH", f"/uploads/{photo.id}/link", {"command": None}),
        ("PATCH", f"/users/{person.id}", {"role": "support", "name": "Ada"}),
        ("PATCH", f"/users/{person.id}", {"active": False}),
    ):
        before = len(entries())
        answers = [api(method, path, body) for _ in "123"]
        assert {answer.status_code for answer in answers} == {answers[0].status_code} <= {200, 204}
        assert len(entries()) == before + 1, (method, path)
    assert [row.detail for row in entries(object="user:ada@example.com")] == [
        {"role": "support"},
        {"active": False},
    ]


@pytest.mark.on_sqlite
def test_a_form_that_changes_nothing_is_no_entry(app: Flask, van: Device) -> None:
    crash = Event(
        id=new_id(), device_id=van.id, kind="crash", at=utcnow(), cameras="front", file_types="photo"
    )
    db.session.add(crash)
    db.session.commit()
    visitor, page = Visitor(app, Role.ADMIN), f"/media/{crash.id}"
    for saved in "1100":
        visitor.send(page, f"{page}/saved", saved=saved)
    assert [row[1] for row in audited(object=f"event:{crash.id}")] == ["saved", "unsaved"]
    settings = f"/vehicles/{IMEI}/settings/vehicle"
    for _ in range(2):
        visitor.send(settings, settings, phone=van.phone, name="Van 12", time_zone="Europe/Vilnius")
    assert [row.detail for row in entries(object=f"device:{IMEI}")] == [{"name": "Van 12"}]


@pytest.mark.on_sqlite
def test_what_changes_the_service_names_the_settings_and_hides_the_secrets(app: Flask) -> None:
    visitor = Visitor(app, Role.ADMIN)
    visitor.send(
        "/settings/sms", "/settings/sms", sms_login="fleet", sms_password="cam11", country_code="+370"
    )
    visitor.send("/settings/sms", "/settings/sms", forget_login="on", country_code="+370")
    visitor.send("/settings/storage", "/settings/storage", photo="30", video="90")
    assert [(row.action, row.object, row.detail) for row in entries()] == [
        ("changed", "settings:sms", {"country_code": "+370", "sms_login": "•••••", "sms_password": "•••••"}),
        ("changed", "settings:sms", {"country_code": "+370", "sms_login": "", "sms_password": ""}),
        ("changed", "settings:storage", {"photo_days": 30, "video_days": 90}),
    ]
    page = flat(visitor.get("/settings/log"))
    for words in ("how long files are kept", "what new vehicles begin with", "days of photos: <bdi>30</bdi>"):
        assert words in page


def test_a_wall_board_is_named_where_it_is_made_and_revoked(app: Flask) -> None:
    visitor = Visitor(app, Role.ADMIN)
    visitor.send("/settings/wall", "/settings/wall", name="Depot", tags="north")
    number = db.session.scalars(select(WallLink.id)).one()
    for _ in range(2):
        visitor.send("/settings/wall", f"/settings/wall/{number}/revoke")
    assert [(row.action, row.object, row.detail) for row in entries()] == [
        ("added", "wall:Depot", {"tags": "north"}),
        ("removed", "wall:Depot", None),
    ]
    assert "the wall board Depot" in flat(visitor.get("/settings/log"))


def test_every_route_that_changes_something_says_what_the_log_calls_it() -> None:
    silent = [route for route, write in access.WRITES.items() if write.action is None]
    assert silent == ["POST /api/v1/devices/<imei>/records"]  # sent by a platform, some each minute


# what was seen


def test_looking_at_a_file_is_one_entry_for_the_page_and_all_its_ranges(app: Flask, photo: Upload) -> None:
    visitor = Visitor(app, Role.VIEWER)
    visitor.get(f"/uploads/{photo.id}")
    for begin in (0, 500, 1000):
        answer = visitor.get(f"/uploads/{photo.id}/content?inline=1", Range=f"bytes={begin}-")
        assert answer.status_code == 206
    assert audited() == [("viewer@example.com", "saw", f"upload:{photo.id}")]
    visitor.get(f"/uploads/{photo.id}/content")
    visitor.get(f"/uploads/{photo.id}/content", Range="bytes=1000-")
    assert audited()[1:] == [("viewer@example.com", "downloaded", f"upload:{photo.id}")]


@pytest.mark.on_sqlite
def test_a_part_that_a_page_fetches_anew_by_itself_is_no_viewing(app: Flask, photo: Upload) -> None:
    Visitor(app, Role.VIEWER).get(f"/uploads/{photo.id}", **{"HX-Request": "true"})
    assert audited() == []


def test_looking_again_later_is_another_viewing(app: Flask) -> None:
    entry = audit.NewEntry("ada@example.com", "192.0.2.1", AuditAction.SAW, "upload:1")
    now = utcnow()
    for minutes in (0, 20, 40):
        audit.write([entry], now + timedelta(minutes=minutes))
    assert len(entries()) == 2


def test_ranges_that_come_at_the_same_moment_are_one_viewing(app: Flask) -> None:
    entry, now = audit.NewEntry("ada@example.com", "192.0.2.1", AuditAction.SAW, "upload:1"), utcnow()
    begin = threading.Barrier(4)

    def look() -> None:
        with app.app_context():
            begin.wait()
            audit.write([entry], now)
            db.session.remove()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(entries()) == 1


def test_a_program_that_fetches_a_file_downloads_it(app: Flask, photo: Upload) -> None:
    Api(app, Role.VIEWER)("GET", f"/uploads/{photo.id}/content")
    assert audited() == [("token viewer", "downloaded", f"upload:{photo.id}")]


def test_the_page_of_a_file_tells_administrators_who_saw_it(app: Flask, photo: Upload) -> None:
    path = f"/uploads/{photo.id}"
    for role in (Role.VIEWER, Role.SUPPORT):
        visitor = Visitor(app, role)
        visitor.get(path)
        assert "Seen by" not in visitor.get(path).text
    page = flat(Visitor(app, Role.ADMIN).get(path))
    assert "Seen by 2" in page
    assert "viewer@example.com" in page


# the log itself


def test_an_entry_cannot_be_changed(app: Flask) -> None:
    audit.write([audit.NewEntry("ada@example.com", "", AuditAction.SIGNED_IN)], utcnow())
    with pytest.raises(DBAPIError, match="are not changed"):
        db.session.execute(update(AuditEntry).values(who="nobody"))
    db.session.rollback()
    assert audited() == [("ada@example.com", "signed_in", None)]


def test_a_new_entry_cannot_be_removed(app: Flask) -> None:
    audit.write([audit.NewEntry("ada@example.com", "", AuditAction.SIGNED_IN)], utcnow())
    ways = ["DELETE FROM audit_entries"]
    if db.engine.dialect.name == "postgresql":
        ways.append("TRUNCATE audit_entries")
    for statement in ways:
        with pytest.raises(DBAPIError, match="are not removed"):
            db.session.execute(text(statement))
        db.session.rollback()
    assert audited() == [("ada@example.com", "signed_in", None)]


def test_each_entry_is_a_line_of_the_log_of_the_process_too(app: Flask, van: Device) -> None:
    with structlog.testing.capture_logs() as lines:
        Api(app, Role.ADMIN)("PATCH", f"/devices/{IMEI}", {"sms_password": "new22"})
    (line,) = [line for line in lines if line["event"] == "done by a person"]
    assert {name: line[name] for name in ("who", "action", "object", "address", "detail")} == {
        "who": "token admin",
        "action": "changed",
        "object": f"device:{IMEI}",
        "address": "127.0.0.1",
        "detail": {"sms_password": "•••••"},
    }


def test_what_was_done_stays_done_when_its_entry_cannot_be_written(
    app: Flask, van: Device, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise OperationalError("INSERT", {}, Exception("the disk is full"))

    monkeypatch.setattr(audit, "_add", fail)
    assert Api(app, Role.ADMIN)("PATCH", f"/devices/{IMEI}", {"name": "Van 12"}).status_code == 200
    db.session.expire_all()
    assert db.session.scalars(select(Device.name)).one() == "Van 12"
    assert "could not be written" in capsys.readouterr().err


def test_entries_go_after_their_days_and_not_before(app: Flask) -> None:
    now = utcnow()
    days = app.extensions["dualcam_config"].retention_days_audit
    assert days == 365
    for age in (days + 1, days - 1):
        at = now - timedelta(days=age)
        ident = f"{int(at.timestamp() * 1000):012x}{new_id()[12:]}"
        db.session.add(AuditEntry(id=ident, at=at, who="ada@example.com", address="", action="signed_in"))
    db.session.commit()
    assert retention.sweep(utcnow) == {"audit": 1}
    assert len(entries()) == 1
