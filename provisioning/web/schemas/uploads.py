"""Files of the cameras, and which command made them."""

from marshmallow import fields, validate

from provisioning.models import UploadState
from provisioning.web.schemas.lists import ListFilter
from provisioning.web.schemas.request_fields import TEXT, Strict


class LinkSchema(Strict):
    """A link fixed by hand: a command's id, or null for none."""

    command = fields.String(required=True, allow_none=True, metadata=TEXT)


class UploadFilter(ListFilter):
    """A list of uploads."""

    command = fields.String(validate=validate.Length(max=32), metadata=TEXT)
    state = fields.String(validate=validate.OneOf([state.value for state in UploadState]))
