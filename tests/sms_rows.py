"""Rows that tests of SMS share."""

from datetime import datetime, timedelta

from sms_commands import NUMBER

from provisioning.devices import registry, status_table
from provisioning.media import link_service
from provisioning.models import Device, Message, Upload, UploadState, db, locks, utcnow
from provisioning.sms import inbound_texts
from receiver.store.durability import new_id as receiver_id

VERSION = "Ver:03.28.03.Rev.05 Hw:FMC125 IMEI:352094082736916"


def add_van() -> Device:
    given = {"imei": "352094082736916", "phone": NUMBER, "sms_login": "fleet", "sms_password": "cam11"}
    return registry.add(given, utcnow())


def file_of(
    van: Device, *, captured: float = 0.0, source: str = "front", taken: datetime | None = None
) -> Upload:
    """A stored photo that was taken, and arrived, so many seconds from now or at a moment."""
    moment = taken or utcnow() + timedelta(seconds=captured)
    upload = Upload(
        id=receiver_id(moment), imei=van.imei, device_id=van.id, identifier=f"%photo{source[0]}",
        file_type="photo", source=source, state=UploadState.STORED, has_metadata=True, trigger=0, timestamp=moment,
        started_at=moment, sha256="0" * 64,
    )  # fmt: skip
    db.session.add(upload)
    db.session.commit()
    return upload


def relink(van: Device) -> None:

    link_service.relink(locks.lock_device(van.id), utcnow())
    db.session.commit()


# what is older than what is known


def item(van: Device, name: str) -> tuple[str | None, str]:
    found = status_table.get(van.id, name)
    assert found is not None
    return found.value, found.verdict


# texts that wait for their device


def claim(message: Message, van: Device) -> None:
    inbound_texts.claim_sender(
        message, van, lambda device, number: registry.set_phone(device, number, utcnow()), utcnow()
    )
    db.session.expire_all()
