"""Keys: the single ones of the pages of events, and the main journeys with Tab, Enter and Space alone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from stack import Stack
from walking import DESK, NO_CAMERA, NO_CARD, context_of, fleet_of

from provisioning.models import utcnow


@pytest.fixture
def page(browser: Browser, product: Stack) -> Iterator[Page]:
    context = context_of(browser, product, DESK)
    yield context.new_page()
    context.close()


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def focused(page: Page) -> str:
    """Give the id of the element that has the focus."""
    return str(page.evaluate("() => document.activeElement.id"))


def test_j_and_k_go_through_the_events_and_enter_opens_one(page: Page, product: Stack) -> None:
    newest, older, _ = fleet_of(product).events
    page.goto(f"/media?vehicle={NO_CARD}&kind=crash,periodic")
    press(page, "k")
    assert focused(page) == ""
    press(page, "j")
    assert focused(page) == f"event-{newest}"
    press(page, "j")
    assert focused(page) == f"event-{older}"
    assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") != "none"
    press(page, "k", "Enter")
    page.wait_for_url(f"**/media/{newest}")
    press(page, "j")
    page.wait_for_url(f"**/media/{older}")
    press(page, "k")
    page.wait_for_url(f"**/media/{newest}")


def test_s_saves_the_event_that_has_the_focus_which_stays_there(page: Page, product: Stack) -> None:
    newest = fleet_of(product).events[0]
    page.goto(f"/media?vehicle={NO_CARD}&kind=crash,periodic")
    card = page.locator("article", has=page.locator(f"#event-{newest}"))
    press(page, "s")  # no event has the focus
    press(page, "j", "s")
    expect(card).to_contain_text("saved")
    assert focused(page) == f"event-{newest}"
    assert product.api("GET", f"/events/{newest}")["saved"] is True
    press(page, "s")
    expect(card).not_to_contain_text("saved")
    page.goto(f"/media/{newest}")
    press(page, "s")
    expect(page.get_by_role("button", name="Saved")).to_be_visible()
    press(page, "s")
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_visible()


def test_a_form_that_was_refused_begins_with_the_field_that_is_wrong(page: Page) -> None:
    page.goto("/settings/storage?photo=30&video=1")
    assert focused(page) == "field-video"
    page.goto("/media?vehicle=nobody&camera=front")
    assert focused(page) == "field-vehicle"
    page.goto("/settings/storage")
    assert focused(page) == ""


def test_d_downloads_on_the_list_and_on_the_event(page: Page, product: Stack) -> None:
    for path, keys in (
        (f"/media?vehicle={NO_CARD}", ("j", "d")),
        (f"/media/{fleet_of(product).events[0]}", ("d",)),
    ):
        page.goto(path)
        with page.expect_download() as download:
            press(page, *keys)
        assert download.value.path().stat().st_size > 0


def test_a_question_mark_shows_the_keys_and_there_they_are_switched_off(page: Page) -> None:
    page.goto("/media")
    press(page, "?")
    keys = page.get_by_role("region", name="Keys")
    expect(keys).to_contain_text("Next event")
    keys.get_by_label("Single keys work in this browser").uncheck()
    press(page, "Escape")
    expect(keys).to_be_hidden()
    page.reload()
    press(page, "?", "j", "/")
    expect(keys).to_be_hidden()
    assert focused(page) == ""


def test_the_focus_stays_on_a_link_while_its_list_is_loaded_anew(page: Page, product: Stack) -> None:
    page.goto("/")
    row = page.get_by_role("row", name="Walk 2")
    expect(row).to_contain_text("No camera answers")
    row.get_by_role("link").focus()
    row.evaluate("(one) => one.classList.add('before')")
    page.evaluate("() => { htmx.config.defaultSettleDelay = 600_000 }")  # a key may be pressed before that
    record = {"timestamp": utcnow().isoformat(), "values": {"497": 3, "498": 3}}
    product.api("POST", f"/devices/{NO_CAMERA}/records", record)
    expect(row).to_contain_text("Working")
    expect(row).not_to_have_class("before")
    expect(row.get_by_role("link")).to_be_focused()
    assert page.evaluate("() => document.activeElement.matches(':focus-visible')")
    product.api("POST", f"/devices/{NO_CAMERA}/records", record | {"values": {"497": 0, "498": 0}})


def test_the_focus_stays_on_a_button_that_leads_back_to_its_page(page: Page, product: Stack) -> None:
    imei = "356307043990018"  # of this test alone: a request without an answer changes a vehicle's health
    given = {
        "imei": imei,
        "phone": "+12025550158",
        "name": "Walk 9",
        "sms_login": "fleet",
        "sms_password": "cam11",
    }
    product.api("POST", "/devices", given, status=201)
    page.goto(f"/vehicles/{imei}")
    page.locator("#photo-now").focus()
    with page.expect_navigation():
        press(page, "Enter")
    expect(page.locator("#photo-now")).to_be_focused()
    page.reload()
    assert focused(page) == ""


def test_no_key_fires_while_somebody_types(page: Page) -> None:
    page.goto("/media")
    press(page, "/")
    page.keyboard.type("?jksd/")
    expect(page.locator("#search")).to_have_value("?jksd/")
    expect(page.locator("#search")).to_be_focused()
    assert page.url.endswith("/media")
