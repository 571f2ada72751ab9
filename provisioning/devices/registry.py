"""The registry of devices: adding, changing, archiving, and their phone numbers over time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from provisioning.core import encryption
from provisioning.core.errors import Conflict, Invalid, NotFound
from provisioning.devices import cabin_rule, credentials
from provisioning.models import (
    ChecklistRun,
    Command,
    Device,
    DevicePhone,
    DeviceTag,
    Profile,
    State,
    changes,
    command_state,
    db,
    health_marks,
    locks,
    visibility,
)
from provisioning.phrase import Phrase
from provisioning.tracker.normalization import clean_imei, clean_line
from provisioning.translation import N_, gettext

TAKEN = {
    "imei": N_("There is a vehicle with this IMEI."),
    "phone": N_("There is a vehicle with this phone number."),
}


def find(imei: str) -> Device:
    """Give the live device with this IMEI. Raises NotFound."""
    device = db.session.scalar(select(Device).where(Device.imei == imei, Device.archived_at.is_(None)))
    if device is None:
        raise NotFound(gettext("There is no vehicle with the IMEI %(imei)s.", imei=imei[:20]))
    return device


def is_live(device_id: int) -> bool:
    """Say whether a device is in use, and one that the caller may see."""
    live = select(Device.id).where(Device.id == device_id, Device.archived_at.is_(None))
    return db.session.scalar(live) is not None


def ids_of(imei: str) -> Sequence[int]:
    """Give the ids of all devices that have this IMEI, or had it before they were archived."""
    return db.session.scalars(select(Device.id).where(Device.imei == imei)).all()


def named(text: str) -> Device:
    """Give the live device with this IMEI, or the only one with this name. Raises NotFound."""
    text = clean_line(text)
    imei = clean_imei(text)
    found = db.session.scalars(
        select(Device)
        .where(Device.archived_at.is_(None), (Device.imei == imei) | (Device.name == text))
        .order_by(Device.imei != imei)
        .limit(2)
    ).all()
    if not found or (found[0].imei != imei and len(found) > 1):
        raise NotFound(
            gettext("There is no vehicle, or more than one, called %(name)s; give its IMEI.", name=text[:40])
        )
    return found[0]


def add(values: Mapping[str, Any], now: datetime) -> Device:
    """Add a device and commit. Raises Conflict naming IMEI or phone, where one is taken; Invalid naming the tags."""
    tags = _tags(values.get("tags") or (), frozenset())
    device = Device(
        imei=values["imei"],
        phone=values["phone"],
        name=values.get("name") or "",
        model=values.get("model") or "",
        time_zone=values.get("time_zone") or "UTC",
        created_at=now,
        updated_at=now,
    )
    device.plate, device.card_gb = values.get("plate") or None, values.get("card_gb")
    device.profile_id = values.get("profile_id")
    device.tag_rows = [DeviceTag(tag=tag) for tag in tags]
    _set_credentials(device, values)
    device.camera_server_configured = bool(values.get("camera_server_configured"))
    device.cabin_private = bool(values.get("cabin_private"))
    cabin_rule.refuse_preset(device, _preset_of(device))
    db.session.add(device)
    device.phones.append(DevicePhone(phone=device.phone, since=now))
    _save(device, db.session.flush)
    health_marks.note_lock(device.id)  # nobody else sees the row before the commit
    health_marks.mark([device.id])
    changes.publish(device.id, "devices")
    db.session.commit()
    return device


def change(device: Device, values: Mapping[str, Any], now: datetime) -> Device:
    """Change what is given and commit. Credentials are what the device already has: nothing is sent.

    Raises Conflict where the phone number is taken, or credentials are just being changed by SMS; Invalid
    naming the tags.
    """
    device = locks.lock_device(device.id)
    for name in (
        "name",
        "model",
        "plate",
        "card_gb",
        "profile_id",
        "time_zone",
        "camera_server_configured",
        "cabin_private",
    ):
        if name in values:
            setattr(device, name, values[name])
    if {"profile_id", "cabin_private"} & values.keys():
        cabin_rule.refuse_preset(device, _preset_of(device))
    if "tags" in values:
        kept = {row.tag: row for row in device.tag_rows}
        wanted = _tags(values["tags"], frozenset(kept))
        device.tag_rows = [kept.get(tag) or DeviceTag(tag=tag) for tag in wanted]
    if {"sms_login", "sms_password"} & set(values):
        credentials.said(device, now)
    _set_credentials(device, values)
    if "phone" in values:
        set_phone(device, values["phone"], now)
    device.updated_at = now
    health_marks.mark([device.id])
    changes.publish(device.id, "devices")
    _save(device, db.session.commit)
    return device


def _preset_of(device: Device) -> Profile | None:
    return db.session.get(Profile, device.profile_id) if device.profile_id is not None else None


def set_profile(device: Device, profile: Profile) -> None:
    """Remember which settings a device should have; the caller holds its lock and commits.

    Raises Invalid where the preset takes something of the cabin of a vehicle that takes nothing of it.
    """
    cabin_rule.refuse_preset(device, profile)
    device.profile_id = profile.id
    health_marks.mark([device.id])


def set_phone(device: Device, phone: str, now: datetime) -> None:
    """Give a device another number; the old one stays known for the time it was in use. The caller commits."""
    if phone == device.phone:
        return
    same = select(Device.id).where(
        Device.phone == phone, Device.archived_at.is_(None), Device.id != device.id
    )
    with visibility.whole_fleet():
        owner = db.session.scalar(same)
    if owner is not None:
        problem = gettext(TAKEN["phone"])
        raise Conflict(problem, code="taken", errors={"phone": [problem]})
    for row in device.phones:
        row.until = row.until or now
    device.phone = phone
    device.phones.append(DevicePhone(phone=phone, since=now))
    health_marks.mark([device.id])
    _save(device, db.session.flush)


def archive(device: Device, now: datetime) -> None:
    """Take a device out of use and commit: its files, commands and links stay, IMEI and phone become free."""
    device = locks.lock_device(device.id)
    device.archived_at = now
    db.session.execute(
        update(DevicePhone)
        .where(DevicePhone.device_id == device.id, DevicePhone.until.is_(None))
        .values(until=now)
    )
    waiting = select(Command).where(Command.device_id == device.id, Command.state == State.QUEUED)
    for command in db.session.scalars(waiting):
        command_state.move(command, State.CANCELLED, now, note=Phrase("device_archived"))
    db.session.execute(
        update(ChecklistRun)
        .where(ChecklistRun.device_id == device.id, ChecklistRun.ended_at.is_(None))
        .values(ended_at=now, verdict="stopped", waits_for_person=False)
    )
    health_marks.mark([device.id])
    changes.publish(device.id, "devices")
    db.session.commit()


def _tags(wanted: Iterable[str], before: frozenset[str]) -> list[str]:
    """Give the tags that a device is to have, by name.

    Who is limited to tags gives and takes only those, one of which stays: else the device would be out of sight. Raises
    Invalid where it would not be so.
    """
    tags, limit = frozenset(wanted), visibility.tags()
    if limit is not None:
        own = ", ".join(sorted(limit))
        if not tags and not before:
            tags = frozenset([min(limit)])
        if (tags ^ before) - limit:
            problem = gettext("You may give and take only: %(tags)s.", tags=own)
            raise Invalid(gettext("Some fields are wrong."), errors={"tags": [problem]})
        if not tags & limit:
            problem = gettext("One of these has to stay: %(tags)s.", tags=own)
            raise Invalid(gettext("Some fields are wrong."), errors={"tags": [problem]})
    return sorted(tags)


def _set_credentials(device: Device, values: Mapping[str, Any]) -> None:
    for name in ("sms_login", "sms_password"):
        if name in values:
            setattr(device, name, encryption.encrypt(values[name]) if values[name] else None)


@visibility.whole_fleet()
def _save(device: Device, write: Callable[[], None]) -> None:
    """Flush or commit; what another request took at the same moment is a Conflict that names it."""
    imei, phone = device.imei, device.phone
    try:
        write()
    except IntegrityError as error:
        db.session.rollback()
        live = select(Device.imei, Device.phone).where(Device.archived_at.is_(None))
        taken = [
            name
            for name, found in (
                ("imei", db.session.execute(live.where(Device.imei == imei)).first()),
                ("phone", db.session.execute(live.where(Device.phone == phone)).first()),
            )
            if found
        ]
        if not taken:
            raise
        errors = {name: [gettext(TAKEN[name])] for name in taken}
        raise Conflict(
            " ".join(gettext(TAKEN[name]) for name in taken), code="taken", errors=errors
        ) from error
