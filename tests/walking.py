"""What the tests that walk through the product in a browser share: a small fleet, and people who are signed in.

The fleet is made once for the product that runs; each test has a browser context of its own.
"""

import functools
import itertools
from dataclasses import dataclass
from typing import Any

import databases
from page_rows import upload
from playwright.sync_api import Browser, BrowserContext
from sqlalchemy import update
from stack import Stack

from provisioning.devices import registry
from provisioning.media import event_service
from provisioning.models import Upload, db, utcnow

ADMIN, LOOKER, PASSWORD = "walker@example.com", "looker@example.com", "several words in a row"
NO_CARD, NO_CAMERA = "352094081000116", "352094081000223"
PHONE, DESK = 390, 1366
HEIGHTS = {PHONE: 844, DESK: 768}


@dataclass(frozen=True, slots=True)
class Fleet:
    """The ids of three events of one vehicle, the newest first: a crash, a periodic photo, a periodic clip."""

    events: tuple[str, ...]


@functools.cache
def fleet_of(stack: Stack) -> Fleet:
    """Add two people and two vehicles: one has no card, no camera of the other answers."""
    stack.add_user(ADMIN, PASSWORD, "admin")
    stack.add_user(LOOKER, PASSWORD, "support")
    given = {"sms_login": "fleet", "sms_password": "cam11", "time_zone": "Europe/Vilnius"}
    for number, (imei, name, card) in enumerate(((NO_CARD, "Walk 1", 1), (NO_CAMERA, "Walk 2", 0))):
        phone = f"+1202555017{number}"
        stack.api("POST", "/devices", given | {"imei": imei, "phone": phone, "name": name}, status=201)
        record = {"timestamp": utcnow().isoformat(), "values": {"497": 3 if card else 0, "498": card}}
        stack.api("POST", f"/devices/{imei}/records", record)
    events = databases.within(stack.environment["DATABASE_URL"], lambda: _events(stack, NO_CARD, 1, 2, 5))
    return Fleet(tuple(sorted(events, reverse=True)))


_crashes = itertools.count(4, 3)  # the numbers of files that are photos or clips of a crash


def unseen_crash(stack: Stack) -> str:
    """Make another crash, of the vehicle whose cameras do not answer, that nobody has seen; give the event's id."""
    number = next(_crashes)
    (event,) = databases.within(stack.environment["DATABASE_URL"], lambda: _events(stack, NO_CAMERA, number))
    return event


def _events(stack: Stack, imei: str, *numbers: int) -> set[str]:
    """Store files of a vehicle, so many hours old as their numbers, and make their events."""
    device = registry.find(imei)
    rows = [upload(device, stack.folder, number) for number in numbers]
    db.session.execute(update(Upload).where(Upload.id.in_([row.id for row in rows])).values(event_due=True))
    db.session.commit()
    event_service.remake_all(utcnow)
    db.session.expire_all()
    return {str(row.event_id) for row in rows}


@functools.cache
def _signed_in(browser: Browser, stack: Stack, email: str) -> Any:
    """Give the cookies of somebody who is signed in."""
    page = browser.new_page(base_url=stack.environment["PUBLIC_URL"])
    page.goto("/login")
    page.fill("input[name=email]", email)
    page.fill("input[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_selector(".fleet")
    state = page.context.storage_state()
    page.close()
    return state


def context_of(
    browser: Browser, stack: Stack, width: int, email: str | None = ADMIN, **options: Any
) -> BrowserContext:
    """Give a fresh browser of somebody who is signed in, if `email` says who: a phone that is tapped, or a desk."""
    fleet_of(stack)
    is_phone = width == PHONE
    context = browser.new_context(
        viewport={"width": width, "height": HEIGHTS[width]}, base_url=stack.environment["PUBLIC_URL"],
        has_touch=is_phone, is_mobile=is_phone, storage_state=_signed_in(browser, stack, email) if email else None,
        reduced_motion="reduce", **options,
    )  # fmt: skip
    context.set_default_timeout(60_000)
    return context
