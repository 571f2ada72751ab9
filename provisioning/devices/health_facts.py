"""Gathers the dated facts of one device that its health is decided from (`health`); changes no row.

Few statements for a device, each bounded: the status table, and its newest checks, requests and files.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_, select

from provisioning.core.config import current_config
from provisioning.devices import camera_server, status_table, transfer_times
from provisioning.devices.health_findings import RECENT
from provisioning.devices.vehicle_facts import (
    DUALCAM,
    SIDES,
    CameraFacts,
    Card,
    CheckFacts,
    Drift,
    Known,
    SentCommand,
    VehicleFacts,
    camera_of_verdict,
)
from provisioning.models import (
    NO_VERDICT,
    OPEN,
    ChecklistRun,
    Command,
    Device,
    DevicePhone,
    Profile,
    ShownState,
    State,
    StatusItem,
    Upload,
    UploadState,
    Verdict,
    command_state,
    db,
    files_of,
    first_id,
)
from provisioning.tracker.parameters import CREDENTIALS, SENDS_BY_ITSELF, same

CHECKS = 5
REQUESTS = 20
FILES = 20
_CARDS = {
    status_table.NO_CARD: Card.MISSING,
    status_table.CARD_NOT_MOUNTED: Card.FAULTY,
    status_table.CARD_FAULTY: Card.FAULTY,
    status_table.CARD_MOUNTED: Card.MOUNTED,
}
# states of a command's life that it reaches only once the gateway has taken its SMS
_WENT_OUT = frozenset((ShownState.SENT, ShownState.DELIVERED, ShownState.ANSWERED, ShownState.UNKNOWN))

_HAS_VERDICT = and_(ChecklistRun.ended_at.is_not(None), ChecklistRun.verdict.not_in(NO_VERDICT))

Items = Mapping[str, StatusItem]


def of(device: Device, now: datetime) -> VehicleFacts:
    """Give what is known of a device."""
    rows = db.session.scalars(select(StatusItem).where(StatusItem.device_id == device.id))
    items = {row.item: row for row in rows}
    number_since = db.session.scalar(
        select(DevicePhone.since)
        .where(DevicePhone.device_id == device.id, DevicePhone.until.is_(None))
        .order_by(DevicePhone.since.desc())
        .limit(1)
    )
    files = _files(device, now)
    rates = _rates(files)
    by_itself = _by_itself(items)
    return VehicleFacts(
        created_at=device.created_at,
        number_since=number_since or device.created_at,
        settings={n: known for n in DUALCAM if (known := _known(items, f"parameter.{n}")) is not None},
        front=_camera(items, "front"),
        rear=_camera(items, "rear"),
        checks=_checks(device),
        requests=_requests(device, now),
        rates=[rate for rate, _ in rates],
        rated_at=rates[0][1] if rates else None,
        imei=_imei(items),
        clock=_known(items, status_table.CLOCK),
        by_itself=by_itself,
        server_is_ours=by_itself is None or camera_server.is_known_to_be_ours(device, current_config()),
        drift=_drift(device, items, now),
        astray_at=_seen(items, status_table.TRACKER_SERVER),
        sms_at=_seen(items, "contact.sms"),
        connected_at=_newest(
            [_seen(items, "contact.tcp"), *(_seen(items, f"camera.{side}.file") for side in SIDES)]
        ),
        pictured_at=_newest([row.recorded_at for row in files if row.looked_like is None]),
        record_at=_newest([row.checked_at for row in items.values() if row.source_kind == "record"]),
    )


def _newest(times: Sequence[datetime | None]) -> datetime | None:
    return max((at for at in times if at is not None), default=None)


def _seen(items: Items, item: str) -> datetime | None:
    return items[item].checked_at if item in items else None


def _known(items: Items, item: str) -> Known | None:
    row = items.get(item)
    return Known(row.value, row.since, row.checked_at) if row is not None and row.value is not None else None


def _camera(items: Items, side: str) -> CameraFacts:
    version, state = items.get(f"camera.{side}.version"), items.get(f"camera.{side}.state")
    spoken = {Verdict.GOOD: "yes", Verdict.BAD: "no"}  # neither: it was asked while the ignition was off
    answers = Known(spoken[Verdict(version.verdict)], version.since, version.checked_at) if (
        version is not None and version.verdict in spoken
    ) else None  # fmt: skip
    detected = card = None
    if state is not None and state.value in _CARDS:  # a state that no vendor page explains proves nothing
        detected = Known("yes", state.since, state.checked_at)
        card = Known(_CARDS[state.value], state.since, state.checked_at)
    elif state is not None and state.verdict == Verdict.BAD:
        detected = Known("no", state.since, state.checked_at)
    return CameraFacts(
        answers, detected, card, _seen(items, f"camera.{side}.file"), _seen(items, f"camera.{side}.video")
    )


def _imei(items: Items) -> Known | None:
    row = items.get("imei")
    if row is None or row.value is None:
        return None
    return Known("ours" if row.verdict == Verdict.GOOD else row.value, row.since, row.checked_at)


def _by_itself(items: Items) -> Known | None:
    """Give what makes a device send without a request: as it confirmed, or was asked to hold."""
    on = status_table.sends_by_itself(items.values())
    if not on:
        return None
    what = " and ".join(SENDS_BY_ITSELF[number] for number in on)
    return Known(what, min(row.since for row in on.values()), max(row.checked_at for row in on.values()))


def _drift(device: Device, items: Items, now: datetime) -> Drift | None:
    """Give the parameters whose confirmed value is not that of the device's preset, else not what was asked.

    Those that an open request sets are left out: its answer is still to come. None differs since before it was asked,
    or since before there was that version of the preset.
    """
    asked_at, being_set = _settings_asked(device, now)
    confirmed = {
        number: row
        for name, row in items.items()
        if name.startswith("parameter.") and row.value is not None
        and (number := int(name.removeprefix("parameter."))) not in being_set
    }  # fmt: skip
    preset = db.session.get(Profile, device.profile_id) if device.profile_id is not None else None
    wanted = {int(n): v for n, v in preset.parameters.items()} if preset is not None else {}
    differs = sorted(
        number for number, row in confirmed.items()
        if number in wanted and number not in CREDENTIALS and not same(number, str(row.value), str(wanted[number]))
    )  # fmt: skip
    name = f"{preset.name} v{preset.version}" if preset is not None and differs else None
    differs = differs or sorted(n for n, row in confirmed.items() if row.verdict == Verdict.BAD)
    if not differs:
        return None
    since = min(
        max(confirmed[number].since, asked_at.get(number, confirmed[number].since)) for number in differs
    )
    if preset is not None and name:
        since = max(since, preset.created_at)
    return Drift(tuple(differs), since, name)


def _settings_asked(device: Device, now: datetime) -> tuple[Mapping[int, datetime], frozenset[int]]:
    """Give when each parameter was last asked for, by the newest requests, and those that an open request sets."""
    rows = db.session.scalars(
        select(Command)
        .where(
            Command.device_id == device.id, Command.id >= first_id(now - RECENT), Command.kind == "setparam"
        )
        .order_by(Command.id.desc())
        .limit(REQUESTS)
    )
    asked_at: dict[int, datetime] = {}
    being_set: set[int] = set()
    for row in rows:
        numbers = [int(n) for n in row.arguments.get("parameters") or row.arguments.get("encrypted") or ()]
        asked_at = dict.fromkeys(numbers, row.created_at) | asked_at
        being_set |= set(numbers) if row.state in OPEN else set()
    return asked_at, frozenset(being_set)


def _checks(device: Device) -> list[CheckFacts]:
    """Give what the newest checks found: those that ended with a verdict, or that asked a person and have no answer."""
    rows = db.session.execute(
        select(ChecklistRun, _HAS_VERDICT)
        .where(
            ChecklistRun.device_id == device.id, or_(_HAS_VERDICT, ChecklistRun.likely_verdict.is_not(None))
        )
        .order_by(ChecklistRun.id.desc())
        .limit(CHECKS)
    )
    return [_check(run, has_verdict=has_verdict) for run, has_verdict in rows]


def _check(run: ChecklistRun, *, has_verdict: bool) -> CheckFacts:
    marks = {name: str(entry["mark"]) for name, entry in run.steps.items() if entry.get("mark")}
    verdict = (run.verdict if has_verdict else run.likely_verdict) or ""
    found_at = (run.ended_at if has_verdict else run.likely_at) or run.updated_at
    restarted = tuple(
        side for side in SIDES if (run.steps.get(side, {}).get("arguments") or {}).get("restarted")
    )
    return CheckFacts(verdict, run.started_at, found_at, camera_of_verdict(verdict, marks), marks, restarted)


def _requests(device: Device, now: datetime) -> list[SentCommand]:
    """Give the newest commands that were handed over and not cancelled."""
    rows = db.session.scalars(
        select(Command)
        .where(
            Command.device_id == device.id,
            Command.id >= first_id(now - RECENT),
            Command.sending_at.is_not(None),
            Command.state != State.CANCELLED,
        )
        .order_by(Command.id.desc())
        .limit(REQUESTS)
    )
    return [_request(row) for row in rows]


def _request(row: Command) -> SentCommand:
    assert row.sending_at is not None
    has_failed = row.state in (State.FAILED, State.EXPIRED)
    said_at = row.last_reply_at if row.state == State.FAILED else None  # an answer that was reported late
    linked = (row.result or {}).get("linked")
    return SentCommand(
        sent_at=row.sending_at,
        ended_at=(said_at or row.ended_at),
        answered=row.reply is not None or row.state == State.DONE or bool(linked),
        seconds=max(0.0, (row.answered_at - row.sending_at).total_seconds()) if row.answered_at else None,
        failure=row.error_code if has_failed else None,
        went_out=_went_out(row),
        restarted=_restarted_camera(row),
        missing=_missing_cameras(row) if row.error_code == "camera_not_present" else (),
    )


def _restarted_camera(row: Command) -> str:
    has_restarted = row.kind == "camget_restart" and row.state == State.DONE
    return str(row.arguments.get("camera", "")) if has_restarted else ""


def _missing_cameras(row: Command) -> tuple[str, ...]:
    """Give the cameras that a refusal for a missing one may be about: the one that the device names, else all asked."""
    said = [reply for reply in (row.result or {}).get("replies", []) if reply.get("code") == row.error_code]
    named = {str(reply["camera"]) for reply in said if reply.get("camera")}
    return tuple(named) if len(named) == 1 else command_state.wanted_sources(row)


def _went_out(row: Command) -> bool:
    """Say whether the gateway took the SMS: by the command's life, or by the id that the gateway gave to it."""
    if row.reply is not None or any(step["state"] in _WENT_OUT for step in row.history):
        return True
    message = command_state.last_message(row.id)
    return message is not None and message.gateway_id is not None


def _files(device: Device, now: datetime) -> Sequence[Any]:
    """Give the newest files: their size, their times, and whether they may be of somebody else."""
    return db.session.execute(
        select(
            Upload.size,
            Upload.started_at,
            Upload.received_at,
            Upload.resumes,
            Upload.recorded_at,
            Upload.looked_like,
        )
        .where(files_of(device), Upload.id >= first_id(now - RECENT), Upload.state == UploadState.STORED)
        .order_by(Upload.id.desc())
        .limit(FILES)
    ).all()


def _rates(files: Sequence[Any]) -> list[tuple[float, datetime]]:
    """Give the speeds of files that came without a break, and when they came."""
    return [
        (transfer_times.measured(row.size, row.started_at, row.received_at), row.received_at)
        for row in files
        if row.size >= transfer_times.MEASURED_BYTES and not row.resumes and row.received_at is not None
    ]
