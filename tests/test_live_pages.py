"""Pages stay live, and say so when they are not: silent streams, sleep, parts that do not come, the wall board."""

import functools
import re
from collections.abc import Iterator
from typing import Literal

import databases
import pytest
from conftest import wait_until
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from silent_proxy import SilentProxy, before
from stack import Stack
from walking import PHONE, context_of

from provisioning.devices import registry, status_table
from provisioning.models import Verdict, db, locks, utcnow
from provisioning.tracker.parameters import id_of
from provisioning.web import wall_links

IMEI = "352094081000447"
FLEET = "/?q=name"
PARTS = "**/part?*"
NOT_LIVE = "Not live any more: showing the state of"
MOMENT = r"(\w+ \d+, )?\d\d:\d\d"  # just after midnight it has its day


@functools.cache
def vehicle_of(stack: Stack) -> None:
    given = {"imei": IMEI, "phone": "+12025550190", "name": "Old name"}
    stack.api("POST", "/devices", given, status=201)


@pytest.fixture
def context(browser: Browser, product: Stack) -> Iterator[BrowserContext]:
    """A phone of somebody who is signed in."""
    vehicle_of(product)
    rename(product, "Old name")
    context = context_of(browser, product, PHONE)
    yield context
    context.close()


@pytest.fixture
def proxy(product: Stack) -> Iterator[SilentProxy]:
    with before(product.web_port) as proxy:
        yield proxy


def rename(stack: Stack, name: str) -> None:
    stack.api("PATCH", f"/devices/{IMEI}", {"name": name}, status=200)


def open_live(context: BrowserContext, address: str) -> Page:
    """Open a page and wait until its stream is there and nothing of it is on its way."""
    page = context.new_page()
    page.goto(address)
    page.wait_for_function(
        "() => stream && heardAt > stream.openedAt && !behind.size && !document.querySelector('.htmx-request')"
    )
    return page


@pytest.mark.long
def test_a_page_whose_stream_went_silent_says_so_and_catches_up_by_itself(
    context: BrowserContext, product: Stack, proxy: SilentProxy
) -> None:
    page = open_live(context, proxy.url + FLEET)
    proxy.is_silent = True
    rename(product, "New name")
    status = page.locator("#status")
    expect(status).to_have_text(re.compile(rf"{NOT_LIVE} {MOMENT}\. You can read on and fill in forms"))
    expect(page.locator("#list")).to_contain_text("Old name")
    proxy.is_silent = False
    expect(status).to_have_text("")
    expect(page.locator("#list")).to_contain_text("New name")


@pytest.mark.long
def test_a_stream_that_is_silent_for_a_while_is_opened_anew_before_anybody_is_bothered(
    context: BrowserContext, product: Stack, proxy: SilentProxy
) -> None:
    page = open_live(context, proxy.url + FLEET)
    said = page.evaluate_handle(
        "() => { const said = []; new MutationObserver(() => said.push(document.getElementById('status').textContent))"
        ".observe(document.getElementById('status'), {childList: true}); return said }"
    )
    proxy.is_silent = True
    rename(product, "New name")
    wait_until(lambda: proxy.lost)
    proxy.is_silent = False  # the stream stays silent
    expect(page.locator("#list")).to_contain_text("New name")
    assert said.json_value() == []


@pytest.mark.parametrize("how", ["slept", "kept by the browser"])
def test_a_page_that_is_back_is_brought_up_to_date_at_once(
    context: BrowserContext, product: Stack, how: str
) -> None:
    page = context.new_page()
    page.clock.install()
    with page.expect_response("**/events?*"):
        page.goto(FLEET)
    # the stream brings nothing any more
    page.evaluate("() => stream.source.close()")
    rename(product, "New name")
    if how == "slept":
        page.clock.fast_forward("08:00:00")
    else:
        page.evaluate("() => window.dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    expect(page.locator("#list")).to_contain_text("New name")
    expect(page.locator("#status")).to_have_text("")


@pytest.mark.long
def test_a_part_that_does_not_come_is_no_live_page_and_is_asked_for_again(
    context: BrowserContext, product: Stack
) -> None:
    page = open_live(context, FLEET)
    page.route(PARTS, lambda route: route.fulfill(status=503))
    rename(product, "New name")
    expect(page.locator("#status")).to_contain_text(NOT_LIVE)
    page.unroute(PARTS)
    expect(page.locator("#list")).to_contain_text("New name")
    expect(page.locator("#status")).to_have_text("")


def test_what_changes_while_a_part_is_on_its_way_is_asked_for_too(
    context: BrowserContext, product: Stack
) -> None:
    page = open_live(context, "/inbox")
    held: list[Route] = []
    page.route("**/inbox*", lambda route: route.continue_() if held else held.append(route))
    with page.expect_request("**/inbox*"):
        rename(product, "New name")
    with page.expect_event("console", lambda message: message.text == "devices"):
        page.evaluate("() => stream.addEventListener('devices', () => console.log('devices'))")
        rename(product, "Newer name")
    with page.expect_request("**/inbox*"):
        held[0].continue_()


@pytest.mark.long
def test_a_page_whose_stream_is_refused_says_what_to_do_and_tries_again(
    context: BrowserContext, product: Stack
) -> None:
    page = context.new_page()
    page.route("**/events?*", lambda route: route.fulfill(status=502))
    page.goto(FLEET)
    status = page.locator("#status")
    expect(status).to_contain_text("if this line stays, load this page anew")
    page.unroute("**/events?*")
    expect(status).to_have_text("")


def confirm(stack: Stack, **values: int) -> None:
    """Have the vehicle confirm parameters, by their keys."""

    def note() -> None:
        device = locks.lock_device(registry.find(IMEI).id)
        for key, value in values.items():
            status_table.note(
                device, f"parameter.{id_of(key)}", str(value), Verdict.GOOD, now=utcnow(), source_kind="command",
                source_id="1" * 32,
            )  # fmt: skip
        db.session.commit()

    databases.within(stack.environment["DATABASE_URL"], note)


def test_the_cards_of_a_vehicle_follow_what_it_confirms_and_leave_what_somebody_changed(
    context: BrowserContext, product: Stack
) -> None:
    confirm(product, camera_time_zone=0, video_before_trigger=5)
    page = open_live(context, f"/vehicles/{IMEI}/settings")
    zone, before = page.locator("#field-camera_time_zone"), page.locator("#field-video_before_trigger")
    expect(zone).to_have_value("0")
    before.evaluate("one => { one.value = 7; one.dispatchEvent(new Event('input', {bubbles: true})) }")
    expect(page.locator("#note-clips")).to_contain_text("Differs")
    confirm(product, camera_time_zone=120, video_before_trigger=6)
    expect(page.locator("#has-clock")).to_have_text(re.compile(r"The vehicle has: UTC\+02:00\."))
    expect(page.locator("#has-clips")).to_contain_text("6 s before")
    expect(zone).to_have_value("120")
    expect(page.locator("#note-clock")).to_have_text("")
    expect(before).to_have_value("7")
    expect(page.locator("#note-clips")).to_contain_text("Differs")
    confirm(product, video_before_trigger=7)
    expect(page.locator("#has-clips")).to_contain_text("7 s before")
    expect(page.locator("#note-clips")).to_have_text("")


GONE = re.compile(rf"showing the state of {MOMENT}\. It was removed, or you may not see it any more\.")


def test_a_part_that_is_refused_for_good_is_not_asked_for_again_and_the_page_says_what_to_do(
    context: BrowserContext, product: Stack
) -> None:
    page = context.new_page()
    page.clock.install()
    page.goto(FLEET)
    page.wait_for_function("() => stream && heardAt > stream.openedAt")
    asked: list[str] = []
    page.route(PARTS, lambda route: (asked.append(route.request.url), route.fulfill(status=404)))
    rename(product, "New name")
    status = page.locator("#status")
    expect(status).to_have_text(GONE)
    page.clock.fast_forward(60_000)
    expect(status).to_have_text(GONE)
    assert len(asked) == 1
    page.unroute(PARTS)
    status.get_by_role("link", name="Load this page anew").click()
    expect(page.locator("#list")).to_contain_text("New name")
    expect(status).to_have_text("")


def test_a_page_whose_stream_is_refused_for_good_stops_asking(context: BrowserContext) -> None:
    page = context.new_page()
    page.clock.install()
    asked: list[str] = []
    page.route("**/events?*", lambda route: (asked.append(route.request.method), route.fulfill(status=404)))
    page.goto(f"/vehicles/{IMEI}")
    status = page.locator("#status")
    expect(status).to_have_text(GONE)
    page.clock.fast_forward(60_000)
    expect(status).to_have_text(GONE)
    assert asked == ["GET", "HEAD"]


def test_a_page_left_open_moves_to_the_sign_in_when_its_session_has_ended(context: BrowserContext) -> None:
    page = open_live(context, FLEET)
    context.clear_cookies()
    page.evaluate("() => stream.open()")
    page.wait_for_url("**/login?next=*")
    expect(page).to_have_url(re.compile(r"next=%2F%3Fq%3Dname$"))


def test_a_form_that_was_begun_stays_when_its_session_has_ended_and_the_page_says_so(
    context: BrowserContext,
) -> None:
    page = open_live(context, f"/vehicles/{IMEI}/settings/vehicle")
    page.fill("#field-name", "Half a na")
    context.clear_cookies()
    page.evaluate("() => stream.open()")
    status = page.locator("#status")
    expect(status).to_contain_text("You are signed out")
    expect(status).to_contain_text("A form that you send now is kept while you sign in.")
    expect(status.get_by_role("link", name="Sign in")).to_have_attribute(
        "href", re.compile(rf"/login\?next=%2Fvehicles%2F{IMEI}%2Fsettings%2Fvehicle$")
    )
    expect(page.locator("#field-name")).to_have_value("Half a na")
    page.locator("main form", has=page.locator("#field-name")).get_by_role("button", name="Save").click()
    expect(page.get_by_text("what you filled in is kept")).to_be_visible()


def test_a_page_without_a_network_says_from_when_it_is_and_that_it_can_be_read(
    context: BrowserContext,
) -> None:
    page = context.new_page()
    page.goto("/account")
    context.set_offline(True)
    expect(page.locator("#status")).to_have_text(
        re.compile(rf"No network: showing the state of {MOMENT}\. You can read on")
    )
    context.set_offline(False)
    expect(page.locator("#status")).to_have_text("")


def advance(page: Page, seconds: int) -> None:
    """Have timers and animations of a page believe that so much time has passed."""
    page.evaluate(
        "(seconds) => document.getAnimations().forEach((one) => { one.currentTime += seconds * 1000 })",
        seconds,
    )
    page.clock.fast_forward(seconds * 1000)


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_a_wall_board_says_that_it_is_old_and_recovers_by_itself(
    browser: Browser, product: Stack, proxy: SilentProxy, motion: Literal["no-preference", "reduce"]
) -> None:
    token = databases.within(
        product.environment["DATABASE_URL"],
        lambda: wall_links.create("Yard", None, "ops@example.com", utcnow()),
    )
    page = browser.new_page(reduced_motion=motion)
    page.clock.install()
    page.goto(f"{proxy.url}/wall/{token}")
    assert 0 < page.evaluate("() => htmx.config.timeout") <= 20_000
    page.evaluate("() => { htmx.config.timeout = 300 }")
    stale = page.locator(".stale")
    with page.expect_response("**/wall/**"):
        advance(page, 20)
    expect(stale).to_be_hidden()
    proxy.is_silent = True
    with page.expect_event("requestfailed"):
        advance(page, 20)
    advance(page, 26)
    expect(stale).to_be_visible()
    proxy.is_silent = False
    with page.expect_response("**/wall/**"):
        advance(page, 20)
    expect(stale).to_be_hidden()
    page.close()
