"""Ids sort by time, and within a millisecond by the order in which they were made."""

import threading
from datetime import UTC, datetime, timedelta

from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from provisioning.commands import submission
from provisioning.devices import registry
from provisioning.models import new_id, utcnow
from provisioning.roles import Role
from provisioning.tracker import language
from receiver.ids import BACKWARDS, Ids
from receiver.store.durability import new_id as receiver_id

NOW = 1_800_000_000_000  # Unix milliseconds


@given(steps=st.lists(st.integers(1 - BACKWARDS, 5) | st.just(0), max_size=200))
def test_every_id_is_greater_than_the_one_before(steps: list[int]) -> None:
    ids, highest, made = Ids(), NOW, []
    for step in [0, *steps]:
        made.append(ids.make(highest + step))
        highest = max(highest, highest + step)
    assert made == sorted(set(made))
    assert all(len(ident) == 32 for ident in made)


def test_ids_of_one_millisecond_are_in_order_over_all_threads() -> None:
    ids, made = Ids(), []
    threads = [
        threading.Thread(target=lambda: made.append([ids.make(NOW) for _ in range(500)])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(part == sorted(part) for part in made)
    assert len({ident for part in made for ident in part}) == 2000


def test_a_clock_that_was_ahead_is_followed_back() -> None:
    ids = Ids()
    ids.make(NOW + 3_600_000)
    assert ids.make(NOW)[:12] == f"{NOW:012x}"


def test_product_and_receiver_both_make_ids_in_order() -> None:
    moment = datetime(2027, 1, 15, 8, tzinfo=UTC)
    made = [new_id() for _ in range(200)]
    received = [receiver_id(moment + timedelta(microseconds=n)) for n in range(200)]
    assert (made, received) == (sorted(made), sorted(received))


def test_the_sms_of_a_batch_are_numbered_in_the_order_in_which_they_shall_go(app: Flask) -> None:
    fields = {
        "imei": "352094082736916",
        "phone": "+12025550111",
        "sms_login": "fleet",
        "sms_password": "cam11",
    }
    van = registry.add(fields, utcnow())
    asked = language.SetParam({200000 + number: "x" * 60 for number in range(8)})
    for _ in range(5):
        rows = submission.submit(van, asked, submission.Requester("tests", Role.INSTALLER), utcnow())
        assert [row.id for row in rows] == sorted(row.id for row in rows)
        assert len(rows) == 4
