"""Reads what a run of the checklist knows: its commands and how they ended, their files, and the facts of a step."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select

from provisioning.check.camera_readings import MARKS, NO_WAY_HERE
from provisioning.check.facts import HIDDEN, PRIVATE, CommandOutcome, Result, StepFacts, by_answer
from provisioning.check.steps import Step
from provisioning.core.config import current_config
from provisioning.devices import camera_server, health_view, status_table, transfer_times
from provisioning.devices.health_findings import RECENT
from provisioning.devices.vehicle_facts import SIDES
from provisioning.media import camera_clock
from provisioning.models import (
    CameraSession,
    ChecklistRun,
    Command,
    Device,
    State,
    StatusItem,
    Upload,
    UploadState,
    Verdict,
    db,
    files_of,
    first_id,
    utcnow,
)
from provisioning.phrase import Phrase, as_it_is
from provisioning.tracker.parameters import SENDS_BY_ITSELF, WarningCode, as_integer, find_warnings

RESTARTS = 6  # so many newest restarts of a vehicle are looked at


def results_of(run: ChecklistRun) -> dict[str, Result]:
    """Give the results of the steps that are done, or are never to be done, by step."""
    return {
        name: Result(entry["verdict"], Phrase.from_json(entry), entry.get("mark", ""))
        if entry["state"] == "done"
        else Result(HIDDEN, Phrase(PRIVATE), PRIVATE)
        for name, entry in run.steps.items()
        if entry.get("state") == "done" or entry.get("code") == PRIVATE
    }


def outcomes_of(run: ChecklistRun, step: Step, rows: Sequence[Command]) -> list[CommandOutcome]:
    """Give how the commands of a step ended; a step without any reads those that asked for files."""
    return by_answer([outcome_of(row) for row in rows]) if step.commands else file_outcomes(run)


def outcome_of(row: Command) -> CommandOutcome:
    """Give how a command ended, with its file if it has one."""
    file = _file(row)
    seconds_off = camera_clock.seconds_off(row, file) if file else None
    if file is not None and file.command_id is None:
        return CommandOutcome(State.DONE, True, file_seconds_off=seconds_off)
    return CommandOutcome(
        row.state,
        row.reply is not None,
        row.error_code,
        row.error,
        row.result or {},
        seconds_off,
        late=row.late,
    )


def _file(row: Command) -> Upload | None:
    """Give the file of a request, with its time: linked, or unlinked because of a wrong clock."""
    linked = db.session.scalar(
        select(Upload).where(Upload.command_id == row.id, Upload.timestamp.is_not(None)).limit(1)
    )
    return linked or file_of_slow_clock(row)


def file_of_slow_clock(row: Command) -> Upload | None:
    """Give the photo of a request whose camera's clock is behind: by its time older than the request, so not linked."""
    if row.arguments.get("file_type") != "photo" or row.sending_at is None or row.state == State.DONE:
        return None
    if (row.result or {}).get("already_captured"):
        return None
    return db.session.scalar(
        select(Upload)
        .where(
            files_of(row.device),
            Upload.file_type == "photo",
            Upload.trigger == 0,
            Upload.source == row.arguments["source"],
            Upload.state == UploadState.STORED,
            Upload.command_id.is_(None),
            Upload.link_reason.is_not(None),
            Upload.link_fixed.is_(False),
            Upload.looked_like.is_(None),
            Upload.id >= first_id(row.sending_at),
            Upload.timestamp < row.sending_at,
        )
        .order_by(Upload.id)
        .limit(1)
    )


def file_outcomes(run: ChecklistRun) -> list[CommandOutcome]:
    """Give how the commands ended that asked for files."""
    return [outcome_of(row) for row in _file_commands(run)]


def clock_of(run: ChecklistRun) -> tuple[float, str] | None:
    """Give how far the camera's clock is off, in seconds, by the file that shows the least, and the file's id."""
    files = [(row, file) for row in _file_commands(run) if (file := _file(row))]
    shown = [(camera_clock.seconds_off(row, file), file.id) for row, file in files]
    return min(
        ((off, ident) for off, ident in shown if off is not None), key=lambda one: abs(one[0]), default=None
    )


def _file_commands(run: ChecklistRun) -> Sequence[Command]:
    idents = [i for name in ("front", "rear", "card") for i in run.steps.get(name, {}).get("commands", [])]
    return commands_of(idents)


def commands_of(idents: Sequence[str]) -> Sequence[Command]:
    """Give commands by id in the order they were asked, those that are still kept."""
    return db.session.scalars(select(Command).where(Command.id.in_(idents)).order_by(Command.id)).all()


def facts_of(run: ChecklistRun, outcomes: list[CommandOutcome], device: Device) -> StepFacts:
    """Gather what a step reads."""
    rows = db.session.scalars(select(StatusItem).where(StatusItem.device_id == device.id)).all()
    known = status_table.known_parameters(device.id)
    bad_cards = _bad_cards({row.item: row for row in rows})
    # a parameter that is 0 asks nothing of the firmware
    used = {number: value for number, value in known.items() if as_integer(value) != 0}
    warned = find_warnings(used, known=known, firmware=device.firmware)
    sessions = db.session.scalars(
        select(CameraSession)
        .where(CameraSession.imei == device.imei, CameraSession.ended_at.is_not(None))
        .order_by(CameraSession.id.desc())
        .limit(10)
    )
    return StepFacts(
        outcomes=outcomes,
        status={row.item: (row.value, row.verdict) for row in rows},
        bad_cards=bad_cards,
        faulty_cards=[side for side, state in bad_cards.items() if state != status_table.NO_CARD],
        restarted=_restarted(device, {row.item: row for row in rows}) if _took_nothing(outcomes) else {},
        differing=[
            {"number": int(row.item.split(".")[1]), "value": row.value, "asked": row.asked}
            for row in rows
            if row.item.startswith("parameter.") and row.verdict == Verdict.BAD
        ],
        sessions=[(row.code or "", row.crc_errors) for row in sessions],
        results=results_of(run),
        answer_seconds=_answer_seconds(run),
        slow_answer=current_config().check_slow_answer,
        others=_others(outcomes),
        bytes_per_second=bytes_per_second(run)[0],
        by_itself=_by_itself(device),
        server_advice=camera_server.advice(device, {}, current_config()),
        firmware_warnings=[
            as_it_is(warning.text) for warning in warned if warning.code is WarningCode.FIRMWARE_TOO_OLD
        ],
    )


def _others(outcomes: Sequence[CommandOutcome]) -> int:
    """Count the vehicles that got through lately, where a file did not come: is it us, or the vehicle?"""
    codes = {outcome.code for outcome in outcomes}
    return health_view.count_lately(utcnow()) if codes & set(NO_WAY_HERE) else 0


def _took_nothing(outcomes: Sequence[CommandOutcome]) -> bool:
    return any(MARKS.get(outcome.code or "") == "no_capture" for outcome in outcomes)


def _restarted(device: Device, items: Mapping[str, StatusItem]) -> dict[str, str]:
    """Give by camera when it last confirmed a restart, in the vehicle's zone, where no file of it came since."""
    rows = db.session.scalars(
        select(Command)
        .where(
            Command.device_id == device.id,
            Command.id >= first_id(utcnow() - RECENT),
            Command.kind == "camget_restart",
            Command.state == State.DONE,
        )
        .order_by(Command.id.desc())
        .limit(RESTARTS)
    )
    found: dict[str, str] = {}
    for row in rows:
        side, at = str(row.arguments.get("camera")), row.ended_at or row.updated_at
        file = items.get(f"camera.{side}.file")
        if side not in found and (file is None or file.checked_at < at):
            found[side] = _in_words(at, device.time_zone)
    return found


def _in_words(at: datetime, zone: str) -> str:
    """Give a time of a vehicle, with its day where that is not today."""
    there = at.astimezone(ZoneInfo(zone))
    is_today = there.date() == utcnow().astimezone(ZoneInfo(zone)).date()
    return f"{there:%H:%M %Z}" if is_today else f"{there:%Y-%m-%d %H:%M %Z}"


def _bad_cards(items: Mapping[str, StatusItem]) -> dict[str, str]:
    """Give what the newest state of each camera says of its card, where that is bad and no clip came since."""
    found: dict[str, str] = {}
    for side in SIDES:
        state, video = items.get(f"camera.{side}.state"), items.get(f"camera.{side}.video")
        if state is None or state.value in (None, status_table.NOT_DETECTED) or state.verdict != Verdict.BAD:
            continue
        if video is None or video.checked_at <= state.checked_at:
            found[side] = str(state.value)
    return found


def own_commands(run: ChecklistRun) -> list[Command]:
    """Give the commands that a run asked itself, and that went out."""
    idents = [ident for entry in run.steps.values() for ident in entry.get("commands", [])]
    return [row for row in commands_of(idents) if row.sending_at and row.sending_at >= run.started_at]


def _answer_seconds(run: ChecklistRun) -> list[float]:
    return [
        (row.answered_at - row.sending_at).total_seconds()
        for row in own_commands(run)
        if row.answered_at and row.sending_at
    ]


def bytes_per_second(run: ChecklistRun) -> tuple[float | None, str | None]:
    """Give the speed of the quickest of a run's files that came without a break, and the file's id."""
    files = db.session.scalars(
        select(Upload).where(
            Upload.command_id.in_([row.id for row in own_commands(run)]),
            Upload.resumes == 0,
            Upload.size >= transfer_times.MEASURED_BYTES,
            Upload.received_at.is_not(None),
        )
    )
    measured = [
        (transfer_times.measured(file.size, file.started_at, file.received_at), file.id)
        for file in files
        if file.received_at
    ]
    return max(measured, default=(None, None))


def _by_itself(device: Device) -> list[int]:
    """Give the parameters that make a device send without a request: as it confirmed, or was asked to hold."""
    return list(status_table.sends_by_itself(status_table.parameters(device.id, SENDS_BY_ITSELF)))
