"""Links files to the commands and records that caused them, again after each new fact, until a user sets a link.

Gathers a device's facts, has `link_rules` decide, applies it to uploads and to the commands' states.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select

from provisioning.core.config import current_config
from provisioning.core.errors import Invalid
from provisioning.devices import status_table
from provisioning.media import event_service
from provisioning.media.event_files import moment_of
from provisioning.media.link_rules import SERVER_REQUEST, File, Link, LinkBasis, Request, Windows, decide
from provisioning.models import (
    Certainty,
    Command,
    Device,
    State,
    StatusItem,
    TelemetryRecord,
    Upload,
    UploadState,
    changes,
    command_state,
    db,
    files_of,
    first_id,
    locks,
    timestamps,
)
from provisioning.phrase import Phrase
from provisioning.tracker.parameters import SENDS_BY_ITSELF, as_integer, id_of
from provisioning.translation import gettext

_ZONE = f"parameter.{id_of('camera_time_zone')}"
BASIS_ITEMS = (*(f"parameter.{number}" for number in SENDS_BY_ITSELF), _ZONE)
RECORD_SECONDS = 15.0  # a record and the file of the same trigger differ by no more


def relink(device: Device, now: datetime) -> None:
    """Decide anew which of a device's recent files its requests made; the caller holds its lock and commits.

    Files that were taken by themselves are left out: there may be thousands, and each is decided when it comes.
    """
    uploads = _recent_files(device, now)
    if not uploads:
        return
    present = present_basis(status_table.shown([device.id], BASIS_ITEMS).get(device.id, {}))
    files = [_file(upload, _basis(upload, present)) for upload in uploads]
    recent = {upload.id for upload in uploads}
    longest = max(file.basis.windows.window for file in files if file.basis)
    commands = db.session.scalars(
        select(Command).where(
            Command.device_id == device.id,
            Command.kind == "camreq",
            Command.sending_at.is_not(None),
            Command.sending_at >= uploads[0].started_at - 2 * timedelta(seconds=longest),
        )
    ).all()
    requests = [_request(command) for command in commands if not command.foreign_server]
    linked = uploads_of(commands)
    files += [_answer(upload) for rows in linked.values() for upload in rows if upload.id not in recent]
    decided = decide(files, requests, as_basis(present))
    for upload in uploads:
        if upload.id in decided:
            _apply(upload, decided[upload.id], now)
    db.session.flush()
    _settle(commands, now)


def _recent_files(device: Device, now: datetime) -> Sequence[Upload]:
    """Give the stored files of two link windows that requests may have made, in the order in which they came."""
    window = timedelta(seconds=current_config().link_window)
    return db.session.scalars(
        select(Upload)
        .where(
            files_of(device),
            Upload.state == UploadState.STORED,
            Upload.id >= first_id(now - 2 * window),
            or_(
                Upload.trigger.is_(None),
                Upload.trigger == SERVER_REQUEST,
                Upload.timestamp.is_(None),
                Upload.has_metadata.is_(False),
                Upload.command_id.is_not(None),
                Upload.link_reason.is_(None),
            ),
        )
        .order_by(Upload.id)
    ).all()


def present_basis(items: Mapping[str, StatusItem]) -> dict[str, Any]:
    """Give by what a device's files are decided now, as a row keeps it; None for what is not known of the device.

    `items`: those of BASIS_ITEMS that its status has.
    """
    config = current_config()
    windows = Windows(
        config.link_certain_seconds,
        config.link_probable_seconds,
        float(config.link_window),
        config.link_capture_tolerance,
    )
    zone = items[_ZONE].value if _ZONE in items else None
    known = [item for name, item in items.items() if name != _ZONE]
    # triggers or periodic photos may be on
    unasked = (
        any(as_integer(value) for item in known for value in (item.value, item.asked)) if known else None
    )
    return {"windows": list(astuple(windows)), "unasked": unasked, "zone": as_integer(zone)}


def as_basis(kept: Mapping[str, Any]) -> LinkBasis:
    """Read what a row keeps."""
    return LinkBasis(Windows(*kept["windows"]), bool(kept["unasked"]), kept["zone"])


def _basis(upload: Upload, present: Mapping[str, Any]) -> LinkBasis:
    """Give by what a file is decided, and keep it: a setting of later changes no link of before.

    What was not known of the device then counts once it is.
    """
    known = {name: value for name, value in (upload.link_basis or {}).items() if value is not None}
    basis = {**present, **known}
    if basis != upload.link_basis:
        upload.link_basis = basis
    return as_basis(basis)


def _file(upload: Upload, basis: LinkBasis | None) -> File:
    return File(
        id=upload.id,
        file_type=upload.file_type,
        source=upload.source,
        arrived=upload.started_at.timestamp(),
        has_metadata=upload.has_metadata and upload.timestamp is not None,
        trigger=upload.trigger,
        captured=upload.timestamp.timestamp() if upload.timestamp else None,
        trigger_time=upload.trigger_timestamp.timestamp() if upload.trigger_timestamp else None,
        time_zone=upload.camera_time_zone,
        fixed=upload.link_fixed,
        command=upload.command_id,
        basis=basis,
        whole=upload.received_at.timestamp() if upload.received_at else None,
    )


def _answer(upload: Upload) -> File:
    """Give a file that is too old to be decided anew: it keeps its place at its request."""
    is_answer = upload.link_certainty == Certainty.CERTAIN
    return replace(_file(upload, None), fixed=True, is_answer=is_answer)


def _request(command: Command) -> Request:
    assert command.sending_at is not None
    result = command.result or {}
    asked = command.arguments.get("timestamp")
    return Request(
        id=command.id,
        file_type=command.arguments["file_type"],
        sources=command_state.wanted_sources(command),
        handed_over=command.sending_at.timestamp(),
        asked=float(asked) if asked is not None else None,
        announced=tuple(ms / 1000 for ms in result.get("file_timestamps", [])),
        open=command.state not in (State.FAILED, State.EXPIRED, State.CANCELLED),
        refused=command.state == State.FAILED and command.error_code != "partial",
        already_captured=bool(result.get("already_captured")),
    )


def _apply(upload: Upload, link: Link, now: datetime) -> None:
    known = (upload.command_id, upload.link_reason, upload.link_certainty, upload.looked_like)
    if known == (link.command, link.reason, link.certainty, link.looked_like):
        return
    upload.command_id, upload.link_reason, upload.link_certainty = link.command, link.reason, link.certainty
    upload.looked_like, upload.linked_at, upload.event_due = link.looked_like, now, True
    changes.publish(upload.device_id, "uploads")


def tie_record(upload: Upload) -> None:
    """Link a new file to the record of its trigger, if there is one."""
    if upload.record_id is not None or upload.trigger is None or upload.timestamp is None:
        return
    moment = upload.trigger_timestamp or upload.timestamp
    first, last = (moment_of(moment.timestamp() + off) for off in (-RECORD_SECONDS, RECORD_SECONDS))
    records = db.session.scalars(
        select(TelemetryRecord).where(
            TelemetryRecord.device_id == upload.device_id, TelemetryRecord.timestamp.between(first, last)
        )
    )
    same = [record for record in records if as_integer(record.values.get("499")) == upload.trigger]
    if same:
        upload.record_id = min(same, key=lambda r: abs(r.timestamp - moment)).id


def tie(device: Device, record: TelemetryRecord, now: datetime) -> None:
    """Tie the recent files of a record's trigger to it; the caller holds the device's lock and commits."""
    trigger = as_integer(record.values.get("499"))
    if trigger is None:
        return
    near, recent = (
        timedelta(seconds=RECORD_SECONDS),
        now - 2 * timedelta(seconds=current_config().link_window),
    )
    moment = func.coalesce(Upload.trigger_timestamp, Upload.timestamp)
    waiting = db.session.scalars(
        select(Upload).where(
            files_of(device),
            Upload.state == UploadState.STORED,
            Upload.id >= first_id(recent),
            Upload.record_id.is_(None),
            Upload.trigger == trigger,
            moment >= record.timestamp - near,
            moment <= record.timestamp + near,
        )
    )
    for upload in waiting:
        upload.record_id = record.id
        changes.publish(device.id, "uploads")


def _settle(commands: Sequence[Command], now: datetime) -> None:
    """Bring requests in line with their files."""
    linked = uploads_of(commands)
    for command in commands:
        _settle_one(command, linked.get(command.id, []), now)


def _settle_one(command: Command, linked: Sequence[Upload], now: datetime) -> None:
    """Bring a request's state in line with the files that are linked to it."""
    uploads = [upload for upload in linked if upload.state == UploadState.STORED]
    sources = sorted({upload.source for upload in uploads})
    if sources == (command.result or {}).get("linked", []) and not (sources and command.state != State.DONE):
        return
    command.result = dict(command.result or {}) | {"linked": sources}
    missing = command_state.missing_sources(command, sources)
    if not missing and command.state != State.DONE:
        if command_state.may_move(command, State.DONE):
            note = Phrase("every_file_came" if len(sources) > 1 else "file_came")
            command_state.move(command, State.DONE, now, note=note)
    elif missing and command.state == State.DONE and not command.foreign_server:
        wait = timestamps.later(now, current_config().capture_timeout)
        command_state.move(command, State.ANSWERED, now, note=Phrase("file_unlinked"), expires_at=wait)
    elif missing and sources and command.state in (State.EXPIRED, State.FAILED):
        _partial(command, missing, now)
    changes.publish(command.device_id, "commands")


def _partial(command: Command, missing: Sequence[str], now: datetime) -> None:
    if command.error_code == "partial":
        return
    if command.state == State.EXPIRED:
        why = Phrase("partial", {"missing": list(missing)})
        command_state.move(command, State.FAILED, now, error=("partial", why, True))
    else:
        why = Phrase("partial", {"missing": list(missing), "error": command.error})
        command.error_code, command.error = "partial", why


def uploads_of(commands: Sequence[Command]) -> dict[str, list[Upload]]:
    """Give the linked uploads of several commands, by command id."""
    found: dict[str, list[Upload]] = defaultdict(list)
    rows = db.session.scalars(
        select(Upload).where(Upload.command_id.in_([command.id for command in commands]))
    )
    # sorted here: SQLite may go through all uploads to have them in this order
    for upload in sorted(rows, key=lambda upload: upload.id):
        found[str(upload.command_id)].append(upload)
    return found


def fix(upload: Upload, command: Command | None, by: str, now: datetime) -> bool:
    """Link a file by hand (to nothing, with None); no rule changes it afterwards. Commits. Raises Invalid.

    Says whether that is new: a link that was made by hand before stays as it is.
    """
    if upload.device_id is None:
        raise Invalid(gettext("This file belongs to no vehicle; add the vehicle first."), code="no_device")
    if command is not None and (wrong := _wrong(upload, command)):
        raise Invalid(gettext("The link cannot be made."), errors={"command": [wrong]})
    device_id, before = upload.device_id, upload.command_id
    device = locks.lock_device(device_id)
    wanted = command.id if command else None
    if upload.link_fixed and upload.command_id == wanted:
        db.session.commit()
        return False
    upload.command_id = wanted
    upload.link_reason = Phrase("linked_by" if command else "unlinked_by", {"who": by})
    upload.link_certainty, upload.link_fixed, upload.linked_at = Certainty.MANUAL, True, now
    upload.looked_like = None  # a person has looked at it
    upload.event_due = True
    db.session.flush()
    relink(device, now)
    # a request older than what is linked by itself follows a person's word all the same
    idents = sorted(ident for ident in {before, upload.command_id} if ident)
    _settle([db.session.get_one(Command, ident) for ident in idents], now)
    changes.publish(device_id, "uploads")
    db.session.commit()
    event_service.remake(now, device_id)
    return True


def _wrong(upload: Upload, command: Command) -> str | None:
    """Say why a request cannot have made a file; None where it can."""
    if command.device_id != upload.device_id:
        return gettext("This request belongs to another vehicle.")
    if command.kind != "camreq":
        return gettext("Only a request for a photo or a clip can have made a file.")
    if command.arguments["file_type"] != upload.file_type:
        return (
            gettext("This request asked for a photo.")
            if command.arguments["file_type"] == "photo"
            else gettext("This request asked for a clip.")
        )
    if upload.source not in command_state.wanted_sources(command):
        return (
            gettext("This request did not ask for the front camera.")
            if upload.source == "front"
            else gettext("This request did not ask for the rear camera.")
        )
    return None
