"""What all pages share: navigation by role, day and night, one's own account, pages of errors, no inline script."""

import re

import pytest
from conftest import ROOT
from flask import Flask, abort
from page_visitor import Visitor, flat
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from test_session_end import WHO

from provisioning.core.errors import Conflict
from provisioning.models import Device, Role, db

TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.mark.parametrize(
    ("role", "settings", "add"),
    [
        (Role.VIEWER, False, False),
        (Role.SUPPORT, False, False),
        (Role.INSTALLER, True, True),
        (Role.ADMIN, True, True),
    ],
)
def test_the_navigation_has_what_the_role_may_do(app: Flask, role: Role, settings: bool, add: bool) -> None:
    page = Visitor(app, role).get("/").text
    assert [name in page for name in ('href="/media"', 'href="/inbox"')] == [True, True]
    assert ('href="/settings"' in page, 'href="/vehicles/new"' in page) == (settings, add)


def test_the_place_where_one_is_is_marked(app: Flask, van: Device) -> None:
    visitor = Visitor(app, Role.ADMIN)
    for path, place in (
        ("/", "/"),
        (f"/vehicles/{van.imei}/check", "/"),
        ("/media", "/media"),
        ("/inbox", "/inbox"),
    ):
        marked = re.findall(r'<a href="([^"]+)" aria-current=page>', flat(visitor.get(path)))
        assert marked.count(place) == 2, path  # in the bar at the top and in that at the bottom


def test_a_browser_keeps_the_night_that_it_was_switched_to(app: Flask) -> None:
    visitor = Visitor(app, Role.VIEWER)
    assert 'class="theme-auto"' in visitor.get("/").text
    answer = visitor.send("/media?kind=photo", "/theme", theme="dark")
    assert answer.location == "/media?kind=photo"
    assert 'class="theme-dark"' in visitor.get("/media").text
    visitor.send("/", "/theme", theme="no such theme")
    assert 'class="theme-auto"' in visitor.get("/").text


def test_the_switch_of_the_night_leads_to_no_other_host(app: Flask) -> None:
    visitor = Visitor(app, Role.VIEWER)
    token = re.search(r'name="csrf_token" value="([^"]+)"', visitor.get("/").text)
    assert token
    visitor._forget()
    referer = {"Referer": "http://evil.example//evil.example/x"}
    answer = visitor.client.post("/theme", data={"csrf_token": token[1], "theme": "dark"}, headers=referer)
    assert answer.location == "/"


def test_whoever_changes_the_password_stays_signed_in_here_and_nowhere_else(app: Flask) -> None:
    here = Visitor(app, Role.ADMIN)
    there = app.test_client()
    token = re.search(r'name="csrf_token" value="([^"]+)"', there.get("/login").text)
    assert token
    assert there.post("/login", data={"csrf_token": token[1], **WHO}).status_code == 302
    new = "seven lamps under a bridge"
    answer = here.send("/account", "/account/password", current_password=WHO["password"], password=new)
    assert answer.location == "/account?changed=1"
    assert "Your password was changed" in here.get("/account?changed=1").text
    here._forget()
    assert there.get("/account").status_code == 302


@pytest.mark.parametrize(
    ("current", "password", "words"),
    [
        ("not mine", "seven lamps under a bridge", "This is not your password."),
        (WHO["password"], "short", "At least 12"),
    ],
)
def test_a_password_is_not_changed_without_the_present_one_or_to_a_weak_one(
    app: Flask, current: str, password: str, words: str
) -> None:
    visitor = Visitor(app, Role.ADMIN)
    answer = visitor.send("/account", "/account/password", current_password=current, password=password)
    assert answer.status_code == 422
    assert words in answer.text
    assert visitor.get("/account").text.count("Sign out there") == 1


def test_a_session_elsewhere_is_ended_from_the_account(app: Flask) -> None:
    visitor = Visitor(app, Role.ADMIN)
    there = app.test_client()
    token = re.search(r'name="csrf_token" value="([^"]+)"', there.get("/login").text)
    assert token
    there.post("/login", data={"csrf_token": token[1], **WHO})
    page = visitor.get("/account").text
    other = re.findall(r'name="session" value="(\d+)"', page)[0]
    assert visitor.send("/account", "/account/sessions", session=other).location == "/account"
    visitor._forget()
    assert there.get("/account").status_code == 302
    assert visitor.get("/account").status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (lambda: abort(403), 403, "Not allowed"),
        (lambda: abort(404), 404, "Not found"),
        (lambda: abort(405), 405, "Not like that"),
        (lambda: _raise(Conflict("This is open already.")), 409, "This is open already."),
        (lambda: _raise(RuntimeError("a mistake of ours")), 500, "it has been logged"),
    ],
)
def test_each_error_has_a_page_with_the_navigation(
    app: Flask, monkeypatch: pytest.MonkeyPatch, error: object, status: int, words: str
) -> None:
    visitor = Visitor(app, Role.VIEWER)
    monkeypatch.setitem(app.view_functions, "pages.media", error)
    answer = visitor.get("/media")
    assert answer.status_code == status
    assert words in answer.text
    assert 'aria-label="Main"' in answer.text
    assert "a mistake of ours" not in answer.text


def _raise(error: Exception) -> str:
    raise error


def test_a_page_says_that_the_database_is_away(app: Flask) -> None:
    visitor = Visitor(app, Role.VIEWER)

    def away(*_: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("the server closed the connection"))

    event.listen(db.engine, "before_cursor_execute", away)
    try:
        answer = visitor.get("/media")
    finally:
        event.remove(db.engine, "before_cursor_execute", away)
    assert answer.status_code == 503
    assert "Try again in a minute" in answer.text


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(ROOT / "templates").as_posix())
def test_no_template_has_an_inline_script_or_style(app: Flask, path: object) -> None:
    text = path.read_text()  # type: ignore[attr-defined]
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", text) == []


def test_only_the_line_of_the_shell_is_read_aloud_by_itself(app: Flask) -> None:
    """A second live region would be read over the first; what a form did is marked, and that line says it."""
    live = {path.name for path in TEMPLATES if re.search(r'role="?status|aria-live', path.read_text())}
    assert live == {"base.html"}


def test_a_phone_can_keep_the_service_on_its_home_screen(app: Flask) -> None:
    client = app.test_client()
    page = client.get("/login").text
    link = re.search(r'<link rel="manifest" href="([^"]+)">', page)
    assert link
    answer = client.get(link[1])
    assert answer.mimetype == "application/manifest+json"
    manifest = answer.get_json(force=True)
    assert [client.get(icon["src"]).status_code for icon in manifest["icons"]] == [200, 200, 200]
    assert client.get(manifest["start_url"]).status_code == 302
