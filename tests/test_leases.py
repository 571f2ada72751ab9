"""Leases in the database: who has a file of a device in hand, on SQLite and on PostgreSQL."""

import threading
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from provisioning import leases
from provisioning.models import Lease, db, utcnow

FILE = ("352094082736916", "%videof")

pytestmark = pytest.mark.usefixtures("app")


def take(token: str, machine: str = "one", *, force: bool = False) -> bool:
    return leases.take(*FILE, token * 32, machine, force=force)


def test_a_free_file_is_taken_and_given_back() -> None:
    assert take("a")
    assert leases.holds("a" * 32)
    leases.release(["a" * 32])
    assert not leases.holds("a" * 32)
    assert db.session.scalars(select(Lease)).all() == []


def test_another_machine_is_refused_and_the_holder_hears_of_it() -> None:
    take("a")
    assert leases.wanted() == set()
    assert not take("b", "two")
    assert leases.wanted() == {"a" * 32}
    assert leases.holds("a" * 32)
    leases.release(["a" * 32])
    assert take("b", "two")
    assert leases.wanted() == set()


def test_the_same_machine_takes_it_at_once() -> None:
    take("a")
    assert take("b")
    assert (leases.holds("a" * 32), leases.holds("b" * 32)) == (False, True)


def test_who_does_not_answer_is_passed_over() -> None:
    take("a")
    assert take("b", "two", force=True)
    assert (leases.holds("a" * 32), leases.holds("b" * 32)) == (False, True)


def test_giving_back_what_somebody_else_has_meanwhile_changes_nothing() -> None:
    take("a")
    take("b", "two", force=True)
    leases.release(["a" * 32])
    assert leases.holds("b" * 32)


def pass_time(time: timedelta) -> None:
    """Make all that stands in the table so much older."""
    for row in db.session.scalars(select(Lease)):
        row.at -= time
        row.wanted_at = row.wanted_at and row.wanted_at - time
    db.session.commit()


def test_a_wish_is_forgotten_after_a_while() -> None:
    take("a")
    take("b", "two")
    pass_time(timedelta(minutes=2))
    assert leases.wanted() == set()


def test_leases_of_machines_that_never_came_back_go() -> None:
    take("a")
    pass_time(timedelta(days=20))
    leases.sweep()
    assert leases.holds("a" * 32)
    pass_time(timedelta(days=11))
    leases.sweep()
    assert not leases.holds("a" * 32)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("ahead", [timedelta(minutes=-10), timedelta(minutes=10)])
def test_a_machine_whose_clock_is_wrong_asks_and_hears_like_any_other(
    ahead: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    take("a")
    monkeypatch.setattr(leases, "utcnow", lambda: utcnow() + ahead)
    assert not take("b", "two")
    monkeypatch.undo()
    assert leases.wanted() == {"a" * 32}


def test_of_many_that_ask_at_once_one_gets_it(app: Flask) -> None:
    got: list[str] = []

    def ask(token: str) -> None:
        with app.app_context():
            if take(token, f"machine {token}"):
                got.append(token)

    threads = [threading.Thread(target=ask, args=(token,)) for token in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(got) == 1
    assert leases.holds(got[0] * 32)
