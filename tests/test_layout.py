"""Every page on a phone and a desk, by day and by night: it fits, can be tapped, is light, and is accessible.

axe-core (tests/vendor, MPL-2.0, for tests only) looks for what breaks WCAG 2.2 A and AA.
"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import databases
import pytest
from conftest import ROOT
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page
from sqlalchemy import select, update
from stack import Stack

from provisioning.devices import registry
from provisioning.fleet import presets
from provisioning.media import event_service, previews, shares
from provisioning.models import (
    CameraSession,
    ChecklistRun,
    Command,
    Device,
    Event,
    Message,
    State,
    Upload,
    db,
    new_id,
    utcnow,
)
from provisioning.web import access, wall_links

IMEI, UNKNOWN = "356307042440106", "490154203237518"
EMAIL, PASSWORD = "layout@example.com", "a long enough password"
AXE = (ROOT / "tests" / "vendor" / "axe-core-4.14.1" / "axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
MAIN = (
    "/",
    "/media",
    "/inbox",
    *(f"/vehicles/{IMEI}{tab}" for tab in ("", "/footage", "/check")),
)  # day and night
FIRST_LOAD, LATER = 200_000, 30_000  # bytes on the wire, pictures of vehicles left out

# what can be tapped: its size, with the label around it; links inside sentences may be as high as their line
TARGETS = ("a", "button", "summary", "select", "label:has(input)", "input:not(label input, [type=hidden])")
SMALL_TARGETS = """(targets) => [...document.querySelectorAll(targets)]
    .filter((one) => one.checkVisibility({checkOpacity: true, checkVisibilityCSS: true}))
    .filter((one) => !(one.matches("a") && getComputedStyle(one).display === "inline"))
    .map((one) => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])
    .filter(([text, box]) => box.width > 1 && (box.width < 24 || box.height < 24))
    .map(([text, box]) => `${text} ${box.width}x${box.height}`)"""


def seed(folder: Path) -> dict[str, str]:
    """Fill the database with something for every page; give the addresses of what has an id."""
    now = utcnow()
    given = {
        "imei": IMEI, "phone": "+12025550177", "name": "Layout 1 with a name that is rather long", "model": "FMC125",
        "sms_login": "fleet", "sms_password": "cam11", "time_zone": "Europe/Vilnius",
    }  # fmt: skip
    van = registry.add(given, now)
    uploads = [upload(van, folder, number) for number in range(6)]
    coming = upload(van, folder, 6, state="receiving", received_packets=20, thumbnail_state=None)
    upload(van, folder, 7, imei=UNKNOWN, device_id=None, state="quarantined")
    answered = request(
        van, State.ANSWERED, {"file_type": "video", "source": "both", "timestamp": 1, "duration": 9}
    )
    request(van, State.QUEUED, {"file_type": "photo", "source": "front"})
    failed = request(
        van, State.FAILED, {"file_type": "photo", "source": "rear"}, error_code="ignition_off",
        error_message="The ignition is off.", error_retry=True, reply="Camera error", result={"replies": []},
    )  # fmt: skip
    for claimed, text in ((True, "Param ID:66003 Value:25"), (False, "hello, who is this?")):
        db.session.add(
            Message(
                id=new_id(), direction="in", gateway="twilio", gateway_id=new_id(), sender="+12025550176",
                recipient="+12025550100", body=text, status="received", claimed=claimed,
                device_id=van.id if claimed else None, created_at=now,
            )
        )  # fmt: skip
    for imei, device in ((IMEI, van.id), (UNKNOWN, None)):
        db.session.add(
            CameraSession(
                id=new_id(), imei=imei, device_id=device, address="192.0.2.1:1", peer=None if device else imei,
                started_at=now, ended_at=now, reason="All files have come.", files=2, bytes_received=51_200,
            )
        )  # fmt: skip
    step = {"state": "done", "verdict": "bad", "text": "No answer.", "todo": "Look.", "commands": [failed.id]}
    run = {
        "device_id": van.id,
        "verdict": "no_card",
        "verdict_text": "",
        "started_by": "tests",
        "steps": {"sms": step},
    }
    db.session.add(ChecklistRun(started_at=now, ended_at=now, **run))
    presets.save("Layout", "for tests", {"66003": 25}, "tests", now)
    db.session.execute(update(Upload).where(Upload.state == "stored").values(event_due=True))
    db.session.commit()
    event_service.remake_all(utcnow)
    crash = db.session.scalars(select(Event).where(Event.kind == "crash")).first()
    assert crash is not None
    _, token = shares.make(crash, 24, None, "tests", now)
    return {
        "event": f"/media/{crash.id}", "shared": f"/s/{token}",
        "photo": f"/uploads/{uploads[0].id}", "coming": f"/uploads/{coming.id}", "request": f"/requests/{answered.id}",
        "failed": f"/requests/{failed.id}", "wall": f"/wall/{wall_links.create('Yard', None, 'tests', now)}",
    }  # fmt: skip


def upload(van: Device, folder: Path, number: int, **more: Any) -> Upload:
    kind, camera = ("photo", "video")[number // 3 % 2], ("front", "rear")[number % 2]
    given = {
        "id": new_id(), "imei": van.imei, "device_id": van.id, "identifier": "%photof", "file_type": kind,
        "source": camera, "state": "stored", "packets": 54, "size": 51_200, "thumbnail_state": "ready",
        "has_metadata": True,
        "timestamp": utcnow() - timedelta(hours=number), "trigger": (0, 3, 9)[number % 3], "path": "layout.jpg",
        "received_at": utcnow(), "sha256": f"{number:064x}", "duration": 10 if kind == "video" else None,
    }  # fmt: skip
    row = Upload(**given | more)
    db.session.add(row)
    db.session.commit()
    picture = io.BytesIO()
    Image.new("RGB", (320, 180), (90, 110 + number * 10, 140)).save(picture, "JPEG")
    for name in (previews.key(row.id, previews.THUMBNAIL), "layout.jpg"):
        path = folder / "media" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture.getvalue())
    return row


def request(van: Device, state: State, arguments: dict[str, Any], **more: Any) -> Command:
    now = utcnow()
    given = {
        "id": new_id(), "device_id": van.id, "kind": "camreq", "arguments": arguments, "state": state, "length": 30,
        "text": "camreq:0,3", "requested_by": "tests", "due_at": now + timedelta(days=9), "expires_at": None,
        "history": [{"at": now.isoformat(), "state": state.value, "note": None}],
    }  # fmt: skip
    row = Command(**given | more)
    db.session.add(row)
    db.session.commit()
    return row


@pytest.fixture(scope="module")
def paths(product: Stack) -> list[str]:
    product.add_user(EMAIL, PASSWORD, "admin")
    found = databases.within(product.environment["DATABASE_URL"], lambda: seed(product.folder))
    van = f"/vehicles/{IMEI}"
    return [
        "/", "/media", "/inbox", "/inbox/unknown", f"/inbox/unknown/{UNKNOWN}", "/vehicles/new", "/search?q=Layout+1+",
        "/search?q=nothing", van,
        f"{van}/footage", f"{van}/check", f"{van}/settings", f"{van}/settings/all", f"{van}/settings/tracker",
        f"{van}/settings/vehicle", f"{van}/notice", "/settings/preset", "/settings/preset?begin=Layout",
        f"{van}/log", *found.values(), "/settings", "/settings/sms", "/settings/cameras",
        "/settings/storage", "/settings/storage?photo=30&video=9", "/settings/log",
        "/settings/people", "/settings/people/1", "/settings/tokens",
        "/settings/presets", "/settings/presets/Layout", "/settings/wall", "/account", "/nowhere",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def signed_in(browser: Browser, product: Stack, paths: list[str]) -> dict[str, Any]:
    """The cookies of somebody who is signed in."""
    page = browser.new_page(base_url=product.environment["PUBLIC_URL"])
    page.set_default_timeout(90_000)
    page.goto("/login")
    page.fill("input[name=email]", EMAIL)
    page.fill("input[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_selector(".fleet")
    state = page.context.storage_state()
    page.close()
    return dict(state)


@pytest.fixture
def open_context(
    browser: Browser, product: Stack, signed_in: dict[str, Any]
) -> Iterator[Callable[..., BrowserContext]]:
    made: list[BrowserContext] = []

    def make(width: int, scheme: str = "light", signed: bool = True) -> BrowserContext:
        context = browser.new_context(
            viewport={"width": width, "height": 844 if width < 768 else 800}, color_scheme=scheme,  # type: ignore[arg-type]
            base_url=product.environment["PUBLIC_URL"], storage_state=signed_in if signed else None,  # type: ignore[arg-type]
            reduced_motion="reduce",
        )  # fmt: skip
        context.set_default_timeout(90_000)
        made.append(context)
        return context

    yield make
    for context in made:
        context.close()


def visit(page: Page, path: str) -> None:
    page.goto(path, wait_until="load")
    # what is closed is part of the page
    page.evaluate("() => document.querySelectorAll('details').forEach((one) => (one.open = true))")


def violations(page: Page) -> list[str]:
    page.evaluate(AXE)
    found = page.evaluate("(tags) => axe.run({runOnly: {type: 'tag', values: tags}})", RULES)["violations"]
    return [
        f"{one['id']}: {node['html'][:120]} {node['failureSummary']}"
        for one in found
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("width", [360, 390, 1366])
def test_every_page_fits_and_can_be_tapped(
    open_context: Callable[..., BrowserContext], paths: list[str], width: int
) -> None:
    page = open_context(width).new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    small: dict[str, list[str]] = {}
    for path in paths:
        visit(page, path)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, path
        if found := page.evaluate(SMALL_TARGETS, ", ".join(TARGETS)):
            small[path] = found
        if path != "/nowhere":
            assert complaints == [], path
    assert small == {}


@pytest.mark.parametrize(
    ("width", "scheme", "only"),
    [(390, "light", ()), (1366, "dark", ()), (390, "dark", MAIN), (1366, "light", MAIN)],
)
def test_every_page_is_accessible(
    open_context: Callable[..., BrowserContext],
    paths: list[str],
    width: int,
    scheme: str,
    only: Sequence[str],
) -> None:
    page = open_context(width, scheme).new_page()
    found: dict[str, list[str]] = {}
    for path in only or paths:
        visit(page, path)
        if broken := violations(page):
            found[path] = broken
    assert found == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_the_sign_in_is_accessible(
    open_context: Callable[..., BrowserContext], scheme: str
) -> None:
    page = open_context(390, scheme, signed=False).new_page()
    visit(page, "/login")
    assert violations(page) == []


def test_the_menu_of_the_phone_is_accessible_and_large(open_context: Callable[..., BrowserContext]) -> None:
    page = open_context(390).new_page()
    visit(page, "/")
    page.click(".bottom button")
    assert page.is_visible("text=Sign out")
    assert violations(page) == []
    for name in (".bottom > *", ".sheet-row"):
        assert (
            page.evaluate(
                "(n) => Math.min(...[...document.querySelectorAll(n)].map((o) => o.clientHeight))", name
            )
            >= 48
        )


def loaded(page: Page) -> tuple[list[tuple[str, int]], Callable[[], None]]:
    """Collect what a page loads: address and bytes on the wire; pictures of vehicles are content and left out."""
    client = page.context.new_cdp_session(page)
    client.send("Network.enable")
    addresses: dict[str, str] = {}
    seen: list[tuple[str, int]] = []
    client.on("Network.requestWillBeSent", lambda e: addresses.update({e["requestId"]: e["request"]["url"]}))

    def finished(event: dict[str, Any]) -> None:
        address = addresses.get(event["requestId"], "")
        if not address.endswith("/thumbnail.jpg") and not address.startswith("data:"):
            seen.append((address, int(event["encodedDataLength"])))

    client.on("Network.loadingFinished", finished)
    return seen, seen.clear


# addresses that show no page: streams, parts of pages, bytes
NO_PAGES = r"/(static|api|healthz|readyz|metrics)\b|/events$|/part\b|/content$|\.(jpg|mp4|csv)$"


def test_every_page_is_among_those_that_are_looked_at(paths: list[str]) -> None:
    shown = {path.partition("?")[0] for path in paths}
    rules = [route.removeprefix("GET ") for route in access.READS if route.startswith("GET ")]
    pages = [re.sub(r"<[^>]+>", "[^/]+", rule) for rule in rules if not re.search(NO_PAGES, rule)]
    assert [page for page in pages if not any(re.fullmatch(page, path) for path in shown)] == []


def test_pages_are_light(open_context: Callable[..., BrowserContext], paths: list[str]) -> None:
    page = open_context(390).new_page()
    seen, forget = loaded(page)
    page.goto("/", wait_until="load")
    assert sum(size for _, size in seen) <= FIRST_LOAD, seen
    assert len(seen) <= 12, seen
    for path in paths:
        forget()
        page.goto(path, wait_until="load")
        fetched = [(address, size) for address, size in seen if size]
        assert sum(size for _, size in fetched) <= LATER, fetched
        assert len([address for address, _ in fetched if "/static/" in address]) == 0, fetched
