"""What a device's text answers, and what follows, by whatever transport it came: it has a device, a text and a time.

`reply_matching` decides which command fits the text, `reply_effects` what it means for that command. The transport
finds out first which device has sent it. The caller holds the device's lock and commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select

from provisioning.commands import reply_effects
from provisioning.commands.reply_matching import UNANSWERED_FOR, Match, choose
from provisioning.devices import credential_pairs
from provisioning.models import Command, Device, State, Upload, db
from provisioning.phrase import Phrase
from provisioning.tracker import language

ALREADY_CAPTURED = "already_captured"
EARLY = timedelta(seconds=30)  # so much before its command was handed over an answer may be dated


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text was read as: the command that it answers, whether anything took it, and what people read of it."""

    command: Command | None
    is_taken: bool
    note: Phrase


def take(
    device: Device,
    text: str,
    shown: str,
    source: tuple[str, str],
    at: datetime,
    now: datetime,
    *,
    goes_on: Command | None = None,
) -> Reading:
    """Apply a device's text: to the command that it answers, and to what is known of the device.

    `shown`: the text with dots for credentials, which is kept. `source`: kind and id of what brought the text, for
    facts of no command. `at`: when the device said it. `goes_on`: the command whose answer this text continues.
    """
    replies = [reply.without(credential_pairs.secrets(device)) for reply in language.read_replies(text)]
    rows = [goes_on] if goes_on is not None else _candidates(device, at)
    if goes_on is not None:
        match: Match | None = Match(goes_on.id, goes_on.match == "certain")
    else:
        match = choose(replies, _as_candidates(rows))
    command = next((row for row in rows if match and row.id == match.id), None)
    changing = command is not None and reply_effects.changes(command)
    fact_source = ("command", command.id) if command else source
    is_status = reply_effects.update_status(device, replies, fact_source, at, changing=changing)
    if command is None or match is None:
        return Reading(None, is_status, Phrase("nobody_asked" if is_status else "no_command_fits"))
    if not match.certain and command.match is None:
        command.match = "probable"
    elif match.certain:
        command.match = "certain"
    reply_effects.apply(command, device, replies, shown, now, at)
    return Reading(command, True, Phrase("several", {"phrases": [reply.phrase for reply in replies]}))


def _candidates(device: Device, at: datetime) -> list[Command]:
    """Give the commands that a text of this time may answer, newest first.

    In flight, capturing, never answered for a day, files whose announcement may still come, or an earlier file that
    is tried to be sent. Asked for apart, so that each is found by an index and not among all that the device was asked.
    """
    until = at + EARLY
    of_device = select(Command).where(Command.device_id == device.id)
    held = db.session.scalars(of_device.where(or_(Command.in_flight, Command.capturing)))
    rows = {row.id: row for row in held if row.sending_at is not None and row.sending_at <= until}
    recent = db.session.scalars(
        of_device.where(
            Command.sending_at >= at - UNANSWERED_FOR,
            Command.sending_at <= until,
            or_(
                Command.answered_at.is_(None),
                (Command.kind == "camreq") & (Command.state == State.DONE),
                (Command.kind == "camreq") & (Command.error_code == ALREADY_CAPTURED),
            ),
        )
        .order_by(Command.id.desc())
        .limit(200)
    )
    rows |= {row.id: row for row in recent}
    return [rows[ident] for ident in sorted(rows, reverse=True)]


def _as_candidates(rows: Sequence[Command]) -> list[language.Candidate]:
    taken: dict[str, list[float]] = {}
    files = select(Upload.command_id, Upload.timestamp).where(
        Upload.command_id.in_([row.id for row in rows if row.kind == "camreq"]), Upload.timestamp.is_not(None)
    )
    for ident, moment in db.session.execute(files):
        if ident is not None and moment is not None:
            taken.setdefault(ident, []).append(moment.timestamp())
    return [_candidate(row, taken.get(row.id, [])) for row in rows]


def _candidate(row: Command, taken: Sequence[float]) -> language.Candidate:
    asked = row.arguments.get("timestamp")
    announced = [milliseconds / 1000 for milliseconds in (row.result or {}).get("file_timestamps", [])]
    unannounced = row.kind == "camreq" and row.state == State.DONE and not announced
    arguments = row.arguments
    if credential_pairs.is_change(row):
        # compared only: a candidate is neither kept nor shown
        login, password = credential_pairs.pair_set_by(row)
        arguments = {"parameters": {credential_pairs.LOGIN: login, credential_pairs.PASSWORD: password}}
    return language.Candidate(
        row.id,
        row.kind,
        arguments,
        row.in_flight,
        row.capturing,
        asked=float(asked) if asked is not None else None,
        reported=(*taken, *announced),
        unannounced=unannounced,
        answered=row.answered_at is not None,
        resending=row.error_code == ALREADY_CAPTURED,
    )
