"""The worker's half of the outbox: claims one command a device, hands it over, resolves what stayed unclear.

Two short transactions with the gateway's answer between them; whatever line a process is killed at, the row
tells the next sweep what to do. Never repeats by itself what costs or destroys something.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import case, insert, select, update
from sqlalchemy.exc import IntegrityError

from . import commands, events, gateway, lifecycle, outbox, queue, secrets, statuses
from .config import current_config
from .errors import Conflict, GatewayError
from .models import Command, Device, Direction, Message, SenderBucket, State, changed, db, new_id
from .parameters import ParameterErrors

log = structlog.get_logger(__name__)

FIGURE_SPACE = "\u2007"  # stands for two blanks on its way to the gateway
LEASE_SECONDS = 90  # longer than the gateway's time-out: after it the process that held it is gone
ATTEMPTS = 8  # with the waits below about 20 minutes
LOOKUP_EVERY = 15
NOT_SENT_AFTER = timedelta(minutes=2)  # only then a message that is nowhere listed was not sent
SWEEP_BATCH = 200


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claimed command, ready for the gateway. Holds the true text: never log it."""

    command_id: str
    device_id: int
    message_id: str
    phone: str
    text: str
    validity: int


def drive(device_id: int, clock: Callable[[], datetime]) -> bool:
    """Send the device's next command if one may go now; say whether one was handed over."""
    attempt = _claim(device_id, clock())
    if attempt is None:
        return False
    try:
        sent = gateway.gateway().send(attempt.phone, attempt.text, attempt.message_id, attempt.validity)
    except GatewayError as error:
        _note_failure(attempt, error, clock())
        return False
    _note_sent(attempt, sent.sid, sent.status, clock())
    return True


def _claim(device_id: int, now: datetime) -> Attempt | None:
    device = lifecycle.lock_device(device_id)
    command = _next(device, now)
    if command is None:
        db.session.commit()
        return None
    if not _take_token(now):
        command.due_at = lifecycle.later(now, 1 / current_config().sms_per_second)
        db.session.commit()
        return None
    try:
        sms = _text(command, device, now)
    except Conflict as error:
        fail(command, device, error.code, error.message, False, now)
        db.session.commit()
        return None
    reply_timeout = current_config().sms_reply_timeout
    lifecycle.move(command, State.SENDING, now, expires_at=lifecycle.later(now, reply_timeout))
    command.capturing = command.kind == "camreq"
    command.sending_at, command.attempts = now, command.attempts + 1
    command.lease_until = lifecycle.later(now, LEASE_SECONDS)
    message = Message(
        id=new_id(), direction=Direction.OUT, sender=current_config().sender or "", recipient=device.phone,
        body=sms.masked, body_hash=_hash(sms.text), status="sending", device_id=device.id, command_id=command.id,
        claimed=True, created_at=now,
    )  # fmt: skip
    db.session.add(message)
    attempt = Attempt(command.id, device.id, message.id, device.phone, sms.text, min(reply_timeout, 36_000))
    try:
        db.session.commit()
    except IntegrityError:
        # the partial unique index: another process holds the device's place
        db.session.rollback()
        return None
    return attempt


def _hash(text: str) -> str:
    return secrets.keyed_hash(text.replace(FIGURE_SPACE, "  ").strip())


def _text(command: Command, device: Device, now: datetime) -> commands.Sms:
    """Compose a row's SMS as settings and credentials are now. Raises Conflict where that cannot be one right SMS."""
    try:
        texts = outbox.compose(
            outbox.typed(command, now), *outbox.credentials(device, command.credentials), device.model
        )
    except (commands.CommandErrors, ParameterErrors) as error:
        text = f"The settings of this service have changed since it was asked: {error}"
        raise Conflict(text, code="unsendable") from error
    except secrets.Undecryptable as error:
        raise Conflict(str(error), code="no_sms_credentials") from error
    if len(texts) != 1:
        text = "With the login and password that were entered since, it takes more than one SMS. Ask again."
        raise Conflict(text, code="unsendable")
    return texts[0]


def _next(device: Device, now: datetime) -> Command | None:
    """Choose what may go now: proofs and read-backs first, then by order of asking."""
    if device.archived_at is not None:
        return None
    held = db.session.scalars(
        select(Command).where(Command.device_id == device.id, Command.in_flight | Command.capturing)
    ).all()
    if any(command.in_flight for command in held):
        return None
    capturing = bool(held)
    waiting = db.session.scalars(
        select(Command)
        .where(Command.device_id == device.id, Command.state == State.QUEUED, Command.due_at <= now)
        .order_by(case((Command.parent_id.is_not(None), 0), else_=1), Command.id)
        .limit(50)
    )
    for command in waiting:
        if device.credentials_state in ("trying_pending", "trying_current") and command.parent_id is None:
            lifecycle.remark(command, "Waits until the new SMS credentials are proved.", now)
        elif command.kind == "camreq" and capturing:
            lifecycle.remark(command, "Waits for the files of the request before it.", now)
        elif command.kind == "camreq" and device.reconfiguring_until and device.reconfiguring_until > now:
            command.due_at = device.reconfiguring_until
            lifecycle.remark(
                command, "Waits about half a minute: the camera takes over its new settings.", now
            )
        else:
            return command
    return None


def _take_token(now: datetime) -> bool:
    """Take one token of the sender's bucket in one atomic statement; say whether there was one."""
    config, at = current_config(), now.timestamp()
    filled = SenderBucket.tokens + (at - SenderBucket.at) * config.sms_per_second
    tokens = case((filled > config.sms_burst, float(config.sms_burst)), else_=filled)
    take = (
        update(SenderBucket)
        .where(SenderBucket.sender == config.sender, SenderBucket.at <= at, tokens >= 1)
        .values(tokens=tokens - 1, at=at)
        .execution_options(synchronize_session=False)
    )
    if changed(take):
        return True
    if db.session.get(SenderBucket, config.sender) is not None:
        return False
    try:
        with db.session.begin_nested():
            db.session.execute(
                insert(SenderBucket).values(sender=config.sender, tokens=float(config.sms_burst), at=at)
            )
    except IntegrityError:
        pass  # another process made it just now
    return bool(changed(take))


def _note_sent(attempt: Attempt, sid: str, status: str, now: datetime) -> None:
    lifecycle.lock_device(attempt.device_id)
    message = db.session.get_one(Message, attempt.message_id)
    command = db.session.get_one(Command, attempt.command_id)
    if message.sid is None:
        message.sid = sid
    if message.status == "sending":
        message.status = status
    command.lease_until = None
    # a reply or a report may have overtaken the gateway's own answer
    if command.state in (State.SENDING, State.UNKNOWN):
        lifecycle.move(command, State.SENT, now)
    events.publish(attempt.device_id, "messages")
    db.session.commit()


def _note_failure(attempt: Attempt, error: GatewayError, now: datetime) -> None:
    device = lifecycle.lock_device(attempt.device_id)
    message = db.session.get_one(Message, attempt.message_id)
    command = db.session.get_one(Command, attempt.command_id)
    command.lease_until = None
    log.warning("SMS not handed over", command=command.id, code=error.code, sent=error.sent)
    if error.sent == "unknown":
        message.status = "unknown"
        if command.state == State.SENDING:
            lifecycle.move(command, State.UNKNOWN, now, note=error.message)
            command.due_at = lifecycle.later(now, LOOKUP_EVERY)
    else:
        message.status, message.error_code = "failed", error.code
        if command.state == State.CANCELLED:
            command.in_flight, command.expires_at = False, None
            lifecycle.remark(command, "It was cancelled and never sent.", now)
        if command.state == State.SENDING:
            if error.permanent or command.attempts >= ATTEMPTS:
                fail(command, device, error.code, error.message, not error.permanent, now)
            else:
                given_up = lifecycle.later(command.created_at, current_config().queue_timeout)
                lifecycle.move(command, State.QUEUED, now, note=error.message, expires_at=given_up)
                command.due_at = lifecycle.later(now, min(300, 5 * 2 ** (command.attempts - 1)))
                lifecycle.remark(command, error.message, now)
    db.session.commit()


def fail(command: Command, device: Device, code: str, message: str, retry: bool, now: datetime) -> None:
    """End a command as failed and remember it at the device; a lost proof of credentials moves on."""
    lifecycle.move(command, State.FAILED, now, error=(code, message, retry))
    statuses.remark_error(device, f"{command.kind}: {message}", now=now, source=("command", command.id))
    after_end(command, device, now)


def after_end(command: Command, device: Device, now: datetime) -> None:
    """Go on with a change of credentials when a step of it ended without a reply."""
    if device.credentials_state is None or command.state not in (State.FAILED, State.EXPIRED):
        return
    if command.kind == "setparam" and "encrypted" in command.arguments:
        never_left = command.sending_at is None or command.error_code in ("not_sent", "no_sms_credentials")
        if never_left or (command.state == State.FAILED and command.error_retry is False):
            settle_credentials(device, "current")
        else:
            outbox.prove_credentials(device, "pending", now, command.id)
    elif device.credentials_state == "trying_pending" and command.credentials == "pending":
        outbox.prove_credentials(device, "current", now, command.parent_id)
    elif device.credentials_state == "undecided" and command.kind == "getver" and command.parent_id is None:
        # somebody asks whether the device is there: the pair that was not tried is asked as well
        outbox.prove_credentials(device, "pending", now, command.id)
    elif device.credentials_state == "trying_current" and command.parent_id is not None:
        device.credentials_state = "undecided"
        statuses.remark_error(
            device, "The device answered neither with its old nor with its new SMS credentials; both are kept."
            " Ask for getver again when the vehicle is awake.", now=now, source=("command", command.id),
        )  # fmt: skip


def settle_credentials(device: Device, which: str) -> None:
    """Take one pair of credentials for true: "pending" (the new one) or "current"; the other is forgotten."""
    if which == "pending":
        device.sms_login, device.sms_password = device.pending_login, device.pending_password
    device.pending_login = device.pending_password = device.credentials_state = None


def sweep(clock: Callable[[], datetime]) -> None:
    """Drive what a killed process left, resolve the unclear, expire what waited too long."""
    for work in (_free_leases, _look_up, _learn_sids, _expire, _drive_due):
        try:
            work(clock)
        except GatewayError as error:
            db.session.rollback()
            log.warning("gateway away", code=error.code)
        finally:
            db.session.rollback()


def _ids(*conditions: object) -> list[tuple[str, int]]:
    rows = db.session.execute(
        select(Command.id, Command.device_id).where(*conditions).order_by(Command.id).limit(SWEEP_BATCH)  # type: ignore[arg-type]
    ).all()
    db.session.commit()
    return [(row.id, row.device_id) for row in rows]


def _free_leases(clock: Callable[[], datetime]) -> None:
    for ident, device_id in _ids(Command.state == State.SENDING, Command.lease_until < clock()):
        now = clock()
        lifecycle.lock_device(device_id)
        command = db.session.get_one(Command, ident)
        if command.state == State.SENDING and command.lease_until and command.lease_until < now:
            lifecycle.move(
                command, State.UNKNOWN, now, note="the process that sent it was ended; it is looked up"
            )
            command.due_at, command.lease_until = now, None
        db.session.commit()


def _look_up(clock: Callable[[], datetime]) -> None:
    for ident, device_id in _ids(Command.state == State.UNKNOWN, Command.due_at <= clock()):
        message = db.session.scalars(
            select(Message).where(Message.command_id == ident, Message.direction == Direction.OUT)
            .order_by(Message.id.desc())
        ).first()  # fmt: skip
        if message is None:
            continue
        phone, began, wanted, sid = message.recipient, message.created_at, message.body_hash, message.sid
        db.session.commit()
        if sid is None:
            sid = _find(phone, began, wanted)
        _resolve(ident, device_id, message.id, sid, clock())


def _learn_sids(clock: Callable[[], datetime]) -> None:
    """Find messages at the gateway whose reply came before the process that sent them heard its answer and died."""
    orphans = db.session.scalars(
        select(Message)
        .join(Command, Message.command_id == Command.id)
        .where(
            Message.direction == Direction.OUT, Message.sid.is_(None), Message.status.in_(("sending", "unknown")),
            Message.created_at < clock() - NOT_SENT_AFTER,
            Command.state.not_in((State.SENDING, State.UNKNOWN)),
        )
        .limit(SWEEP_BATCH)
    ).all()  # fmt: skip
    wanted = [(row.id, row.device_id, row.recipient, row.created_at, row.body_hash) for row in orphans]
    db.session.commit()
    for ident, device_id, phone, began, text_hash in wanted:
        sid = _find(phone, began, text_hash)
        assert device_id is not None
        lifecycle.lock_device(device_id)
        message = db.session.get_one(Message, ident)
        if message.sid is None:
            message.sid, message.status = sid, "sent" if sid else "failed"
            events.publish(device_id, "messages")
        db.session.commit()


def _find(phone: str, began: datetime, wanted: str | None) -> str | None:
    """Find a message at the gateway that no other row knows, by recipient, text and time."""
    listed = [
        seen.sid
        for seen in gateway.gateway().messages(began - timedelta(seconds=5), to=phone)
        if not seen.inbound and _hash(seen.body) == wanted
    ]
    known = set(db.session.scalars(select(Message.sid).where(Message.sid.in_(listed))))
    db.session.commit()
    free = [sid for sid in listed if sid not in known]
    return free[-1] if free else None


def _resolve(ident: str, device_id: int, message_id: str, sid: str | None, now: datetime) -> None:
    device = lifecycle.lock_device(device_id)
    command, message = db.session.get_one(Command, ident), db.session.get_one(Message, message_id)
    if command.state != State.UNKNOWN:
        db.session.commit()
        return
    if sid is not None:
        message.sid, message.status = message.sid or sid, "sent"
        lifecycle.move(command, State.SENT, now, note="found at the gateway: it went out")
    elif now - message.created_at < NOT_SENT_AFTER:
        command.due_at = lifecycle.later(now, LOOKUP_EVERY)
    else:
        message.status = "failed"
        _not_sent(command, device, now)
    db.session.commit()


def _not_sent(command: Command, device: Device, now: datetime) -> None:
    if commands.COMMANDS[command.kind].repeatable and command.attempts < ATTEMPTS:
        if command.kind == "setparam" and _superseded(command):
            numbers = sorted(int(number) for number in command.arguments.get("parameters", {}))
            lifecycle.move(command, State.FAILED, now, error=(
                "superseded", "It was not sent, and a newer command sets one of its parameters; the device is"
                " asked what it holds.", False))  # fmt: skip
            outbox.read_back(command, device, numbers, now)
            return
        lifecycle.move(command, State.QUEUED, now, note="the gateway does not have it: sent again",
                       expires_at=lifecycle.later(now, current_config().queue_timeout))  # fmt: skip
        command.due_at = now
        return
    fail(
        command,
        device,
        "not_sent",
        "The SMS was never sent, so nothing happened. Asking again is safe.",
        True,
        now,
    )


def _superseded(command: Command) -> bool:
    mine = _parameters(command)
    newer = db.session.scalars(
        select(Command).where(
            Command.device_id == command.device_id, Command.kind == "setparam", Command.id > command.id,
            Command.state.not_in([State.CANCELLED]),
        )
    )  # fmt: skip
    return any(mine & _parameters(other) for other in newer)


def _parameters(command: Command) -> set[str]:
    return set(command.arguments.get("parameters") or command.arguments.get("encrypted") or {})


def _expire(clock: Callable[[], datetime]) -> None:
    waiting = [State.QUEUED, State.SENT, State.DELIVERED, State.UNKNOWN, State.ANSWERED]
    for ident, device_id in _ids(Command.expires_at < clock(), Command.state.in_(waiting)):
        device = lifecycle.lock_device(device_id)
        command = db.session.get_one(Command, ident)
        now = clock()
        if command.state in waiting and command.expires_at and command.expires_at < now:
            expire(command, device, now)
        db.session.commit()
    # the SMS place of a command that was cancelled after it was handed over
    for ident, device_id in _ids(
        Command.in_flight, Command.state == State.CANCELLED, Command.expires_at < clock()
    ):
        lifecycle.lock_device(device_id)
        command = db.session.get_one(Command, ident)
        command.in_flight, command.expires_at = False, None
        db.session.commit()


def expire(command: Command, device: Device, now: datetime) -> None:
    """End a command that waited too long, with a reason that a person can act on."""
    message = db.session.scalars(
        select(Message).where(Message.command_id == command.id, Message.direction == Direction.OUT)
        .order_by(Message.id.desc())
    ).first()  # fmt: skip
    linked = (command.result or {}).get("linked", [])
    if command.state == State.ANSWERED and command.kind == "camreq":
        if linked:
            missing = " and ".join(lifecycle.missing_sources(command, linked))
            error = ("partial", f"Only one of two files came; that of the {missing} camera is missing.", True)
            lifecycle.move(command, State.FAILED, now, error=error)
        else:
            reason = (
                "The device accepted the request, but no file came. Look at its sessions: it may be unable to"
                " connect to this server. A device that cannot connect tries again after 30 minutes."
            )
            lifecycle.move(command, State.EXPIRED, now, error=("no_file", reason, True))
    else:
        lifecycle.move(command, State.EXPIRED, now, error=(*_silence(command, message), True))
    statuses.remark_error(
        device, f"{command.kind}: {command.error_message}", now=now, source=("command", command.id)
    )
    after_end(command, device, now)


def _silence(command: Command, message: Message | None) -> tuple[str, str]:
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
    if message is not None and message.status == "delivered":
        return "no_reply", (
            "The SMS reached the SIM, but the device did not answer: check login and password, and whether its"
            " list of authorised numbers holds ours."
        )
    if command.state == State.UNKNOWN:
        return "unclear", (
            "It never became clear whether the SMS went out, and the device did not answer. It may still happen."
        )
    return "no_reply", (
        "The device did not answer, and delivery was not reported: it may be switched off, asleep or out of"
        " coverage. The SMS may still arrive."
    )


def _drive_due(clock: Callable[[], datetime]) -> None:
    devices = db.session.scalars(
        select(Command.device_id)
        .where(Command.state == State.QUEUED, Command.due_at <= clock())
        .group_by(Command.device_id)
        .order_by(Command.device_id)
        .limit(SWEEP_BATCH)
    ).all()
    db.session.commit()
    for device_id in devices:
        if not queue.wake(queue.DEVICES, device_id):
            drive(device_id, clock)
