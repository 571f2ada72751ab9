"""Encrypts all stored secrets again with the first of ENCRYPTION_KEYS."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import select

from provisioning.core import encryption
from provisioning.models import Command, Device, FleetSettings, GatewayEvent, db, take_write_lock
from provisioning.sms.kept_events import ENCRYPTED

AT_ONCE = 200  # rows in one transaction
COLUMNS = ("sms_login", "sms_password", "pending_login", "pending_password")


def rotate() -> tuple[int, int]:
    """Encrypt every stored secret anew; give how many were, and how many open with no key and stay as they are."""
    renewed = lost = 0

    def renew(stored: str) -> str:
        nonlocal renewed, lost
        try:
            text = encryption.renew(stored)
        except encryption.Undecryptable:
            lost += 1
            return stored
        renewed += 1
        return text

    for device in _locked(Device):
        for column in COLUMNS:
            if stored := getattr(device, column):
                setattr(device, column, renew(stored))
    for settings in _locked(FleetSettings):
        for column in ("sms_login", "sms_password"):
            if stored := getattr(settings, column):
                setattr(settings, column, renew(stored))
    for command in _locked(Command):
        if encrypted := command.arguments.get("encrypted"):
            command.arguments = command.arguments | {"encrypted": _each(encrypted, renew)}
    for event in _locked(GatewayEvent):
        if ENCRYPTED in event.payload:
            event.payload = event.payload | {ENCRYPTED: renew(event.payload[ENCRYPTED])}
    return renewed, lost


def _each(encrypted: Mapping[str, str], renew: Callable[[str], str]) -> dict[str, str]:
    return {name: renew(stored) for name, stored in encrypted.items()}


def _locked(model: Any) -> Iterator[Any]:
    """Give all rows of a table in short transactions, which lock them."""
    after: Any = None
    while True:
        take_write_lock(db.session.connection())
        query = select(model).order_by(model.id).limit(AT_ONCE).with_for_update()
        rows = db.session.scalars(query if after is None else query.where(model.id > after)).all()
        if not rows:
            db.session.rollback()
            return
        yield from rows
        after = rows[-1].id
        db.session.commit()
        db.session.expunge_all()
