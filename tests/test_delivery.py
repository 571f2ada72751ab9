"""Files in a bucket on their way to programs and pages: streamed by the web process, or by links of the store."""

import dataclasses
import functools
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import databases
import pytest
import requests
import s3_proxy
import s3_server
from flask import Flask
from playwright.sync_api import Browser, expect
from upload_rows import IMEI, sidecar, take
from werkzeug.serving import make_server

from app import create_app
from provisioning.core.config import load
from provisioning.devices import registry
from provisioning.media import previews, storage
from provisioning.models import Role, Upload, db, new_id, utcnow
from provisioning.web import auth, users
from simulator import media

PHOTO = media.photo("front", "Van", 1_795_500_000, 3, 75)
COPIES: dict[str, bytes] = {}  # made once: by key in the store
EMAIL, PASSWORD = "ops@example.com", "a long enough password"

pytestmark = pytest.mark.xdist_group("delivery")  # what they share is made once


@functools.cache
def clip() -> bytes:
    return media.clip("front", "Van", 1_795_500_000, 2, 25)


@pytest.fixture(scope="module", params=["stream", "redirect"])
def delivery(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def app(s3: s3_server.Server, delivery: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """One app for all tests of a way of delivery, on SQLite, since the database has no part in this."""
    folder, bucket = tmp_path_factory.mktemp(delivery), s3.make_bucket(f"delivery-{time.time_ns()}")
    config = dataclasses.replace(
        load(), database_url=databases.copy_sqlite(folder / "test.db"),
        media_url=f"s3://{bucket}/fleet", media_delivery=delivery, media_spool=folder / "spool",
        public_url="http://dualcam.test",
    )  # fmt: skip
    app = create_app(config)
    app.testing = True
    with app.app_context():
        registry.add({"imei": IMEI, "phone": "+12025550111"}, utcnow())
        for ident, data, kind in (("a" * 32, PHOTO, "jpg"), ("b" * 32, clip(), "h265")):
            (folder / "local").write_bytes(data)
            path = f"2026/11/24/12/{IMEI}_{ident}.{kind}"
            storage.media().put(folder / "local", path)
            changes: dict[str, Any] = {"path": path, "extension": kind, "size": len(data)}
            if kind == "h265":
                changes |= {"identifier": "%videof", "file_type": "video", "duration": 2}
            take(sidecar(ident, **changes))
            _make_copies(ident)
        yield app
        db.session.remove()
        db.engine.dispose()


def _make_copies(ident: str) -> None:
    upload = db.session.get_one(Upload, ident)
    known = [key for key in COPIES if ident in key]
    for key in known:
        storage.media().write(key, COPIES[key])
        if key.endswith(previews.VIDEO):
            upload.video_state = previews.READY
        else:
            upload.thumbnail_state = previews.READY
    db.session.commit()
    if not known:
        assert previews.make([ident], utcnow)
        for entry in storage.media().entries("derived/"):
            COPIES[entry.key] = storage.media().read(entry.key, 0, entry.size) or b""


@pytest.fixture(scope="module")
def served(app: Flask) -> Iterator[str]:
    """The app on a real port."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(10)


@pytest.fixture
def program(served: str) -> Iterator[Any]:
    """A program with a token that follows redirects."""
    headers = {"Authorization": f"Bearer {auth.create_token(new_id(), Role.VIEWER)}"}

    def get(path: str, **more: str) -> requests.Response:
        return requests.get(f"{served}/api/v1{path}", headers=headers | more, timeout=30)

    get.headers, get.base = headers, f"{served}/api/v1"  # type: ignore[attr-defined]
    yield get
    db.session.remove()


def test_an_original_comes_byte_for_byte_with_its_name(program: Any, delivery: str) -> None:
    answer = program(f"/uploads/{'b' * 32}/content")
    assert answer.content == clip()
    assert f"filename={IMEI}-front-{'b' * 32}.h265" in answer.headers["Content-Disposition"].replace('"', "")
    assert answer.headers["Content-Type"] == "video/h265"
    assert [step.status_code for step in answer.history] == ([302] if delivery == "redirect" else [])


@pytest.mark.parametrize(
    ("wanted", "part"), [("0-99", slice(0, 100)), ("1000-", slice(1000, None)), ("-10", slice(-10, None))]
)
def test_a_range_of_an_original_comes_alone(program: Any, wanted: str, part: slice) -> None:
    answer = program(f"/uploads/{'b' * 32}/content", Range=f"bytes={wanted}")
    assert (answer.status_code, answer.content) == (206, clip()[part])
    first, end, _ = part.indices(len(clip()))
    assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/{len(clip())}"


def test_a_range_beyond_the_end_is_refused(program: Any) -> None:
    assert program(f"/uploads/{'b' * 32}/content", Range=f"bytes={len(clip())}-").status_code == 416


def test_pictures_and_copies_come_with_their_types(program: Any) -> None:
    picture = program(f"/uploads/{'a' * 32}/thumbnail.jpg")
    assert (picture.headers["Content-Type"], picture.content[:2]) == ("image/jpeg", b"\xff\xd8")
    copy = program(f"/uploads/{'b' * 32}/video.mp4")
    assert (copy.headers["Content-Type"], copy.content[4:8]) == ("video/mp4", b"ftyp")
    part = program(f"/uploads/{'b' * 32}/video.mp4", Range="bytes=4-7")
    assert (part.status_code, part.content) == (206, b"ftyp")


@pytest.mark.parametrize("delivery", ["stream"], indirect=True)
@pytest.mark.parametrize("path", [f"/uploads/{'a' * 32}/content", f"/uploads/{'b' * 32}/video.mp4"])
def test_what_a_camera_sent_may_run_and_embed_nothing(program: Any, path: str) -> None:
    headers = program(path).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Content-Security-Policy"].endswith("sandbox")
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("delivery", ["stream"], indirect=True)
def test_a_program_that_carries_its_token_along_gets_the_file_too(program: Any) -> None:
    asked = urllib.request.Request(f"{program.base}/uploads/{'a' * 32}/content", headers=program.headers)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert answer.read() == PHOTO


@pytest.mark.parametrize("delivery", ["stream"], indirect=True)
def test_what_a_client_has_already_is_not_sent_again(program: Any) -> None:
    first = program(f"/uploads/{'a' * 32}/content")
    again = program(f"/uploads/{'a' * 32}/content", **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_file_that_is_gone_says_so(program: Any) -> None:
    path = db.session.get_one(Upload, "a" * 32).path or ""
    storage.media().delete(path)
    answer = program(f"/uploads/{'a' * 32}/content")
    storage.media().write(path, PHOTO)
    assert (answer.status_code, answer.json()["code"]) == (404, "gone")


def test_without_a_token_nothing_is_told(served: str) -> None:
    answer = requests.get(f"{served}/api/v1/uploads/{'a' * 32}/content", timeout=30)
    assert answer.status_code == 401


def test_a_video_plays_under_the_pages_policy(browser: Browser, served: str) -> None:
    users.create(EMAIL, Role.VIEWER, PASSWORD)
    complaints: list[str] = []
    page = browser.new_page(base_url=served)
    page.set_default_timeout(90_000)
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.goto("/")
    page.fill("input[name=email]", EMAIL)
    page.fill("input[name=password]", PASSWORD)
    page.click("main button")
    expect(page.locator("h1")).to_have_text("Fleet")
    page.goto(f"/uploads/{'b' * 32}")
    page.locator("video").wait_for()
    page.evaluate("() => { const v = document.querySelector('video'); v.muted = true; return v.play() }")
    page.wait_for_function("() => document.querySelector('video').currentTime > 0.5")
    page.evaluate("() => { document.querySelector('video').currentTime = 0.1 }")
    page.goto(f"/vehicles/{IMEI}")
    page.wait_for_function(
        "() => [...document.querySelectorAll('main img')].filter(i => i.naturalWidth > 0).length >= 2"
    )
    assert complaints == []
    page.close()


@pytest.mark.parametrize("delivery", ["stream"], indirect=True)
def test_while_the_store_is_away_the_answer_says_so_and_copies_are_made_later(
    app: Flask, s3: s3_server.Server, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.store.s3.SILENCE_SECONDS", 0.5)
    upload = db.session.get_one(Upload, "a" * 32)
    with s3_proxy.between(s3.ports["s3"]) as proxy, s3_server.reachable(s3_server.environment(proxy.url)):
        by_proxy = storage.connect(app.extensions["dualcam_config"].media_url)
        monkeypatch.setitem(app.extensions, "dualcam_media", by_proxy)
        proxy.refuse = True
        answer = program(f"/uploads/{'a' * 32}/content")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        upload.thumbnail_state, upload.derive_attempts = None, 2
        db.session.commit()
        assert not previews.make([upload.id], utcnow)
        proxy.refuse = False
        db.session.expire_all()
        assert (upload.thumbnail_state, upload.derive_attempts) == (None, 2)
        upload.derive_lease_until = None
        db.session.commit()
        assert previews.make([upload.id], utcnow)
        assert program(f"/uploads/{'a' * 32}/content").content == PHOTO
