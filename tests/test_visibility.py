"""Who is limited to tags sees nothing of other vehicles: every address and API operation, counts, streams, tags."""

import re
from typing import Any

import guests
import pytest
from flask import Flask
from guests import GHOST, NORTH, OTHER, Guest
from sqlalchemy import func, select, union_all
from sqlalchemy.orm import aliased
from werkzeug.routing import Rule

from provisioning.models import Base, Device, Role, Upload, User, db, visibility
from provisioning.roles import LEAST
from provisioning.web import access
from provisioning.web.auth import Caller
from provisioning.web.pages import inbox_items

everybody, fleet, guest = guests.everybody, guests.fleet, guests.guest  # the same fixtures


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
