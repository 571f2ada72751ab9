"""Which commands are due: the devices that have one, and the next one of a device."""

import math
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, literal, not_, select
from sqlalchemy.orm import aliased

from provisioning.core.config import current_config
from provisioning.devices import credentials
from provisioning.models import Command, Device, State, command_state, db, timestamps, utcnow
from provisioning.phrase import Phrase
from provisioning.sms import gateway
from provisioning.sms.sender_bucket import tokens_left
from provisioning.tracker.language.camera_request import CamReq
from provisioning.tracker.language.commands import CamGetRestart, CamGetSdFormat, CamGetVer

# what a camera that starts again, or takes over new settings, refuses or answers as one that is missing
ASK_CAMERAS = frozenset({CamReq.name, CamGetVer.name, CamGetSdFormat.name})
DUE_AT_ONCE = 32  # devices of one poll
WAITS_FOR_PROOF = Phrase("waits_for_proof")
WAITS_FOR_FILES = Phrase("waits_for_files")


def _is_not_known_to_wait(
    waits_for_proof: ColumnElement[bool], capturing: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Leave out the commands whose note says already why they wait, as long as that is so."""
    return and_(
        Command.parent_id.is_not(None)
        | not_(waits_for_proof)
        | Command.note.is_distinct_from(WAITS_FOR_PROOF),
        (Command.kind != "camreq") | not_(capturing) | Command.note.is_distinct_from(WAITS_FOR_FILES),
    )


def _of_same_device(other: Any, condition: Any) -> ColumnElement[bool]:
    return select(other.id).where(other.device_id == Command.device_id, condition).exists()


_other = aliased(Command)
# built once: building it takes ten times as long as running it, and it runs many times a second
DUE = (
    select(Command.device_id)
    .join(Device, Command.device_id == Device.id)
    .where(
        Command.state == State.QUEUED,
        Command.due_at <= bindparam("now", callable_=utcnow),
        Command.device_id.not_in(bindparam("but", (), expanding=True)),
        Device.archived_at.is_(None),
        ~_of_same_device(_other, _other.in_flight),
        _is_not_known_to_wait(credentials.is_waiting_for_proof(), _of_same_device(_other, _other.capturing)),
    )
    .order_by(Command.due_at)
    .limit(bindparam("most", DUE_AT_ONCE))
)


def due_devices(now: datetime, but: Collection[int] = ()) -> list[int]:
    """Give the devices of which a command may be sent now, the longest due first, without those in `but`.

    No more than the sender's bucket has tokens for. A command that must wait for another one counts only until it
    says so in its note; the end of its wait makes it due again by itself. Raises Unavailable where something is due
    and no gateway is configured.
    """
    values = {"now": now, "but": list(but), "most": DUE_AT_ONCE}
    found = list(dict.fromkeys(db.session.scalars(DUE, values)))
    if found:
        found = found[: tokens_left(gateway.gateway(), now)]
    db.session.rollback()
    return found


def next_command(device: Device, now: datetime) -> Command | None:
    """Choose what may go now: proofs and read-backs first, then by order of asking."""
    if device.archived_at is not None:
        return None
    held = db.session.scalars(
        select(Command).where(Command.device_id == device.id, Command.in_flight | Command.capturing)
    ).all()
    if any(command.in_flight for command in held):
        return None
    capturing = bool(held)
    waits_for_proof = credentials.waits_for_proof(device)
    waiting = db.session.scalars(
        select(Command)
        .where(
            Command.device_id == device.id,
            Command.state == State.QUEUED,
            Command.due_at <= now,
            _is_not_known_to_wait(literal(waits_for_proof), literal(capturing)),
        )
        .order_by(case((Command.parent_id.is_not(None), 0), else_=1), Command.id)
        .limit(50)
    )
    for command in waiting:
        if waits_for_proof and command.parent_id is None:
            command_state.set_note(command, WAITS_FOR_PROOF, now)
        elif command.kind == "camreq" and capturing:
            command_state.set_note(command, WAITS_FOR_FILES, now)
        elif command.kind in ASK_CAMERAS and (until := _reconfiguring(device, now)):
            command.due_at = until
            command_state.set_note(command, _why(device, until, now), now)
        else:
            return command
    return None


def _reconfiguring(device: Device, now: datetime) -> datetime | None:
    """Give until when the camera takes no request; a time too far ahead was written by a clock that was wrong."""
    until, config = device.reconfiguring_until, current_config()
    longest = max(config.reconfiguration_wait, config.camera_restart_wait)
    return until if until is not None and now < until <= timestamps.later(now, longest) else None


def _why(device: Device, until: datetime, now: datetime) -> Phrase:
    """Say why the cameras take no request: they start again, or take over new settings."""
    restarted = select(Command.id).where(
        Command.device_id == device.id,
        Command.kind == CamGetRestart.name,
        Command.answered_at > timestamps.later(now, -current_config().camera_restart_wait),
    )
    if db.session.scalar(restarted.limit(1)) is None:
        return Phrase("waits_for_new_settings")
    return Phrase("waits_for_restart", {"seconds": math.ceil((until - now).total_seconds())})
