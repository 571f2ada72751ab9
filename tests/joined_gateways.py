"""The app joined with each gateway: with every one, and with those that can do something."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from gateway_double import HARNESSES, HttpPhone, Joined
from sms_commands import NUMBER
from sqlalchemy import select

from provisioning.devices import registry
from provisioning.models import Device, Direction, Message, db, utcnow
from provisioning.sms.gateway import OutgoingSms

VERSION = "Ver:03.28.03.Rev.05 Hw:FMC125 IMEI:352094082736916"


def join(app: Flask, request: pytest.FixtureRequest) -> Iterator[Joined]:
    harness = HARNESSES[request.param](app)
    yield harness
    harness.close()


def able_to(*abilities: str) -> list[Any]:
    """Name the harnesses whose gateway can do this.

    A database sees a difference between one that names ids and reports, as Twilio, and one that does neither.
    """
    able = [name for name, harness in HARNESSES.items() if harness.abilities.issuperset(abilities)]
    return [pytest.param(name, marks=pytest.mark.on_sqlite) if name == "http" else name for name in able]


# the app with each gateway, one after the other: with every one, and with those of some abilities
joined = pytest.fixture(params=able_to(), name="joined")(join)
answering = pytest.fixture(params=able_to("answers"), name="answering")(join)
texting = pytest.fixture(params=able_to("texts"), name="texting")(join)
reporting = pytest.fixture(params=able_to("answers", "texts", "reports"), name="reporting")(join)


@pytest.fixture
def http_phone(app: Flask) -> Iterator[HttpPhone]:
    harness = HttpPhone(app)
    yield harness
    harness.close()


@pytest.fixture
def van(app: Flask) -> Device:
    given = {"imei": "352094082736916", "phone": NUMBER, "sms_login": "fleet", "sms_password": "cam11"}
    return registry.add(given, utcnow())


def outgoing(text: str = "fleet cam11 getver") -> OutgoingSms:
    return OutgoingSms("a" * 32, NUMBER, text, 600)


def only_message() -> Message:
    return db.session.scalars(select(Message).where(Message.direction == Direction.OUT)).one()


def known_id(joined: Joined) -> str:
    """Give the gateway's id of the only SMS that it has."""
    (ident,) = joined.stand_in.messages
    return ident.removeprefix("out:")
