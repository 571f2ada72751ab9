"""The same asked twice at the same moment, by two people or by a double click."""

import contextlib
import hashlib
import re
import threading
from collections.abc import Callable

import people_visits
import pytest
from flask import Flask
from page_visitor import Visitor
from people_visits import EMAIL, link_of, person
from second_clicks import click_again, slowed
from sqlalchemy import select

from provisioning.core.errors import Conflict
from provisioning.models import IdempotencyKey, Role, User, WallLink, db
from provisioning.web import auth, invitations, users

admin = people_visits.admin  # the same fixture


def at_once(app: Flask, work: Callable[[], object]) -> list[object]:
    """Do the same in two processes at the same moment; give what each made, or the code of its refusal."""
    begin, found = threading.Barrier(2), list[object]()

    def run() -> None:
        with app.app_context():
            begin.wait(10)
            try:
                found.append(work())
            except Conflict as error:
                found.append(error.code)
            db.session.remove()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_two_invitations_of_one_person_at_the_same_moment_are_a_conflict(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)  # neither has stored its row when the other looks for it
    monkeypatch.setattr(users.tag_limit, "checked", lambda *_: both.wait(10) and None)
    found = at_once(app, lambda: users.add(EMAIL, "", Role.VIEWER).email)
    assert sorted(map(str, found)) == [EMAIL, "email_taken"]


def test_two_tokens_of_one_name_at_the_same_moment_are_a_conflict(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)

    def hash_together(clear: str) -> str:
        with contextlib.suppress(threading.BrokenBarrierError):  # on SQLite the second waits for the first
            both.wait(1)
        return hashlib.sha256(clear.encode()).hexdigest()

    monkeypatch.setattr(auth, "_hash", hash_together)
    found = at_once(app, lambda: auth.create_token("platform", Role.VIEWER)[:4])
    assert sorted(map(str, found)) == ["dct_", "name_taken"]


def clicked_twice(visitor: Visitor, page: str, **fields: str) -> tuple[str, str]:
    """Send the last form of a page twice, as a double click does; give both answers."""
    hidden, answers = visitor.hidden(page), []
    for _ in range(2):
        visitor._forget()
        answers.append(visitor.client.post(page, data=hidden | fields))
    assert [answer.status_code for answer in answers] == [200, 200]
    return answers[0].text, answers[1].text


@pytest.mark.parametrize(
    ("page", "fields", "made"),
    [
        ("/settings/people", {"email": EMAIL, "role": "viewer"}, r"/invite/[\w-]+"),
        ("/settings/tokens", {"name": "platform", "role": "viewer", "days": "30"}, r"dct_[\w-]+"),
        ("/settings/wall", {"name": "Workshop"}, r"/wall/dcw_[\w-]+"),
    ],
)
def test_a_double_click_makes_one_and_shows_it(
    admin: Visitor, page: str, fields: dict[str, str], made: str
) -> None:
    first, second = clicked_twice(admin, page, **fields)
    assert re.findall(made, first) == re.findall(made, second) != []
    assert len(db.session.scalars(select(User)).all()) == (2 if "people" in page else 1)
    assert len(db.session.scalars(select(WallLink)).all()) == ("wall" in page)
    (kept,) = db.session.scalars(select(IdempotencyKey.body))
    assert set(kept) == {"encrypted"}


def test_a_second_click_waits_for_the_first_which_is_still_at_work(
    admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = slowed(monkeypatch, invitations, "invite")
    form = {"email": EMAIL, "role": "viewer"} | admin.hidden("/settings/people")
    answers = click_again(admin, "/settings/people", form, begun)
    assert len({link_of(answer.text) for answer in answers}) == 1
    assert person().invite_hash
