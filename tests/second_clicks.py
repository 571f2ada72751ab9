"""A form that is sent a second time while the first is still at work, as a quick second click does."""

import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest
from page_visitor import Visitor
from werkzeug.test import TestResponse

from provisioning.models import db


def slowed(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> threading.Event:
    """Have a function take a second longer; give the event that it has begun."""
    real, begun = getattr(module, name), threading.Event()

    def work_slowly(*given: Any) -> Any:
        begun.set()
        time.sleep(1)
        return real(*given)

    monkeypatch.setattr(module, name, work_slowly)
    return begun


def click_again(
    visitor: Visitor, action: str, form: Mapping[str, str], begun: threading.Event
) -> list[TestResponse]:
    """Send a form, and once more when its work has begun; give both answers, in the order in which they came."""
    cookie = visitor.client.get_cookie("session")
    assert cookie
    answers: list[TestResponse] = []

    def click() -> None:
        client = visitor.client.application.test_client()
        client.set_cookie("session", cookie.value)
        answers.append(client.post(action, data=form))

    db.session.remove()
    first = threading.Thread(target=click)
    first.start()
    assert begun.wait(30)
    click()
    first.join(30)
    return answers
