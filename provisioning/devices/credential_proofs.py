"""What an answer of a device proves of the SMS credentials that it holds, and what leaves that in doubt."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select

from provisioning.devices.credential_pairs import (
    Pair,
    fingerprint_of,
    is_change,
    pair,
    pair_set_by,
    sent_fingerprint,
)
from provisioning.models import Attempt, Command, Device, Direction, Message, Passage, State, db
from provisioning.tracker import language
from provisioning.tracker.language import CommandRefused, Reply

ON_ITS_WAY = timedelta(hours=24)  # an SMS and what answers it come within that time, or never


def proved_pair(command: Command, device: Device, change: Command | None) -> Pair | None:
    """Give the pair that a command was sent with; None where that says nothing of the time after the change."""
    if change is None or change.sending_at is None or command.sending_at is None:
        return None
    if command.sending_at <= change.sending_at:
        return None
    for known in (pair(device, "current"), pair(device, "pending"), pair_set_by(change)):
        if fingerprint_of(known) == sent_fingerprint(command):
            return known
    return None


def has_duplicate(change: Command, brought: Pair, now: datetime) -> bool:
    """Say whether another change of late set the same pair: the words may be meant for that one."""
    others = db.session.scalars(
        select(Command).where(
            Command.device_id == change.device_id,
            Command.sending_at >= now - ON_ITS_WAY,
            Command.kind == "setparam",
            Command.id != change.id,
        )
    )
    return any(is_change(other) and pair_set_by(other) == brought for other in others)


def may_answer_another(
    command: Command, device: Device, replies: Sequence[Reply], text: str, now: datetime
) -> bool:
    """Say whether the words may belong to a command that was sent with another pair, or came once before."""
    kinds = {kind for reply in replies for kind in reply.answers}
    if any(isinstance(reply, CommandRefused) for reply in replies):
        kinds |= set(language.COMMANDS)
    since = now - ON_ITS_WAY
    with_same_pair = select(Attempt.id).where(
        Attempt.command_id == Command.id, Attempt.sent_with == sent_fingerprint(command)
    )
    rival = db.session.scalar(
        select(Command.id)
        .where(
            Command.device_id == device.id,
            Command.sending_at >= since,
            Command.kind.in_(kinds),
            Command.answered_at.is_(None) | (Command.state != State.DONE),
            Command.id != command.id,
            ~with_same_pair.exists(),
        )
        .limit(1)
    )
    same_words = db.session.scalar(
        select(func.count()).where(
            Message.device_id == device.id,
            Message.created_at >= since,
            Message.direction == Direction.IN,
            Message.body == text,
        )
    )
    return rival is not None or (same_words or 0) > 1


def never_arrives(change: Command) -> bool:
    if change.state == State.FAILED and change.error_retry is False:
        return True  # refused for good by the gateway or the network
    return all(attempt.outcome == Passage.NOT_SENT for attempt in change.attempts)


def may_still_arrive(change: Command, command: Command) -> bool:
    """Say whether a change may have reached the device after a command that was handed over later than it."""
    assert change.sending_at is not None
    assert command.sending_at is not None
    if (
        change.answered_at is not None
        and change.match == "certain"
        and command.sending_at > change.answered_at
    ):
        return False
    return command.sending_at < change.sending_at + ON_ITS_WAY and not never_arrives(change)
