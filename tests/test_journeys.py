"""What a job takes of a person: taps and keys, counted by the page itself, from a fresh signed-in browser on.

The targets are those of docs/ux.md.
"""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from stack import Stack
from walking import DESK, LOOKER, PHONE, context_of, fleet_of

# what comes from a person is trusted; the counts outlive a change of the page
COUNTER = """
for (const [kind, name] of [["pointerdown", "taps"], ["keydown", "keys"]]) {
  addEventListener(kind, (event) => {
    if (event.isTrusted) sessionStorage[name] = Number(sessionStorage[name] || 0) + 1;
  }, true);
}
"""


class Person:
    """A person at a fresh browser: taps (a phone) or clicks (a desk), types, and counts both."""

    def __init__(self, page: Page, width: int) -> None:
        self.page, self.is_phone = page, width == PHONE

    def press(self, target: Locator) -> None:
        """Tap or click what is seen."""
        target.tap() if self.is_phone else target.click()

    def counted(self) -> tuple[int, int]:
        """Give taps and keys so far."""
        taps, keys = self.page.evaluate(
            "() => [sessionStorage.taps || 0, sessionStorage.keys || 0].map(Number)"
        )
        return taps, keys

    def to_settings(self) -> None:
        """Open Settings from the bar at the top, or from that at the bottom."""
        place = "Main, at the bottom" if self.is_phone else "Main"
        bar = self.page.get_by_role("navigation", name=place, exact=True)
        self.press(bar.get_by_role("link", name="Settings"))


@pytest.fixture(params=[PHONE, DESK], ids=["phone", "desk"])
def begin(
    request: pytest.FixtureRequest, browser: Browser, product: Stack
) -> Iterator[Callable[[str], Person]]:
    """Open a page in a fresh browser of an administrator."""
    context = context_of(browser, product, request.param)
    context.add_init_script(COUNTER)

    def opened(path: str = "/") -> Person:
        page = context.new_page()
        page.goto(path)
        return Person(page, request.param)

    yield opened
    context.close()


def test_the_start_page_says_which_vehicles_are_unhealthy_and_why(begin: Callable[..., Person]) -> None:
    person = begin()
    for name, why in (("Walk 1", "No SD card"), ("Walk 2", "No camera answers")):
        expect(person.page.get_by_role("row", name=name)).to_contain_text(why)
    assert person.counted() == (0, 0)


def test_the_start_page_says_whether_sms_work(begin: Callable[..., Person]) -> None:
    person = begin()
    expect(person.page.get_by_role("region", name="SMS")).to_contain_text(
        re.compile("SMS work|No SMS were sent")
    )
    assert person.counted() == (0, 0)


def test_what_came_today_takes_one_tap(begin: Callable[..., Person]) -> None:
    person = begin()
    person.press(person.page.get_by_role("link", name="Media").locator("visible=true"))
    expect(person.page.get_by_role("link", name="Walk 1").first).to_be_visible()
    assert person.counted() == (1, 0)


def test_inviting_a_colleague_takes_three_taps_and_the_address(begin: Callable[..., Person]) -> None:
    person = begin()
    email = f"{'phone' if person.is_phone else 'desk'}@example.com"
    person.to_settings()
    person.press(person.page.get_by_label("E-mail"))
    person.page.keyboard.type(email)
    person.press(person.page.get_by_role("button", name="Make a link"))
    expect(person.page.get_by_label("Link of the invitation")).to_have_value(re.compile("/invite/"))
    taps, keys = person.counted()
    assert taps <= 3
    assert keys == len(email)


def test_revoking_a_token_takes_two_taps_and_undoing_it_one(
    begin: Callable[..., Person], product: Stack
) -> None:
    person = begin()
    name = f"platform of the {'phone' if person.is_phone else 'desk'}"
    token = product.api("POST", "/tokens", {"name": name, "role": "viewer"}, status=201)["token"]
    person.to_settings()
    person.press(person.page.get_by_role("button", name=f"Revoke {name}"))
    expect(person.page.get_by_text("is revoked")).to_be_visible()
    taps, keys = person.counted()
    assert (taps <= 2, keys) == (True, 0)
    mine = {"Authorization": f"Bearer {token}"}
    product.api("GET", "/fleet", headers=mine, status=401)
    person.press(person.page.get_by_role("button", name="Undo"))
    expect(person.page.get_by_role("button", name=f"Revoke {name}")).to_be_visible()
    product.api("GET", "/fleet", headers=mine, status=200)


def test_who_saw_a_clip_takes_one_tap_on_its_page(
    browser: Browser, product: Stack, begin: Callable[..., Person]
) -> None:
    path = f"/media/{fleet_of(product).events[-1]}"
    looker = context_of(browser, product, DESK, LOOKER)
    looker.new_page().goto(path)
    looker.close()
    person = begin(path)
    person.press(person.page.locator("#seen-by summary"))
    expect(person.page.locator("#seen-by")).to_contain_text(f"{LOOKER}, ")
    expect(person.page.locator("#seen-by")).to_contain_text("ago")
    assert person.counted() == (1, 0)
