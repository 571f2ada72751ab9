"""Pages, forms and streams of a person whose sign-in has ended."""

import re

import pytest
from conftest import ROOT
from flask import Flask
from page_visitor import IMEI, Visitor
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from provisioning.core import change_feed
from provisioning.models import Command, Device, Role, db, utcnow
from provisioning.web import invitations

pytestmark = pytest.mark.on_sqlite


def test_a_form_sent_after_the_session_has_ended_leads_to_sign_in_and_back(
    van: Device, visitor: Visitor
) -> None:
    visitor.get(f"/vehicles/{IMEI}")
    visitor.leave()
    visitor._forget()
    answer = visitor.client.post(
        f"/vehicles/{IMEI}/ask",
        data={"csrf_token": "old"},
        headers={"Referer": f"http://localhost/vehicles/{IMEI}"},
    )
    assert answer.status_code == 302
    assert answer.location == f"/login?next=/vehicles/{IMEI}&ended=1"
    assert "Your session has ended" in visitor.get(answer.location).text


OURS = {"Sec-Fetch-Site": "same-origin", "Referer": f"http://localhost/vehicles/{IMEI}/footage"}
WHO = {"email": "admin@example.com", "password": "a long enough password"}


def hidden(page: str) -> list[tuple[str, str]]:
    """Give the hidden fields of the form in the main part of a page."""
    found = re.findall(
        r'<input type="hidden"\s+name="([^"]+)"\s+value="([^"]*)">', page.partition("<main")[2]
    )
    return [(name, value.replace("&#39;", "'")) for name, value in found]


def test_a_form_sent_after_the_session_has_ended_is_kept_through_the_sign_in(
    van: Device, visitor: Visitor
) -> None:
    fields = {"csrf_token": "old", "nonce": "n1", "file_type": "video", "source": "rear", "duration": "7",
              "from": "2026-07-01T12:00:00", "sms_password": "cam11"}  # fmt: skip
    visitor.leave()
    visitor._forget()
    ended = visitor.client.post(f"/vehicles/{IMEI}/ask", data=fields, headers=OURS)
    assert ended.status_code == 401
    assert "what you filled in is kept" in ended.text
    assert "cam11" not in ended.text
    visitor._forget()
    wrong = visitor.client.post("/login", data=dict(hidden(ended.text)) | WHO | {"password": "wrong"})
    visitor._forget()
    right = visitor.client.post("/login", data=dict(hidden(wrong.text)) | WHO)
    assert "Your form is still here" in right.text
    assert f'action="/vehicles/{IMEI}/ask"' in right.text
    assert db.session.scalar(select(func.count()).select_from(Command)) == 0
    visitor._forget()
    sent = visitor.client.post(f"/vehicles/{IMEI}/ask", data=dict(hidden(right.text)), headers=OURS)
    row = db.session.scalars(select(Command)).one()
    assert sent.location == f"/vehicles/{IMEI}/footage?asked={row.id}"
    assert (row.arguments["source"], row.arguments["duration"]) == ("rear", 7)


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {}]
)
def test_a_form_from_elsewhere_is_not_kept(van: Device, visitor: Visitor, headers: dict[str, str]) -> None:
    visitor.leave()
    visitor._forget()
    answer = visitor.client.post(f"/vehicles/{IMEI}/ask", data={"file_type": "photo"}, headers=headers)
    assert answer.status_code == 302
    assert answer.location.startswith("/login?")


def test_a_part_asked_for_after_the_session_has_ended_is_refused_and_its_page_decides(
    van: Device, visitor: Visitor
) -> None:
    visitor.leave()
    answer = visitor.get(f"/vehicles/{IMEI}/part/requests", **{"HX-Request": "true"})
    assert (answer.status_code, answer.text) == (401, "")
    assert not {"HX-Redirect", "Location"} & set(answer.headers.keys())


def test_one_user_holds_so_many_streams_and_the_oldest_gives_way(van: Device, visitor: Visitor) -> None:
    def listen() -> TestResponse:
        visitor._forget()
        answer = visitor.client.get("/events", headers={"Accept": "text/event-stream"}, buffered=False)
        assert answer.status_code == 200
        return answer

    held = [listen() for _ in range(change_feed.STREAMS_PER_USER + 2)]
    assert [list(answer.response) for answer in held[:2]] == [[b"retry: 2000\n\n"]] * 2  # ended at once
    assert sum(len(places) for places in change_feed.hub._held.values()) == change_feed.STREAMS_PER_USER
    for answer in held:
        answer.close()
    assert change_feed.hub._held == {}


def test_a_stream_is_refused_after_the_session_has_ended(van: Device, visitor: Visitor) -> None:
    visitor.leave()
    assert visitor.get(f"/vehicles/{IMEI}/events", Accept="text/event-stream").status_code == 401


@pytest.mark.parametrize(
    "path", ["/", f"/vehicles/{IMEI}", f"/vehicles/{IMEI}/part/requests", f"/vehicles/{IMEI}/events"]
)
def test_an_answer_that_comes_late_does_not_undo_signing_out(
    van: Device, visitor: Visitor, path: str
) -> None:
    visitor.leave()
    who = {"email": "admin@example.com", "password": "a long enough password"}
    cookies = visitor.send("/login", "/login", **who).headers.getlist("Set-Cookie")
    assert any(cookie.startswith("session=") for cookie in cookies)
    visitor.get(f"/vehicles/{IMEI}")
    answer = visitor.get(path)
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers  # a browser would keep it after the sign-out of another tab
    answer.close()


def test_sign_in_never_leads_to_another_host(app: Flask, visitor: Visitor) -> None:
    visitor.leave()
    visitor._forget()
    answer = visitor.client.post(
        f"/vehicles/{IMEI}/ask",
        data={"csrf_token": "old"},
        headers={"Referer": "http://evil.example//evil.example/x"},
    )
    assert answer.location == "/login?next=/&ended=1"


def requests() -> int:
    return db.session.scalar(select(func.count()).select_from(Command)) or 0


def test_an_old_form_from_elsewhere_is_refused_with_the_reason(van: Device, visitor: Visitor) -> None:
    visitor._forget()
    answer = visitor.client.post(f"/vehicles/{IMEI}/ask", data={"csrf_token": "old", "file_type": "photo"})
    assert answer.status_code == 400
    assert "load the page anew" in answer.text
    assert requests() == 0


def test_a_form_of_an_earlier_session_is_kept_for_who_signed_in_anew(van: Device, visitor: Visitor) -> None:
    fields = {"csrf_token": "old", "nonce": "n1", "file_type": "photo", "source": "front"}
    visitor._forget()
    answer = visitor.client.post(f"/vehicles/{IMEI}/ask", data=fields, headers=OURS)
    assert answer.status_code == 400
    assert "Your form is still here" in answer.text
    assert f'href="/vehicles/{IMEI}/footage"' in answer.text
    assert requests() == 0
    visitor._forget()
    visitor.client.post(f"/vehicles/{IMEI}/ask", data=dict(hidden(answer.text)), headers=OURS)
    assert requests() == 1


def test_who_needs_no_sign_in_for_a_form_is_led_back_to_it_and_not_to_the_sign_in(app: Flask) -> None:
    _, link = invitations.invite("invited@example.com", "", Role.VIEWER, utcnow())
    path = link.url.removeprefix("http://dualcam.test")
    answer = app.test_client().post(path, data={"csrf_token": "old", "password": "x"}, headers=OURS)
    assert answer.status_code == 400
    assert f'href="{path}"' in answer.text
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_signing_out_after_the_session_has_ended_leads_to_the_sign_in_and_keeps_no_form(
    visitor: Visitor,
) -> None:
    visitor.leave()
    visitor._forget()
    answer = visitor.client.post("/logout", data={"csrf_token": "old"}, headers=OURS)
    assert (answer.status_code, answer.location) == (302, "/login")


@pytest.mark.parametrize("path", ["/logout", "/account/sessions"])
def test_signing_out_has_the_browser_forget_the_pictures_that_it_keeps(visitor: Visitor, path: str) -> None:
    answer = visitor.send("/account", path)
    assert (answer.location, answer.headers["Clear-Site-Data"]) == ("/login", '"cache"')


def test_every_field_for_a_password_has_a_name_by_which_it_is_not_kept() -> None:
    inputs = [
        found
        for template in (ROOT / "templates").rglob("*.html")
        for found in re.findall(r"<input\b[^>]*>|\binput\([^)]*\)", template.read_text())
        if 'type="password"' in found
    ]
    assert len(inputs) >= 9
    name = re.compile(r'(?:\bname=|\binput\()"\w*password\w*"')
    assert [found for found in inputs if not name.search(found)] == []


NO_ADDRESS = "http://["  # Python's reader finds no end of the host


@pytest.mark.parametrize("name", ["Referer", "Origin"])
def test_a_header_that_holds_no_address_leads_to_the_start_page(
    van: Device, visitor: Visitor, name: str
) -> None:
    switched = visitor.send("/", "/theme", theme="dark")
    assert switched.location == "/"
    visitor._forget()
    headers = {name: NO_ADDRESS}
    token = visitor.hidden("/")["csrf_token"]
    visitor._forget()
    switched = visitor.client.post("/theme", data={"csrf_token": token, "theme": "dark"}, headers=headers)
    assert (switched.status_code, switched.location) == (302, "/")
    visitor.leave()
    visitor._forget()
    ended = visitor.client.post(f"/vehicles/{IMEI}/ask", data={"csrf_token": "old"}, headers=headers)
    assert (ended.status_code, ended.location) == (302, "/login?next=/&ended=1")
