"""Commands by name. `tracker.language` checks their arguments."""

from marshmallow import INCLUDE, fields, validate

from provisioning.models import ShownState
from provisioning.web.schemas.lists import ListFilter
from provisioning.web.schemas.request_fields import Readable


class CommandSchema(Readable):
    """A command by name; its other fields are its arguments."""

    class Meta:
        unknown = INCLUDE

    command = fields.String(required=True)


class CommandFilter(ListFilter):
    """A list of commands."""

    state = fields.String(validate=validate.OneOf([state.value for state in ShownState]))
