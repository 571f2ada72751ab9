"""Leases: which session holds a file of a device, where several machines share one media store.

A newer session of the device takes over: it says that it waits, the older one ends and leaves what it has, and only
one that does not answer is passed over. Times are the database's: the machines' clocks may differ by minutes. Called by
the receiver's `__main__`, one short unit of work each.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, func, or_, select, true, update
from sqlalchemy.exc import IntegrityError

from provisioning.models import Lease, changed, db, utcnow

WANTED = timedelta(minutes=1)  # whoever waited longer has passed the other over
# then a lease was left by a receiver that never came back; it means nothing any more
KEPT = timedelta(days=30)


def take(imei: str, identifier: str, token: str, machine: str, *, force: bool = False) -> bool:
    """Give a file of a device to a session, unless one on another machine has it; that session is then notified.

    A session on the same machine has ended, or its process would hold the file there. `force`: whoever has it.
    """
    now = _now()
    mine = (Lease.imei == imei, Lease.identifier == identifier)
    free = true() if force else or_(Lease.machine == machine, Lease.at < now - KEPT)
    got = changed(
        update(Lease)
        .where(*mine, free)
        .values(token=token, machine=machine, at=now, wanted_at=None)
        .execution_options(synchronize_session=False)
    )
    if not got:
        try:
            with db.session.begin_nested():
                db.session.add(Lease(imei=imei, identifier=identifier, token=token, machine=machine, at=now))
            got = 1
        except IntegrityError:
            changed(
                update(Lease).where(*mine).values(wanted_at=now).execution_options(synchronize_session=False)
            )
    db.session.commit()
    return bool(got)


def holds(token: str) -> bool:
    """Say whether a session still has its file."""
    return db.session.scalar(select(Lease.token).where(Lease.token == token)) is not None


def wanted() -> set[str]:
    """Give the leases that newer sessions wait for."""
    now = _now()
    return set(db.session.scalars(select(Lease.token).where(Lease.wanted_at > now - WANTED)))


def release(tokens: Sequence[str]) -> None:
    """Give leases back."""
    db.session.execute(
        delete(Lease).where(Lease.token.in_(tokens)).execution_options(synchronize_session=False)
    )
    db.session.commit()


def sweep() -> None:
    """Remove leases of receivers that never came back."""
    now = _now()
    db.session.execute(
        delete(Lease).where(Lease.at < now - KEPT).execution_options(synchronize_session=False)
    )
    db.session.commit()


def _now() -> datetime:
    """Give the time of the database's clock. SQLite is on this machine and has no other."""
    if db.session.connection().dialect.name == "sqlite":
        return utcnow()
    return db.session.scalars(select(func.now())).one()
