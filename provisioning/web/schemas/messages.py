"""SMS: the list, and the test message to a person."""

from marshmallow import fields

from provisioning.commands import command_words
from provisioning.models import DeliveryStatus, Direction, Message
from provisioning.web.schemas.lists import ListFilter
from provisioning.web.schemas.request_fields import PHONE_SHAPE, Strict, check_phone
from provisioning.web.schemas.response_fields import Boolean, ResponseSchema, Text, Time, Word


class TrialMessageSchema(Strict):
    """A test SMS to a person's phone."""

    phone = fields.String(required=True, validate=check_phone, metadata=PHONE_SHAPE)


class MessageFilter(ListFilter):
    """A list of messages; `unmatched`: inbound texts that no command took."""

    unclaimed = fields.Boolean(load_default=False)


def _imei(row: Message) -> str | None:
    return row.device.imei if row.device else None


class MessageResponse(ResponseSchema):
    """An SMS. Its text never holds credentials."""

    id = Text()
    direction = Word(Direction)
    imei = Text(_imei, null=True)
    command = Text("command_id", null=True)
    sender = Text(data_key="from")
    recipient = Text(data_key="to")
    text = Text("body")
    status = Word(DeliveryStatus)
    error_code = Text(null=True)
    claimed = Boolean(about="whether it was taken as the answer to a command")
    note = Text(lambda row: command_words.said(row.note), null=True)
    created_at = Time()
