"""SMS: the list, and the test message to a person."""

from marshmallow import fields

from provisioning.web.schemas.lists import ListFilter
from provisioning.web.schemas.request_fields import PHONE_SHAPE, Strict, check_phone


class TrialMessageSchema(Strict):
    """A test SMS to a person's phone."""

    phone = fields.String(required=True, validate=check_phone, metadata=PHONE_SHAPE)


class MessageFilter(ListFilter):
    """A list of messages; `unmatched`: inbound texts that no command took."""

    unclaimed = fields.Boolean(load_default=False)
