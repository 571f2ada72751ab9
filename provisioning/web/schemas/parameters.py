"""Sets of parameters: planned, sent to a device, and kept as profiles. `tracker` checks their values."""

from marshmallow import fields, validate

from provisioning.tracker.input_fields import Flag
from provisioning.web.schemas.request_fields import (
    IMEI,
    PLAIN_NAME,
    PLAIN_NAME_CLEANED,
    TEXT,
    Strict,
    check_imei,
    optional_text,
)


class ProfileSchema(Strict):
    """A profile as it is made; the parameters are checked as one set."""

    cleaned = PLAIN_NAME_CLEANED

    name = fields.String(required=True, validate=PLAIN_NAME)
    description = optional_text(validate=validate.Length(max=2000), metadata=TEXT)
    parameters = fields.Dict(keys=fields.String(), values=fields.Raw(allow_none=True), required=True)


class PlanSchema(Strict):
    """A parameter set to be planned."""

    parameters = fields.Dict(keys=fields.String(), values=fields.Raw(allow_none=True), required=True)
    imei = fields.String(validate=check_imei, metadata=IMEI)
    raw = Flag(load_default=False)


class ProvisionSchema(Strict):
    """A parameter set, or the name of a profile ("name" or "name@version")."""

    parameters = fields.Dict(keys=fields.String(), values=fields.Raw(allow_none=True))
    profile = fields.String()
    raw = Flag(load_default=False)
