"""The addresses that `fleet.py` asks: the list of the fleet by all that can be chosen, other pages, the API's lists."""

import itertools
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import select

from provisioning.models import Command, Device, Event, Upload, db, utcnow

SEARCHES = {
    "no search": None, "a word in all names": "truck", "words in 10,000 names": "truck 4", "words in 1,000": "truck42",
    "words in 10,000 plates": "klm 3", "a name": "truck 00042", "a plate": "klm 042", "the end of an IMEI": "04242",
    "digits in thousands": "42", "digits with spaces": "35 209400 004242", "a phone": "+12025554242",
    "nothing there is": "nobody", "two words that nobody has": "truck nobody", "digits of nothing": "9999999",
}  # fmt: skip
STATES = ({}, *({"state": words} for words in ("broken", "broken,limited", "silent", "unchecked", "working")))
TAGS = (None, "depot 7", "flatbed", "lent out")
SORTS = (None, "name", "seen", "pictures")
PAGES = (None, "20", "100000")  # the first, one that few filters have, the last
CURSORS = (None, "352094000040000")


def of_list() -> Iterator[tuple[str, str]]:
    """Give the addresses of the list and of the API's list with everything that can be chosen; before each its search.

    They come with one search and filter after the other, so that one of so many (a prime number) is of all of them.
    """
    for state, tag, sort, page in itertools.product((*STATES, {"unfinished": 1}), TAGS, SORTS, PAGES):
        for kind, words in SEARCHES.items():
            yield kind, _address("/", **state, tag=tag, q=words, sort=sort, page=page)
    for state, tag, cursor in itertools.product(STATES, TAGS, CURSORS):
        for kind, words in SEARCHES.items():
            yield f"API: {kind}", _address("/api/v1/devices", **state, tag=tag, q=words, cursor=cursor)


def _address(path: str, **chosen: Any) -> str:
    return f"{path}?{urlencode({name: value for name, value in chosen.items() if value})}"


def other_pages(imei: str, *, whole_fleet: bool) -> list[str]:
    """Give the addresses of pages but the list; `imei`: of a vehicle to look at."""
    device = db.session.scalars(select(Device).where(Device.imei == imei)).one()
    newest = select(Event.id).where(Event.device_id == device.id).order_by(Event.id.desc()).limit(1)
    asked = select(Command.id).where(Command.device_id == device.id).order_by(Command.id.desc()).limit(1)
    file = select(Upload.id).where(Upload.imei == imei).order_by(Upload.id.desc()).limit(1)
    day = f"{utcnow():%Y-%m-%d}"
    middle = db.session.scalar(select(Event.id).order_by(Event.id).offset(1000).limit(1))
    pages = [
        "/fleet/part", "/search?q=00042", "/search?q=truck", "/search?q=nobody", "/search?q=%2B12025554242",
        "/search?q=truck+4", "/search?q=truck42", "/search?q=truck+00042", "/search?q=42",
        f"/search?q={db.session.scalar(asked)}", "/inbox", "/inbox?all=1", "/inbox/unknown", "/media",
        f"/media?before={middle}", "/media?kind=crash", "/media?kind=crash,tow", "/media?kind=harsh,crash,tow",
        "/media?unseen=1", "/media?unseen=1&type=video", "/media?saved=1", "/media?camera=front&type=video",
        "/media?camera=rear", "/media?kind=tow&unseen=1", "/media?kind=din1", f"/media?day={day}",
        "/media?day=2001-01-01", "/media?doubtful=1", f"/uploads/{db.session.scalar(file)}",
        f"/media/{db.session.scalar(newest)}", f"/requests/{db.session.scalar(asked)}",
        "/settings/presets",
    ]  # fmt: skip
    own = [f"/vehicles/{imei}{rest}" for rest in ("", "/footage", "/check", "/settings", "/settings/all", "/log",
           "/log?kind=people", "/log?kind=files", "/log?kind=settings", "/part/head", "/part/latest")]  # fmt: skip
    if not whole_fleet:
        return [*pages, *own]
    log = [f"/settings/log{rest}" for rest in ("", "?who=user7@example.com", "?who=nobody@example.com",
           f"?object=device:{imei}", f"?from={day}", "?to=2001-01-01", f"?who=user7@example.com&to={day}")]  # fmt: skip
    return [
        *pages,
        *own,
        *log,
        "/settings/sms",
        "/settings/storage",
        "/settings/people",
        "/metrics",
        "/readyz",
    ]


def api_lists(imei: str, *, whole_fleet: bool) -> list[str]:
    """Give the addresses of the lists of the API."""
    lists = [
        "/fleet", "/devices", "/devices?state=broken", "/devices?tag=depot+7", "/devices?q=00042", "/devices?q=nobody",
        "/devices?state=silent&tag=flatbed&q=truck", "/commands", f"/commands?imei={imei}", "/commands?state=failed",
        "/commands?state=queued", "/commands?state=done", "/commands?state=unknown",
        f"/commands?state=failed&imei={imei}", "/uploads", f"/uploads?imei={imei}", "/uploads?state=partial",
        "/uploads?state=stored", "/messages",
        f"/messages?imei={imei}", "/messages?unclaimed=true", "/sessions", f"/sessions?imei={imei}", "/events",
        f"/events?imei={imei}", "/events?kind=tow", "/events?unseen=true", "/events?saved=true",
        "/events?kind=crash&unseen=true", "/events?from=2001-01-01T00:00:00Z&to=2001-02-01T00:00:00Z",
    ]  # fmt: skip
    of_all = ["/audit", "/audit?who=user7@example.com", "/tokens", "/users"] if whole_fleet else []
    return [f"/api/v1{path}" for path in (*lists, *of_all)]
