"""Signing in: limits that spare the owner, the client's address behind proxies, sessions kept on the server."""

import threading
import time
from contextlib import ExitStack
from datetime import datetime, timedelta
from ipaddress import ip_network

import gevent
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from page_visitor import Visitor
from sqlalchemy import event, func, select

from provisioning.core import threads
from provisioning.core.errors import Invalid, ServiceError, TooMany
from provisioning.models import (
    Command,
    Device,
    GatewayEvent,
    LoginFailure,
    Role,
    User,
    WebSession,
    db,
    utcnow,
)
from provisioning.web import auth, client_address, sign_in, users

EMAIL, PASSWORD = "ops@example.com", "a long enough password"
HOME, AWAY = "192.0.2.1", "198.51.100.7"


@pytest.fixture
def user(app: Flask) -> User:
    return users.create(EMAIL, Role.VIEWER, PASSWORD)


def fail(
    count: int, now: datetime, *, email: str = EMAIL, address: str = AWAY, browser: str | None = None
) -> None:
    """As if so many sign-ins had failed."""
    rows = [LoginFailure(email=email, address=address, browser=browser, at=now) for _ in range(count)]
    db.session.add_all(rows)
    db.session.commit()


def is_let_in(address: str, now: datetime, browser: str = "") -> bool:
    try:
        return bool(sign_in.sign_in(EMAIL, PASSWORD, address, now, browser=browser))
    except TooMany:
        return False


def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(user: User) -> None:
    answers = []
    for email in (EMAIL, "nobody@example.com"):
        with pytest.raises(Invalid) as caught:
            sign_in.sign_in(email, "wrong", HOME, utcnow())
        answers.append(caught.value.message)
    assert answers[0] == answers[1]


def test_one_address_has_ten_guesses_at_one_user_and_is_forgiven_later(user: User) -> None:
    fail(sign_in.PER_PAIR, now := utcnow())
    with pytest.raises(TooMany, match="15 minutes") as refused:
        sign_in.sign_in(EMAIL, PASSWORD, AWAY, now)
    assert refused.value.retry_after == 900
    assert is_let_in(AWAY, now + sign_in.WINDOW + timedelta(seconds=1))


def test_guesses_of_a_stranger_do_not_shut_the_owner_out(user: User) -> None:
    fail(sign_in.PER_PAIR, now := utcnow())
    assert is_let_in(HOME, now)


def test_an_address_that_tries_many_users_waits_and_others_do_not(user: User) -> None:
    for number in range(sign_in.PER_ADDRESS):
        fail(1, now := utcnow(), email=f"{number}@example.com")
    assert not is_let_in(AWAY, now)
    assert is_let_in(HOME, now)


@pytest.mark.parametrize("near", ["2001:db8:1:2::9", "2001:db8:1:2:ffff::1"])
def test_addresses_of_one_ipv6_network_are_one_client(user: User, near: str) -> None:
    fail(sign_in.PER_PAIR, now := utcnow(), address=sign_in.network_of("2001:db8:1:2::1"))
    assert not is_let_in(near, now)
    assert is_let_in("2001:db8:1:3::1", now)


def test_guesses_from_everywhere_at_one_user_spare_the_browsers_of_the_owner(user: User) -> None:
    now = utcnow()
    known = sign_in.sign_in(EMAIL, PASSWORD, HOME, now).browser
    for number in range(sign_in.PER_EMAIL):
        fail(1, now, address=f"203.0.113.{number}")
    fail(sign_in.PER_PAIR, now, address=HOME)  # also behind the owner's own address
    assert not is_let_in(AWAY, now)
    assert is_let_in(HOME, now, browser=known)


def test_a_browser_that_its_user_knows_has_a_bound_as_well(user: User) -> None:
    now = utcnow()
    known = sign_in.sign_in(EMAIL, PASSWORD, HOME, now).browser
    for _ in range(sign_in.PER_BROWSER):
        with pytest.raises(Invalid):
            sign_in.sign_in(EMAIL, "wrong", HOME, now, browser=known)
    assert not is_let_in(HOME, now, browser=known)


def test_the_cookie_of_another_user_or_of_nobody_spares_nothing(user: User) -> None:
    now = utcnow()
    users.create("other@example.com", Role.VIEWER, PASSWORD)
    other = sign_in.sign_in("other@example.com", PASSWORD, HOME, now).browser
    fail(sign_in.PER_PAIR, now, address=HOME)
    assert not any(is_let_in(HOME, now, browser=cookie) for cookie in (other, other[:-1] + "x", "x.y.z"))


def test_a_right_password_forgives_the_failures_before_it(user: User) -> None:
    fail(sign_in.PER_PAIR - 1, now := utcnow(), address=HOME)
    assert is_let_in(HOME, now)
    assert db.session.scalar(select(func.count()).select_from(LoginFailure)) == 0


def test_guesses_beyond_the_places_of_a_process_cost_it_nothing(app: Flask, user: User) -> None:
    seen: list[str] = []
    event.listen(
        db.engine, "before_cursor_execute", lambda c, cursor, statement, *rest: seen.append(statement)
    )
    with ExitStack() as others:
        for _ in range(sign_in.AT_ONCE):
            others.enter_context(sign_in._attempts.take(sign_in.AT_ONCE))
        with pytest.raises(TooMany, match="at this moment"):
            sign_in.sign_in(EMAIL, PASSWORD, AWAY, utcnow())
        assert seen == []
    assert is_let_in(AWAY, utcnow())


def test_few_passwords_are_hashed_at_a_time_however_many_are_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads.monkey, "is_module_patched", lambda name: True)  # as in the web process
    at_once, most = 0, 0

    def hash_one() -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.01)
        at_once -= 1

    gevent.joinall(
        [gevent.spawn(users._hashing.run, hash_one) for _ in range(sign_in.AT_ONCE)], raise_error=True
    )
    assert 1 <= most <= users.HASHING_THREADS


def test_the_owners_browser_finds_a_place_among_strangers_who_guess(user: User) -> None:
    known = sign_in.sign_in(EMAIL, PASSWORD, HOME, utcnow()).browser
    with ExitStack() as strangers:
        for _ in range(sign_in.AT_ONCE):
            strangers.enter_context(sign_in._attempts.take(sign_in.AT_ONCE))
        assert not is_let_in(HOME, utcnow())
        assert is_let_in(HOME, utcnow(), browser=known)


def test_a_guess_that_is_refused_writes_nothing(app: Flask, user: User) -> None:
    fail(sign_in.PER_PAIR, now := utcnow())
    seen: list[str] = []
    event.listen(
        db.engine, "before_cursor_execute", lambda c, cursor, statement, *rest: seen.append(statement)
    )
    assert not is_let_in(AWAY, now)
    assert seen
    assert [statement for statement in seen if not statement.startswith(("SELECT", "BEGIN"))] == []


def test_guesses_at_once_get_no_more_than_their_bound(app: Flask, user: User) -> None:
    answers: list[type[ServiceError]] = []
    begin = threading.Barrier(16)

    def guess() -> None:
        with app.app_context():
            begin.wait()
            try:
                sign_in.sign_in(EMAIL, "wrong", AWAY, utcnow())
            except ServiceError as error:
                answers.append(type(error))
            db.session.remove()

    threads = [threading.Thread(target=guess) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 16
    assert answers.count(Invalid) <= sign_in.PER_PAIR


# the client's address

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),  # a client that invents the header
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "8.8.8.8, 203.0.113.9", "203.0.113.9"),  # what stands left, the client wrote
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "203.0.113.9, unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::9]:4711", "2001:db8::9"),
        ("::ffff:10.0.0.1", "2001:db8::9", "2001:db8::9"),
        ("2001:db8:ffff::1", "203.0.113.9", "203.0.113.9"),
    ],
)
def test_the_clients_address_is_the_nearest_that_is_no_proxy_of_ours(
    peer: str, forwarded: str, client: str
) -> None:
    assert client_address.client_address(peer, forwarded, PROXIES) == client


# sessions


@pytest.fixture
def browser(app: Flask, user: User) -> Visitor:
    """A browser that has signed in by the form."""
    visitor = Visitor.__new__(Visitor)
    visitor.client = app.test_client()
    assert visitor.send("/login", "/login", email=EMAIL, password=PASSWORD).status_code == 302
    return visitor


def is_signed_in(visitor: Visitor) -> bool:
    return visitor.get("/").status_code == 200


def copy_of(visitor: Visitor, app: Flask) -> Visitor:
    """A browser with the same cookie: somebody copied it."""
    other = Visitor.__new__(Visitor)
    other.client = app.test_client()
    cookie = visitor.client.get_cookie("session")
    assert cookie is not None
    other.client.set_cookie("session", cookie.value)
    return other


def test_a_copied_cookie_is_worthless_after_signing_out(app: Flask, browser: Visitor) -> None:
    copied = copy_of(browser, app)
    assert is_signed_in(copied)
    browser.send("/", "/logout")
    assert not is_signed_in(copied)


@pytest.mark.parametrize(
    "end",
    [
        lambda user: users.set_password(user, "another long password"),
        lambda user: users.set_active(user, False),
        users.remove,
        sign_in.end_sessions,
    ],
    ids=["password", "deactivate", "remove", "sign out"],
)
def test_what_shuts_a_user_out_ends_the_open_sessions(browser: Visitor, user: User, end) -> None:  # type: ignore[no-untyped-def]
    end(users.find(EMAIL))
    assert not is_signed_in(browser)
    assert db.session.scalar(select(func.count()).select_from(WebSession)) == 0


def test_a_session_ends_on_the_server_when_its_time_is_over(app: Flask, browser: Visitor) -> None:
    (session,) = db.session.scalars(select(WebSession))
    session.expires_at = utcnow()
    db.session.commit()
    assert not is_signed_in(browser)


def test_a_token_of_a_form_from_before_signing_in_is_void_afterwards(app: Flask, user: User) -> None:
    visitor = Visitor.__new__(Visitor)
    visitor.client = app.test_client()
    planted = visitor.get("/login").text.split('name="csrf_token" value="')[1].split('"')[0]
    visitor.send("/login", "/login", email=EMAIL, password=PASSWORD)
    visitor._forget()
    assert visitor.client.post("/logout", data={"csrf_token": planted}).status_code == 400
    assert is_signed_in(visitor)


def test_sessions_are_listed_and_ended_one_by_one(app: Flask, browser: Visitor) -> None:
    cli = app.test_cli_runner()
    second = sign_in.sign_in(EMAIL, PASSWORD, HOME, utcnow(), agent="Another browser")
    listed = cli.invoke(args=["users", "sessions", EMAIL]).stdout.splitlines()
    assert listed[0].split("\t")[3:] == [HOME, "Another browser"]
    assert cli.invoke(args=["users", "sign-out", EMAIL, "--session", listed[0].split("\t")[0]]).exit_code == 0
    assert sign_in.user_of(second.key, utcnow()) is None
    assert is_signed_in(browser)
    assert cli.invoke(args=["users", "sign-out", EMAIL]).stdout == "Ended 1.\n"
    assert not is_signed_in(browser)


def test_a_role_changes_from_the_next_request_on(app: Flask, browser: Visitor) -> None:
    assert browser.get("/vehicles/new").status_code == 403
    app.test_cli_runner().invoke(args=["users", "role", EMAIL, "installer"])
    assert browser.get("/vehicles/new").status_code == 200


def test_a_user_is_shut_out_let_in_again_and_removed(app: Flask, user: User) -> None:
    cli = app.test_cli_runner()
    for command, said in (("deactivate", Invalid), ("activate", None), ("delete", Invalid)):
        assert cli.invoke(args=["users", command, EMAIL]).exit_code == 0
        if said:
            with pytest.raises(said):
                sign_in.sign_in(EMAIL, PASSWORD, HOME, utcnow())
        else:
            assert is_let_in(HOME, utcnow())
    assert "There is no user" in cli.invoke(args=["users", "role", EMAIL, "admin"]).output


# what a request may do


def rows() -> list[int | None]:
    return [
        db.session.scalar(select(func.count()).select_from(table))
        for table in (Command, Device, GatewayEvent, LoginFailure, WebSession)
    ]


def test_head_does_nothing_that_get_does_not(app: Flask) -> None:
    visitor = Visitor(app, Role.ADMIN)
    imei = "352094082736916"
    db.session.add(Device(imei=imei, phone="+12025550111", camera_server_configured=True))
    db.session.commit()
    before = rows()
    names = {"imei": imei}
    for rule in app.url_map.iter_rules():
        if not {"HEAD", "POST"} <= (rule.methods or set()):
            continue
        path = rule.rule
        for name in rule.arguments:
            path = path.replace(f"<{name}>", names.get(name, "1"))
        asked = visitor.get(path)
        visitor._forget()
        assert visitor.client.head(path).status_code == asked.status_code, rule.rule
    for _ in range(12):  # a monitor that looks at the sign-in page
        visitor._forget()
        assert app.test_client().head("/login").status_code == 200
    assert rows() == before
    assert db.session.scalars(select(Device.camera_server_configured)).one() is True


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    "target", ["/\r\nSet-Cookie: a=b", "/a\tb", "//evil.example", "/\\evil", "//[", "http://["]
)
def test_signing_in_leads_only_to_paths_of_our_own(app: Flask, user: User, target: str) -> None:
    visitor = Visitor.__new__(Visitor)
    visitor.client = app.test_client()
    answer = visitor.send("/login", "/login", email=EMAIL, password=PASSWORD, next=target)
    assert (answer.status_code, answer.location) == (302, "/")


@pytest.mark.on_sqlite
def test_over_https_browsers_keep_the_session_for_this_host_alone(app: Flask, config) -> None:  # type: ignore[no-untyped-def]
    import dataclasses

    from app import create_app

    secure = create_app(dataclasses.replace(config, public_url="https://dualcam.test"))
    answer = secure.test_client().get("/login", base_url="https://dualcam.test")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    (cookie,) = answer.headers.getlist("Set-Cookie")
    assert cookie.startswith("__Host-session=")
    assert all(flag in cookie for flag in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax"))
    assert "Domain" not in cookie


def test_the_command_line_needs_a_user_that_exists(cli_runner: FlaskCliRunner) -> None:
    for command in ("deactivate", "activate", "delete", "sessions", "sign-out"):
        assert cli_runner.invoke(args=["users", command, "nobody@example.com"]).exit_code == 1


@pytest.fixture
def cli_runner(app: Flask) -> FlaskCliRunner:
    return app.test_cli_runner()


def test_a_role_of_a_caller_is_that_of_the_user_now(app: Flask, user: User) -> None:
    made = sign_in.begin(user, HOME, "tests", utcnow())
    users.set_access(user, Role.ADMIN, None)
    loaded = auth._load_user(made.key)
    assert loaded is not None
    assert loaded.user.role == "admin"
