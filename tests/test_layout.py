"""Every page on a phone and a desk, by day and by night: it fits, can be tapped, is light, and is accessible.

axe-core (tests/vendor, MPL-2.0, for tests only) looks for what breaks WCAG 2.2 A and AA.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import databases
import page_rows
import pytest
from conftest import ROOT
from page_rows import IMEI
from playwright.sync_api import Browser, BrowserContext, Page
from stack import Stack

from provisioning.web import access
from provisioning.web.moved_addresses import MOVED

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


@pytest.fixture(scope="module")
def paths(product: Stack) -> list[str]:
    product.add_user(EMAIL, PASSWORD, "admin")
    return databases.within(product.environment["DATABASE_URL"], lambda: page_rows.seed(product.folder))


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


# how many controls are seen, the colours of words, and that of the ground
PRINTED = """() => [
    [...document.querySelectorAll("header, nav, button, form, .btn")].filter((one) => one.checkVisibility()).length,
    ...new Set(["main", "main h1, main h2", "main a:not(.btn)", ".text-secondary", ".card"]
        .flatMap((some) => [...document.querySelectorAll(some)])
        .filter((one) => one.checkVisibility())
        .map((one) => getComputedStyle(one).color)),
    getComputedStyle(document.body).backgroundColor,
]"""


def test_paper_shows_no_navigation_and_is_black_on_white_by_night_too(
    open_context: Callable[..., BrowserContext], product: Stack, paths: list[str]
) -> None:
    context = open_context(1366, "dark")
    page = context.new_page()
    page.emulate_media(media="print")
    event = next(path for path in paths if path.startswith("/media/"))
    for theme in ("auto", "dark"):
        context.add_cookies([{"name": "theme", "value": theme, "url": product.environment["PUBLIC_URL"]}])
        for path in (event, *(f"/vehicles/{IMEI}/{tab}" for tab in ("check", "notice", "log"))):
            page.goto(path)
            assert page.evaluate(PRINTED) == [0, "rgb(0, 0, 0)", "rgb(255, 255, 255)"], path


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
NO_PAGES = r"/(static|api|healthz|readyz|metrics)\b|/events$|/part\b|/content$|\.(jpg|mp4|csv)$|/<name>$"
SIGNED_OUT = "/login"  # leads on whoever is signed in; it is looked at by itself


def test_every_page_is_among_those_that_are_looked_at(paths: list[str]) -> None:
    shown = {path.partition("?")[0] for path in paths}
    given = {
        route.removeprefix("GET ") for route in (*access.READS, *access.OPEN) if route.startswith("GET ")
    }
    rules = sorted(given - {SIGNED_OUT, *MOVED})
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
