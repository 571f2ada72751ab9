"""Delivery reports: which SMS of ours one is about, and how it moves that SMS and its command, only forward.

Called by `inbound`, which keeps the report, inside its transaction.
"""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import select

from provisioning.commands import outcomes
from provisioning.devices import credential_pairs, credentials, status_table
from provisioning.models import (
    BEING_SENT,
    DELIVERY_RANK,
    Command,
    DeliveryStatus,
    Device,
    Direction,
    Message,
    Passage,
    State,
    changes,
    command_state,
    db,
)
from provisioning.sms import gateway
from provisioning.sms.gateway import DeliveryReport
from provisioning.sms.message_ids import keep_id

log = structlog.get_logger(__name__)

CARRIED = (DeliveryStatus.QUEUED, DeliveryStatus.SENT, DeliveryStatus.DELIVERED)
LOST = (DeliveryStatus.UNDELIVERED, DeliveryStatus.FAILED, DeliveryStatus.CANCELED)
HANDING_OVER = timedelta(minutes=2)  # after so long the gateway's answer has named its id, or never will


def message_of(report: DeliveryReport) -> Message | None:
    """Give the SMS of ours that a report is about: by our own id, which no other SMS ever had, else the gateway's."""
    found = None
    if report.our_id:
        found = db.session.get(Message, report.our_id)
    if found is None and report.gateway_id:
        found = db.session.scalar(
            select(Message).where(
                Message.gateway == report.gateway,
                Message.direction == Direction.OUT,
                Message.gateway_id == report.gateway_id,
            )
        )
    ours = found is not None and found.direction == Direction.OUT and found.gateway == report.gateway
    return found if ours else None


def may_become_known(report: DeliveryReport, now: datetime) -> bool:
    """Say whether a report is about no SMS that is known, but may be about one that the gateway is just taking.

    That one's id is known once the gateway has answered.
    """
    if not report.gateway_id or message_of(report) is not None:
        return False
    being_sent = db.session.scalar(
        select(Message.id)
        .where(
            BEING_SENT,
            Message.created_at >= now - HANDING_OVER,
            Message.direction == Direction.OUT,
            Message.gateway == report.gateway,
        )
        .limit(1)
    )
    return being_sent is not None


def take(report: DeliveryReport, now: datetime) -> int | None:
    """Let a report take effect; give the device whose SMS it is about, None where no SMS of ours is meant."""
    message = message_of(report)
    if report.status is None:
        log.warning("unknown delivery status", gateway=report.gateway, gateway_status=report.gateway_status)
    if message is None:
        return None
    keep_id(message, report.gateway_id)
    if report.error_code and message.error_code is None:
        message.error_code = report.error_code[:48]
    changes.publish(message.device_id, "messages")
    if report.status is not None and DELIVERY_RANK[report.status] > DELIVERY_RANK.get(message.status, -1):
        message.status = report.status
        if message.command_id is not None and message.device_id is not None:
            _move_command(message, report.status, now)
    return message.device_id


def _move_command(message: Message, status: DeliveryStatus, now: datetime) -> None:
    command = db.session.get_one(Command, message.command_id)
    device = db.session.get_one(Device, message.device_id)
    attempt = next((one for one in command.attempts if one.message_id == message.id), None)
    if attempt is None:
        return
    command_state.record(command, attempt, _passage(status), now)
    if attempt is not command.attempt:
        return  # a report on an attempt that was given up
    if status in CARRIED:
        status_table.note_asked(device, command, now)
    elif command.in_flight:
        _end(command, device, message, status, now)


def _passage(status: DeliveryStatus) -> Passage:
    if status in LOST:
        return Passage.LOST
    return Passage.DELIVERED if status is DeliveryStatus.DELIVERED else Passage.SENT


def _end(command: Command, device: Device, message: Message, status: DeliveryStatus, now: datetime) -> None:
    """End a command whose SMS will not arrive; a cancelled one only gives its SMS slot back."""
    if command.state == State.CANCELLED:
        command.in_flight, command.expires_at = False, None
        if credential_pairs.is_change(command):
            credentials.ended(command, device, now)
        return
    error = gateway.describe_error(message.gateway, message.error_code)
    code = message.error_code or status
    outcomes.fail(command, device, code, error.phrase, not error.permanent, now)
