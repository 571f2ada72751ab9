"""How far a camera's clock is off ours, by the times of files that were asked for; kept in the status table."""

from datetime import datetime, timedelta

from sqlalchemy import select

from provisioning.devices import health_rules, status_table
from provisioning.media.link_rules import SERVER_REQUEST
from provisioning.models import Command, Device, Upload, Verdict, command_state, db
from provisioning.tracker.parameters import CATALOGUE, id_of

# what a camera says is older was recorded without a clock, or with one that was never set
OLDEST = timedelta(days=30)
ANNOUNCED_WITHIN = timedelta(hours=1)  # a file comes so long after its announcement
REQUESTS = 10  # as many of a device are looked at
EARLY_SECONDS = 5.0  # a right clock may differ by so much


def seconds_off(command: Command, upload: Upload) -> float | None:
    """Give the camera's time of a file minus the time it was asked for; None where either is not known."""
    if upload.timestamp is None or command.sending_at is None:
        return None
    if upload.file_type == "video":
        return upload.timestamp.timestamp() - float(command.arguments["timestamp"])
    early = (upload.timestamp - command.sending_at).total_seconds()
    late = (upload.timestamp - (upload.received_at or upload.started_at)).total_seconds()
    return 0.0 if early >= -EARLY_SECONDS and late <= EARLY_SECONDS else min(early, late, key=abs)


def request_of(upload: Upload) -> Command | None:
    """Give the request that made a photo: the linked one, else the one to which the device announced this very file.

    By a clock that is behind a photo is older than its request, and so not linked to it.
    """
    if upload.command is not None or upload.timestamp is None or upload.trigger != SERVER_REQUEST:
        return upload.command
    asked = db.session.scalars(
        select(Command)
        .where(
            Command.device_id == upload.device_id,
            Command.kind == "camreq",
            Command.sending_at > upload.started_at - ANNOUNCED_WITHIN,
            Command.sending_at <= upload.started_at,
        )
        .order_by(Command.id.desc())
        .limit(REQUESTS)
    )
    return next((row for row in asked if _has_announced(row, upload)), None)


def _has_announced(row: Command, upload: Upload) -> bool:
    result, moment = row.result or {}, upload.timestamp
    if result.get("already_captured") or row.arguments.get("file_type") != upload.file_type or moment is None:
        return False
    if upload.source not in command_state.wanted_sources(row):
        return False
    # a device announces a file by its whole second; milliseconds of 1970 to 1973 in its metadata are read as seconds
    announced = result.get("file_timestamps", [])
    return int(moment.timestamp()) in {*(stamp // 1000 for stamp in announced), *announced}


def is_wrong(seconds: float) -> bool:
    """Say whether a clock that is off by so much is wrong."""
    return abs(seconds) > health_rules.WRONG_CLOCK


def recorded_at(
    timestamp: datetime | None, began: datetime, *, is_known_to_be_wrong: bool = False
) -> datetime:
    """Give when a file was recorded: by the camera's clock, or when it began to come, where that clock is not believed.

    `is_known_to_be_wrong`: the vehicle's clock, by an earlier file.
    """
    if timestamp is None or is_known_to_be_wrong or not began - OLDEST <= timestamp <= began:
        return began
    return timestamp


def zone_that_fits(zone: int, seconds: float) -> int | None:
    """Give the camera's time zone, in minutes, by which a clock is right that is off by so much with `zone`.

    None where the clock is right, or where no zone explains how far it is off.
    """
    known = CATALOGUE[id_of("camera_time_zone")]
    steps = round(seconds / 60 / known.step)
    fitting = zone - steps * known.step
    if not steps or abs(seconds - steps * known.step * 60) > health_rules.WRONG_CLOCK:
        return None
    is_allowed = (
        known.minimum is not None and known.maximum is not None and known.minimum <= fitting <= known.maximum
    )
    return fitting if is_allowed else None


def note(device: Device, seconds: float, upload_id: str, at: datetime) -> None:
    """Keep how far the clock is off, as a file showed that came at `at`."""
    status_table.note(
        device,
        status_table.CLOCK,
        f"{seconds:.0f}",
        Verdict.BAD if is_wrong(seconds) else Verdict.GOOD,
        now=at,
        source_kind="upload",
        source_id=upload_id,
    )
