"""Applies a reply: to the command that it answers, and to the status table."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, assert_never

from provisioning.commands import submission
from provisioning.core.config import current_config
from provisioning.devices import credential_pairs, credentials, status_table
from provisioning.models import Command, Device, State, command_state, db, timestamps
from provisioning.phrase import Phrase
from provisioning.tracker.language import (
    CameraAction,
    CommandRefused,
    Failure,
    ParametersRefused,
    Progress,
    Reply,
    Unread,
    Values,
    mask,
)
from provisioning.tracker.parameters import RECONFIGURING

LONGEST_REPLY = 4000


def changes(command: Command) -> bool:
    """Say whether values in the answer to this command are new in the device: it sets them, or reads them back."""
    parent = db.session.get(Command, command.parent_id) if command.parent_id else None
    return "setparam" in (command.kind, parent.kind if parent else None)


def update_status(
    device: Device, replies: Sequence[Reply], source: tuple[str, str], at: datetime, *, changing: bool
) -> bool:
    """Take everything that replies say of the device into its status, whatever command they answer.

    `at`: when the device said it. `changing`: values that differ from those known before have just been set. Returns
    whether they say anything of the device.
    """
    facts = False
    for reply in replies:
        numbers = RECONFIGURING & set(reply.values) if isinstance(reply, Values) else frozenset()
        held = _held(device, numbers)
        for fact in reply.status_facts(device.imei):
            facts = True
            row = status_table.update(device, fact, source, at)
            if row is not None and fact.item == "firmware":
                device.firmware = fact.value[:64]
        if isinstance(reply, Values):
            if (changing or reply.new) and _held(device, numbers) != held:
                device.reconfiguring_until = timestamps.later(at, current_config().reconfiguration_wait)
            _compare_camera_server(device, reply)
        elif isinstance(reply, CameraAction) and reply.restarts:
            device.reconfiguring_until = timestamps.later(at, current_config().camera_restart_wait)
    return facts


def _held(device: Device, numbers: Collection[int]) -> dict[int, str]:
    return status_table.confirmed(device.id, numbers) if numbers else {}


def _compare_camera_server(device: Device, reply: Values) -> None:
    """Note whether the device's own camera server is this service, where its values say so."""
    config = current_config()
    ids = (config.camera_domain_parameter, config.camera_port_parameter)
    if None not in ids and set(ids) & set(reply.values):
        held = _held(device, [number for number in ids if number is not None])
        device.camera_server_configured = held.get(ids[0] or 0) == config.camera_server_domain and held.get(
            ids[1] or 0
        ) == str(config.camera_server_port)


def apply(
    command: Command,
    device: Device,
    replies: Sequence[Reply],
    text: str,
    now: datetime,
    at: datetime | None = None,
) -> None:
    """Take an SMS as the answer to a command: its text, its result, its state. `text` is masked.

    `at`: when the device said it, if not just now. States move, and waits begin, now.
    """
    at = at or now
    command.reply = "\n".join(filter(None, [command.reply, text]))[:LONGEST_REPLY]
    command.last_reply_at, command.updated_at = max(at, command.last_reply_at or at), now
    result = dict(command.result or {})
    result["replies"] = [
        *result.get("replies", []),
        *(reply.as_json(secrets=credential_pairs.secrets(device)) for reply in replies),
    ]
    command.result = result
    if all(isinstance(reply, Unread) for reply in replies):
        return  # shown with the command, which waits on: they may not even be its answer
    status_table.note_asked(device, command, now)
    command.answered_at = command.answered_at or at
    command_state.release(command)
    credentials.answered(command, device, replies, text, now)
    if command.state == State.CANCELLED:
        command.in_flight, command.expires_at = False, None
        if credential_pairs.is_change(command):
            credentials.ended(command, device, now)
        command_state.set_note(command, Phrase("cancelled_but_answered"), now)
        return
    _BY_KIND.get(command.kind, _simple)(command, device, replies, now)


def _simple(command: Command, device: Device, replies: Sequence[Reply], now: datetime) -> None:
    """Follow the first reply that answers the command; without one, a refusal ends it."""
    if fitting := next((reply for reply in replies if command.kind in reply.answers), None):
        _follow(command, device, fitting, now)
    elif refusal := _refusal(replies):
        _refuse(command, device, refusal, now)


def _follow(command: Command, device: Device, reply: Reply, now: datetime) -> None:
    """Do what a reply means for the command that it answers."""
    match reply.progress:
        case Failure(code, retry):
            _remember(command, reply)
            _fail(command, device, code, reply.phrase, retry, now)
        case Progress.ACCEPTED:
            _remember(command, reply)
            _accepted(command, reply, now)
        case Progress.ANNOUNCED:
            _remember(command, reply)
            _accepted(command, reply, now)
            if command.foreign_server:
                command.result = dict(command.result or {}) | {"foreign_server": True}
                _move(command, State.DONE, now, note=Phrase("file_goes_elsewhere"))
        case Progress.DONE:
            _remember(command, reply)
            _move(command, State.DONE, now, note=reply.phrase)
        case Progress.COMPARED | Progress.NOTHING:
            pass  # values are compared by the handlers of setparam and getparam
        case unexpected:
            assert_never(unexpected)


def _remember(command: Command, reply: Reply) -> None:
    """Keep in the command's result what a reply says of it; a list is added to what is kept."""
    result = dict(command.result or {})
    for name, value in reply.remembered().items():
        if isinstance(value, list):
            kept = result.get(name, [])
            result[name] = [*kept, *(item for item in value if item not in kept)]
        else:
            result[name] = value
    command.result = result


def _accepted(command: Command, reply: Reply, now: datetime) -> None:
    if command.state in command_state.HOLDS_SLOT:
        wait = timestamps.later(now, current_config().capture_timeout)
        command_state.move(command, State.ANSWERED, now, note=reply.phrase, expires_at=wait)


def _refusal(replies: Sequence[Reply]) -> CommandRefused | None:
    return next((reply for reply in replies if isinstance(reply, CommandRefused)), None)


def _refuse(command: Command, device: Device, refusal: CommandRefused, now: datetime) -> None:
    """End what the device refused, with the text of its reply: what a code means is written for photos and videos."""
    words = mask(refusal.message, credential_pairs.secrets(device))
    error = Phrase("refused", {"words": words, "advice": refusal.phrase})
    _fail(command, device, refusal.code, error, refusal.retry, now)


def _getparam(command: Command, device: Device, replies: Sequence[Reply], now: datetime) -> None:
    asked = {int(number) for number in command.arguments["parameters"]}
    held: dict[int, str] = {
        int(number): value for number, value in (command.result or {}).get("values", {}).items()
    }
    refused: list[Phrase] = []
    for reply in replies:
        if isinstance(reply, Values):
            held.update({number: value for number, value in reply.shown.items() if number in asked})
        elif isinstance(reply, ParametersRefused):
            refused.append(reply.phrase)
    missing = sorted(asked - set(held))
    command.result = dict(command.result or {}) | {
        "values": {str(number): value for number, value in held.items()},
        "missing": missing,
    }
    refusal = _refusal(replies)
    if refusal is not None and not held:
        _refuse(command, device, refusal, now)
    elif held or refused:
        if missing and not held:
            _fail(command, device, "not_answered", Phrase("several", {"phrases": refused}), False, now)
        else:
            note = Phrase("not_told", {"parameters": missing}) if missing else None
            _move(command, State.DONE, now, note=note)
    if command.parent_id and (parent := db.session.get(Command, command.parent_id)):
        _finish_setparam(parent, device, now)


def _setparam(command: Command, device: Device, replies: Sequence[Reply], now: datetime) -> None:
    if credential_pairs.is_change(command):
        return  # what its reply proves has been applied
    values = [reply for reply in replies if isinstance(reply, Values | ParametersRefused)]
    if not values and (refusal := _refusal(replies)):
        _refuse(command, device, refusal, now)
    else:
        _finish_setparam(command, device, now, values=values)


def _finish_setparam(command: Command, device: Device, now: datetime, values: Sequence[Reply] = ()) -> None:
    """Compare what was asked with what the device said since; ask again, once, for what is missing."""
    asked = {int(number): value for number, value in command.arguments.get("parameters", {}).items()}
    held = dict((command.result or {}).get("values", {}))
    for reply in values:
        if isinstance(reply, Values):
            held |= {str(number): value for number, value in reply.shown.items() if number in asked}
    if not values and command.kind == "setparam":
        for child in _children(command):
            held |= (child.result or {}).get("values", {})
    command.result = dict(command.result or {}) | {"values": held}
    different = sorted(
        n
        for n, value in asked.items()
        if str(n) in held and not status_table.same(n, held[str(n)], str(value))
    )
    missing = sorted(n for n in asked if str(n) not in held)
    children = _children(command)
    if not missing and not different:
        _move(command, State.DONE, now, note=Phrase("all_confirmed"))
    elif not children:
        if command_state.may_move(command, State.ANSWERED):
            wait = timestamps.later(now, 2 * current_config().sms_reply_timeout)
            command_state.move(
                command, State.ANSWERED, now, expires_at=wait, note=Phrase("asked_what_it_holds")
            )
            submission.read_back(command, device, missing or different, now)
    elif all(child.state not in (State.QUEUED, *command_state.HOLDS_SLOT) for child in children):
        _setparam_failed(command, device, asked, held, missing, different, now)


def _setparam_failed(
    command: Command,
    device: Device,
    asked: dict[int, Any],
    held: dict[str, str],
    missing: list[int],
    different: list[int],
    now: datetime,
) -> None:
    code = "value_differs" if different else "not_confirmed"
    differs = [{"number": number, "asked": asked[number], "held": held[str(number)]} for number in different]
    error = Phrase("not_taken_over", {"different": differs, "missing": missing})
    _fail(command, device, code, error, True, now)


def _children(command: Command) -> list[Command]:
    return list(db.session.query(Command).filter(Command.parent_id == command.id).order_by(Command.id))


def _getver(command: Command, device: Device, replies: Sequence[Reply], now: datetime) -> None:
    if command.parent_id is not None:
        # proves no credentials
        replies = [reply for reply in replies if not isinstance(reply, CommandRefused)]
    _simple(command, device, replies, now)


def _camreq(command: Command, device: Device, replies: Sequence[Reply], now: datetime) -> None:
    """Follow every reply: the device accepts a request and announces its file in one SMS or in several."""
    for reply in replies:
        if isinstance(reply, CommandRefused) or command.kind in reply.answers:
            _follow(command, device, reply, now)


# What is answered by several replies; every other command ends by its first.
_BY_KIND = {"getparam": _getparam, "setparam": _setparam, "getver": _getver, "camreq": _camreq}


def _move(command: Command, state: State, now: datetime, note: Phrase | None = None) -> None:
    if command.state != state and command_state.may_move(command, state):
        command_state.move(command, state, now, note=note)


def _fail(command: Command, device: Device, code: str, error: Phrase, retry: bool, now: datetime) -> None:
    if command_state.may_move(command, State.FAILED):
        command_state.move(command, State.FAILED, now, error=(code, error, retry))
    elif command.state == State.FAILED:
        command.error_code, command.error, command.error_retry = code, error, retry
    at = command.last_reply_at or now
    status_table.remark_error(device, error, command.kind, now=at, source=("command", command.id))
