"""Pages over a slow network: a button that was pressed says so and works once; nothing moves when a picture comes."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, Route, expect
from stack import Stack
from walking import NO_CARD, PHONE, context_of, fleet_of

SHAPE = "() => { const box = document.querySelector('figcaption').getBoundingClientRect(); return Math.round(box.top) }"

PRESS_TWICE = """async () => {
    const button = document.getElementById("photo-now");
    button.click();
    await new Promise((done) => setTimeout(done, 1000));
    const seen = [button.getAttribute("aria-busy"), getComputedStyle(button, "::after").width];
    button.click();
    await new Promise((done) => setTimeout(done, 1000));
    return seen;
}"""


@pytest.fixture
def page(browser: Chromium, product: Stack) -> Iterator[Page]:
    context: BrowserContext = context_of(browser, product, PHONE)
    yield context.new_page()
    context.close()


def test_a_button_that_waits_for_its_answer_says_so_and_a_second_press_sends_nothing(
    page: Page, product: Stack
) -> None:
    def requests() -> int:
        return len(product.api("GET", f"/commands?imei={NO_CARD}", status=200)["items"])

    held: list[Route] = []
    page.goto(f"/vehicles/{NO_CARD}")
    before = requests()
    page.route("**/ask", lambda route: held.append(route))
    assert page.evaluate(PRESS_TWICE) == ["true", "16px"]
    (route,) = held
    route.continue_()
    expect(page.locator("#under_way li")).to_have_count(1)
    assert requests() == before + 1


def test_what_stands_below_a_picture_does_not_move_when_it_comes(page: Page, product: Stack) -> None:
    held: list[Route] = []
    page.route("**/content?*", lambda route: held.append(route))
    page.goto(f"/media/{fleet_of(product).events[0]}", wait_until="domcontentloaded")
    before = page.evaluate(SHAPE)
    held[0].continue_()
    page.wait_for_function("() => document.querySelector('.picture img').naturalWidth")
    assert page.evaluate(SHAPE) == before
