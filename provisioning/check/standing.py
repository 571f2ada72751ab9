"""How a device stands in a list: the worst of its status, its last check and its last requests, with a reason.

Reads rows and changes none. Two statements more than the status, however many devices are asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from provisioning.check.steps import VERDICTS, grade
from provisioning.devices import status_table
from provisioning.models import ChecklistRun, Command, Device, State, Verdict, command_state, db, first_id

RECENT = timedelta(days=30)  # older requests say nothing of today
LAST_REQUESTS = 4  # enough to see the last one of each camera
# ends that tell nothing of the vehicle: it was never reached, or took nothing because it has it already
TELLS_NOTHING = (
    "already_captured",
    "queue_timeout",
    "not_sent",
    "unsendable",
    "no_sms_credentials",
    "superseded",
)
ORDER = (Verdict.BAD, Verdict.WARN, Verdict.GOOD, Verdict.UNKNOWN)
TITLES = {verdict.id: verdict.title for verdict in VERDICTS}


@dataclass(frozen=True, slots=True)
class Standing:
    """A verdict, and what says so; empty where it is the status alone."""

    verdict: Verdict
    reason: str = ""


def of(device_ids: Sequence[int], now: datetime) -> dict[int, Standing]:
    """Give how devices stand, by their ids."""
    found = {
        ident: [Standing(Verdict(verdict))]
        for ident, verdict in status_table.worst_verdicts(device_ids).items()
    }
    runs, requests = _last(device_ids, now)
    for row in db.session.scalars(select(ChecklistRun).where(ChecklistRun.id.in_(runs))):
        told = Standing(Verdict(grade(row.verdict or "")), TITLES.get(row.verdict or "", ""))
        found.setdefault(row.device_id, []).append(told)
    rows = db.session.scalars(select(Command).where(Command.id.in_(requests)).order_by(Command.id.desc()))
    by_device: dict[int, list[Command]] = {}
    for row in rows:
        by_device.setdefault(row.device_id, []).append(row)
    for ident, commands in by_device.items():
        found.setdefault(ident, []).extend(_of_requests(commands))
    return {
        ident: min(told, key=lambda one: ORDER.index(one.verdict)) for ident, told in found.items() if told
    }


def last_run(device: Device) -> ChecklistRun | None:
    """Give the last run that ended with a verdict."""
    return db.session.scalar(
        select(ChecklistRun)
        .where(ChecklistRun.device_id == device.id, _HAS_VERDICT)
        .order_by(ChecklistRun.id.desc())
        .limit(1)
    )


_HAS_VERDICT = ChecklistRun.ended_at.is_not(None) & (ChecklistRun.verdict != "stopped")


def _last(device_ids: Sequence[int], now: datetime) -> tuple[list[str], list[str]]:
    """Give the ids of the last run and of the last requests of each device."""
    run = select(ChecklistRun.id).where(ChecklistRun.device_id == Device.id, _HAS_VERDICT)
    request = select(Command.id).where(
        Command.device_id == Device.id,
        Command.id >= first_id(now - RECENT),
        Command.kind == "camreq",
        Command.state.in_((State.DONE, State.FAILED, State.EXPIRED)),
    )
    columns: list[Any] = [run.order_by(ChecklistRun.id.desc()).limit(1).scalar_subquery()]
    columns += [
        request.order_by(Command.id.desc()).limit(1).offset(number).scalar_subquery()
        for number in range(LAST_REQUESTS)
    ]
    rows = db.session.execute(select(*columns).select_from(Device).where(Device.id.in_(device_ids))).all()
    return [row[0] for row in rows if row[0]], [ident for row in rows for ident in row[1:] if ident]


def _of_requests(newest_first: Sequence[Command]) -> list[Standing]:
    """Judge the last request of each camera."""
    seen: set[str] = set()
    told = []
    for row in newest_first:
        if row.error_code in TELLS_NOTHING:
            continue
        came = (row.result or {}).get("linked", [])
        sources = [source for source in command_state.wanted_sources(row) if source not in seen]
        seen |= set(sources)
        if row.state != State.DONE and (missing := [source for source in sources if source not in came]):
            verdict = Verdict.WARN if row.error_code == "ignition_off" else Verdict.BAD
            cameras = " and ".join(missing)
            told.append(
                Standing(verdict, f"The last {row.arguments['file_type']} request ({cameras}) failed.")
            )
    return told
