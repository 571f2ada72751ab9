"""Every page for people is found: by the navigation or the tabs, or by a link that this file names on purpose."""

from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import page_rows
import pytest
from flask import Flask
from page_visitor import Visitor
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, RequestRedirect

from provisioning.models import CameraSession, Role, db, new_id
from provisioning.web.pages import inbox

# pages that no navigation shows, and what leads to them
LINKED = {
    "/inbox/unknown": "the Inbox, where more trackers are unknown than it shows",
    "/inbox/unknown/<imei>": "the Inbox",
    "/media/<ident>": "Media",
    "/requests/<ident>": "the vehicle's page, which shows each request",
    "/search": "the field in the head",
    "/settings/people/<ident>": "the list of people",
    "/settings/preset": "the list of presets",
    "/uploads/<ident>": "the event",
    "/vehicles/<imei>/restart": "the button beside the health of cameras that take no picture, and the tracker's page",
    "/vehicles/new": "the button in the head",
}
# pages that no page leads to: whoever is not signed in, or was sent the address
SENT = {"/login", "/invite/<token>", "/s/<token>", "/wall/<token>"}
VISITED = 4  # addresses of each rule


class Links(HTMLParser):
    """Collects the addresses that a page leads to, and whether each stands in a navigation."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.navigations = 0
        self.found: list[tuple[str, bool]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.navigations += tag == "nav"
        address = dict(attributes).get("href")
        if tag == "a" and address:
            self.found.append((address, self.navigations > 0))

    def handle_endtag(self, tag: str) -> None:
        self.navigations -= tag == "nav"


def walk(app: Flask, visitor: Visitor) -> tuple[set[str], set[str]]:
    """Follow every link from the first page on; give the rules that navigations of other pages lead to, and links."""
    urls = app.url_map.bind("localhost")
    waiting, seen, counted = ["/"], {"/"}, Counter[str]()
    navigated: set[str] = set()
    linked: set[str] = set()
    while waiting:
        page = waiting.pop(0)
        here = rule_of(urls, page)
        for address, in_navigation in Links(visitor.get(page).text).found:
            target = urlsplit(urljoin(f"http://localhost{page}", address))
            rule = rule_of(urls, target.path) if target.netloc == "localhost" else None
            if rule is None or rule == here:
                continue
            (navigated if in_navigation else linked).add(rule)
            if target.path not in seen and counted[rule] < VISITED and rule in page_rows.rules():
                seen.add(target.path)
                counted[rule] += 1
                waiting.append(target.path + (f"?{target.query}" if target.query else ""))
    return navigated, linked


def rule_of(urls: MapAdapter, path: str) -> str | None:
    """Give the rule of an address of this product; None where there is no page of this name."""
    try:
        rule, _ = urls.match(path.partition("?")[0], return_rule=True)
    except (HTTPException, RequestRedirect):
        return None
    return rule.rule


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_page_is_reached_by_a_navigation_or_by_a_link_that_is_named_here(
    app: Flask, tmp_path: Path
) -> None:
    page_rows.seed(tmp_path)
    for number in range(inbox.UNKNOWN):
        db.session.add(CameraSession(id=new_id(), imei=f"35061207191{number:04d}", address="192.0.2.1:1"))
    db.session.commit()
    navigated, linked = walk(app, Visitor(app, Role.ADMIN))
    assert page_rows.rules() - navigated - SENT == set(LINKED), (
        "reached by no navigation, or named here for nothing"
    )
    assert set(LINKED) - linked == set(), "nothing leads to them"
