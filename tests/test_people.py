"""People and tokens, by page and by API: invited by a link, changed, shut out; the last administrator stays."""

import threading
from datetime import datetime, timedelta
from typing import Any

import people_visits
import pytest
from audit_rows import audited
from flask import Flask
from page_visitor import Visitor, flat
from people_visits import EMAIL, LINK, PASSWORD, invite, link_of, nobody, person, press
from sqlalchemy import select
from test_api import Api

from provisioning.core.errors import Conflict
from provisioning.models import IdempotencyKey, Role, User, db, utcnow
from provisioning.web import auth, invitations, sign_in, users

admin = people_visits.admin  # the same fixture


# changing and shutting out


def test_role_and_name_are_changed(app: Flask, admin: Visitor) -> None:
    invite(admin)
    press(admin, "change", role="installer", name=" Ada  Lovelace ")
    assert (person().role, person().name) == ("installer", "Ada Lovelace")
    assert press(admin, "change", role="king").status_code == 422


def test_a_person_is_limited_to_tags_and_sees_the_whole_fleet_again(app: Flask, admin: Visitor) -> None:
    answer = admin.send(
        "/settings/people", "/settings/people", email=EMAIL, role="support", tags="south, north"
    )
    assert (answer.status_code, person().tags) == (200, ["north", "south"])
    assert "only <bdi>north, south</bdi>" in flat(admin.get("/settings/people"))
    assert press(admin, "change", role="admin", tags="north").status_code == 409
    assert (person().role, person().tags) == ("support", ["north", "south"])
    press(admin, "change", role="admin", tags="")
    assert (person().role, person().tags) == ("admin", None)


@pytest.mark.on_sqlite
def test_commas_alone_are_no_limit_to_nothing(app: Flask, admin: Visitor) -> None:
    invite(admin)
    press(admin, "change", role="viewer", tags="east")
    assert press(admin, "change", role="viewer", tags=" , ").status_code == 422
    assert person().tags == ["east"]


def test_who_is_disabled_is_out_at_once_and_gets_no_link(app: Flask, admin: Visitor) -> None:
    link, guest = invite(admin), nobody(app)
    guest.send(link, link, password=PASSWORD)
    other = link_of(press(admin, "invite").text)
    press(admin, "disable")
    assert guest.get("/").status_code == 302
    assert nobody(app).get(other).status_code == 404
    assert press(admin, "invite").status_code == 409
    press(admin, "enable")
    assert sign_in.sign_in(EMAIL, PASSWORD, "127.0.0.1", utcnow())


def test_the_page_of_a_person_names_the_tokens_that_outlive_the_persons_access(
    app: Flask, admin: Visitor
) -> None:
    user = users.create("leaver@example.com", Role.ADMIN, "a long enough password")
    path = f"/settings/people/{user.id}"
    assert "Tokens made" not in admin.get(path).text
    for name in ("warehouse", "revoked", "ended"):
        auth.create_token(name, Role.VIEWER, -1 if name == "ended" else 30, made_by=user.email)
    auth.revoke_token("revoked")
    admin.send(path, path, do="disable")
    page = flat(admin.get(path))
    assert "<bdi>warehouse</bdi>" in page
    assert "They work on when this person is disabled or removed." in page


def test_when_a_person_was_last_seen_outlives_the_sessions(app: Flask, admin: Visitor) -> None:
    user = users.create(EMAIL, Role.VIEWER, PASSWORD)
    begun = utcnow() - timedelta(hours=2)
    made = sign_in.begin(user, "192.0.2.1", "Firefox", begun)
    seen = begun + timedelta(hours=1)
    assert sign_in.user_of(made.key, seen)
    press(admin, "disable")
    assert seen.isoformat() in flat(admin.get(f"/settings/people/{user.id}")).partition("Last seen")[2][:100]
    press(admin, "enable")
    assert seen.isoformat() in flat(admin.get("/settings/people"))
    listed = Api(app, Role.ADMIN)("GET", "/users").json["items"]
    times = [one["seen_at"] for one in listed if one["email"] == EMAIL]
    assert [datetime.fromisoformat(time) for time in times] == [
        seen.replace(microsecond=seen.microsecond // 1000 * 1000)
    ]


def test_sessions_of_a_person_are_listed_and_ended(app: Flask, admin: Visitor) -> None:
    user = users.create(EMAIL, Role.VIEWER, PASSWORD)
    first = sign_in.begin(user, "192.0.2.1", "Firefox", utcnow())
    second = sign_in.begin(user, "192.0.2.2", "Chrome", utcnow())
    page = admin.get(f"/settings/people/{user.id}").text
    assert ("192.0.2.1" in page, "Chrome" in page) == (True, True)
    press(admin, "end", session=str(sign_in.session_id_of(first.key)))
    assert sign_in.user_of(first.key, utcnow()) is None
    assert sign_in.user_of(second.key, utcnow())
    press(admin, "end")
    assert sign_in.user_of(second.key, utcnow()) is None


@pytest.mark.on_sqlite
@pytest.mark.parametrize("session", ["", "all", "-1", "99999999999999999999"])
def test_a_session_that_cannot_be_meant_ends_none(app: Flask, admin: Visitor, session: str) -> None:
    user = users.create(EMAIL, Role.VIEWER, PASSWORD)
    made = sign_in.begin(user, "192.0.2.1", "Firefox", utcnow())
    assert press(admin, "end", session=session).status_code == 422
    assert admin.send("/account", "/account/sessions", session=session).status_code == 422
    assert sign_in.user_of(made.key, utcnow())
    assert admin.get("/account").status_code == 200


def test_a_person_is_removed_and_the_log_keeps_the_name(app: Flask, admin: Visitor) -> None:
    invite(admin)
    assert press(admin, "remove").location == "/settings/people"
    assert db.session.scalar(select(User).where(User.email == EMAIL)) is None
    assert audited(object=f"user:{EMAIL}")[-1][1] == "removed"


@pytest.mark.parametrize(
    ("method", "body"), [("PATCH", {"role": "viewer"}), ("PATCH", {"active": False}), ("DELETE", None)]
)
def test_the_last_administrator_who_can_sign_in_stays(app: Flask, method: str, body: Any) -> None:
    one = users.create("one@example.com", Role.ADMIN, PASSWORD)
    invitations.invite("two@example.com", "", Role.ADMIN, utcnow())  # has no password yet
    api = Api(app, Role.ADMIN)
    answer = api(method, f"/users/{one.id}", body)
    assert (answer.status_code, answer.json["code"]) == (409, "last_administrator")
    assert (person("one@example.com").role, person("one@example.com").active) == ("admin", True)
    users.create("three@example.com", Role.ADMIN, PASSWORD)
    assert api(method, f"/users/{one.id}", body).status_code in (200, 204)


def test_two_administrators_who_shut_each_other_out_at_once_leave_one(app: Flask) -> None:
    ids = [users.create(f"{name}@example.com", Role.ADMIN, PASSWORD).id for name in ("one", "two")]
    begin, refused = threading.Barrier(2), []

    def shut_out(ident: int) -> None:
        with app.app_context():
            user = users.by_id(str(ident))
            begin.wait()
            try:
                users.set_active(user, False)
            except Conflict as error:
                refused.append(error.code)
            db.session.remove()

    threads = [threading.Thread(target=shut_out, args=(ident,)) for ident in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == ["last_administrator"]


# the API


def test_the_api_invites_lists_changes_and_removes_people(app: Flask) -> None:
    api = Api(app, Role.ADMIN)
    made = api("POST", "/users", {"email": EMAIL, "role": "viewer", "name": "Ada"})
    assert made.status_code == 201
    link = made.json["invitation"]
    assert LINK.fullmatch(link["url"])
    assert (link["mailed"], made.json["has_password"]) == (False, False)
    path = f"/users/{made.json['id']}"
    assert api("PATCH", path, {"role": "support", "active": False}).json["active"] is False
    assert api("PATCH", path, {"active": True}).json["role"] == "support"
    assert [row["email"] for row in api("GET", "/users").json["items"]] == [EMAIL]
    assert LINK.fullmatch(api("POST", f"{path}/invitation").json["url"]) is not None
    assert api("DELETE", path).status_code == 204
    assert api("DELETE", path).status_code == 404
    assert api("GET", "/users").json == {"items": [], "next": None}
    assert api("PATCH", "/users/99999999999999999999", {"name": "x"}).status_code == 404


def test_lists_of_people_go_on_at_their_cursor(app: Flask) -> None:
    api = Api(app, Role.ADMIN)
    for number in range(3):
        users.add(f"{number}@example.com", "", Role.VIEWER)
    first = api("GET", "/users?limit=2").json
    assert [row["email"][0] for row in first["items"]] == ["2", "1"]
    assert [row["email"][0] for row in api("GET", f"/users?cursor={first['next']}").json["items"]] == ["0"]
    assert api("GET", "/users?cursor=abc").status_code == 422


@pytest.mark.parametrize("path", ["/users", "/tokens"])
def test_the_api_limits_people_and_tokens_to_tags(app: Flask, path: str) -> None:
    api = Api(app, Role.ADMIN)
    given = {"email": EMAIL} if path == "/users" else {"name": "bakery"}
    made = api("POST", path, given | {"role": "viewer", "tags": ["south", " north"]})
    assert (made.status_code, made.json["tags"]) == (201, ["north", "south"])
    one = f"{path}/{made.json['id']}"
    assert api("PATCH", one, {"role": "admin"}).json["code"] == "sees_whole_fleet"
    assert api("PATCH", one, {"role": "support"}).json["tags"] == ["north", "south"]
    for wrong in (["x,y"], [""], [" "], ["east", ""]):  # a limit of nothing is no limit
        assert api("PATCH", one, {"tags": wrong}).status_code == 422
        assert api("POST", path, given | {"role": "viewer", "tags": wrong}).status_code == 422
    assert api("GET", path).json["items"][0]["tags"] == ["north", "south"]
    limits: list[list[str] | None] = [["east"], [], None]
    assert [api("PATCH", one, {"tags": tags}).json["tags"] for tags in limits] == [["east"], None, None]
    assert api("PATCH", one, {"role": "admin"}).json["role"] == "admin"


def test_the_api_makes_changes_and_revokes_tokens(app: Flask) -> None:
    api = Api(app, Role.ADMIN)
    made = api("POST", "/tokens", {"name": "platform", "role": "viewer", "days": 30}).json
    assert (made["made_by"], made["last_used_at"]) == ("token admin", None)
    mine = {"Authorization": f"Bearer {made['token']}"}
    assert app.test_client().get("/api/v1/fleet", headers=mine).status_code == 200
    assert app.test_client().post("/api/v1/profiles", json={}, headers=mine).status_code == 403
    path = f"/tokens/{made['id']}"
    assert api("PATCH", path, {"role": "installer"}).json["role"] == "installer"
    assert app.test_client().post("/api/v1/profiles", json={}, headers=mine).status_code == 422
    listed = api("GET", "/tokens").json["items"]
    assert {row["name"] for row in listed} == {"admin", "platform"}
    assert not any("token" in row for row in listed)
    assert api("POST", "/tokens", {"name": "platform", "role": "viewer"}).json["code"] == "name_taken"
    assert api("DELETE", path).status_code == 204
    assert app.test_client().get("/api/v1/fleet", headers=mine).status_code == 401
    assert api("DELETE", path).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "secret"),
    [
        ("/tokens", {"name": "platform", "role": "viewer"}, "token"),
        ("/users", {"email": EMAIL, "role": "viewer"}, "invitation"),
    ],
)
def test_a_call_that_is_repeated_by_its_key_gives_the_secret_again_and_none_is_kept_in_clear(
    app: Flask, path: str, body: Any, secret: str
) -> None:
    api = Api(app, Role.ADMIN)
    first, second = (api("POST", path, body, **{"Idempotency-Key": "1"}) for _ in "12")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json == second.json
    (kept,) = db.session.scalars(select(IdempotencyKey.body))
    assert first.json[secret]
    assert set(kept) == {"encrypted"}


def test_a_repeat_after_the_key_of_its_answer_was_taken_away_says_what_to_do(app: Flask) -> None:
    api = Api(app, Role.ADMIN)
    given = {"name": "platform", "role": "viewer"}
    assert api("POST", "/tokens", given, **{"Idempotency-Key": "1"}).status_code == 201
    db.session.scalars(select(IdempotencyKey)).one().body = {"encrypted": "made with another key"}
    db.session.commit()
    answer = api("POST", "/tokens", given, **{"Idempotency-Key": "1"})
    assert (answer.status_code, answer.json["code"]) == (409, "outcome_unknown")
