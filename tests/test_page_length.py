"""Pages of a busy product: none goes on for two screens before its first link to more, which brings more in place."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import busy_rows
import databases
import page_rows
import pytest
from page_rows import IMEI
from playwright.sync_api import Browser, Page, expect
from stack import Stack

EMAIL, PASSWORD = "length@example.com", "a long enough password"
PHONE, DESK = (390, 844), (1366, 768)
LOG = f"/vehicles/{IMEI}/log"
# down to where the first link to more ends, else the page; what is closed stays closed
LENGTH = """() => {
    const more = [...document.querySelectorAll("main p.more, main nav[aria-label=Pages]")];
    const end = more.find((one) => one.checkVisibility()) ?? document.querySelector("main").lastElementChild;
    return Math.round(end.getBoundingClientRect().bottom + window.scrollY);
}"""


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, list[str]]]:
    """A web process, twenty vehicles with a thousand events, and the addresses of all pages."""
    folder: Path = tmp_path_factory.mktemp("busy")
    stack = Stack(folder, f"sqlite:///{folder}/test.db")
    try:
        stack.prepare()
        stack.add_user(EMAIL, PASSWORD, "admin")
        url = stack.environment["DATABASE_URL"]
        paths = databases.within(url, lambda: page_rows.seed(folder))
        databases.within(url, busy_rows.fill)
        stack.start("web")
        yield stack, paths
    finally:
        stack.close()


@contextmanager
def reader(
    browser: Browser, stack: Stack, screen: tuple[int, int], *, has_script: bool = True
) -> Iterator[Page]:
    """Give a page of somebody who has just signed in."""
    width, height = screen
    context = browser.new_context(
        viewport={"width": width, "height": height}, base_url=stack.environment["PUBLIC_URL"], locale="en-US",
        reduced_motion="reduce", java_script_enabled=has_script,
    )  # fmt: skip
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto("/login")
    page.fill("input[name=email]", EMAIL)
    page.fill("input[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_url("**/")
    yield page
    context.close()


@pytest.mark.parametrize("screen", [PHONE, DESK], ids=["phone", "desk"])
def test_no_page_is_longer_than_two_screens_before_its_first_link_to_more(
    browser: Browser, busy: tuple[Stack, list[str]], screen: tuple[int, int]
) -> None:
    stack, paths = busy
    lengths = {}
    with reader(browser, stack, screen) as page:
        for path in paths:
            page.goto(path, wait_until="load")
            lengths[path] = page.evaluate(LENGTH)
    assert {path: length for path, length in lengths.items() if length > 2 * screen[1]} == {}


@pytest.mark.parametrize("path", ["/", "/media", "/settings/log", "/settings/people", LOG])
def test_more_comes_in_place_and_keeps_the_focus_and_the_address(
    browser: Browser, busy: tuple[Stack, list[str]], path: str
) -> None:
    with reader(browser, busy[0], PHONE) as page:
        page.goto(path)
        page.evaluate("() => { window.stays = true; }")
        rows = page.locator("main :is(li, article, tr):visible")
        before = rows.count()
        page.locator("p.more:not(.section-top *) > a.btn").focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**rows=*")
        expect(rows).not_to_have_count(before)
        assert page.evaluate("() => window.stays")
        assert page.evaluate("() => document.activeElement.id").startswith("more-")
        after = rows.count()
        assert after > before
        page.goto("/search")
        page.go_back()
        expect(rows).to_have_count(after)


def test_a_log_that_is_loaded_anew_keeps_the_rows_that_somebody_asked_for(
    browser: Browser, busy: tuple[Stack, list[str]]
) -> None:
    with reader(browser, busy[0], PHONE) as page:
        page.goto(LOG)
        entries = page.locator(".entry:visible")
        assert entries.count() == 7
        page.click("#more-log")
        page.wait_for_url("**rows=*")
        expect(entries).not_to_have_count(7)
        count = entries.count()
        page.locator(".entry details summary").first.click()
        with page.expect_response(lambda answer: "/log?" in answer.url):
            page.evaluate("() => htmx.trigger('#log', 'sse:messages')")
        page.wait_for_timeout(300)
        assert entries.count() == count
        assert page.locator(".entry details[open]").count() == 1


def test_more_is_a_link_to_a_page_without_a_script(browser: Browser, busy: tuple[Stack, list[str]]) -> None:
    with reader(browser, busy[0], PHONE, has_script=False) as page:
        page.goto(LOG)
        last = page.locator(".entry:visible").last.get_attribute("id")
        page.click("#more-log")
        assert f"rows=65#{last}" in page.url
        assert page.locator(".entry:visible").count() > 20
        page.go_back()
        assert page.locator(".entry:visible").count() == 7
