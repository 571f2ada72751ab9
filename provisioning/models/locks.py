"""The lock of a device: one device, one writer at a time, across processes."""

from sqlalchemy import select

from provisioning.models.base import db, take_write_lock
from provisioning.models.devices import Device
from provisioning.models.health_marks import note_lock


def lock_device(device_id: int) -> Device:
    """Begin a unit of work on one device: wait for other writers, then give it as it is now."""
    take_write_lock(db.session.connection())
    db.session.expire_all()
    note_lock(device_id)
    return db.session.scalars(
        select(Device)
        .where(Device.id == device_id)
        # rows that name the device may be added meanwhile: who adds some of several devices would deadlock with us
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).one()
