"""Ends commands that got no answer: refused, never sent, or timed out; and continues what depends on them.

Every such end has a code, a reason that a person can act on, and an item in the device's status table. A proof of
changed credentials moves on to its next step. Called by dispatch, recovery and the reading of replies; the caller
commits.
"""

from datetime import datetime

from provisioning.core.sms_capabilities import sms_capabilities
from provisioning.devices import credentials, status_table
from provisioning.models import Command, Device, Passage, State, command_state
from provisioning.phrase import Phrase


def fail(command: Command, device: Device, code: str, error: Phrase, retry: bool, now: datetime) -> None:
    """End a command as failed and remember it at the device; a lost proof of credentials moves on."""
    command_state.move(command, State.FAILED, now, error=(code, error, retry))
    status_table.remark_error(device, error, command.kind, now=now, source=("command", command.id))
    credentials.ended(command, device, now)


def expire(command: Command, device: Device, now: datetime) -> None:
    """End a command that waited too long, with a reason that a person can act on."""
    linked = (command.result or {}).get("linked", [])
    if command.state == State.ANSWERED and command.kind == "camreq":
        if linked:
            error = Phrase("partial", {"missing": command_state.missing_sources(command, linked)})
            command_state.move(command, State.FAILED, now, error=("partial", error, True))
        else:
            error = Phrase("no_file")
            command_state.move(command, State.EXPIRED, now, error=("no_file", error, True))
    else:
        code, error = _silence(command)
        command_state.move(command, State.EXPIRED, now, error=(code, error, True))
    status_table.remark_error(device, error, command.kind, now=now, source=("command", command.id))
    credentials.ended(command, device, now)


def _silence(command: Command) -> tuple[str, Phrase]:
    """Give the code of an end without an answer, and its phrase."""
    if command.state == State.QUEUED:
        return "queue_timeout", Phrase("queue_timeout")
    if command.state == State.ANSWERED:
        return "no_read_back", Phrase("no_read_back")
    if command.reply and command.answered_at is None:
        return "unreadable_reply", Phrase("unreadable_reply", {"words": command.reply[:300]})
    if command.passage is Passage.DELIVERED:
        return "no_reply", Phrase("delivered_without_reply")
    if command.passage is Passage.UNCLEAR:
        return "unclear", Phrase("unclear")
    reports = sms_capabilities().delivery_reports
    return "no_reply", Phrase("not_reported" if reports else "no_reports")
