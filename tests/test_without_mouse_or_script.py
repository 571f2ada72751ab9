"""The main journeys by the keyboard alone (Tab, Enter, Space, arrows), and in a browser that runs no script."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from stack import Stack
from walking import ADMIN, DESK, NO_CARD, PASSWORD, context_of, unseen_crash

STOPS = 150  # more than any page has on the way to what is wanted


class Clicks:
    """A person with a mouse, and a browser without JavaScript."""

    options: dict[str, Any] = {"java_script_enabled": False}

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, target: Locator) -> None:
        """Use a link, a button or what opens more."""
        target.click()

    def choose(self, target: Locator) -> None:
        """Choose one of a few, which are drawn as buttons."""
        target.check(force=True)

    def type(self, label: str, text: str) -> None:
        """Write into a field."""
        self.page.get_by_label(label, exact=True).fill(text)


class Keys(Clicks):
    """A person without a mouse: goes from stop to stop by Tab, as far as that leads."""

    options: dict[str, Any] = {}

    def reach(self, target: Locator) -> None:
        """Go to an element, which then shows that it has the focus."""
        element = target.element_handle()  # looking for a role and a name again at each stop takes long
        for _ in range(STOPS):
            has_focus, is_there = element.evaluate(
                "(one) => [one === document.activeElement, one.isConnected]"
            )
            if has_focus:
                break
            if not is_there:
                element = target.element_handle()
            self.page.keyboard.press("Tab")
        style = (
            "(one) => { const s = getComputedStyle(one); return [s.outlineStyle, s.boxShadow, s.opacity] }"
        )
        outline, shadow, opacity = target.evaluate(style)
        assert (outline, shadow) != ("none", "none") or opacity == "0", target

    def press(self, target: Locator) -> None:
        self.reach(target)
        self.page.keyboard.press("Enter")

    def choose(self, target: Locator) -> None:
        group = target.locator("xpath=ancestor::fieldset")
        self.reach(group.locator("input:checked"))
        while not target.is_checked():
            self.page.keyboard.press("ArrowRight")

    def type(self, label: str, text: str) -> None:
        self.reach(self.page.get_by_label(label, exact=True))
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)


@pytest.fixture(params=[Keys, Clicks], ids=["keys alone", "no script"])
def person(request: pytest.FixtureRequest, browser: Browser, product: Stack) -> Iterator[Clicks]:
    """Somebody who is signed in, at the start page."""
    context = context_of(browser, product, DESK, **request.param.options)
    page = context.new_page()
    page.goto("/")
    yield request.param(page)
    context.close()


def link(person: Clicks, name: str | re.Pattern[str], **more: Any) -> Locator:
    return person.page.get_by_role("link", name=name, **more).first


def button(person: Clicks, name: str | re.Pattern[str]) -> Locator:
    return person.page.get_by_role("button", name=name).first


@pytest.mark.parametrize("way", [Keys, Clicks], ids=["keys alone", "no script"])
def test_somebody_signs_in_and_out(way: type[Clicks], browser: Browser, product: Stack) -> None:
    context = context_of(browser, product, DESK, None, **way.options)
    person = way(context.new_page())
    person.page.goto("/media")
    person.type("E-mail", ADMIN)
    person.type("Password", PASSWORD)
    person.press(button(person, "Sign in"))
    expect(person.page.get_by_role("heading", name="Media")).to_be_visible()
    person.press(button(person, "your account"))
    person.press(button(person, "Sign out"))
    expect(person.page.get_by_role("heading", name="Sign in")).to_be_visible()
    context.close()


def test_the_fleet_is_filtered_and_a_vehicle_opened(person: Clicks) -> None:
    person.press(link(person, re.compile("^Limited")))
    expect(person.page.get_by_role("row", name="Walk 2")).to_have_count(0)
    person.press(link(person, "Walk 1"))
    expect(person.page.get_by_role("heading", name="Walk 1")).to_be_visible()


def test_the_start_page_leads_to_whether_sms_work(person: Clicks) -> None:
    person.press(person.page.get_by_role("region", name="SMS").get_by_role("link"))
    expect(person.page.get_by_role("heading", name="SMS", exact=True)).to_be_visible()


def test_a_photo_is_asked_for_at_once_and_of_one_camera(person: Clicks) -> None:
    person.page.goto(f"/vehicles/{NO_CARD}")
    person.press(button(person, "Photo now"))
    expect(person.page.get_by_role("heading", name="Under way")).to_be_visible()
    person.press(link(person, "Footage"))
    expect(person.page.locator("#requests")).to_contain_text("Photo, both cameras")
    person.press(person.page.locator("#photo > summary"))
    form = person.page.locator("#ask-photo")
    person.choose(form.get_by_label("Front"))
    person.press(form.get_by_role("button", name="Take a photo"))
    expect(person.page.locator("#requests")).to_contain_text("Photo, front camera")


def test_a_clip_of_ten_minutes_ago_is_asked_for_by_two_presses(person: Clicks) -> None:
    person.page.goto(f"/vehicles/{NO_CARD}/footage")
    person.press(link(person, re.compile("^10 min ago")))
    person.page.wait_for_url("**/footage?*duration=10*")
    given = datetime.fromisoformat(person.page.get_by_label("From when").input_value())
    # after midnight it may be of the day before
    title = rf"10 s from ({given.day} \w+ )?{given:%H:%M} [A-Z]+, both cameras"
    person.press(button(person, "Get the clip" if person.options else re.compile(title)))
    expect(person.page.locator("#requests")).to_contain_text(re.compile(title))


def test_a_colleague_is_invited(person: Clicks) -> None:
    person.press(link(person, "Settings"))
    person.type("E-mail", f"{type(person).__name__.lower()}@example.com")
    person.press(button(person, "Make a link"))
    expect(person.page.get_by_label("Link of the invitation")).to_have_value(re.compile("/invite/"))


def test_a_token_is_revoked_and_restored(person: Clicks, product: Stack) -> None:
    name = f"a program of {type(person).__name__}"
    product.api("POST", "/tokens", {"name": name, "role": "viewer"}, status=201)
    person.press(link(person, "Settings"))
    person.press(button(person, f"Revoke {name}"))
    expect(person.page.get_by_text("is revoked")).to_be_visible()
    person.press(button(person, "Undo"))
    expect(button(person, f"Revoke {name}")).to_be_visible()


def test_an_item_of_the_inbox_leads_to_its_event_which_is_saved(person: Clicks, product: Stack) -> None:
    event = unseen_crash(product)
    person.press(link(person, re.compile("^Inbox")))
    person.press(
        person.page.get_by_role("link", name=re.compile("^Watch.*Walk 2")).and_(
            person.page.locator(f"[href$='{event}']")
        )
    )
    person.page.wait_for_url(f"**/media/{event}")
    person.press(button(person, "Save"))
    expect(button(person, "Saved")).to_be_visible()
    assert product.api("GET", f"/events/{event}")["saved"] is True


def test_the_media_are_filtered_and_an_event_opened(person: Clicks) -> None:
    person.press(link(person, "Media"))
    person.press(link(person, "Periodic", exact=True))
    person.press(link(person, re.compile("Periodic .*Walk 1", re.DOTALL)))
    expect(person.page.get_by_role("heading", name=re.compile("^Periodic"))).to_be_visible()


def test_the_plate_of_a_vehicle_is_changed(person: Clicks, product: Stack) -> None:
    plate = f"WALK {type(person).__name__.upper()}"
    person.page.goto(f"/vehicles/{NO_CARD}")
    person.press(person.page.locator(".tabs").get_by_role("link", name="Settings"))
    person.press(link(person, "Name, number, SMS login"))
    person.type("Plate", plate)
    person.press(button(person, "Save"))
    expect(person.page.get_by_role("heading", name="Walk 1")).to_be_visible()
    assert product.api("GET", f"/devices/{NO_CARD}")["plate"] == plate
