"""Recovers commands that a crashed process, a silent gateway or a silent device left open.

`lookup` finds out what is unclear, at a gateway that can list messages; here ends what waited too long. Neither repeats
by itself what costs or destroys something. Called by the worker's periodic work; commits row by row.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from provisioning.commands import outcomes
from provisioning.core import jobs
from provisioning.devices import credential_pairs, credentials, status_table
from provisioning.models import OPEN, Attempt, Command, Passage, State, command_state, db, locks
from provisioning.phrase import Phrase
from provisioning.sms.lookup import find_ids, look_up
from provisioning.sms.recovery_rows import command_ids, has_passage

log = structlog.get_logger(__name__)

AHEAD = status_table.AHEAD


def _correct_times(clock: Callable[[], datetime]) -> None:
    """Bring the times of open commands back that were written while this machine's clock was ahead."""
    now = clock()

    def correct(row: tuple[str, int]) -> None:
        ident, device_id = row
        locks.lock_device(device_id)
        command = db.session.get_one(Command, ident)
        ahead = command.updated_at - now
        if command.state in OPEN and ahead > AHEAD:
            log.warning("times ahead of now corrected", command=ident, seconds=ahead.total_seconds())
            for name in ("due_at", "expires_at", "sending_at", "created_at"):
                _shift(command, name, ahead, now)
            for attempt in command.attempts:
                _shift(attempt, "began_at", ahead, now)
                _shift(attempt, "lease_until", ahead, now)
            command.updated_at = now
        db.session.commit()

    jobs.each("clock_ahead", command_ids(Command.state.in_(OPEN), Command.updated_at > now + AHEAD), correct)


def _shift(row: Command | Attempt, name: str, ahead: timedelta, now: datetime) -> None:
    if (moment := getattr(row, name)) is not None and moment > now:
        setattr(row, name, moment - ahead)


def _free_leases(clock: Callable[[], datetime]) -> None:
    def free(row: tuple[str, int]) -> None:
        ident, device_id = row
        now = clock()
        locks.lock_device(device_id)
        command = db.session.get_one(Command, ident)
        attempt = command.attempt
        if (
            command.state == State.IN_PROGRESS
            and attempt is not None
            and attempt.outcome == Passage.SENDING
            and attempt.lease_until is not None
            and attempt.lease_until < now
        ):
            note = Phrase("sender_ended")
            command_state.record(command, attempt, Passage.UNCLEAR, now, note=note)
            command.due_at = now
        db.session.commit()

    stale = has_passage(Passage.SENDING, Attempt.lease_until < clock())
    jobs.each("stale_leases", command_ids(Command.state == State.IN_PROGRESS, stale), free)


def _expire(clock: Callable[[], datetime]) -> None:
    def expire(row: tuple[str, int]) -> None:
        ident, device_id = row
        device = locks.lock_device(device_id)
        command = db.session.get_one(Command, ident)
        now = clock()
        being_sent = command.state == State.IN_PROGRESS and command.passage is Passage.SENDING
        if command.state in OPEN and not being_sent and command.expires_at and command.expires_at < now:
            outcomes.expire(command, device, now)
        db.session.commit()

    jobs.each("expire", command_ids(Command.expires_at < clock(), Command.state.in_(OPEN)), expire)


def _free_slots(clock: Callable[[], datetime]) -> None:
    """Free the SMS slot of commands that were cancelled after they were handed over."""

    def free(row: tuple[str, int]) -> None:
        ident, device_id = row
        device = locks.lock_device(device_id)
        command = db.session.get_one(Command, ident)
        if command.state == State.CANCELLED and command.expires_at and command.expires_at < clock():
            command.in_flight, command.expires_at = False, None
            if credential_pairs.is_change(command):
                credentials.ended(command, device, clock())
        db.session.commit()

    held = command_ids(Command.in_flight, Command.state == State.CANCELLED, Command.expires_at < clock())
    jobs.each("free_slots", held, free)


SECONDS = 3.0
JOBS = (
    jobs.Job("clock_ahead", SECONDS, _correct_times),
    jobs.Job("stale_leases", SECONDS, _free_leases),
    jobs.Job("look_up", SECONDS, look_up),
    jobs.Job("find_ids", SECONDS, find_ids),
    jobs.Job("expire", SECONDS, _expire),
    jobs.Job("free_slots", SECONDS, _free_slots),
)


def recover(clock: Callable[[], datetime]) -> None:
    """Resolve what a killed process left and what is unclear, expire what waited too long: each job once."""
    for job in JOBS:
        jobs.run(job, clock)
