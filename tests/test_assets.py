"""Static files and compressed pages: kept for ever by name, no secret that lengths give away, media untouched."""

import gzip
import re
from pathlib import Path

import brotli
import pytest
from conftest import ROOT
from flask import Flask
from flask_wtf.csrf import generate_csrf
from page_visitor import Visitor, upload

from provisioning.media import storage
from provisioning.models import Device, Role, db
from provisioning.web import assets

TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
SPRITE = ROOT / "static" / "vendor" / "tabler-icons-3.52.0" / "sprite.svg"
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def hashed(app: Flask, name: str) -> str:
    with app.test_request_context():
        return assets.address(name)


@pytest.mark.parametrize(
    ("accepted", "coding", "read"),
    [
        ("gzip, deflate, br", "br", brotli.decompress),
        ("gzip", "gzip", gzip.decompress),
        ("", None, lambda data: data),
    ],
)
def test_a_file_is_kept_for_ever_and_compressed_as_the_browser_takes_it(
    app: Flask, accepted: str, coding: str | None, read: object
) -> None:
    answer = app.test_client().get(hashed(app, "app.css"), headers={"Accept-Encoding": accepted})
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers.get("Content-Encoding") == coding
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.mimetype == "text/css"
    assert callable(read)
    assert read(answer.data) == (ROOT / "static" / "app.css").read_bytes()


def test_an_address_of_another_version_gives_the_present_file_that_is_not_kept(app: Flask) -> None:
    answer = app.test_client().get("/static/app.0123456789ab.css")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "public, no-cache")


def test_a_file_without_a_hash_is_asked_for_again_and_answered_briefly(app: Flask) -> None:
    client = app.test_client()
    answer = client.get("/static/icons/mark.svg")
    assert answer.headers["Cache-Control"] == "public, no-cache"
    again = client.get("/static/icons/mark.svg", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.css", "../app.py", "%2e%2e/app.py", "vendor", ""])
def test_what_is_no_static_file_is_not_found(app: Flask, name: str) -> None:
    assert app.test_client().get(f"/static/{name}").status_code == 404


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(ROOT / "templates").as_posix())
def test_every_file_and_icon_that_a_template_names_is_there(app: Flask, path: Path) -> None:
    text = path.read_text()
    for name in re.findall(r"""asset\(["']([^"']+)["']\)""", text):
        assert hashed(app, name)
    icons = set(re.findall(r'<symbol id="([^"]+)"', SPRITE.read_text()))
    assert set(re.findall(r"""icon\(["']([a-z-]+)["']""", text)) <= icons


def test_the_sprite_holds_the_icons_of_its_list_and_no_other(app: Flask) -> None:
    names = (SPRITE.parent / "names.txt").read_text().split()
    assert re.findall(r'<symbol id="([^"]+)"', SPRITE.read_text()) == sorted(names)
    sources = [*TEMPLATES, ROOT / "provisioning" / "web" / "pages" / "words.py"]
    used = set(re.findall(r"""["']([a-z][a-z-]*)["']""", "".join(path.read_text() for path in sources)))
    assert set(names) - used == set()


def test_pages_and_json_are_compressed(app: Flask, van: Device) -> None:
    visitor = Visitor(app, Role.VIEWER)
    page = visitor.get("/", **{"Accept-Encoding": "gzip"})
    assert page.headers["Content-Encoding"] == "gzip"
    assert b"Van 11" in gzip.decompress(page.data)
    answer = app.test_client().get("/api/v1/openapi.json", headers={"Accept-Encoding": "br"})
    assert answer.headers["Content-Encoding"] == "br"


def test_events_and_media_are_never_compressed(app: Flask, van: Device) -> None:
    visitor = Visitor(app, Role.VIEWER)
    everything = {"Accept-Encoding": "br, gzip"}
    storage.media().write("files/a.jpg", b"\xff\xd8" + bytes(9000))
    row = upload(van, path="files/a.jpg", sha256="a" * 64)
    db.session.commit()
    path = f"/uploads/{row.id}/content"
    whole = visitor.get(path, **everything)
    part = visitor.get(path, **everything, Range="bytes=10-19")
    stream = visitor.client.get(
        "/events", headers=everything | {"Accept": "text/event-stream"}, buffered=False
    )
    assert [answer.headers.get("Content-Encoding") for answer in (whole, part, stream)] == [None] * 3
    assert (len(whole.data), part.status_code, len(part.data)) == (9002, 206, 10)
    stream.close()


def test_the_token_of_forms_is_another_in_every_page_and_each_is_taken(app: Flask) -> None:
    visitor = Visitor(app, Role.VIEWER)
    seen = set()
    for _ in range(3):
        tokens = set(re.findall(r'name="csrf_token"\s+value="([^"]+)"', visitor.get("/account").text))
        assert len(tokens) == 1
        seen |= tokens
        assert visitor.send("/account", "/theme", theme="dark").status_code == 302
    assert len(seen) == 3


@pytest.mark.parametrize("token", ["", "A", "AAAA", "not base64 at all", "é"])
def test_a_wrong_token_is_refused(app: Flask, token: str) -> None:
    visitor = Visitor(app, Role.VIEWER)
    visitor.get("/account")
    visitor._forget()
    assert visitor.client.post("/theme", data={"csrf_token": token, "theme": "dark"}).status_code == 400


def test_no_page_holds_the_token_itself(app: Flask) -> None:
    visitor = Visitor(app, Role.VIEWER)
    page = visitor.get("/account").text
    with app.test_request_context(), visitor.client.session_transaction() as session:
        from flask import session as own

        own.update(session)
        clear = generate_csrf()
    assert clear.split(".")[0] not in page
