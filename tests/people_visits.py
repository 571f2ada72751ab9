"""What people do on the pages about people, as tests do it: invite, follow a link, press a button."""

import re
from typing import Any

import pytest
from flask import Flask
from page_visitor import Visitor
from sqlalchemy import select

from provisioning.models import Role, User, db

EMAIL, PASSWORD = "ada@example.com", "several words that do not belong"
LINK = re.compile(r"http://dualcam\.test(/invite/[\w-]+)")


@pytest.fixture
def admin(app: Flask) -> Visitor:
    return Visitor(app, Role.ADMIN)


def nobody(app: Flask) -> Visitor:
    visitor = Visitor.__new__(Visitor)
    visitor.client = app.test_client()
    return visitor


def untagged(text: str) -> str:
    return re.sub(r"<[^>]+>", "", text)


def link_of(text: str) -> str:
    found = LINK.search(text)
    assert found
    return found[1]


def person(email: str = EMAIL) -> User:
    db.session.rollback()
    return db.session.scalars(select(User).where(User.email == email)).one()


def invite(admin: Visitor, role: str = "support") -> str:
    answer = admin.send("/settings/people", "/settings/people", email=EMAIL, role=role)
    assert answer.status_code == 200
    return link_of(answer.text)


def press(admin: Visitor, do: str, **fields: str) -> Any:
    page = f"/settings/people/{person().id}"
    return admin.send(page, page, do=do, **fields)
