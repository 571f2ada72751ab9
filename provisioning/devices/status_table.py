"""The status table: what is known of a device, item by item, with verdict, time and source."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, literal_column, or_, select

from provisioning.models import (
    Command,
    Device,
    StatusItem,
    Verdict,
    changes,
    db,
    health_marks,
    put_all,
    utcnow,
)
from provisioning.phrase import Phrase
from provisioning.tracker.language import StatusFact
from provisioning.tracker.parameters import (
    CREDENTIALS,
    SECRET_SHOWN,
    SENDS_BY_ITSELF,
    as_integer,
    id_of,
    same,
)

ERROR = "error.last"  # the last thing that went wrong: its value is a phrase, as text
LAST_FILE = "upload.last"
# these name a file: their value is a phrase, as text
FILES = (LAST_FILE, "camera.front.file", "camera.front.video", "camera.rear.file", "camera.rear.video")
SPEED = "upload.speed"  # bytes per second of the last check's own files
CLOCK = "camera.clock"  # the camera's time minus ours, in seconds, by its newest file
TRACKER_SERVER = "tracker.server"  # where the tracker's own data went, where that was here
CAMERA_VERSIONS = ("camera.front.version", "camera.rear.version")
# what a camera says of itself by AVL 498 and 497
NOT_DETECTED, NO_CARD = "not detected", "no SD card"
CARD_NOT_MOUNTED, CARD_MOUNTED, CARD_FAULTY = (
    "SD card could not be mounted",
    "SD card mounted",
    "SD card faulty",
)
SERVER_PROVED = "camera.server"  # our address as it was when a file came that the vehicle sent by itself
AHEAD = timedelta(hours=1)  # a time of ours so far ahead of now was written by a clock that was wrong


def get(device_id: int, item: str) -> StatusItem | None:
    """Give one item, or None."""
    return db.session.scalar(
        select(StatusItem).where(StatusItem.device_id == device_id, StatusItem.item == item)
    )


def is_judged(device_id: int, item: str) -> bool:
    """Say whether an item is known to be good or not."""
    row = get(device_id, item)
    return row is not None and row.verdict != Verdict.UNKNOWN


def note(
    device: Device,
    item: str,
    value: str | None,
    verdict: Verdict,
    *,
    now: datetime,
    source_kind: str,
    source_id: str | None,
    text: Phrase | None = None,
) -> StatusItem | None:
    """Set what is known of an item at `now`, the time of the fact; `since` moves only when the value does.

    An older fact than the one that is known changes nothing: None.
    """
    row = get(device.id, item)
    if row is not None and row.value is not None and now < row.checked_at <= utcnow() + AHEAD:
        return None
    if row is None:
        row = StatusItem(device_id=device.id, item=item, since=now)
        db.session.add(row)
    elif row.value != value:
        row.since = now
    row.value, row.verdict, row.note = value, verdict, text
    row.checked_at, row.source_kind, row.source_id = now, source_kind, source_id
    db.session.flush()
    _publish(device.id)
    return row


def _publish(device_id: int) -> None:
    changes.publish(device_id, "status")
    health_marks.mark([device_id])


def note_all(
    item: str,
    source_kind: str,
    facts: Mapping[int, tuple[str, str, datetime]],
    now: datetime,
    verdict: Verdict = Verdict.GOOD,
    text: Phrase | None = None,
) -> None:
    """Set an item that is new each time, for many devices at once.

    By device id the value, the source's id and the time of the fact; what is known from later stays.
    """
    rows = [
        {
            "device_id": device_id,
            "item": item,
            "value": value,
            "verdict": verdict,
            "note": text,
            "since": min(at, now),
            "checked_at": min(at, now),
            "source_kind": source_kind,
            "source_id": source_id,
        }
        for device_id, (value, source_id, at) in facts.items()
    ]
    found_at: ColumnElement[datetime] = literal_column("excluded.checked_at")
    newer = or_(StatusItem.checked_at <= found_at, StatusItem.checked_at > now + AHEAD)
    put_all(StatusItem, rows, "device_id, item", where=newer)
    changes.publish_all(facts, "status")
    health_marks.mark(facts)


def note_asked(device: Device, command: Command, now: datetime) -> None:
    """Remember what a setparam that went out asks of each parameter; the verdict waits for the device's own words.

    For other commands nothing happens, nor where the device has answered: then it was remembered before.
    """
    if command.kind != "setparam" or command.answered_at is not None:
        return
    values = command.arguments.get("parameters") or command.arguments["encrypted"]
    for number, value in ((int(number), value) for number, value in values.items()):
        row = get(device.id, f"parameter.{number}")
        if row is None:
            row = StatusItem(device_id=device.id, item=f"parameter.{number}", since=now, checked_at=now)
            row.source_kind, row.source_id = "command", command.id
            db.session.add(row)
        row.asked = SECRET_SHOWN if number in CREDENTIALS else str(value)
        _judge(row)
    db.session.flush()
    _publish(device.id)


def update(device: Device, fact: StatusFact, source: tuple[str, str], at: datetime) -> StatusItem | None:
    """Take a fact in the device's own words, whatever command they answer; None where it changes nothing."""
    verdict = {True: Verdict.GOOD, False: Verdict.BAD, None: Verdict.UNKNOWN}[fact.is_good]
    if verdict is Verdict.BAD and fact.item in CAMERA_VERSIONS and cameras_may_sleep(device, at):
        if is_judged(device.id, fact.item):
            return None  # a camera without power disproves nothing that is known of it
        verdict = Verdict.UNKNOWN
    row = note(
        device,
        fact.item,
        fact.value,
        verdict,
        now=at,
        source_kind=source[0],
        source_id=source[1],
        text=fact.note,
    )
    if row is not None and fact.is_good is None:
        _judge(row)
    return row


def _judge(row: StatusItem) -> None:
    if row.asked is None:
        row.verdict, row.note = (Verdict.GOOD if row.value is not None else Verdict.UNKNOWN), None
    elif row.value is None:
        row.verdict, row.note = Verdict.UNKNOWN, Phrase("not_confirmed", {"asked": row.asked})
    elif same(int(row.item.split(".")[1]), row.value, row.asked):
        row.verdict, row.note = Verdict.GOOD, None
    else:
        row.verdict = Verdict.BAD
        row.note = Phrase("holds_other_value", {"asked": row.asked, "held": row.value})


def parameters(device_id: int, numbers: Iterable[int]) -> list[StatusItem]:
    """Give what is known of these parameters, asked for or confirmed."""
    wanted = [f"parameter.{number}" for number in numbers]
    rows = select(StatusItem).where(StatusItem.device_id == device_id, StatusItem.item.in_(wanted))
    return list(db.session.scalars(rows))


def sends_by_itself(rows: Iterable[StatusItem]) -> dict[int, StatusItem]:
    """Give the parameters that make a device send without a request: as it confirmed, else as it was asked to hold."""
    held = {row.item: row for row in rows}
    found = {
        number: held[f"parameter.{number}"]
        for number in sorted(SENDS_BY_ITSELF)
        if f"parameter.{number}" in held
    }
    return {n: row for n, row in found.items() if as_integer(row.asked if row.value is None else row.value)}


def confirmed(device_id: int, numbers: Iterable[int]) -> dict[int, str]:
    """Give what the device itself confirmed of these parameters."""
    rows = parameters(device_id, numbers)
    return {int(row.item.split(".")[1]): row.value for row in rows if row.value is not None}


def known_parameters(device_id: int) -> dict[int, str]:
    """Give every parameter value that the device confirmed."""
    rows = db.session.scalars(
        select(StatusItem).where(StatusItem.device_id == device_id, StatusItem.item.like("parameter.%"))
    )
    return {int(row.item.split(".")[1]): row.value for row in rows if row.value is not None}


def shown(device_ids: Iterable[int], items: Iterable[str]) -> dict[int, dict[str, StatusItem]]:
    """Give these items of many devices, by device id and name."""
    found: dict[int, dict[str, StatusItem]] = {}
    query = select(StatusItem).where(StatusItem.device_id.in_(device_ids), StatusItem.item.in_(items))
    for row in db.session.scalars(query):
        found.setdefault(row.device_id, {})[row.item] = row
    return found


def cameras_may_sleep(device: Device, at: datetime) -> bool:
    """Say whether the cameras may have no power at a time: the ignition is known to be off, and the mode not always."""
    ignition = get(device.id, "ignition")
    if ignition is None or ignition.value != "off" or ignition.since > at:
        return False
    scenario = id_of("scenario_mode")
    return confirmed(device.id, [scenario]).get(scenario) != "1"


def remark_error(
    device: Device, error: Phrase, command: str | None, *, now: datetime, source: tuple[str, str]
) -> None:
    """Remember the last thing that went wrong, and the kind of the command that failed by it."""
    held = Phrase("failed", {"command": command, "error": error}).as_text()
    note(device, ERROR, held, Verdict.WARN, now=now, source_kind=source[0], source_id=source[1])
