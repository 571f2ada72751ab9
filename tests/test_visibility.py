"""Who is limited to tags sees nothing of other vehicles: every address and API operation, counts, streams, tags."""

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from conftest import wait_until
from flask import Flask, g
from flask.testing import FlaskCliRunner
from page_visitor import Visitor, command, upload
from sqlalchemy import delete, func, select, union_all
from sqlalchemy.orm import aliased
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from provisioning.core import change_feed
from provisioning.core.config import current_config
from provisioning.core.errors import Conflict
from provisioning.devices import registry
from provisioning.media import previews, storage
from provisioning.models import (
    Base,
    CameraSession,
    Change,
    ChecklistRun,
    Device,
    Event,
    Message,
    Role,
    Share,
    State,
    Upload,
    User,
    changes,
    db,
    new_id,
    utcnow,
    visibility,
)
from provisioning.roles import LEAST
from provisioning.web import access, auth, users
from provisioning.web.auth import Caller
from provisioning.web.pages import inbox_items

OWN, OTHER, GHOST = "352094082736916", "352094082042885", "356307042441013"
NORTH = frozenset({"north"})

# what an <ident> of an address names, by the word before it
KINDS = {
    "commands": "command", "events": "event", "media": "event", "requests": "command", "shares": "share",
    "texts": "message", "uploads": "upload",
}  # fmt: skip
# a body that would do something, where the operation needs one
BODIES: dict[str, Any] = {
    "checks.reply": {"question": "led", "answer": "yes"},
    "commands.ask": {"command": "getver"},
    "commands.preview": {"command": "camreq", "file_type": "photo", "source": "front"},
    "commands.provision": {"parameters": {"66000": "cams.example"}},
    "devices.add_record": {"timestamp": 1_767_225_600, "values": {"239": 1}},
    "devices.change_device": {"name": "Mine"},
    "parameters.plan": {"parameters": {"66001": 1}, "imei": OTHER},
    "shares.make_share": {"hours": 1},
    "uploads.fix_link": {"command": None},
}
# addresses for sending that name no vehicle, and why they may stand open
SENT_WITHOUT_VEHICLE = {
    "devices.add_device": "adds one: tests below",
    "pages.add_vehicle": "adds one: tests below",
    "pages.change_password": "one's own account",
    "pages.end_session": "one's own account",
    "pages.invitation": "before anybody is known",
    "pages.login": "before anybody is known",
    "pages.logout": "one's own session",
    "pages.preset_cards": "refused: a test below",
    "pages.presets": "refused: a test below",
    "pages.set_reading": "one's own account",
    "pages.set_theme": "one's own browser",
    "pages.shared_unlock": "opens one event by a token and a password of its own",
    "parameters.save_profile": "refused: a test below",
    "webhooks.receive_reports": "of the SMS gateway",
    "webhooks.receive_texts": "of the SMS gateway",
}
# names in addresses that are of no vehicle
NAMES = {"pages.vehicle_part": "head", "pages.preset": "Standard", "parameters.get_profile": "Standard"}
# tables that tell nothing of single vehicles, or are shown to nobody
OF_NO_VEHICLE = {
    "ApiToken", "AuditEntry", "Cursor", "FleetSettings", "GatewayEvent", "IdempotencyKey", "JobState", "Lease",
    "LoginFailure", "Profile", "SenderBucket", "StoredAmount", "User", "WallLink", "WebSession",
}  # fmt: skip


class Guest:
    """Somebody in a browser and a program of the same role and the same tags; each request has its own session."""

    def __init__(self, app: Flask, name: str, tags: list[str] | None) -> None:
        self.visitor = Visitor.__new__(Visitor)
        self.visitor.client = app.test_client()
        user = users.create(f"{name}@example.com", Role.INSTALLER, "a long enough password", tags)
        made = auth.sign_in.begin(user, "127.0.0.1", "tests", utcnow())
        with self.visitor.client.session_transaction() as session:
            session["_user_id"], session["_fresh"] = made.key, True
        self.token = auth.create_token(name, Role.INSTALLER, tags=tags)

    def open(self, path: str, method: str = "GET", body: Any = None, form: Any = None) -> TestResponse:
        for name in list(g):
            g.pop(name)
        db.session.remove()  # as between two requests: what one has loaded, the next one does not know
        headers = {"Authorization": f"Bearer {self.token}"} if path.startswith("/api/") else {}
        answer = self.visitor.client.open(path, method=method, json=body, data=form, headers=headers)
        db.session.remove()
        return answer

    def get(self, path: str) -> Any:
        answer = self.open(f"/api/v1{path}")
        assert answer.status_code == 200, answer.text
        return answer.get_json()


def put(key: str, content: str) -> None:
    """Put a file into the media store."""
    source = current_config().media_spool / "source"
    source.parent.mkdir(exist_ok=True)
    source.write_text(content)
    storage.media().put(source, key)


def make(imei: str, number: int, **values: Any) -> dict[str, str]:
    """Add a vehicle with a row of everything; give what names it: a word that no other vehicle's pages hold."""
    given = {"imei": imei, "phone": f"+1202555011{number}", "sms_login": "a", "sms_password": "b"} | values
    device = registry.add(given, utcnow())
    asked = command(device, number, State.IN_PROGRESS, arguments={"file_type": "video", "source": "front"})
    key = f"2026/{imei}.jpg"
    event = Event(
        id=new_id(), device_id=device.id, kind="asked", at=utcnow(), cameras="front", file_types="video"
    )
    db.session.add(event)
    db.session.flush()
    copies = {"thumbnail_state": "ready", "video_state": "ready"}
    file = upload(device, path=key, file_type="video", command_id=asked.id, event_id=event.id, **copies)
    for name in (key, previews.key(file.id, previews.THUMBNAIL), previews.key(file.id, previews.VIDEO)):
        put(name, f"bytes of {imei}")
    message = Message(
        id=new_id(), direction="in", gateway="twilio", gateway_id=f"SM{number}", sender=device.phone,
        recipient="+12025550100", body=f"hello of {imei}", status="received", device_id=device.id,
        created_at=utcnow(),
    )  # fmt: skip
    session = CameraSession(id=new_id(), imei=imei, device_id=device.id, address=f"192.0.2.{number}:1")
    share = Share(
        id=new_id(), token_hash=imei, object_kind="event", object_id=event.id, device_id=device.id,
        created_by="tests", expires_at=utcnow() + timedelta(days=1),
    )  # fmt: skip
    db.session.add_all([message, session, share, ChecklistRun(device_id=device.id)])
    db.session.commit()
    return {
        "imei": imei, "name": device.name, "phone": device.phone, "plate": device.plate or "", "tag": values["tags"][0],
        "upload": file.id, "event": event.id, "share": share.id, "command": asked.id, "message": message.id,
        "session": session.id,
    }  # fmt: skip


@pytest.fixture
def fleet(app: Flask) -> Iterator[dict[str, dict[str, str]]]:
    """A vehicle of the north and one of the south, and what is of nobody: a text, files of an unknown device."""
    app.config["WTF_CSRF_ENABLED"] = False
    found = {
        "own": make(OWN, 1, name="Milk Van", plate="KLM 311", tags=["north"]),
        "other": make(OTHER, 2, name="Bread Truck", plate="HGR 907", tags=["south"]),
    }
    upload(None, "quarantined", id=new_id())
    db.session.add(CameraSession(id=new_id(), imei="350612071913857", address="198.51.100.7:1", peer="x"))
    db.session.add(
        Message(id=new_id(), direction="in", gateway="twilio", gateway_id="SM9", sender="+12025550199",
                recipient="+12025550100", body="who am I", status="received", created_at=utcnow())
    )  # fmt: skip
    db.session.commit()
    yield found
    assert visibility.tags() is None


@pytest.fixture
def guest(app: Flask) -> Guest:
    return Guest(app, "north", ["north"])


@pytest.fixture
def everybody(app: Flask) -> Guest:
    return Guest(app, "all", None)


def names_a_vehicle(rule: Rule) -> bool:
    # what a token in the address opens is no matter of who calls
    return bool({"imei", "ident"} & rule.arguments) and "token" not in rule.arguments


def is_for_administrators(rule: Rule, method: str) -> bool:
    """Say whether nobody who is limited may call a route: administrators are not."""
    needed = access.NEEDS.get(f"{method} {rule.rule}")
    return needed is not None and LEAST[needed] is Role.ADMIN


def addressed(rule: Rule, marks: dict[str, str]) -> str:
    """Give the address of a vehicle's page, file, request or text."""
    path = (
        rule.rule.replace("<share>", marks["share"])
        .replace("<imei>", marks["imei"])
        .replace("<name>", NAMES.get(rule.endpoint, ""))
    )
    if "<ident>" in path:
        word = re.findall("([^/]+)/<ident>", rule.rule)[0]
        assert word in KINDS, f"say in KINDS what {rule.rule} names"
        path = path.replace("<ident>", marks[KINDS[word]])
    assert "<" not in path, f"say in NAMES what to put into {rule.rule}"
    return path


def rules(app: Flask) -> list[tuple[Rule, str]]:
    return [
        (rule, method)
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        if not rule.endpoint.startswith("pages.moved_") and rule.endpoint != "static"
    ]


def test_whatever_an_address_names_of_another_vehicle_does_not_exist(
    app: Flask, fleet: dict[str, dict[str, str]], guest: Guest, everybody: Guest
) -> None:
    ghost = dict.fromkeys(fleet["other"], "0" * 32) | {"imei": GHOST}
    for rule, method in rules(app):
        if not names_a_vehicle(rule) or is_for_administrators(rule, method):
            continue
        if rule.endpoint == "pages.unknown_device":
            continue
        body = BODIES.get(rule.endpoint)
        answer = guest.open(addressed(rule, fleet["other"]), method, body)
        nothing = guest.open(addressed(rule, ghost), method, body)
        assert answer.status_code == nothing.status_code == 404, (rule.rule, method, answer.text)
        if answer.is_json:
            assert answer.text.replace(OTHER, GHOST) == nothing.text, rule.rule
        if method == "GET" and "events" not in rule.rule:
            assert everybody.open(addressed(rule, fleet["other"])).status_code in (200, 302), rule.rule
            assert guest.open(addressed(rule, fleet["own"])).status_code in (200, 302), rule.rule


def test_no_page_and_no_list_holds_a_word_of_another_vehicle(
    app: Flask, fleet: dict[str, dict[str, str]], guest: Guest, everybody: Guest
) -> None:
    marks = fleet["other"]
    queries = ["", "?q=bread+tr", f"?q={marks['upload']}", f"?q={marks['message']}", "?q=SM2", "?tag=south"]
    queries += [f"?imei={OTHER}", f"?vehicle={OTHER}", f"?command={marks['command']}", "?unclaimed=true"]
    all_marks = set(marks.values()) - {marks["share"]}  # shares stand in no list
    seen: set[str] = set()
    for rule, method in rules(app):
        if method != "GET" or rule.arguments or rule.endpoint in ("pages.events", "api-docs.openapi_json"):
            continue
        if is_for_administrators(rule, method):
            continue
        for query in queries:
            answer = guest.open(rule.rule + query)
            assert answer.status_code < 500
            found = [word for word in marks.values() if word in answer.text and word not in query]
            assert not found, (rule.rule + query, found)
            assert "350612071913857" not in answer.text, rule.rule
            assert "who am I" not in answer.text, rule.rule
            if seen != all_marks:
                whole = everybody.open(rule.rule + query).text
                seen |= {word for word in marks.values() if word in whole}
    assert seen == all_marks  # the walk passes lists that hold them


def test_every_address_for_sending_is_tried_or_named_with_its_reason(app: Flask) -> None:
    sent = {
        rule.endpoint
        for rule, method in rules(app)
        if method != "GET" and not names_a_vehicle(rule) and not is_for_administrators(rule, method)
    }
    assert access.NEEDS.keys() >= access.WHOLE_FLEET
    assert sent == SENT_WITHOUT_VEHICLE.keys() | {"parameters.plan"}


def test_a_plan_for_another_vehicle_is_refused_as_for_none(
    fleet: dict[str, dict[str, str]], guest: Guest
) -> None:
    answer = guest.open("/api/v1/parameters/plan", "POST", BODIES["parameters.plan"])
    assert answer.status_code == 404


def test_every_table_is_limited_or_is_of_no_vehicle(app: Flask) -> None:
    models = {mapper.class_.__name__ for mapper in Base.registry.mappers}
    assert models == {model.__name__ for model in visibility.conditions(NORTH)} | OF_NO_VEHICLE


def test_counts_are_of_the_vehicles_that_somebody_sees(
    fleet: dict[str, dict[str, str]], guest: Guest, everybody: Guest
) -> None:
    seen, all_of_it = guest.get("/fleet"), everybody.get("/fleet")
    assert (sum(seen["counts"].values()), seen["under_way"]) == (1, 1)
    assert (sum(all_of_it["counts"].values()), all_of_it["under_way"]) == (2, 2)
    assert [len(guest.get(path)["items"]) for path in ("/devices", "/uploads", "/commands", "/messages")] == [
        1
    ] * 4
    assert len(guest.get("/sessions")["items"]) == 1


def test_what_waits_for_somebody_is_counted_of_the_vehicles_that_they_see(
    fleet: dict[str, dict[str, str]],
) -> None:
    installer = Caller("user:1", "installer@example.com", Role.INSTALLER, None)
    with visibility.limited_to(NORTH):
        assert inbox_items.counted(installer) == 1
    assert inbox_items.counted(installer) == 4  # two texts of vehicles, one of nobody, and an unknown device


IMEIS = select(Device.imei)
STATEMENTS = {
    "a column": IMEIS,
    "a subquery": select(IMEIS.subquery().c.imei),
    "a common table expression": select(IMEIS.cte("imeis").c.imei),
    "an alias": select(aliased(Device).imei),
    "a join": select(Device.imei).join(Upload, Upload.device_id == Device.id),
    "an outer join": select(Device.imei).outerjoin(Upload, Upload.device_id == Device.id),
    "a union": union_all(IMEIS, IMEIS.where(Device.id < 0)),
    "a union in a subquery": select(union_all(IMEIS, IMEIS.where(Device.id < 0)).subquery().c.imei),
    "the table itself": select(Device.__table__.c.imei),
    "a scalar": select(select(func.min(Device.imei)).scalar_subquery()),
    "the least": select(func.min(Device.imei)),
    "a count": select(func.count()).select_from(Device),
    "a count of a subquery": select(func.count()).select_from(IMEIS.limit(9).subquery()),
    "a count of both in one": select(select(func.count()).select_from(IMEIS.subquery()).scalar_subquery()),
    "a condition of a table without rows of vehicles": select(User.id).where(
        select(Device.id).where(Device.imei == OTHER).exists()
    ),
}


@pytest.mark.parametrize("form", STATEMENTS)
def test_no_form_of_a_statement_reads_other_vehicles(
    fleet: dict[str, dict[str, str]], guest: Guest, form: str
) -> None:
    statement = STATEMENTS[form]
    with visibility.limited_to(NORTH):
        try:
            found = db.session.execute(statement).scalars().all()
        except visibility.NotLimited:
            return
    everything = db.session.execute(statement).scalars().all()
    assert str(found) != str(everything)
    assert OTHER not in found


def test_a_file_of_another_vehicle_cannot_be_linked_to_a_request_of_ones_own(
    fleet: dict[str, dict[str, str]], guest: Guest
) -> None:
    path = f"/api/v1/uploads/{fleet['own']['upload']}/link"
    assert guest.open(path, "PATCH", {"command": fleet["other"]["command"]}).status_code == 404
    assert guest.open(path, "PATCH", {"command": fleet["own"]["command"]}).status_code == 200


def test_a_limited_token_reads_neither_metrics_nor_readiness(
    app: Flask, fleet: dict[str, dict[str, str]], guest: Guest, everybody: Guest
) -> None:
    for path in ("/metrics", "/readyz"):
        for who, status in ((guest, 403), (everybody, 200)):
            headers = {"Authorization": f"Bearer {who.token}"}
            answer = app.test_client().get(
                path, headers=headers, environ_base={"REMOTE_ADDR": "198.51.100.1"}
            )
            assert answer.status_code == status


def test_presets_of_the_whole_fleet_are_used_and_not_changed(
    fleet: dict[str, dict[str, str]], guest: Guest, everybody: Guest
) -> None:
    given = {"name": "Standard", "parameters": {"66001": 1}}
    assert guest.open("/api/v1/profiles", "POST", given).status_code == 403
    for path in ("/settings/presets", "/settings/preset"):
        assert guest.open(path, "POST", form={"name": "Standard"}).status_code == 403
    assert everybody.open("/api/v1/profiles", "POST", given).status_code == 201
    assert guest.get("/profiles/Standard")["version"] == 1


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


# streams


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
    assert cli.invoke(args=["users", "list"]).output == (
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
