"""Runs the checklist (`steps`): stores the run, submits commands, reads answers, decides the verdict.

`advance` may be called at any time, by the worker and by pages, and by several processes: a device's lock makes
each step's SMS go out once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from provisioning.check.facts import (
    GOOD,
    HIDDEN,
    LOOKS,
    SKIPPED,
    CommandOutcome,
    Result,
    StepFacts,
    by_answer,
)
from provisioning.check.steps import REUSE_SECONDS, STEPS, Step, ask, in_order, nobody_can_look
from provisioning.check.verdicts import VERDICTS, camera, certainty, decide, grounds, sentence, who
from provisioning.commands import submission
from provisioning.core import jobs
from provisioning.core.config import current_config
from provisioning.core.errors import Conflict, Invalid, ServiceError
from provisioning.devices import status_table, transfer_times
from provisioning.media import camera_clock
from provisioning.models import (
    OPEN,
    CameraSession,
    ChecklistRun,
    Command,
    Device,
    State,
    StatusItem,
    Upload,
    UploadState,
    Verdict,
    changes,
    db,
    files_of,
    first_id,
    health_marks,
    locks,
    timestamps,
)
from provisioning.roles import Role
from provisioning.tracker import language
from provisioning.tracker.parameters import (
    REQUIRED_IN_WORDS,
    SENDS_BY_ITSELF,
    WarningCode,
    as_integer,
    find_warnings,
)

VIDEO_SECONDS = 2
VIDEO_AGO = 30
CHANGES_UNTIL = timedelta(days=2)  # so old a run may be: a late answer changes its verdict
LEFT_AFTER = timedelta(days=7)  # then a run that waits for a person ends by itself
# an answer of the last minutes serves, where the question is always the same
REUSABLE = frozenset(
    name
    for name, kind in language.COMMANDS.items()
    if kind.effect is language.Effect.READS and not kind.takes_arguments()
)


def current(device: Device) -> ChecklistRun | None:
    """Give the device's newest run."""
    return db.session.scalar(
        select(ChecklistRun)
        .where(ChecklistRun.device_id == device.id)
        .order_by(ChecklistRun.id.desc())
        .limit(1)
    )


def cost(device: Device) -> int:
    """Give how many SMS a run sends at most. Raises Conflict where none can be sent."""
    count = 0
    for step in STEPS:
        for name, arguments in step.commands:
            asked = language.from_arguments(
                name, _arguments(name, arguments, 2_000_000_000), now=2_000_000_000
            )
            count += len(submission.preview(device, asked))
    return count


def start(device: Device, by: str, now: datetime) -> ChecklistRun:
    """Begin a run and commit. Raises Conflict while one is open."""
    device = locks.lock_device(device.id)
    run = current(device)
    if run is not None and run.ended_at is None:
        raise Conflict("A run is under way; go on with it, or end it first.", code="run_open")
    run = ChecklistRun(device_id=device.id, steps={}, started_by=by, started_at=now, updated_at=now)
    db.session.add(run)
    changes.publish(device.id, "checklist")
    db.session.commit()
    return run


def stop(run: ChecklistRun, now: datetime) -> None:
    """End a run before its end and commit; what it has not sent yet is withdrawn."""
    locks.lock_device(run.device_id)
    _end(run, "Ended before it was through.", now)
    db.session.commit()


def _end(run: ChecklistRun, text: str, now: datetime) -> None:
    if run.ended_at is not None:
        return
    for row in _commands([ident for entry in run.steps.values() for ident in entry.get("commands", [])]):
        if row.state == State.QUEUED:
            submission.cancel(row, now)
    run.ended_at, run.verdict, run.verdict_text = now, "stopped", text
    changes.publish(run.device_id, "checklist")


def answer(run: ChecklistRun, step_id: str, choice: str, now: datetime) -> None:
    """Take a person's answer and commit. Raises Invalid."""
    step = next((s for s in STEPS if s.id == step_id), None)
    if step is None or choice not in dict(step.answers):
        raise Invalid("There is no such question or answer.")
    locks.lock_device(run.device_id)
    run.steps = run.steps | {
        step_id: {
            "state": "done",
            "answer": choice,
            **asdict(step.read(StepFacts(answer=choice, results=_results(run)))),
        }
    }
    run.ended_at, run.waits_for_person, run.updated_at = None, False, now
    health_marks.mark([run.device_id])
    db.session.commit()


def again(run: ChecklistRun, step_id: str, now: datetime) -> None:
    """Ask a step again, and what depends on it, and commit. Raises Invalid."""
    if step_id not in {step.id for step in STEPS}:
        raise Invalid("There is no such step.")
    locks.lock_device(run.device_id)
    # what a person saw before something was mended proves nothing afterwards
    gone = {step_id} | {s.id for s in STEPS if step_id in s.needs or not s.commands}
    gone |= {name for name, entry in run.steps.items() if entry.get("state") == SKIPPED}
    run.steps = {name: value for name, value in run.steps.items() if name not in gone} | {
        step_id: {"fresh": True}
    }
    run.ended_at = run.verdict = run.verdict_text = None
    run.waits_for_person, run.updated_at = False, now
    health_marks.mark([run.device_id])
    changes.publish(run.device_id, "checklist")
    db.session.commit()


def advance(run: ChecklistRun, now: datetime) -> None:
    """Go on with a run as far as it goes without waiting, and commit."""
    device = locks.lock_device(run.device_id)
    if run.ended_at is not None:
        db.session.commit()
        return
    before = dict(run.steps)
    asked = False
    waiting = running = False
    seen: set[str] = set()
    while step := next((step for step in in_order(_results(run)) if step.id not in seen), None):
        seen.add(step.id)
        entry = dict(run.steps.get(step.id, {}))
        if entry.get("state") in ("done", SKIPPED):
            continue
        progress = _advance_step(run, step, entry, device, now)
        run.steps = run.steps | {step.id: progress}
        db.session.flush()  # the next step's command takes the device's lock, which forgets what is not flushed
        asked = asked or bool(progress.get("commands"))
        if progress["state"] == "running":
            waiting = running = True
            break
        waiting = waiting or progress["state"] == "question"
    if not waiting:
        _finish(run, now)
    run.waits_for_person = waiting and not running
    if run.steps != before or run.ended_at:
        run.updated_at = now
        changes.publish(device.id, "checklist")
    db.session.commit()
    if asked:
        submission.wake(device.id)


def _results(run: ChecklistRun) -> dict[str, Result]:
    return {
        name: Result(entry["verdict"], entry["text"], entry.get("todo", ""), entry.get("mark", ""))
        for name, entry in run.steps.items()
        if entry.get("state") == "done"
    }


def _advance_step(
    run: ChecklistRun, step: Step, entry: dict[str, Any], device: Device, now: datetime
) -> dict[str, Any]:
    results = _results(run)
    if step.question and nobody_can_look(results):
        return {"state": SKIPPED, "text": "Not asked: nobody can look."}
    if not step.when(results):
        text = "Not needed." if step.question else "Not asked: the ignition has to be on first."
        return {"state": SKIPPED, "text": text}
    blocked = [need for need in step.needs if need in results and results[need].verdict == "bad"]
    if blocked or any(run.steps.get(need, {}).get("state") == SKIPPED for need in step.needs):
        return {"state": SKIPPED, "text": "Not asked: a step before it failed."}
    if step.question:
        return {"state": "question"}
    if step.commands and "commands" not in entry:
        try:
            entry = _ask(step, entry, run, device, now)
        except ServiceError as error:
            outcome = CommandOutcome("failed", False, error.code, error.message)
            return {
                "state": "done",
                "commands": [],
                **asdict(step.read(_facts(run, step, [outcome], device))),
            }
    rows = _commands(entry.get("commands", []))
    for row in rows:
        if row.state == State.ANSWERED and _stray(row) is not None:
            submission.cancel(row, now)  # its file is here: nothing more comes, and the next request may go
    if lost := [row for row in rows if not entry.get("again") and _is_lost(row, now)]:
        entry = _ask_again(step, entry, lost, run, device, now)
        rows = _commands(entry["commands"])
    if any(row.state in OPEN for row in _waited_for(rows, entry.get("twins", {}))):
        return entry | {"state": "running"}
    return entry | {
        "state": "done",
        **asdict(step.read(_facts(run, step, _outcomes(run, step, rows), device))),
    }


def _outcomes(run: ChecklistRun, step: Step, rows: Sequence[Command]) -> list[CommandOutcome]:
    return by_answer([_outcome(row) for row in rows]) if step.commands else _file_outcomes(run)


def _is_lost(row: Command, now: datetime) -> bool:
    """Say whether an SMS, or the answer to it, may be lost: one alone is no verdict.

    A request for a file is asked again only once it has ended: as long as it is open, its file may come.
    """
    if row.sending_at is None or row.reply is not None:
        return False
    if row.state in (State.EXPIRED, State.FAILED):
        return bool(row.error_retry)
    if row.state != State.DELIVERED or row.kind == "camreq":
        return False
    delivered = [at for at in row.history if at["state"] == State.DELIVERED]
    since = datetime.fromisoformat(delivered[-1]["at"]) if delivered else row.sending_at
    return now - since >= timedelta(seconds=current_config().check_ask_again)


def _ask_again(
    step: Step,
    entry: dict[str, Any],
    lost: Sequence[Command],
    run: ChecklistRun,
    device: Device,
    now: datetime,
) -> dict[str, Any]:
    """Ask once more what got no answer.

    What was delivered waits on for its own answer, but no longer holds up the next SMS.
    """
    idents, twins = list(entry["commands"]), {}
    for row in lost:
        row.in_flight = False
    db.session.flush()  # asking takes the device's lock, which forgets what is not flushed
    for row in lost:
        name, given = (step.second, {}) if step.second else (row.kind, row.arguments)
        try:
            (twin,) = _submit(name, given, run, device, now)
        except ServiceError:
            continue  # it cannot be asked: then what is known is all there is
        idents.append(twin.id)
        twins[row.id] = twin.id
    return entry | {"commands": idents, "twins": twins, "again": True}


def _waited_for(rows: Sequence[Command], twins: Mapping[str, str]) -> list[Command]:
    """Give the commands whose end counts: none that was asked twice and answered once."""
    replied = {row.id for row in rows if row.reply is not None}
    partners = dict(twins) | {twin: first for first, twin in twins.items()}
    return [row for row in rows if partners.get(row.id) not in replied]


def _ask(
    step: Step, entry: dict[str, Any], run: ChecklistRun, device: Device, now: datetime
) -> dict[str, Any]:
    idents: list[str] = []
    reused = None
    for name, arguments in step.commands:
        known = None if entry.get("fresh") else _fresh(device, name, now)
        # what was bad is asked again: a run follows upon something that was mended
        if known and step.read(_facts(run, step, [_outcome(known)], device)).verdict == GOOD:
            idents.append(known.id)
            reused = timestamps.stamp(known.answered_at or now)
            continue
        if (asked := None if entry.get("fresh") else _asked_already(run, name)) is not None:
            idents.append(asked.id)
            continue
        given = _arguments(name, arguments, int(now.timestamp()))
        idents += [row.id for row in _submit(name, given, run, device, now)]
    return {"commands": idents, "reused": reused}


def _submit(
    name: str, given: Mapping[str, Any], run: ChecklistRun, device: Device, now: datetime
) -> list[Command]:
    requester = submission.Requester(f"checklist, {run.started_by}", Role.SUPPORT)
    return submission.ask(device, name, given, requester, now)


def _asked_already(run: ChecklistRun, name: str) -> Command | None:
    """Give the command that this run has asked for another step, and that was or may still be answered."""
    idents = [ident for entry in run.steps.values() for ident in entry.get("commands", [])]
    usable = (State.DONE, *OPEN)
    if name not in REUSABLE:
        return None
    return next((row for row in _commands(idents) if row.kind == name and row.state in usable), None)


def _arguments(name: str, arguments: Mapping[str, Any], now: int) -> dict[str, Any]:
    if arguments.get("file_type") == "video":
        return dict(arguments) | {"timestamp": now - VIDEO_AGO, "duration": VIDEO_SECONDS}
    return dict(arguments)


def _fresh(device: Device, name: str, now: datetime) -> Command | None:
    if name not in REUSABLE:
        return None
    return db.session.scalar(
        select(Command)
        .where(
            Command.device_id == device.id,
            Command.kind == name,
            Command.state == State.DONE,
            Command.answered_at >= now - timedelta(seconds=REUSE_SECONDS),
        )
        .order_by(Command.id.desc())
        .limit(1)
    )


def _outcome(row: Command) -> CommandOutcome:
    file = _file(row)
    seconds_off = camera_clock.seconds_off(row, file) if file else None
    if file is not None and file.command_id is None:
        return CommandOutcome(State.DONE, True, file_seconds_off=seconds_off)
    return CommandOutcome(
        row.state,
        row.reply is not None,
        row.error_code,
        row.error_message,
        row.result or {},
        seconds_off,
        late=row.late,
    )


def _file(row: Command) -> Upload | None:
    """Give the file of a request, with its time: the one that is linked, or the stray one."""
    linked = db.session.scalar(
        select(Upload).where(Upload.command_id == row.id, Upload.timestamp.is_not(None)).limit(1)
    )
    return linked or _stray(row)


def _stray(row: Command) -> Upload | None:
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


def _file_outcomes(run: ChecklistRun) -> list[CommandOutcome]:
    idents = [i for name in ("front", "rear", "card") for i in run.steps.get(name, {}).get("commands", [])]
    return [_outcome(row) for row in _commands(idents)]


def _commands(idents: Sequence[str]) -> Sequence[Command]:
    """Give commands by id in the order they were asked, those that are still kept."""
    return db.session.scalars(select(Command).where(Command.id.in_(idents)).order_by(Command.id)).all()


def _facts(run: ChecklistRun, step: Step, outcomes: list[CommandOutcome], device: Device) -> StepFacts:
    rows = db.session.scalars(select(StatusItem).where(StatusItem.device_id == device.id)).all()
    known = status_table.known_parameters(device.id)
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
        differing=[
            f"{row.item.split('.')[1]} is {row.value}, asked {row.asked}"
            for row in rows
            if row.item.startswith("parameter.") and row.verdict == Verdict.BAD
        ],
        sessions=[(row.code or "", row.crc_errors) for row in sessions],
        results=_results(run),
        answer_seconds=_answer_seconds(run),
        slow_answer=current_config().check_slow_answer,
        bytes_per_second=_bytes_per_second(run)[0],
        by_itself=_by_itself(device),
        server_advice=submission.server_advice(device, {}),
        firmware_warnings=[
            warning.text for warning in warned if warning.code is WarningCode.FIRMWARE_TOO_OLD
        ],
    )


def _asked(run: ChecklistRun) -> list[Command]:
    """Give the commands that a run asked itself, and that went out."""
    idents = [ident for entry in run.steps.values() for ident in entry.get("commands", [])]
    return [row for row in _commands(idents) if row.sending_at and row.sending_at >= run.started_at]


def _answer_seconds(run: ChecklistRun) -> list[float]:
    return [
        (row.answered_at - row.sending_at).total_seconds()
        for row in _asked(run)
        if row.answered_at and row.sending_at
    ]


def _bytes_per_second(run: ChecklistRun) -> tuple[float | None, str | None]:
    """Give the speed of the quickest of a run's files that came without a break, and the file's id."""
    files = db.session.scalars(
        select(Upload).where(
            Upload.command_id.in_([row.id for row in _asked(run)]),
            Upload.resumes == 0,
            Upload.size >= transfer_times.MEASURED_BYTES,
            Upload.received_at.is_not(None),
        )
    )
    measured = [
        (file.size / max((file.received_at - file.started_at).total_seconds(), 0.001), file.id)
        for file in files
        if file.received_at
    ]
    return max(measured, default=(None, None))


def _by_itself(device: Device) -> list[str]:
    """Give what makes a device send without a request: as it confirmed, or was asked to hold."""
    rows = status_table.parameters(device.id, SENDS_BY_ITSELF)
    held = {int(row.item.split(".")[1]): row.asked if row.value is None else row.value for row in rows}
    return [f"{SENDS_BY_ITSELF[number]} ({number})" for number in sorted(held) if as_integer(held[number])]


def _finish(run: ChecklistRun, now: datetime) -> None:
    rate, file = _bytes_per_second(run)
    if rate is not None:
        grade = Verdict.WARN if transfer_times.is_slow(rate) else Verdict.GOOD
        status_table.note(
            run.device,
            status_table.SPEED,
            f"{rate:.0f}",
            grade,
            now=now,
            source_kind="upload",
            source_id=file,
        )
    offs = [outcome.file_seconds_off for outcome in _file_outcomes(run)]
    if known := [off for off in offs if off is not None]:
        camera_clock.note(run.device, min(known, key=abs), None, now)
    results = _results(run)
    verdict = decide(results)
    run.verdict, run.verdict_text, run.ended_at = verdict.id, sentence(verdict, results), now
    health_marks.mark([run.device_id])


def grounds_of(run: ChecklistRun) -> list[str]:
    """Give what the answers said that a run's verdict rests on; none before its end."""
    verdict = next((verdict for verdict in VERDICTS if verdict.id == run.verdict), None)
    return grounds(verdict, _results(run)) if verdict and run.ended_at else []


def questions_of(run: ChecklistRun) -> dict[str, str]:
    """Give the questions that a run waits for a person with, by step."""
    results = _results(run)
    waiting = [step for step in STEPS if run.steps.get(step.id, {}).get("state") == "question"]
    return {step.id: ask(step, results) for step in waiting} if run.ended_at is None else {}


def certainty_of(run: ChecklistRun) -> str | None:
    """Say how sure a run's verdict is; None before its end, or where it was ended early."""
    verdict = next((verdict for verdict in VERDICTS if verdict.id == run.verdict), None)
    return certainty(verdict, _results(run)) if verdict and run.ended_at else None


def told(run: ChecklistRun) -> dict[str, Any]:
    """Show a run to programs."""
    results, questions = _results(run), questions_of(run)
    verdict = next((verdict for verdict in VERDICTS if verdict.id == run.verdict), None)
    waits = next(iter(questions), None)
    return {
        "state": "ended" if run.ended_at else "waiting" if run.waits_for_person else "running",
        "started_at": timestamps.stamp(run.started_at),
        "ended_at": timestamps.stamp(run.ended_at) if run.ended_at else None,
        "started_by": run.started_by,
        "steps": [_told_step(step, run.steps.get(step.id, {})) for step in STEPS],
        "verdict": None
        if verdict is None or run.ended_at is None
        else {
            "code": verdict.id,
            "title": verdict.title,
            "certainty": certainty(verdict, results),
            "camera": camera(verdict, results),
            "todo": verdict.todo,
            "text": run.verdict_text,
            "rests_on": [
                name for name in verdict.rests_on if name in results and results[name].verdict != HIDDEN
            ],
            "who": who(verdict),
            "action": {"label": f"Set {REQUIRED_IN_WORDS}", "kind": "provision"}
            if verdict.id == "wrong_mode"
            else None,
        },
        "question": None
        if waits is None
        else {"id": waits, "text": questions[waits], "answers": [choice for choice, _ in LOOKS]},
        "note": run.verdict_text if run.verdict == "stopped" else None,
        "sms": len(_asked(run)),
    }


def _told_step(step: Step, entry: Mapping[str, Any]) -> dict[str, Any]:
    rows = [row for row in _commands(entry.get("commands", [])) if row.sending_at]
    ends = [row.ended_at or row.answered_at for row in rows]
    took = [
        (end - row.sending_at).total_seconds()
        for row, end in zip(rows, ends, strict=True)
        if end and row.sending_at
    ]
    return {
        "id": step.id,
        "title": step.title,
        "state": entry.get("state", "later"),
        "verdict": entry.get("verdict"),
        "text": entry.get("text", ""),
        "todo": entry.get("todo", ""),
        "seconds": sum(took) if took else None,
        "commands": entry.get("commands", []),
    }


def sweep(now: datetime) -> None:
    """Go on with every open run that need not wait for a person, and end those that nobody came back to.

    Raises RowsFailed where some failed.
    """
    runs = db.session.execute(
        select(ChecklistRun.id, ChecklistRun.waits_for_person, ChecklistRun.updated_at)
        .where(ChecklistRun.ended_at.is_(None))
        .order_by(ChecklistRun.updated_at)
    ).all()
    db.session.commit()
    left = {run.id for run in runs if run.updated_at < now - LEFT_AFTER}
    may_go_on = [run.id for run in runs if run.id in left or not run.waits_for_person]
    jobs.each("checklists", may_go_on, lambda ident: _go_on(ident, ident in left, now))
    jobs.each("late_answers", _answered_late(now), lambda ident: _reconsider(ident, now))


def _answered_late(now: datetime) -> Sequence[str]:
    """Give the runs of the last days that ended before something changed that they had asked."""
    changed = select(Command.id).where(
        Command.device_id == ChecklistRun.device_id,
        Command.sending_at >= ChecklistRun.started_at,
        Command.sending_at <= ChecklistRun.ended_at,
        Command.updated_at > ChecklistRun.updated_at,
    )
    recent = ChecklistRun.id >= first_id(now - CHANGES_UNTIL)
    ended = select(ChecklistRun.id).where(recent, ChecklistRun.ended_at.is_not(None), changed.exists())
    idents = db.session.scalars(ended).all()
    db.session.commit()
    return idents


def _reconsider(ident: str, now: datetime) -> None:
    """Read again what was answered after the end of a run, and decide anew; nothing is asked."""
    run = db.session.get_one(ChecklistRun, ident)
    device = locks.lock_device(run.device_id)
    before = dict(run.steps)
    for step in STEPS if run.ended_at is not None and run.verdict != "stopped" else ():
        entry = run.steps.get(step.id, {})
        rows = _commands(entry.get("commands", []))
        if not any(row.updated_at > run.updated_at for row in rows) or len(rows) < len(entry["commands"]):
            continue
        read = step.read(_facts(run, step, _outcomes(run, step, rows), device))
        run.steps = run.steps | {step.id: entry | asdict(read)}
    run.updated_at = now
    if run.steps != before:
        _finish(run, now)
        changes.publish(run.device_id, "checklist")
    db.session.commit()


def _go_on(ident: str, is_left: bool, now: datetime) -> None:
    run = db.session.get_one(ChecklistRun, ident)
    if not is_left:
        advance(run, now)
        return
    locks.lock_device(run.device_id)
    if run.updated_at < now - LEFT_AFTER:  # nobody answered at this moment
        _end(run, f"Ended by itself: nobody went on with it for {LEFT_AFTER.days} days.", now)
    db.session.commit()
