"""Who may call what: every route and method, by nobody and by each role."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from page_visitor import Visitor
from test_api import Api
from werkzeug.test import TestResponse

from provisioning.models import Role
from provisioning.roles import LEAST, MEANING, Permission
from provisioning.web import access

ENDLESS = "GET /events"
LAST = "POST /account/sessions"  # ends the session of who calls it
REFUSED = (401, 403)


@pytest.fixture
def routes(app: Flask) -> list[str]:
    app.config["WTF_CSRF_ENABLED"] = False
    return sorted(access.routes(app), key=lambda route: (route == LAST, route))


def is_api(route: str) -> bool:
    return " /api/" in route


def named(rule: str) -> str:
    """Give an address of nothing that a rule takes."""
    return re.sub(r"<[^>]+>", "nothing", re.sub(r"<int:[^>]+>", "999999", rule))


def called(client, route: str, **more) -> TestResponse:  # type: ignore[no-untyped-def]
    """Call a route with names of nothing: who may is told 404 or 422, and changes nothing."""
    method, rule = route.split(" ")
    Visitor._forget()
    answer: TestResponse = client.open(named(rule), method=method, **more)
    return answer


def is_refused(answer: TestResponse) -> bool:
    to_sign_in = answer.status_code == 302 and answer.location.startswith("/login")
    return answer.status_code in REFUSED or to_sign_in


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_app_does_not_start_with_a_route_that_has_no_entry(app: Flask) -> None:
    bare = Flask("bare", static_folder=None)
    bare.add_url_rule("/forgotten", "forgotten", lambda: "", methods=["GET", "POST"])
    with pytest.raises(LookupError, match="GET /forgotten, POST /forgotten has no entry"):
        access.check_table(bare)


@pytest.mark.on_sqlite
def test_nobody_comes_in_without_a_session_or_a_token(app: Flask, routes: list[str]) -> None:
    for route in routes:
        if route not in access.OPEN:
            assert is_refused(called(app.test_client(), route)), route


@pytest.mark.on_sqlite
@pytest.mark.parametrize("role", Role)
def test_each_role_may_call_what_its_permissions_open_and_nothing_else(
    app: Flask, routes: list[str], role: Role
) -> None:
    page, api = Visitor(app, role), Api(app, role)
    for route in routes:
        if route in access.OPEN or route == ENDLESS:
            continue
        headers = api.headers if is_api(route) else {}
        client = app.test_client() if is_api(route) else page.client
        answer = called(client, route, headers=headers)
        assert (answer.status_code in REFUSED) is not role.may(access.NEEDS[route]), (route, answer.status)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_cookie_opens_no_api_and_a_token_no_page(app: Flask, routes: list[str]) -> None:
    page, api = Visitor(app, Role.ADMIN), Api(app, Role.ADMIN)
    for route in routes:
        if route not in access.OPEN:
            answer = (
                called(page.client, route)
                if is_api(route)
                else called(app.test_client(), route, headers=api.headers)
            )
            assert is_refused(answer), route


def ranks() -> Iterator[tuple[Role, set[Permission]]]:
    for role in (Role.VIEWER, Role.SUPPORT, Role.INSTALLER, Role.ADMIN):
        yield role, {permission for permission in Permission if role.may(permission)}


@pytest.mark.quick
def test_a_role_may_all_that_the_roles_below_it_may() -> None:
    before: set[Permission] = set()
    for _, permissions in ranks():
        assert before < permissions
        before = permissions
    assert before == set(Permission) == set(LEAST) == set(MEANING)
