"""Ends commands that got no answer: refused, never sent, or timed out; and continues what depends on them.

Every such end has a code, a reason that a person can act on, and a place at the device. A proof of changed
credentials moves on to its next step. Called by what sends, sweeps and reads replies; the caller commits.
"""

from datetime import datetime

from provisioning.core.sms_capabilities import sms_capabilities
from provisioning.devices import credentials, status_table
from provisioning.models import Command, Device, Passage, State, command_state


def fail(command: Command, device: Device, code: str, message: str, retry: bool, now: datetime) -> None:
    """End a command as failed and remember it at the device; a lost proof of credentials moves on."""
    command_state.move(command, State.FAILED, now, error=(code, message, retry))
    status_table.remark_error(device, f"{command.kind}: {message}", now=now, source=("command", command.id))
    credentials.ended(command, device, now)


def expire(command: Command, device: Device, now: datetime) -> None:
    """End a command that waited too long, with a reason that a person can act on."""
    linked = (command.result or {}).get("linked", [])
    if command.state == State.ANSWERED and command.kind == "camreq":
        if linked:
            missing = " and ".join(command_state.missing_sources(command, linked))
            error = ("partial", f"Only one of two files came; that of the {missing} camera is missing.", True)
            command_state.move(command, State.FAILED, now, error=error)
        else:
            reason = (
                "The device accepted the request, but no file came. Look at its sessions: it may be unable to"
                " connect to this server. A device that cannot connect tries again after 30 minutes."
            )
            command_state.move(command, State.EXPIRED, now, error=("no_file", reason, True))
    else:
        command_state.move(command, State.EXPIRED, now, error=(*_silence(command), True))
    status_table.remark_error(
        device, f"{command.kind}: {command.error_message}", now=now, source=("command", command.id)
    )
    credentials.ended(command, device, now)


def _silence(command: Command) -> tuple[str, str]:
    if command.state == State.QUEUED:
        return "queue_timeout", "It waited too long for the device's turn and was never sent. Ask again."
    if command.state == State.ANSWERED:
        return (
            "no_read_back",
            "The device answered in part and did not say the rest. Read the parameters back.",
        )
    if command.reply and command.answered_at is None:
        return "unreadable_reply", (
            f"The device answered in words that are not known here: {command.reply[:300]!r}. Read them as they are."
        )
    if command.passage is Passage.DELIVERED:
        return "no_reply", (
            "The SMS reached the SIM, but the device did not answer: check login and password, and whether its"
            " list of authorised numbers holds ours."
        )
    if command.passage is Passage.UNCLEAR:
        return "unclear", (
            "It never became clear whether the SMS went out, and the device did not answer. It may still happen."
        )
    unreported = (
        "delivery was not reported"
        if sms_capabilities().delivery_reports
        else "this SMS gateway reports no delivery"
    )
    return "no_reply", (
        f"The device did not answer, and {unreported}: it may be switched off, asleep or out of coverage."
        " The SMS may still arrive."
    )
