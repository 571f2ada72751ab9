"""The main job in a browser, over real processes: provision, photo, video that plays, checklist; and on a phone."""

import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from conftest import wait_until
from playwright.sync_api import Browser, Page, expect
from stack import Stack

IMEI = "352094082736916"
EMAIL, PASSWORD = "ops@example.com", "a long enough password"


@pytest.fixture(scope="module")
def stack(product: Stack) -> Stack:
    product.add_user(EMAIL, PASSWORD, "admin")
    vehicle = product.control("GET", f"/vehicles/{IMEI}")
    fields = ("imei", "phone", "model", "sms_login", "sms_password", "name")
    product.api("POST", "/devices", {name: vehicle[name] for name in fields}, status=201)
    return product


def open_page(browser: Browser, stack: Stack, width: int, complaints: list[str], **more: Any) -> Page:
    page = browser.new_page(
        viewport={"width": width, "height": 844}, base_url=stack.environment["PUBLIC_URL"], **more
    )
    page.set_default_timeout(90_000)
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/")
    page.fill("input[name=email]", EMAIL)
    page.fill("input[name=password]", PASSWORD)
    page.click("main button")
    expect(page.locator("h1")).to_have_text("Fleet")
    return page


def test_the_main_job_on_a_desk(browser: Browser, stack: Stack) -> None:
    complaints: list[str] = []
    page = open_page(browser, stack, 1280, complaints)
    page.click("text=Van 11")
    page.click(".tabs >> text=Settings")
    page.click("text=All parameters")
    page.locator("details:has(input[name=p-66007])").evaluate("(one) => (one.open = true)")
    page.check("input[name=set-66023]")
    page.check("input[name=p-66023][value=DIN1]")
    expect(page.locator("#note-66023")).to_contain_text("66040")
    expect(page.locator("#plan-result code")).to_contain_text("setparam 151:18;150:1;66023:2")
    page.locator("button:has-text('Send')").first.click()
    page.click(".tabs >> text=Log")
    expect(page.locator(".log .state.is-good").first).to_be_visible(timeout=30_000)
    page.goto(f"/vehicles/{IMEI}/settings/tracker")
    expect(page.locator("main")).to_contain_text("Video trigger (66023)")
    wait_until(lambda: stack.control("GET", f"/vehicles/{IMEI}")["parameters"]["66023"] == "2")
    page.wait_for_timeout(2000)  # the camera takes over its settings
    page.click(".tabs >> text=Footage")
    page.click("#photo > summary")
    page.check("#ask-photo input[value=front]", force=True)
    page.click("text=Take a photo >> nth=-1")
    expect(page.locator("#day img")).to_be_visible(timeout=60_000)
    page.fill("input[name=duration]", "2")
    page.check("#ask-clip input[value=front]", force=True)
    page.click("#ask-clip button:has-text('Get the last 2 s')")
    expect(page.locator("#day img")).to_have_count(2, timeout=60_000)
    page.locator("#day article", has=page.locator(".play")).locator("a").first.click()
    page.get_by_role("link", name="Details").click()
    expect(page.locator("#link")).to_contain_text("Made by the request")
    page.locator("video").wait_for(timeout=60_000)
    page.evaluate("() => { const v = document.querySelector('video'); v.muted = true; return v.play() }")
    page.wait_for_function("() => document.querySelector('video').currentTime > 0.5")
    assert page.evaluate("() => document.querySelector('video').videoWidth") == 640
    assert complaints == []


def test_the_checklist_on_a_phone_finds_the_ignition_off(browser: Browser, stack: Stack) -> None:
    complaints: list[str] = []
    stack.control("PATCH", f"/vehicles/{IMEI}", {"ignition": False, "parameters": {"150": 1, "151": 18}})
    page = open_page(browser, stack, 390, complaints)
    page.goto(f"/vehicles/{IMEI}/check")
    page.click("text=Check this vehicle")
    expect(page.locator("#run h2")).to_have_text("The ignition is off", timeout=60_000)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    stack.control("PATCH", f"/vehicles/{IMEI}", {"ignition": True})
    assert complaints == []


def test_a_bad_device_is_refused_beside_its_fields(browser: Browser, stack: Stack) -> None:
    page = open_page(browser, stack, 390, [])
    page.goto("/vehicles/new")
    page.fill("input[name=imei]", "352094082736917")
    page.fill("input[name=phone]", "2025550123")
    page.click("main button:has-text('Add')")
    expect(page.locator(".field-error").first).to_contain_text("check digit")
    expect(page.locator(".field-error").nth(1)).to_contain_text("country code")
    assert page.input_value("input[name=phone]") == "2025550123"


def test_changing_a_value_ticks_it_and_a_wrong_one_is_named_before_sending(
    browser: Browser, stack: Stack
) -> None:
    page = open_page(browser, stack, 1280, [])
    page.goto(f"/vehicles/{IMEI}/settings/all")
    page.locator("details:has(input[name=p-66007])").evaluate("(one) => (one.open = true)")
    page.fill("input[name=p-66007]", "5")
    expect(page.locator("input[name=set-66007]")).to_be_checked()
    expect(page.locator("#plan-result")).to_contain_text("Nothing can be sent yet")
    expect(page.locator("#note-66007")).to_contain_text("from 10 to 1800")
    page.fill("input[name=p-66007]", "60")
    expect(page.locator("#plan-result code")).to_contain_text("66007:60")
    page.close()


def test_an_answer_shows_its_dot_and_its_sms_before_it_is_sent(browser: Browser, stack: Stack) -> None:
    page = open_page(browser, stack, 390, [])
    page.goto(f"/vehicles/{IMEI}/settings")
    page.locator("#question-clips").evaluate("(one) => (one.open = true)")
    page.check("input[name=clip-Crash][value='1']")
    expect(page.locator("#note-clips")).to_contain_text("Differs")
    expect(page.locator("#plan-result code").first).to_contain_text("66042:1")
    page.fill("input[name=video_before_trigger]", "11")
    expect(page.locator("#note-clips")).to_contain_text("from 1 to 10")
    expect(page.locator("#plan-result")).to_contain_text("Nothing can be sent yet")
    page.close()


def test_the_cost_of_a_video_follows_what_is_asked(browser: Browser, stack: Stack) -> None:
    page = open_page(browser, stack, 1280, [])
    page.goto(f"/vehicles/{IMEI}/footage")
    expect(page.locator("#video-cost")).to_contain_text("1 SMS")
    before = page.locator("#video-cost").inner_text()
    page.fill("input[name=duration]", "30")
    expect(page.locator("#video-cost")).not_to_have_text(before)
    page.close()


def test_the_quick_choices_of_a_clip_count_on_and_its_button_follows_the_form(
    browser: Browser, stack: Stack
) -> None:
    complaints: list[str] = []
    page = open_page(browser, stack, 390, complaints)
    page.clock.install()
    page.goto(f"/vehicles/{IMEI}/footage")
    choice = page.get_by_role("link", name=re.compile("^5 min ago"))
    time = choice.locator("time").first
    before = datetime.fromisoformat(time.get_attribute("datetime") or "")
    zone = ZoneInfo(time.get_attribute("data-zone") or "")
    page.clock.fast_forward("10:00")
    # the clock goes on meanwhile, and a minute may end
    moments = [(before + timedelta(minutes=minutes)).astimezone(zone) for minutes in (10, 11)]
    after = "|".join(f"{moment:%H:%M}" for moment in moments)
    expect(choice).to_have_attribute("href", re.compile(f"T({after})".replace(":", "(:|%3A)")))
    expect(choice).to_contain_text(re.compile(after))
    words = page.locator("#clip-button")
    expect(words).to_have_text("Get the last 10 s, both cameras")
    page.fill("input[name=duration]", "20")
    page.clock.fast_forward("00:01")
    expect(words).to_have_text("Get the last 20 s, both cameras")
    expect(choice).to_have_attribute("href", re.compile("duration=20"))
    assert complaints == []
    page.close()


def test_progress_on_a_slow_line_is_told_without_reloading(browser: Browser, stack: Stack) -> None:
    stack.control(
        "PATCH", f"/vehicles/{IMEI}", {"ignition": True, "parameters": {"150": 1, "151": 18, "66020": 0}}
    )
    stack.control("PATCH", f"/vehicles/{IMEI}/faults", {"slow": 2000})
    page = open_page(browser, stack, 390, [])
    page.goto(f"/vehicles/{IMEI}")
    page.click("#again-front")
    line = page.locator("#under_way li").first
    expect(line).to_contain_text("packets of the front photo have come", timeout=60_000)
    stack.control("PATCH", f"/vehicles/{IMEI}/faults", {"slow": 0})
    expect(page.locator("#under_way")).to_contain_text("Nothing is under way", timeout=60_000)
    page.close()


def test_a_photo_is_asked_without_javascript(browser: Browser, stack: Stack) -> None:
    stack.control("PATCH", f"/vehicles/{IMEI}", {"ignition": True, "parameters": {"150": 1, "151": 18}})
    context = browser.new_context(java_script_enabled=False, base_url=stack.environment["PUBLIC_URL"])
    page = context.new_page()
    page.set_default_timeout(90_000)
    page.goto(f"/vehicles/{IMEI}/footage")
    page.fill("input[name=email]", EMAIL)
    page.fill("input[name=password]", PASSWORD)
    page.click("main button")
    page.click("#photo > summary")
    page.check("#ask-photo input[value=front]", force=True)
    page.click("#ask-photo button:has-text('Take a photo')")
    expect(page.locator("#requests li").first).to_contain_text("Photo, front camera")
    newest = stack.api("GET", f"/commands?imei={IMEI}")["items"][0]
    assert stack.ended(newest["id"], 60)["state"] == "done"
    page.goto(f"/vehicles/{IMEI}/footage")
    expect(page.locator("#requests li").first.locator("a", has_text="Front photo")).to_be_visible()
    page.goto(f"/vehicles/{IMEI}/settings")
    expect(page.locator("button[name=preview]").first).to_be_visible()
    context.close()


def test_what_a_form_did_is_read_aloud_on_the_page_that_follows(browser: Browser, stack: Stack) -> None:
    page = open_page(browser, stack, 390, [])
    page.goto(f"/vehicles/{IMEI}?saved=1")
    expect(page.get_by_role("status")).to_have_text("Saved.")
    page.close()


def test_a_page_says_at_once_that_the_browser_has_no_network_and_when_it_has_one_again(
    browser: Browser, stack: Stack
) -> None:
    page = open_page(browser, stack, 390, [])
    page.goto("/")
    status = page.locator("#status")
    page.context.set_offline(True)
    expect(status).to_contain_text("No network: showing the state of")
    page.evaluate("() => stream.dispatchEvent(new Event('heard'))")  # what was on its way before
    expect(status).to_contain_text("No network: showing the state of")
    page.context.set_offline(False)
    expect(status).to_have_text("")
    page.context.close()


def test_many_tabs_load_and_one_that_is_seen_again_catches_up(browser: Browser, stack: Stack) -> None:
    signed_in = open_page(browser, stack, 1280, [])
    context = browser.new_context(
        base_url=stack.environment["PUBLIC_URL"], storage_state=signed_in.context.storage_state()
    )
    tabs = []
    for _ in range(8):  # a browser opens six connections to a host
        tab = context.new_page()
        tabs.append(tab)
        tab.goto(f"/vehicles/{IMEI}/footage")
        expect(tab.locator("h1")).to_have_text("Van 11")
        turn(tab, hidden=True)  # a headless browser takes every tab for a seen one
    photo = {"command": "camreq", "file_type": "photo", "source": "rear"}
    asked = stack.api("POST", f"/devices/{IMEI}/commands", photo, status=202)
    stack.ended(asked["id"], 60)
    newest = tabs[0].locator("#requests li").first
    expect(newest).not_to_contain_text("rear camera")
    turn(tabs[0], hidden=False)
    expect(newest).to_contain_text("rear camera")
    expect(newest.locator(".state")).to_have_text("Here")
    context.close()
    signed_in.close()


def test_the_browsers_zone_stands_before_all_others_for_a_new_vehicle(browser: Browser, stack: Stack) -> None:
    complaints: list[str] = []
    page = open_page(browser, stack, 390, complaints, timezone_id="America/Chicago")
    page.goto("/vehicles/new")
    field = page.locator("#field-time_zone")
    expect(field.locator("optgroup").first).to_have_attribute("label", "Of your browser")
    expect(field.locator("option").first).to_have_text("America/Chicago")
    assert complaints == []
    page.close()


def test_whoever_has_chosen_no_time_zone_is_offered_that_of_the_browser(
    browser: Browser, stack: Stack
) -> None:
    complaints: list[str] = []
    page = open_page(browser, stack, 390, complaints, timezone_id="America/Chicago")
    page.goto("/account")
    expect(page.locator("#field-time_zone")).to_have_value("America/Chicago")
    expect(page.locator("#language")).to_contain_text("This is the zone of your browser.")
    page.select_option("#field-time_zone", "Europe/Vilnius")
    page.click("#language button")
    expect(page.locator("#field-time_zone")).to_have_value("Europe/Vilnius")
    expect(page.locator("[data-proposed]")).to_be_hidden()
    page.select_option("#field-time_zone", "")
    page.click("#language button")
    assert complaints == []


def turn(page: Page, *, hidden: bool) -> None:
    """Have a page believe that its tab went behind another, or came before them."""
    page.evaluate(
        "(hidden) => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')) }",
        hidden,
    )


def brightness(page: Page) -> int:
    """Give the brightest of red, green and blue of the page's ground, 0 to 255."""
    return page.evaluate(
        """() => {
            const canvas = document.createElement("canvas").getContext("2d");
            canvas.fillStyle = getComputedStyle(document.body).backgroundColor;
            canvas.fillRect(0, 0, 1, 1);
            return Math.max(...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3));
        }"""
    )


def test_a_page_by_night_is_dark(browser: Browser, stack: Stack) -> None:
    context = browser.new_context(color_scheme="dark", base_url=stack.environment["PUBLIC_URL"])
    page = context.new_page()
    page.set_default_timeout(90_000)
    page.goto("/login")
    assert brightness(page) < 64
    context.close()
