"""Leases in the database: who has a file of a device in hand, on SQLite and on PostgreSQL."""

import threading
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from provisioning.media import file_leases
from provisioning.models import Lease, db, utcnow

FILE = ("352094082736916", "%videof")

pytestmark = pytest.mark.usefixtures("app")


def take(token: str, machine: str = "one", *, force: bool = False) -> bool:
    return file_leases.take(*FILE, token * 32, machine, force=force)


def test_a_free_file_is_taken_and_given_back() -> None:
    assert take("a")
    assert file_leases.holds("a" * 32)
    file_leases.release(["a" * 32])
    assert not file_leases.holds("a" * 32)
    assert db.session.scalars(select(Lease)).all() == []


def test_another_machine_is_refused_and_the_holder_hears_of_it() -> None:
    take("a")
    assert file_leases.wanted() == set()
    assert not take("b", "two")
    assert file_leases.wanted() == {"a" * 32}
    assert file_leases.holds("a" * 32)
    file_leases.release(["a" * 32])
    assert take("b", "two")
    assert file_leases.wanted() == set()


def test_the_same_machine_takes_it_at_once() -> None:
    take("a")
    assert take("b")
    assert (file_leases.holds("a" * 32), file_leases.holds("b" * 32)) == (False, True)


def test_who_does_not_answer_is_passed_over() -> None:
    take("a")
    assert take("b", "two", force=True)
    assert (file_leases.holds("a" * 32), file_leases.holds("b" * 32)) == (False, True)


def test_giving_back_what_somebody_else_has_meanwhile_changes_nothing() -> None:
    take("a")
    take("b", "two", force=True)
    file_leases.release(["a" * 32])
    assert file_leases.holds("b" * 32)


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
    assert file_leases.wanted() == set()


def test_leases_of_machines_that_never_came_back_go() -> None:
    take("a")
    pass_time(timedelta(days=20))
    file_leases.sweep()
    assert file_leases.holds("a" * 32)
    pass_time(timedelta(days=11))
    file_leases.sweep()
    assert not file_leases.holds("a" * 32)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("ahead", [timedelta(minutes=-10), timedelta(minutes=10)])
def test_a_machine_whose_clock_is_wrong_asks_and_hears_like_any_other(
    ahead: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    take("a")
    monkeypatch.setattr(file_leases, "utcnow", lambda: utcnow() + ahead)
    assert not take("b", "two")
    monkeypatch.undo()
    assert file_leases.wanted() == {"a" * 32}


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
    assert file_leases.holds(got[0] * 32)
