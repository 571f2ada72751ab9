"""What is known of a vehicle, item by item, in words: labels, values, groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from provisioning.commands import command_words, submission
from provisioning.devices import status_table, status_words, transfer_times
from provisioning.models import Device, StatusItem, db
from provisioning.phrase import AS_IT_IS, Phrase, read
from provisioning.tracker.parameters import Parameter
from provisioning.translation import N_, gettext
from provisioning.web.pages.amounts import size
from provisioning.web.pages.parameters import words
from provisioning.web.pages.words import title_of

# items with a number of the catalogue, or a key of a reply, for a name
NAMED_BY_DEVICE = ("parameter.", "info.")
GROUPS = (
    (N_("Contact"), ("contact.", "upload.", "error.", "imei", "firmware")),
    (N_("Cameras"), ("camera.", "ignition", "sos")),
    (N_("Settings"), ("parameter.",)),
    (N_("Tracker"), ("info.", "tracker.", "files.")),
)
OTHER = N_("Other")  # the group of items whose names begin otherwise
LABELS = {
    "contact.sms": N_("Last SMS from the vehicle"),
    "contact.tcp": N_("Last connection of the camera"),
    "tracker.server": N_("Server of the tracker's own data"),
    "files.day_limit": N_("Limit of files in a day"),
    "upload.last": N_("Last file"),
    "upload.speed": N_("Speed of the last check's files"),
    "camera.server": N_("Own camera server, proved by a file it sent by itself"),
    "camera.front.version": N_("Firmware of the front camera"),
    "camera.front.state": N_("Card of the front camera"),
    "camera.front.file": N_("Newest file of the front camera"),
    "camera.front.video": N_("Newest clip of the front camera"),
    "camera.rear.version": N_("Firmware of the rear camera"),
    "camera.rear.state": N_("Card of the rear camera"),
    "camera.rear.file": N_("Newest file of the rear camera"),
    "camera.rear.video": N_("Newest clip of the rear camera"),
    "camera.clock": N_("Seconds that the camera's clock is ahead"),
    "error.last": N_("Last problem"),
    "imei": N_("IMEI that it reports"),
    "firmware": N_("Firmware"),
    "ignition": N_("Ignition"),
    "sos": N_("Last SOS trigger"),
}


@dataclass(frozen=True, slots=True)
class ItemView:
    """An item for people, with the row that it is made of; a time is shown in the vehicle's zone."""

    row: StatusItem
    label: str
    value: str | datetime


def groups(device: Device) -> Sequence[tuple[str, list[ItemView]]]:
    """Give what is known of a vehicle, item by item, in groups with their titles; none is empty."""
    rows = db.session.scalars(
        select(StatusItem).where(StatusItem.device_id == device.id).order_by(StatusItem.item)
    ).all()
    catalogue = submission.catalogue()
    found: dict[str, list[ItemView]] = {title: [] for title, _ in GROUPS}
    for row in rows:
        title = next((title for title, starts in GROUPS if row.item.startswith(starts)), OTHER)
        found.setdefault(title, []).append(ItemView(row, _label(row.item, catalogue), _value(row, catalogue)))
    return [(gettext(title), some) for title, some in found.items() if some]


def _label(item: str, catalogue: Mapping[int, Parameter]) -> str:
    if item.startswith("parameter."):
        number = int(item.split(".")[1])
        return f"{gettext(catalogue[number].name)} ({number})" if number in catalogue else item
    if item in LABELS:
        return gettext(LABELS[item])
    return item.removeprefix("info.").replace(".", " ")


def _value(row: StatusItem, catalogue: Mapping[int, Parameter]) -> str | datetime:
    """Give a value for people: a time as such, a parameter's number with what it stands for."""
    if row.value is None:
        return "?"
    if row.item.startswith("contact."):
        try:
            return datetime.fromisoformat(row.value)
        except ValueError:
            return row.value
    if row.item == status_table.ERROR:
        return command_words.status_value(row) or "?"
    if row.item == status_table.SPEED:
        return transfer_times.rate(float(row.value))
    if row.item.startswith("parameter."):
        number = int(row.item.split(".")[1])
        return words(catalogue[number], row.value) if number in catalogue else row.value
    if row.item in status_table.FILES:
        return _file(read(row.value))
    return status_words.value(row.value)


def _file(named: Phrase) -> str:
    """Name a file with its size; a row of an older version has words of its own."""
    if named.code == AS_IT_IS:
        return status_words.sentence(named)
    given = named.arguments
    return f"{title_of(given['source'], given['file_type'])}, {size(given['bytes'])}"
