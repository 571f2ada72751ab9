"""A change of SMS credentials: how what happens to commands moves it.

`credential_phases` holds the state machine, and `credential_proofs` says what an answer proves. The functions here
turn what happened to a command into a fact; `_apply` is the only place that writes the device's row. A pair is
forgotten only when an answer leaves no doubt, when the change cannot have reached the device, or when a person says
what it holds. Callers hold the device's lock and commit.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select

from provisioning.core import encryption
from provisioning.core.config import current_config
from provisioning.core.errors import Conflict
from provisioning.devices import status_table
from provisioning.devices.credential_pairs import (
    LOGIN,
    PASSWORD,
    Pair,
    encrypted_pair,
    envelope,
    fingerprint_of,
    is_change,
    pair,
    pair_set_by,
    sent_fingerprint,
)
from provisioning.devices.credential_phases import AT_REST, TRANSITIONS, TRYING, Fact, Phase
from provisioning.devices.credential_proofs import (
    has_duplicate,
    may_answer_another,
    may_still_arrive,
    never_arrives,
    proved_pair,
)
from provisioning.models import OPEN, Command, Device, State, command_state, db, timestamps
from provisioning.phrase import Phrase
from provisioning.tracker import language
from provisioning.tracker.language import GetVer, Reply, UnsendableText, Values
from provisioning.translation import gettext

SERVICE = "service"  # who asks for a proof


def phase_of(device: Device) -> Phase:
    """Give where a device's change of credentials stands."""
    if device.credentials_state is not None:
        return Phase(device.credentials_state)
    return Phase.SETTLED if device.pending_login is None else Phase.KEPT


def waits_for_proof(device: Device) -> bool:
    """Say whether commands must wait until a getver of this service has ended."""
    return phase_of(device) in TRYING


def is_waiting_for_proof() -> ColumnElement[bool]:
    """Give the condition of a device that `waits_for_proof`."""
    return func.coalesce(Device.credentials_state, "").in_(list(TRYING))


def demand_change(device: Device, wanted: Pair) -> None:
    """Let a new change begin only where no pair would be lost by it. Raises Conflict."""
    _demand_rest(device, gettext("A change of the SMS login is still under way; wait for it."))
    change = _change(device)
    if phase_of(device) is not Phase.SETTLED and (change is None or wanted != pair_set_by(change)):
        raise Conflict(
            gettext(
                "It is not proved yet which SMS login and password the tracker has, and a third pair"
                " could lock it out. Send the last pair again, ask the tracker for something when the"
                " vehicle is awake, or enter what it has at “Change”."
            ),
            code="credentials_pending",
        )


def asked(device: Device, change: Command, now: datetime) -> None:
    """Note that a change of credentials was queued."""
    _apply(device, Fact.ASKED, now, change=change)


def handed_over(command: Command, device: Device, now: datetime) -> None:
    """Note that a change may reach the device from now on."""
    if is_change(command):
        device.credentials_change = command.id
        _apply(device, Fact.HANDED_OVER, now, change=command)


def ended(command: Command, device: Device, now: datetime) -> None:
    """Go on after a command that ended without its answer: expired, failed or cancelled.

    What was cancelled while it holds the SMS slot may still be answered: it counts once the slot is free.
    """
    fact = _end_of(command, device)
    if fact is not None:
        _apply(device, fact, now, source=command.id)


def _end_of(command: Command, device: Device) -> Fact | None:
    cancelled = command.state == State.CANCELLED
    if is_change(command):
        if cancelled and command.in_flight:
            return None
        if never_arrives(command):
            return Fact.CANNOT_ARRIVE
        if command.id != device.credentials_change:
            return None
        # elsewhere words that did not confirm it have counted already
        counts = phase_of(device) is Phase.SENT or command.answered_at is None
        return Fact.UNCONFIRMED if counts else None
    if _is_proof(command, device):
        if cancelled:
            return Fact.GIVEN_UP
        return Fact.PENDING_SILENT if command.credentials == "pending" else Fact.CURRENT_SILENT
    asked_by_person = command.kind == "getver" and command.parent_id is None
    if asked_by_person and not cancelled and command.sending_at is not None and device.credentials_change:
        return Fact.GETVER_SILENT
    return None


def answered(command: Command, device: Device, replies: Sequence[Reply], text: str, now: datetime) -> None:
    """Take what an answer proves of the pair that the device holds. `text` is the masked SMS."""
    if not any(command.kind in reply.answers for reply in replies):
        return  # a refusal may be meant for another command
    if is_change(command):
        _change_answered(command, device, replies, now)
        return
    if phase_of(device) is Phase.SETTLED and sent_fingerprint(command) == fingerprint_of(
        pair(device, "current")
    ):
        return
    change = _change(device)
    held = proved_pair(command, device, change)
    if held is None or change is None:
        if _is_proof(command, device):
            _apply(device, Fact.GIVEN_UP, now)
        return
    is_new = held == pair_set_by(change)
    unclear = may_answer_another(command, device, replies, text, now)
    if unclear and phase_of(device) in (Phase.SETTLED, Phase.KEPT):
        return  # what is known already is worth more
    doubt = unclear or (not is_new and may_still_arrive(change, command))
    _decide(device, change, held, doubt, now, Phrase("answers_to_new_credentials"))


def said(device: Device, now: datetime) -> None:
    """Let a person's word end a change; the caller writes the pair. Raises Conflict while the change is under way."""
    text = gettext("The SMS login and password are being changed at this moment; wait for the outcome.")
    _demand_rest(device, text, errors={"sms_login": [text]})
    device.credentials_change = None  # what was sent before proves nothing any more
    _apply(device, Fact.SAID, now)


def _demand_rest(device: Device, text: str, errors: Any = None) -> None:
    waiting = db.session.scalars(
        select(Command).where(
            Command.device_id == device.id, Command.kind == "setparam", Command.state.in_(OPEN)
        )
    )
    if phase_of(device) not in AT_REST or any(is_change(command) for command in waiting):
        raise Conflict(text, code="credentials_pending", errors=errors)


def _change(device: Device) -> Command | None:
    """Give the newest change that was handed over, unless a person's word has ended it."""
    return db.session.get(Command, device.credentials_change) if device.credentials_change else None


def _is_proof(command: Command, device: Device) -> bool:
    return (
        command.kind == "getver"
        and command.parent_id is not None
        and command.parent_id == device.credentials_change
    )


def _change_answered(change: Command, device: Device, replies: Sequence[Reply], now: datetime) -> None:
    confirmed_values: dict[int, str] = {}
    for reply in replies:
        if isinstance(reply, Values):
            confirmed_values.update(reply.values)
    brought = pair_set_by(change)
    if change.id != device.credentials_change:
        return  # a newer change, or a person's word, has taken its place
    if (confirmed_values.get(int(LOGIN)), confirmed_values.get(int(PASSWORD))) == brought:
        _decide(
            device,
            change,
            brought,
            has_duplicate(change, brought, now),
            now,
            Phrase("confirmed_new_credentials"),
        )
    elif change.in_flight and command_state.may_move(change, State.ANSWERED):
        command_state.move(change, State.ANSWERED, now, note=Phrase("credentials_being_proved"))
        _apply(device, Fact.UNCONFIRMED, now, source=change.id)


def _decide(device: Device, change: Command, held: Pair, doubt: bool, now: datetime, note: Phrase) -> None:
    before = phase_of(device)
    if before is Phase.QUEUED or (before is Phase.SETTLED and (doubt or held == pair(device, "current"))):
        return _end_change(device, change, held, now, note)
    if held != pair(device, "current"):
        _use_other(device, held)
    _apply(device, Fact.ANSWERED if doubt else Fact.PROVED, now)
    _end_change(device, change, held, now, note)


def _end_change(device: Device, change: Command, held: Pair, now: datetime, note: Phrase) -> None:
    """Move the change itself to the end that fits the pair that is in use now."""
    if held != pair(device, "current"):
        return
    if held == pair_set_by(change):
        if change.state != State.DONE and command_state.may_move(change, State.DONE):
            command_state.move(change, State.DONE, now, note=note)
    elif change.state in (State.ANSWERED, State.EXPIRED, State.DONE):
        error = Phrase("credentials_not_changed")
        command_state.move(change, State.FAILED, now, error=(error.code, error, True))
        status_table.remark_error(device, error, change.kind, now=now, source=("command", change.id))


def _use_other(device: Device, held: Pair) -> None:
    """Send with this pair from now on, and hold the one that was in use before as the other one."""
    device.pending_login, device.pending_password = encrypted_pair(pair(device, "current"))
    device.sms_login, device.sms_password = encrypted_pair(held)


def _apply(
    device: Device, fact: Fact, now: datetime, *, change: Command | None = None, source: str | None = None
) -> None:
    """Move the device's row by the table; proofs begin and end with the phases that need them."""
    before = phase_of(device)
    phase = TRANSITIONS[before].get(fact, before)
    if before is Phase.SETTLED and change is not None:
        device.pending_login, device.pending_password = encrypted_pair(pair_set_by(change))
    if phase is Phase.SETTLED:
        device.pending_login = device.pending_password = None
    device.credentials_state = None if phase in (Phase.SETTLED, Phase.KEPT) else phase.value
    if phase is before:
        return
    if before in TRYING:
        _drop_proofs(device, now)
    if phase in TRYING:
        _prove(device, phase, now)
    elif fact is Fact.CURRENT_SILENT:
        status_table.remark_error(
            device, Phrase("neither_credentials_answered"), None, now=now, source=("command", source or "")
        )


def _prove(device: Device, phase: Phase, now: datetime) -> None:
    """Queue the getver with the pair that a phase tries; one that cannot be sent counts as not answered."""
    which = TRYING[phase]
    try:
        (sms,) = language.compose(GetVer(), envelope(device, which))
    except encryption.Undecryptable as error:
        source = ("command", device.credentials_change or "")
        status_table.remark_error(device, error.phrase, None, now=now, source=source)
        return _apply(device, Fact.GIVEN_UP, now)
    except UnsendableText:
        silent = Fact.PENDING_SILENT if which == "pending" else Fact.CURRENT_SILENT
        return _apply(device, silent, now, source=device.credentials_change)
    command_state.enqueue(
        device,
        sms,
        now=now,
        requested_by=SERVICE,
        expires_at=timestamps.later(now, current_config().queue_timeout),
        parent_id=device.credentials_change,
        credentials=which,
    )
    return None


def _drop_proofs(device: Device, now: datetime) -> None:
    """End the getvers of this service that wait: what they should prove is known, or nobody waits for it."""
    waiting = db.session.scalars(
        select(Command).where(Command.parent_id == device.credentials_change, Command.state == State.QUEUED)
    )
    for command in waiting:
        if _is_proof(command, device):
            command_state.move(command, State.CANCELLED, now, note=Phrase("not_needed_any_more"))
