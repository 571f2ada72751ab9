"""People and tokens, by page and by API: invited by a link, changed, shut out; the last administrator stays."""

import contextlib
import dataclasses
import hashlib
import re
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from page_visitor import Visitor, flat
from sqlalchemy import select, update
from test_api import Api
from test_audit import audited

from provisioning.core.errors import Conflict, Invalid
from provisioning.core.undo import UNDO
from provisioning.models import ApiToken, IdempotencyKey, Role, User, WallLink, WebSession, db, utcnow
from provisioning.web import auth, invitations, sign_in, users

EMAIL, PASSWORD = "ada@example.com", "several words that do not belong"
LINK = re.compile(r"http://dualcam\.test(/invite/[\w-]+)")


@pytest.fixture
def admin(app: Flask) -> Visitor:
    return Visitor(app, Role.ADMIN)


def nobody(app: Flask) -> Visitor:
    visitor = Visitor.__new__(Visitor)
    visitor.client = app.test_client()
    return visitor


def untagged(text: str) -> str:
    return re.sub(r"<[^>]+>", "", text)


def link_of(text: str) -> str:
    found = LINK.search(text)
    assert found
    return found[1]


def person(email: str = EMAIL) -> User:
    db.session.rollback()
    return db.session.scalars(select(User).where(User.email == email)).one()


def invite(admin: Visitor, role: str = "support") -> str:
    answer = admin.send("/settings/people", "/settings/people", email=EMAIL, role=role)
    assert answer.status_code == 200
    return link_of(answer.text)


def press(admin: Visitor, do: str, **fields: str) -> Any:
    page = f"/settings/people/{person().id}"
    return admin.send(page, page, do=do, **fields)


# the link


def test_a_person_is_invited_by_a_link_and_comes_in_with_a_password_of_their_own(
    app: Flask, admin: Visitor
) -> None:
    link, guest = invite(admin), nobody(app)
    assert "Welcome" in guest.get(link).text
    answer = guest.send(link, link, name="Ada L.", password=PASSWORD)
    assert (answer.status_code, answer.location) == (302, "/")
    assert guest.get("/").status_code == 200
    assert sign_in.sign_in(EMAIL, PASSWORD, "127.0.0.1", utcnow()).user.role == "support"
    assert person().name == "Ada L."
    assert audited() == [("admin@example.com", "invited", f"user:{EMAIL}"), (EMAIL, "signed_in", None)]


def test_a_link_works_once(app: Flask, admin: Visitor) -> None:
    link = invite(admin)
    nobody(app).send(link, link, password=PASSWORD)
    again = nobody(app).get(link)
    assert (again.status_code, "does not work any more" in again.text) == (404, True)


def test_a_link_used_at_the_same_moment_sets_one_password(app: Flask, admin: Visitor) -> None:
    token, begin = invite(admin).rpartition("/")[2], threading.Barrier(2)
    ended: list[bool] = []

    def use(password: str) -> None:
        with app.app_context():
            begin.wait()
            try:
                invitations.accept(token, "", password, utcnow())
                ended.append(True)
            except Exception:  # noqa: BLE001 - counted
                ended.append(False)
            db.session.remove()

    threads = [threading.Thread(target=use, args=(f"{PASSWORD} {number}",)) for number in "12"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == [False, True]


def test_a_link_ends_after_two_days_and_says_so(app: Flask, admin: Visitor) -> None:
    link = invite(admin)
    db.session.execute(update(User).values(invite_until=utcnow() - timedelta(seconds=1)))
    db.session.commit()
    answer = nobody(app).get(link)
    assert (answer.status_code, "come to its end" in answer.text) == (410, True)
    assert "the link has ended" in admin.get("/settings/people").text
    with pytest.raises(invitations.Expired):
        invitations.accept(link.rpartition("/")[2], "", PASSWORD, utcnow())


def test_only_the_hash_of_a_link_is_kept(app: Flask, admin: Visitor) -> None:
    token = invite(admin).rpartition("/")[2]
    assert token not in str(vars(person()))
    assert token not in admin.get("/settings/people").text


def test_an_easy_password_is_refused_and_the_link_stays(app: Flask, admin: Visitor) -> None:
    link, guest = invite(admin), nobody(app)
    answer = guest.send(link, link, password="password123")
    assert (answer.status_code, "first that somebody would try" in answer.text) == (422, True)
    assert guest.send(link, link, password=PASSWORD).status_code == 302


def test_who_was_invited_cannot_sign_in_before(app: Flask, admin: Visitor) -> None:
    invite(admin)
    for password in ("", "nobody has this password"):
        with pytest.raises(Invalid):
            sign_in.sign_in(EMAIL, password, "127.0.0.1", utcnow())


def test_a_new_link_replaces_the_old_one_and_the_password_when_it_is_used(app: Flask, admin: Visitor) -> None:
    first = invite(admin)
    nobody(app).send(first, first, password=PASSWORD)
    second = link_of(press(admin, "invite").text)
    third = link_of(press(admin, "invite").text)
    assert nobody(app).get(second).status_code == 404
    assert sign_in.sign_in(EMAIL, PASSWORD, "127.0.0.1", utcnow())
    nobody(app).send(third, third, password="other " + PASSWORD)
    with pytest.raises(Invalid):
        sign_in.sign_in(EMAIL, PASSWORD, "127.0.0.1", utcnow())
    assert db.session.scalars(select(WebSession).where(WebSession.user_id == person().id)).all()


def test_somebody_who_is_known_is_not_invited_again(app: Flask, admin: Visitor) -> None:
    invite(admin)
    answer = admin.send("/settings/people", "/settings/people", email=EMAIL.upper(), role="viewer")
    assert (answer.status_code, "There is a user with this e-mail." in answer.text) == (409, True)
    answer = admin.send("/settings/people", "/settings/people", email="no address", role="viewer")
    assert (answer.status_code, "Not an e-mail address." in answer.text) == (422, True)


# mail


@pytest.fixture
def mailbox() -> Iterator[tuple[str, list[str]]]:
    """A mail server on loopback: its address, and the mails that it took."""
    taken: list[str] = []

    class Conversation(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 tests\r\n")
            while line := self.rfile.readline().strip().upper():
                if line == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = iter(self.rfile.readline, b".\r\n")
                    taken.append(b"".join(lines).decode())
                self.wfile.write(b"221 bye\r\n" if line == b"QUIT" else b"250 ok\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Conversation) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"smtp://127.0.0.1:{server.server_address[1]}", taken
        server.shutdown()


def set_mail(app: Flask, url: str) -> None:
    config = app.extensions["dualcam_config"]
    app.extensions["dualcam_config"] = dataclasses.replace(
        config, smtp_url=url, smtp_from="dualcam@example.com"
    )


def test_an_invitation_is_mailed_where_a_mail_server_is_set(
    app: Flask, admin: Visitor, mailbox: tuple[str, list[str]]
) -> None:
    url, taken = mailbox
    set_mail(app, url)
    answer = admin.send("/settings/people", "/settings/people", email=EMAIL, role="viewer")
    assert "The link was mailed" in answer.text
    assert f"To: {EMAIL}" in taken[0]
    assert link_of(answer.text) in taken[0].replace("=\r\n", "")


def test_a_link_is_shown_with_the_reason_where_its_mail_could_not_be_sent(app: Flask, admin: Visitor) -> None:
    set_mail(app, "smtp://127.0.0.1:9")
    answer = admin.send("/settings/people", "/settings/people", email=EMAIL, role="viewer")
    assert "The mail could not be sent (ConnectionRefusedError)." in answer.text
    assert link_of(answer.text)


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


def at_once(app: Flask, work: Callable[[], object]) -> list[object]:
    """Do the same in two processes at the same moment; give what each made, or the code of its refusal."""
    begin, found = threading.Barrier(2), list[object]()

    def run() -> None:
        with app.app_context():
            begin.wait(10)
            try:
                found.append(work())
            except Conflict as error:
                found.append(error.code)
            db.session.remove()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_two_invitations_of_one_person_at_the_same_moment_are_a_conflict(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)  # neither has stored its row when the other looks for it
    monkeypatch.setattr(users.tag_limit, "checked", lambda *_: both.wait(10) and None)
    found = at_once(app, lambda: users.add(EMAIL, "", Role.VIEWER).email)
    assert sorted(map(str, found)) == [EMAIL, "email_taken"]


def test_two_tokens_of_one_name_at_the_same_moment_are_a_conflict(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)

    def hash_together(clear: str) -> str:
        with contextlib.suppress(threading.BrokenBarrierError):  # on SQLite the second waits for the first
            both.wait(1)
        return hashlib.sha256(clear.encode()).hexdigest()

    monkeypatch.setattr(auth, "_hash", hash_together)
    found = at_once(app, lambda: auth.create_token("platform", Role.VIEWER)[:4])
    assert sorted(map(str, found)) == ["dct_", "name_taken"]


def clicked_twice(visitor: Visitor, page: str, **fields: str) -> tuple[str, str]:
    """Send the last form of a page twice, as a double click does; give both answers."""
    text = visitor.get(page).text
    hidden = {
        name: re.findall(rf'name="{name}"\s+value="([^"]+)"', text)[-1] for name in ("csrf_token", "nonce")
    }
    answers = []
    for _ in range(2):
        visitor._forget()
        answers.append(visitor.client.post(page, data=hidden | fields))
    assert [answer.status_code for answer in answers] == [200, 200]
    return answers[0].text, answers[1].text


@pytest.mark.parametrize(
    ("page", "fields", "made"),
    [
        ("/settings/people", {"email": EMAIL, "role": "viewer"}, r"/invite/[\w-]+"),
        ("/settings/tokens", {"name": "platform", "role": "viewer", "days": "30"}, r"dct_[\w-]+"),
        ("/settings/wall", {"name": "Workshop"}, r"/wall/dcw_[\w-]+"),
    ],
)
def test_a_double_click_makes_one_and_shows_it(
    admin: Visitor, page: str, fields: dict[str, str], made: str
) -> None:
    first, second = clicked_twice(admin, page, **fields)
    assert re.findall(made, first) == re.findall(made, second) != []
    assert len(db.session.scalars(select(User)).all()) == (2 if "people" in page else 1)
    assert len(db.session.scalars(select(WallLink)).all()) == ("wall" in page)
    (kept,) = db.session.scalars(select(IdempotencyKey.body))
    assert set(kept) == {"encrypted"}


def test_a_second_click_waits_for_the_first_which_is_still_at_work(
    app: Flask, admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, slow = invitations.invite, threading.Event()

    def invite_slowly(*given: Any) -> Any:
        slow.set()
        time.sleep(1)
        return real(*given)

    monkeypatch.setattr(invitations, "invite", invite_slowly)
    text = admin.get("/settings/people").text
    form = {"email": EMAIL, "role": "viewer"} | {
        name: re.findall(rf'name="{name}"\s+value="([^"]+)"', text)[-1] for name in ("csrf_token", "nonce")
    }
    cookie = admin.client.get_cookie("session")
    assert cookie
    found: list[str] = []

    def click() -> None:
        client = app.test_client()
        client.set_cookie("session", cookie.value)
        found.append(link_of(client.post("/settings/people", data=form).text))

    first = threading.Thread(target=click)
    first.start()
    assert slow.wait(30)
    db.session.remove()
    click()
    first.join(30)
    assert len(set(found)) == 1
    assert person().invite_hash


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


# the page of tokens


def test_a_token_is_shown_once_and_revoked_by_one_button(app: Flask, admin: Visitor) -> None:
    answer = admin.send("/settings/tokens", "/settings/tokens", name="platform", role="viewer", days="30")
    found = re.search(r'value="(dct_[\w-]+)"', answer.text)
    assert found
    page = flat(admin.get("/settings/tokens"))
    assert found[1] not in page
    assert ("made by admin@example.com" in untagged(page), "never used" in page) == (True, True)
    (row,) = db.session.scalars(select(ApiToken))
    answer = admin.send("/settings/tokens", f"/settings/tokens/{row.id}/revoke")
    assert answer.location == f"/settings/tokens?revoked={row.id}"
    assert "No program uses the API." in admin.get("/settings/tokens").text
    assert [entry[1:] for entry in audited()] == [("added", "token:platform"), ("removed", "token:platform")]
    with pytest.raises(auth.NotFound):
        auth.find_token(str(row.id))


def test_what_the_command_line_made_says_so_in_the_readers_language(app: Flask, admin: Visitor) -> None:
    auth.create_token("platform", Role.VIEWER)
    for language, said in (("en", "made by command line"), ("de", "angelegt von Kommandozeile")):
        page = flat(admin.get("/settings/tokens", **{"Accept-Language": language}))
        assert said in untagged(page)


def revoked(admin: Visitor) -> tuple[str, int]:
    """Make a token and revoke it; give its clear text and its id."""
    clear = auth.create_token("platform", Role.VIEWER)
    row = db.session.scalars(select(ApiToken)).one()
    admin.send("/settings/tokens", f"/settings/tokens/{row.id}/revoke")
    return clear, row.id


def is_known(app: Flask, clear: str) -> bool:
    Visitor._forget()
    answer = app.test_client().get("/api/v1/fleet", headers={"Authorization": f"Bearer {clear}"})
    return answer.status_code == 200


def test_a_token_that_was_revoked_by_mistake_is_restored_by_one_button(app: Flask, admin: Visitor) -> None:
    clear, ident = revoked(admin)
    assert not is_known(app, clear)
    page = f"/settings/tokens?revoked={ident}"
    assert ("“platform” is revoked" in untagged(admin.get(page).text), "Undo" in admin.get(page).text) == (
        True,
        True,
    )
    assert admin.send(page, f"/settings/tokens/{ident}/restore").location == "/settings/tokens"
    assert is_known(app, clear)
    assert audited()[-1][1:] == ("added", "token:platform")


def test_a_token_is_not_restored_later(app: Flask, admin: Visitor) -> None:
    clear, ident = revoked(admin)
    db.session.execute(update(ApiToken).values(revoked_at=utcnow() - UNDO))
    db.session.commit()
    page = f"/settings/tokens?revoked={ident}"
    assert "Undo" not in admin.get(page).text
    assert admin.send(page, f"/settings/tokens/{ident}/restore").status_code == 404
    assert not is_known(app, clear)


def test_a_token_whose_name_was_taken_meanwhile_is_not_restored(app: Flask, admin: Visitor) -> None:
    clear, ident = revoked(admin)
    auth.create_token("platform", Role.VIEWER)
    page = f"/settings/tokens?revoked={ident}"
    answer = admin.send(page, f"/settings/tokens/{ident}/restore")
    assert (answer.status_code, "another token named platform" in answer.text) == (409, True)
    assert not is_known(app, clear)


def test_the_first_page_of_settings_invites_and_lists_the_tokens_used_last(
    app: Flask, admin: Visitor
) -> None:
    for number in range(12):
        auth.create_token(f"program {number:02d}", Role.VIEWER)
    page = admin.get("/settings").text
    assert ('id="invite"' in page, "program 11" in page, "program 01" in page) == (True, True, False)
    installer = Visitor(app, Role.INSTALLER).get("/settings").text
    assert ('id="invite"' in installer, "Revoke" in installer) == (False, False)
