"""Every page on a phone and a desk, by day and by night, in English and German: it fits, can be tapped, is light, and
is accessible."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import page_rows
import pytest
from page_rows import IMEI
from page_screens import AXE, SCHEMES, Contexts, Scheme, open_all, screen, violations
from playwright.sync_api import Page

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


@dataclass
class Look:
    """What was seen of a page, which is loaded once for all that is looked at."""

    fetched: list[tuple[str, int]] = field(default_factory=list)  # address and bytes on the wire
    language: str = ""  # which the page says it is in
    overflow: dict[int, int] = field(
        default_factory=dict
    )  # by the width of the screen, the page's where it is more
    small: list[str] = field(default_factory=list)  # targets
    broken: dict[str, list[str]] = field(default_factory=dict)  # by scheme, rules of axe
    complaints: list[str] = field(default_factory=list)  # of the browser


@dataclass
class Walk:
    """Every page on one screen."""

    first: list[tuple[str, int]]  # fetched while the browser's cache was empty
    looks: dict[str, Look]

    def found(self, what: str) -> dict[str, Any]:
        """Give by their paths the pages at which something was found that should not be."""
        return {path: found for path, look in self.looks.items() if (found := getattr(look, what))}


def look_at(page: Page, look: Look, widths: tuple[int, ...], schemes: tuple[Scheme, ...]) -> None:
    """Write down what is wrong with the page that is loaded, on screens of these widths and in these schemes."""
    open_all(page)
    look.language = page.evaluate("() => document.documentElement.lang")
    for width in widths:
        page.set_viewport_size(screen(width))
        if (needed := page.evaluate("() => document.documentElement.scrollWidth")) > width:
            look.overflow[width] = needed
        look.small += page.evaluate(SMALL_TARGETS, ", ".join(TARGETS))
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        if broken := violations(page):
            look.broken[scheme] = broken


# width and scheme at which pages load, all widths, the schemes of most pages; MAIN are seen in both
SCREENS = [(390, "light", (360, 390)), (1366, "dark", (768, 992, 1366))]


@pytest.fixture(scope="module", params=SCREENS, ids=["phone", "desk"])
def walk(request: pytest.FixtureRequest, open_context: Contexts, paths: list[str]) -> Walk:
    width, scheme, widths = request.param
    complaints: list[str] = []
    with open_context(width, scheme) as context:
        context.add_init_script(path=AXE)  # sent to the browser once, not with every page
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        fetched, forget = loaded(page)
        page.goto("/", wait_until="load")
        found = Walk(list(fetched), {})
        for path in paths:
            forget()
            page.goto(path, wait_until="load")
            look = found.looks[path] = Look([(address, size) for address, size in fetched if size])
            look_at(page, look, widths, SCHEMES if path in MAIN else (scheme,))
            page.emulate_media(color_scheme=scheme)
            look.complaints, complaints[:] = list(complaints), []
    return found


@pytest.fixture(scope="module")
def german(open_context: Contexts, paths: list[str]) -> Walk:
    """Every page on the narrowest phone in German, whose words are longer; axe looks at every fourth."""
    found = Walk([], {})
    with open_context(360, locale="de-DE") as context:
        page = context.new_page()
        for number, path in enumerate(paths):
            page.goto(path, wait_until="load")
            look_at(page, found.looks.setdefault(path, Look()), (360,), () if number % 4 else ("dark",))
    return found


def test_every_page_says_which_language_it_is_in(walk: Walk, german: Walk) -> None:
    assert {look.language for look in walk.looks.values()} == {"en"}
    assert {look.language for look in german.looks.values()} == {"de"}


def test_every_page_fits_and_can_be_tapped_in_german_too(german: Walk) -> None:
    assert german.found("overflow") == {}
    assert german.found("small") == {}


def test_every_fourth_page_is_accessible_in_german_by_night(german: Walk) -> None:
    assert german.found("broken") == {}


def test_every_page_fits_and_can_be_tapped(walk: Walk) -> None:
    assert walk.found("overflow") == {}
    assert walk.found("small") == {}


def test_the_browser_complains_of_no_page(walk: Walk) -> None:
    assert walk.found("complaints").keys() <= {"/nowhere"}


def test_every_page_is_accessible(walk: Walk) -> None:
    assert walk.found("broken") == {}


def test_pages_are_light(walk: Walk) -> None:
    assert sum(size for _, size in walk.first) <= FIRST_LOAD, walk.first
    assert len(walk.first) <= 12, walk.first
    for path, look in walk.looks.items():
        assert sum(size for _, size in look.fetched) <= LATER, (path, look.fetched)
        assert [address for address, _ in look.fetched if "/static/" in address] == [], (path, look.fetched)


SIGNED_OUT = "/login"  # leads on whoever is signed in; it is looked at by itself


def test_every_page_is_among_those_that_are_looked_at(paths: list[str]) -> None:
    shown = {path.partition("?")[0] for path in paths}
    pages = [re.sub(r"<[^>]+>", "[^/]+", rule) for rule in sorted(page_rows.rules() - {SIGNED_OUT})]
    assert [page for page in pages if not any(re.fullmatch(page, path) for path in shown)] == []
