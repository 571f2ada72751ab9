"""The worker's process is ended by SIGTERM while an SMS is under way: it goes out once, and its command is settled."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import databases
import pytest
from conftest import wait_until
from sqlalchemy import update
from stack import Stack

from provisioning.models import Attempt, db, utcnow

IMEI = "352094080980011"


@pytest.fixture
def stack(tmp_path: Path, database_url: str) -> Iterator[Stack]:
    """All but the receiver, with a vehicle that answers nothing: only the gateway knows what becomes of an SMS."""
    stack = Stack(tmp_path, database_url)
    try:
        stack.prepare()
        stack.start("simulator", "web", "worker")  # no camera sends anything
        vehicle = {"imei": IMEI, "phone": "+12025550198", "sms_login": "fleet", "sms_password": "cam98"}
        stack.control("POST", "/vehicles", vehicle)
        stack.control("PATCH", f"/vehicles/{IMEI}/faults", {"reply_lost": 100})
        stack.api("POST", "/devices", vehicle, status=201)
        yield stack
    finally:
        stack.close()


def sent(stack: Stack) -> int:
    return sum(one["direction"] != "inbound" for one in stack.control("GET", "/messages")["items"])


def stop_while_sending(stack: Stack, command: str, seconds: float) -> dict[str, Any]:
    """Ask for something, and end the worker while the gateway takes so long to answer; give the command."""
    stack.control("PATCH", "/gateway/faults", {"answer_late": seconds, "no_callbacks": True})
    before = sent(stack)
    asked = stack.api("POST", f"/devices/{IMEI}/commands", {"command": command}, status=202)
    wait_until(lambda: sent(stack) == before + 1)
    assert stack.stop("worker") == 0
    found: dict[str, Any] = stack.api("GET", f"/commands/{asked['id']}", status=200)
    return found


def end_leases() -> None:
    """As if the leases of a process that is gone had ended."""
    db.session.execute(
        update(Attempt)
        .where(Attempt.lease_until.is_not(None))
        .values(lease_until=utcnow() - timedelta(seconds=1))
    )
    db.session.commit()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_sms_under_way_gets_its_answer_before_the_worker_ends(stack: Stack) -> None:
    assert stop_while_sending(stack, "getver", 2)["state"] == "sent"
    assert sent(stack) == 1


@pytest.mark.trial
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_an_sms_whose_answer_the_worker_cannot_wait_for_is_found_and_not_sent_again(stack: Stack) -> None:
    asked = stop_while_sending(stack, "getver", 30)
    assert asked["state"] == "sending"
    stack.control("PATCH", "/gateway/faults", {"answer_late": 0})
    databases.within(stack.environment["DATABASE_URL"], end_leases)
    stack.start("worker")
    wait_until(lambda: stack.api("GET", f"/commands/{asked['id']}")["state"] == "sent")
    assert sent(stack) == 1
