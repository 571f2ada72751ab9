"""Whose health is to be decided anew, because a fact came in this transaction.

`mark` is called with every fact. Before the commit `devices.health_store` decides anew the health of those devices
whose lock the transaction holds (nobody else can write it then), and leaves a row of `health_due` for the others.
"""

from collections.abc import Iterable

from sqlalchemy.orm import Session

from provisioning.models.base import db

_MARKED, _LOCKED = "health_marked", "health_locked"  # in Session.info, until the transaction ends


def mark(device_ids: Iterable[int | None]) -> None:
    """Have the health of these devices decided anew with the commit of the caller's transaction, or soon after it."""
    marked: set[int] = db.session.info.setdefault(_MARKED, set())
    marked.update(ident for ident in device_ids if ident is not None)


def note_lock(device_id: int) -> None:
    """Remember that the caller's transaction holds this device's lock."""
    db.session.info.setdefault(_LOCKED, set()).add(device_id)


def take_marked(session: Session) -> tuple[set[int], set[int]]:
    """Give the marked devices whose lock the transaction holds, and the others; they are not marked any more."""
    marked: set[int] = session.info.pop(_MARKED, set())
    locked: set[int] = session.info.get(_LOCKED, set())
    return marked & locked, marked - locked


def forget(session: Session) -> None:
    """Forget marks and locks: the transaction has ended."""
    session.info.pop(_MARKED, None)
    session.info.pop(_LOCKED, None)
