"""Parts of single pages on a screen or on paper: menus, rows, cards and buttons are whole, in sight and readable."""

import re

import pytest
from conftest import wait_until
from page_rows import IMEI
from page_screens import SCHEMES, Contexts, Scheme, violations, visit
from stack import Stack


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_of_the_sign_in_is_accessible(open_context: Contexts, scheme: Scheme) -> None:
    with open_context(390, scheme, signed=False) as context:
        page = context.new_page()
        visit(page, "/login")
        assert violations(page) == []


def test_the_menu_of_the_phone_is_accessible_and_large(open_context: Contexts) -> None:
    lowest = """(name) => Math.min(...[...document.querySelectorAll(name)]
        .filter((one) => one.checkVisibility()).map((one) => one.clientHeight))"""
    with open_context(390) as context:
        page = context.new_page()
        visit(page, "/")
        page.click(".bottom button")
        assert page.is_visible("text=Sign out")
        assert violations(page) == []
        for name in (".bottom > *", ".sheet-row"):
            assert page.evaluate(lowest, name) >= 48


def test_the_reasons_of_a_printed_list_are_whole(open_context: Contexts, paths: list[str]) -> None:
    """The exact time that paper has behind "5 min ago" is not cut off on A4 in landscape."""
    cut = """() => [...document.querySelectorAll('.fleet-why > div')]
        .filter((why) => why.scrollHeight > why.clientHeight + 1).map((why) => why.textContent)"""
    with open_context(1366) as context:
        page = context.new_page()
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 1017, "height": 688})
        page.goto("/", wait_until="load")
        assert page.locator(".fleet-why time").count() > 0
        assert page.evaluate(cut) == []


# where the bar and the head of a vehicle end, how high the page is, and what is beside the name
OVERVIEW = """() => {
    const end = (name) => document.querySelector(name).getBoundingClientRect().bottom;
    const shown = [...document.querySelectorAll(".vehicle-top p, .back span")].filter((one) => one.checkVisibility());
    return [end("header"), end("#head"), document.documentElement.scrollHeight, shown.map((one) => one.textContent)];
}"""

# times of days before, which are longer than those of today
LONG_TIMES = """() => document.querySelectorAll("time:not([data-ago])")
    .forEach((time) => (time.textContent = "Wed 30 Sep 22:34 EEST"))"""


@pytest.mark.parametrize(("width", "head", "page_height"), [(390, 120, 1400), (1366, 20 + 88, 768)])
def test_the_head_and_the_overview_of_a_vehicle_leave_place_for_the_rest(
    open_context: Contexts, paths: list[str], width: int, head: int, page_height: int
) -> None:
    with open_context(width) as context:
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 768})
        page.goto(f"/vehicles/{IMEI}", wait_until="load")
        page.evaluate(LONG_TIMES)
        bar, end, height, beside = page.evaluate(OVERVIEW)
        assert beside == ["KLM-312 · depot-1"]
        assert end - bar <= head
        assert height <= page_height


@pytest.mark.parametrize("width", [390, 1366])
def test_the_filters_of_media_are_one_row_and_those_used_less_are_opened_below_it(
    open_context: Contexts, paths: list[str], width: int
) -> None:
    with open_context(width) as context:
        page = context.new_page()
        page.goto("/media", wait_until="load")
        filters, opener = page.locator(".filter-row"), page.locator("#more-filters > summary")
        row, before = filters.bounding_box(), opener.bounding_box()
        assert row
        assert row["height"] <= 48
        opener.click()
        page.get_by_label("Vehicle", exact=True).wait_for()
        assert opener.bounding_box() == before


def test_the_head_of_the_list_stays_in_sight_and_its_rows_are_low(
    open_context: Contexts, paths: list[str]
) -> None:
    """Rows of 44 px; the names of the columns stay below the bar while the list is scrolled."""
    with open_context(1366) as context:
        page = context.new_page()
        page.goto("/", wait_until="load")
        rows = page.evaluate(
            "() => [...document.querySelectorAll('tbody tr')].map((row) => row.offsetHeight)"
        )
        assert max(rows) <= 46
        page.evaluate("() => (document.querySelector('tbody td').style.height = '60rem')")
        page.evaluate("() => window.scrollTo(0, 400)")
        top = page.evaluate("() => document.querySelector('thead th').getBoundingClientRect().top")
        assert 56 <= top <= 58


# the height of a vehicle's card, and whether a reason of two lines is cut on it
REASON = """() => {
    const why = document.querySelector(".fleet-why > :not(.text-secondary)");
    why.textContent = "Front camera does not answer or is not there";
    return [why.closest("tr").clientHeight, why.scrollHeight > why.clientHeight, why.scrollWidth > why.clientWidth];
}"""


def test_a_reason_of_two_lines_is_whole_in_the_list_of_the_phone(open_context: Contexts) -> None:
    with open_context(390) as context:
        page = context.new_page()
        visit(page, "/")
        height, *cut = page.evaluate(REASON)
        assert 71 <= height <= 72
        assert cut == [False, False]


# the height of a row, and whether its reason is cut on a desk
LONG_REASON = """() => {
    const why = document.querySelector(".fleet-why span:not(.text-secondary)");
    why.textContent = "Cannot reach our server; 11 other vehicles got through in the last hour";
    return [why.closest("tr").clientHeight, why.scrollHeight > why.clientHeight];
}"""


def test_a_reason_of_seventy_letters_is_whole_in_the_list_of_the_desk(open_context: Contexts) -> None:
    with open_context(1366) as context:
        page = context.new_page()
        visit(page, "/")
        height, is_cut = page.evaluate(LONG_REASON)
        assert height <= 46
        assert not is_cut


# the lines of a card below the name, as they are seen, with whether each is within the card
CHECKED = """() => {
    const row = document.querySelector("tr:has(.fleet-name .phone-only)"), card = row.getBoundingClientRect();
    row.querySelector(".fleet-why span").textContent = "Cannot reach our server; 11 other vehicles got through";
    return [...row.querySelectorAll(".fleet-name .phone-only, .fleet-why span")].filter((one) => one.checkVisibility())
        .map((one) => [one.textContent.trim(), one.getBoundingClientRect().bottom <= card.bottom]);
}"""


def test_an_open_check_is_seen_beside_a_long_reason_on_the_phone(open_context: Contexts) -> None:
    with open_context(390) as context:
        page = context.new_page()
        visit(page, "/?rows=50")  # the product may have many vehicles by now
        assert page.evaluate(CHECKED) == [
            ["waits for an answer", True],
            ["Cannot reach our server; 11 other vehicles got through", True],
        ]


def test_a_link_to_the_check_shows_its_button_with_the_cost_below_a_long_verdict_on_the_phone(
    open_context: Contexts, paths: list[str]
) -> None:
    with open_context(390) as context:
        page = context.new_page()
        page.goto(f"/vehicles/{IMEI}/check")
        page.evaluate(
            "() => document.querySelector('.verdict h2').insertAdjacentHTML('afterend', '<p>Long. </p>'.repeat(60))"
        )
        page.evaluate("() => { location.hash = 'start'; }")
        for part in ("#start-check", "#start > p"):
            seen = """(part) => {
                const one = document.querySelector(part), box = one.getBoundingClientRect();
                return [box.top + 1, box.bottom - 1].every((y) => one.contains(document.elementFromPoint(195, y)));
            }"""
            wait_until(lambda part=part, seen=seen: page.evaluate(seen, part))


@pytest.mark.parametrize("locale", ["en-US", "de-DE"])
def test_the_button_that_restarts_both_cameras_is_whole_on_the_phone(
    open_context: Contexts, paths: list[str], locale: str
) -> None:
    with open_context(390, locale=locale) as context:
        page = context.new_page()
        page.goto(f"/vehicles/{IMEI}/restart")
        cut = (
            "(button) => button.scrollWidth > button.clientWidth || button.scrollHeight > button.clientHeight"
        )
        assert not page.locator("#restart .btn-primary").evaluate(cut)


# ten vehicles with long names and reasons; how high and wide the board is then, and the size of its smallest letters
FULL_BOARD = """() => {
    const half = document.querySelector(".wall .halves section"), words = "Cannot reach our server; 11 other vehicles ";
    half.innerHTML = "<h2>Needs somebody</h2><ol>" + `<li><span>!</span><bdi>${"Long name ".repeat(9)}</bdi>
        <span class="why">${words.repeat(3)}</span><span>12 min ago</span></li>`.repeat(10) + "</ol>";
    const sizes = [...document.querySelectorAll("main *")].map((one) => parseFloat(getComputedStyle(one).fontSize));
    const page = document.documentElement;
    return [page.scrollHeight, page.scrollWidth, Math.min(...sizes)];
}"""


def test_a_full_wall_board_fits_a_screen_in_large_letters(open_context: Contexts, paths: list[str]) -> None:
    with open_context(1920) as context:
        page = context.new_page()
        page.set_viewport_size({"width": 1920, "height": 1080})
        page.goto(next(path for path in paths if path.startswith("/wall/")))
        height, width, letters = page.evaluate(FULL_BOARD)
        assert (height, width) == (1080, 1920)
        assert letters >= 32


# how the borders of fields and of boxes that are not ticked differ from what is around them, as WCAG counts contrast
BORDERS = """() => {
    const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => parts(colour).slice(0, 3).map((one) => one / 255)
        .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
        .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0.05);
    const ground = (one) => {
        const colour = getComputedStyle(one).backgroundColor;
        return parts(colour)[3] === 0 ? ground(one.parentElement) : colour;
    };
    return [...document.querySelectorAll("main :is(.form-control, .form-select, .form-check-input:not(:checked))")]
        .filter((one) => one.checkVisibility())
        .map((one) => [light(getComputedStyle(one).borderTopColor), light(ground(one.parentElement))])
        .map((two) => Math.max(...two) / Math.min(...two));
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_borders_of_fields_and_empty_boxes_are_seen(open_context: Contexts, scheme: Scheme) -> None:
    with open_context(390, scheme) as context:
        page = context.new_page()
        for path in (f"/vehicles/{IMEI}/settings", "/settings/people", "/account"):
            visit(page, path)
            contrasts = page.evaluate(BORDERS)
            assert contrasts
            assert min(contrasts) >= 3


# whether the last link of a row lies within it, before and after it has the focus
LAST_LINK = """(name) => {
    const row = document.querySelector(name), last = [...row.querySelectorAll("a")].at(-1);
    const isSeen = () => last.getBoundingClientRect().right <= row.getBoundingClientRect().right + 1;
    const before = isSeen();
    last.focus();
    return [before, isSeen()];
}"""


@pytest.mark.parametrize(("path", "row"), [("/", ".chips"), ("/settings/presets", ".tabs")])
def test_a_row_that_is_wider_than_a_phone_follows_the_keyboard(
    open_context: Contexts, path: str, row: str
) -> None:
    with open_context(390) as context:
        page = context.new_page()
        page.goto(path, wait_until="load")
        assert page.evaluate(LAST_LINK, row) == [False, True]


def test_the_chosen_tab_of_a_wide_row_is_in_sight(open_context: Contexts) -> None:
    with open_context(390) as context:
        page = context.new_page()
        page.goto("/settings/log", wait_until="load")
        right = page.evaluate(
            "() => document.querySelector('.tabs [aria-current]').getBoundingClientRect().right"
        )
        assert right <= 390


# by how many pixels the words of the buttons of a page are off their middle
OFF_MIDDLE = """() => [...document.querySelectorAll("#wanted .text-actions > a.btn")].map((button) => {
    const words = document.createRange(), box = button.getBoundingClientRect();
    words.selectNodeContents([...button.childNodes].find((one) => one.textContent.trim()));
    const said = words.getBoundingClientRect();
    return Math.abs(said.left + said.right - box.left - box.right) / 2;
})"""


def test_the_words_of_the_buttons_of_the_inbox_stand_in_their_middle(open_context: Contexts) -> None:
    with open_context(390) as context:
        page = context.new_page()
        page.goto("/inbox", wait_until="load")
        off = page.evaluate(OFF_MIDDLE)
        assert off
        assert max(off) <= 1


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
    open_context: Contexts, product: Stack, paths: list[str]
) -> None:
    event = next(path for path in paths if path.startswith("/media/"))
    with open_context(1366, "dark") as context:
        page = context.new_page()
        page.emulate_media(media="print")
        for theme in ("auto", "dark"):
            context.add_cookies([{"name": "theme", "value": theme, "url": product.environment["PUBLIC_URL"]}])
            for path in (event, *(f"/vehicles/{IMEI}/{tab}" for tab in ("check", "notice", "log"))):
                page.goto(path)
                assert page.evaluate(PRINTED) == [0, "rgb(0, 0, 0)", "rgb(255, 255, 255)"], path


@pytest.mark.parametrize("tab", ["", "/check", "/notice"])
def test_the_sheet_of_a_vehicle_of_its_check_and_for_drivers_is_one_page_of_a4(
    open_context: Contexts, paths: list[str], tab: str
) -> None:
    with open_context(1366, "light") as context:
        page = context.new_page()
        page.goto(f"/vehicles/{IMEI}{tab}")
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 688, "height": 1017})  # what is within the margins
        page.evaluate(
            "() => document.querySelectorAll('time').forEach(e => e.textContent = '59 minutes ago')"
        )
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 688
        counts = re.findall(rb"/Type /Pages\b.*?/Count (\d+)", page.pdf(format="A4"), re.DOTALL)
        assert counts == [b"1"]
