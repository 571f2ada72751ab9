"""The commands of a step: their cost, asking them, asking once more what got no answer, using an answer twice."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from provisioning.check.facts import GOOD
from provisioning.check.run_facts import commands_of, facts_of, outcome_of
from provisioning.check.steps import REUSE_SECONDS, STEPS, Step
from provisioning.commands import submission
from provisioning.core.config import current_config
from provisioning.core.errors import ServiceError
from provisioning.models import (
    BY_CHECK,
    OPEN,
    ChecklistRun,
    Command,
    Device,
    ShownState,
    State,
    db,
    timestamps,
)
from provisioning.roles import Role
from provisioning.tracker import language

VIDEO_SECONDS = 2
VIDEO_AGO = 30
# an answer of the last minutes serves, where the question is always the same
REUSABLE = frozenset(
    name
    for name, kind in language.COMMANDS.items()
    if kind.effect is language.Effect.READS and not kind.takes_arguments()
)


def is_of_cabin(step: Step, device: Device) -> bool:
    """Condition: the step asks for a picture of the cabin of a vehicle that takes none."""
    return device.cabin_private and step.id == "rear"


def cost(device: Device) -> int:
    """Give how many SMS a run sends at most. Raises Conflict where none can be sent."""
    count = 0
    for step in STEPS:
        if is_of_cabin(step, device):
            continue
        for name, arguments in step.commands:
            asked = language.from_arguments(name, _arguments(arguments, 2_000_000_000), now=2_000_000_000)
            count += len(submission.preview(device, asked))
    return count


def is_lost(row: Command, now: datetime) -> bool:
    """Say whether an SMS, or the answer to it, may be lost: one alone is no verdict.

    A request for a file is asked again only once it has ended: as long as it is open, its file may come.
    """
    if row.sending_at is None or row.reply is not None:
        return False
    if row.state in (State.EXPIRED, State.FAILED):
        return bool(row.error_retry)
    if row.shown_state is not ShownState.DELIVERED or row.kind == "camreq":
        return False
    delivered = [at for at in row.history if at["state"] == ShownState.DELIVERED]
    since = datetime.fromisoformat(delivered[-1]["at"]) if delivered else row.sending_at
    return now - since >= timedelta(seconds=current_config().check_ask_again)


def ask_again(
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


def waited_for(rows: Sequence[Command], twins: Mapping[str, str]) -> list[Command]:
    """Give the commands whose end counts: none that was asked twice and answered once."""
    replied = {row.id for row in rows if row.reply is not None}
    partners = dict(twins) | {twin: first for first, twin in twins.items()}
    return [row for row in rows if partners.get(row.id) not in replied]


def ask_step(
    step: Step, entry: dict[str, Any], run: ChecklistRun, device: Device, now: datetime
) -> dict[str, Any]:
    """Ask the commands of a step, or use answers that are there; give its entry. Raises ServiceError."""
    idents: list[str] = []
    reused = None
    for name, arguments in step.commands:
        known = None if entry.get("fresh") else _fresh(device, name, now)
        # what was bad is asked again: a run follows upon something that was mended
        if known and step.read(facts_of(run, [outcome_of(known)], device)).verdict == GOOD:
            idents.append(known.id)
            reused = timestamps.stamp(known.answered_at or now)
            continue
        if (asked := None if entry.get("fresh") else _asked_already(run, name)) is not None:
            idents.append(asked.id)
            continue
        given = _arguments(arguments, int(now.timestamp()))
        idents += [row.id for row in _submit(name, given, run, device, now)]
    return {"commands": idents, "reused": reused}


def _submit(
    name: str, given: Mapping[str, Any], run: ChecklistRun, device: Device, now: datetime
) -> list[Command]:
    requester = submission.Requester(f"{BY_CHECK}{run.started_by}", Role.SUPPORT)
    return submission.ask(device, name, given, requester, now)


def _asked_already(run: ChecklistRun, name: str) -> Command | None:
    """Give the command that this run has asked for another step, and that was or may still be answered."""
    idents = [ident for entry in run.steps.values() for ident in entry.get("commands", [])]
    usable = (State.DONE, *OPEN)
    if name not in REUSABLE:
        return None
    return next((row for row in commands_of(idents) if row.kind == name and row.state in usable), None)


def _arguments(arguments: Mapping[str, Any], now: int) -> dict[str, Any]:
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
