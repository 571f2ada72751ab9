"""What people do by pages in their language is kept in codes: no row and no log line has a sentence of it.

Sentences of pages are marked here instead of translated, so that each would be found wherever it was kept.
"""

from collections.abc import Callable
from gettext import NullTranslations
from typing import Any

import pytest
from flask import g, has_request_context, request
from gateway_double import Phone
from page_visitor import IMEI, Visitor, add_van, text_from, upload
from sqlalchemy import select, text

from provisioning import translation
from provisioning.models import Base, Command, Event, Role, db, new_id, utcnow

pytestmark = pytest.mark.on_sqlite

MARK = "\N{SECTION SIGN}"
OTHER = "356307042441013"
VEHICLE = f"/vehicles/{IMEI}"
Post = Callable[..., int]


class Marked(NullTranslations):
    """The catalogue of a language whose sentences are the English ones with a mark before them."""

    def gettext(self, message: str) -> str:
        return MARK + message

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return MARK + (msgid1 if n == 1 else msgid2)


def choose() -> NullTranslations:
    is_page = has_request_context() and not request.path.startswith(("/api/", "/webhooks/"))
    return Marked() if is_page else translation.ENGLISH


@pytest.fixture
def post(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> Post:
    """A person who sends forms of pages; gives the status of the answer."""
    phone.app.config["WTF_CSRF_ENABLED"] = False
    add_van()
    visitor = Visitor(phone.app, Role.ADMIN)
    monkeypatch.setattr(translation, "_choose", choose)
    assert MARK in visitor.get("/").text

    def send(path: str, **fields: Any) -> int:
        for name in list(g):
            g.pop(name)
        return visitor.client.post(path, data=fields).status_code

    return send


def kept() -> list[tuple[str, str, str]]:
    """Give table, column and value of whatever holds a marked sentence."""
    db.session.rollback()
    return [
        (table.name, name, value)
        for table in Base.metadata.sorted_tables
        for row in db.session.execute(text(f'SELECT * FROM "{table.name}"')).mappings()
        for name, value in ((name, str(value)) for name, value in row.items())
        if MARK in value or "\\u00a7" in value
    ]


def ask_and_check(post: Post) -> None:
    """Ask the vehicle for files, states and settings, cancel, repeat, run a check; some of it is refused."""
    photo = {"file_type": "photo", "source": "front"}
    assert [post(f"{VEHICLE}/ask", **photo), post(f"{VEHICLE}/ask", **photo)] == [302, 409]
    asked = db.session.scalars(select(Command.id)).one()
    assert [post(f"/requests/{asked}/cancel"), post(f"/requests/{asked}/again")] == [302, 302]
    assert post(f"{VEHICLE}/command", command="getver") == 302
    assert [post(f"{VEHICLE}/settings/read"), post(f"{VEHICLE}/settings", triggers="x")] == [302, 302]
    assert post(f"{VEHICLE}/credentials", login="ab1", password="cd2") == 302
    steps = (
        {"do": "start"},
        {"do": "answer", "step": "led", "answer": "no"},
        {"do": "again", "step": "?"},
        {"do": "stop"},
    )
    assert [post(f"{VEHICLE}/check", **step) for step in steps] == [302, 302, 422, 302]


def set_up(post: Post) -> None:
    """Change vehicles, write a note, take texts, invite, make what is shown once."""
    vehicle = {"time_zone": "Europe/Berlin", "phone": "+12025550111", "name": "Van"}
    assert post("/vehicles/new", **vehicle | {"imei": OTHER, "phone": "+12025550177", "tags": "a,b"}) == 302
    assert post(f"{VEHICLE}/settings/vehicle", **vehicle | {"cabin_private": "1"}) == 302
    assert post(f"{VEHICLE}/ask", file_type="photo", source="rear") == 409
    assert post(f"{VEHICLE}/notes", text="Hallo") == 302
    claimed, aside = (text_from(f"+1202555019{number}", "Hallo").id for number in (8, 9))
    assert post(f"/inbox/texts/{claimed}/claim", imei=OTHER) == 302
    assert [post(f"/inbox/texts/{aside}/aside"), post(f"/inbox/texts/{aside}/aside")] == [302, 409]
    assert post("/settings/people", email="ada@example.com", role="viewer") == 200
    assert post("/settings/tokens", name="platform", role="viewer", days="3") == 200
    assert post("/settings/wall", name="Workshop") == 200
    assert post("/settings/sms/test", phone="+12025550155") == 302
    assert post("/account/language", language="de", time_zone="Europe/Berlin") == 302
    assert post("/account/password", current_password="x", password="y") == 422


def look_after_files(post: Post) -> None:
    """Keep, share and correct what came of the vehicle, then archive it."""
    device_id = db.session.scalar(select(Command.device_id).limit(1))
    event = Event(
        id=new_id(), device_id=device_id, kind="asked", at=utcnow(), cameras="front", file_types="photo"
    )
    db.session.add(event)
    db.session.commit()
    file = upload(event.device, path="x.jpg", event_id=event.id).id
    assert post(f"/media/{event.id}/saved", saved="1") == 302
    assert post(f"/media/{event.id}/shares", hours="24") == 302
    assert post(f"/uploads/{file}/link", command="") == 302
    assert post(f"{VEHICLE}/archive") == 302


def test_no_row_and_no_log_line_has_a_sentence_in_the_language_of_who_did_it(
    post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    ask_and_check(post)
    set_up(post)
    look_after_files(post)
    assert kept() == []
    assert MARK not in "".join(capsys.readouterr())
