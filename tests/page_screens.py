"""Every page of the product with rows on it, to be opened in a browser on any screen, and what axe-core says of one.

axe-core (tests/vendor, MPL-2.0, for tests only) looks for what breaks WCAG 2.2 A and AA.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import databases
import pytest

if TYPE_CHECKING:  # every test has these fixtures, and few start a browser
    from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize
    from stack import Stack

EMAIL, PASSWORD = "layout@example.com", "a long enough password"
AXE = Path(__file__).parent / "vendor" / "axe-core-4.14.1" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
Scheme = Literal["light", "dark"]
Contexts = Callable[..., AbstractContextManager["BrowserContext"]]  # by width, scheme and whether signed in
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


@pytest.fixture(scope="session")
def paths(product: "Stack") -> list[str]:
    """The addresses of all pages, with rows for each in the product; EMAIL is an administrator there."""
    import page_rows

    product.add_user(EMAIL, PASSWORD, "admin")
    return databases.within(product.environment["DATABASE_URL"], lambda: page_rows.seed(product.folder))


@pytest.fixture(scope="session")
def signed_in(browser: "Browser", product: "Stack", paths: list[str]) -> dict[str, Any]:
    """The cookies of somebody who is signed in."""
    page = browser.new_page(base_url=product.environment["PUBLIC_URL"])
    page.set_default_timeout(90_000)
    page.goto("/login")
    page.fill("input[name=email]", EMAIL)
    page.fill("input[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_selector(".fleet")
    state = page.context.storage_state()
    page.close()
    return dict(state)


def screen(width: int) -> "ViewportSize":
    return {"width": width, "height": 844 if width < 768 else 800}


@pytest.fixture(scope="session")
def open_context(browser: "Browser", product: "Stack", signed_in: dict[str, Any]) -> Contexts:
    def make(
        width: int, scheme: Scheme = "light", signed: bool = True, locale: str = "en-US"
    ) -> "AbstractContextManager[BrowserContext]":
        context = browser.new_context(
            viewport=screen(width), color_scheme=scheme, reduced_motion="reduce", locale=locale,
            base_url=product.environment["PUBLIC_URL"], storage_state=signed_in if signed else None,  # type: ignore[arg-type]
        )  # fmt: skip
        context.set_default_timeout(90_000)
        return closing(context)

    return make


def visit(page: "Page", path: str) -> None:
    page.goto(path, wait_until="load")
    open_all(page)


def open_all(page: "Page") -> None:
    """Open what is closed: it is part of the page."""
    page.evaluate("() => document.querySelectorAll('details').forEach((one) => (one.open = true))")


def violations(page: "Page") -> list[str]:
    if page.evaluate("() => !window.axe"):
        page.evaluate(AXE.read_text())
    # preloading serves the rule on media that play by themselves; none do
    options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"], "preload": False}
    found = page.evaluate("(options) => axe.run(options)", options)["violations"]
    return [
        f"{one['id']}: {node['html'][:120]} {node['failureSummary']}"
        for one in found
        for node in one["nodes"]
    ]
