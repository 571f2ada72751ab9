"""The log of people."""

from datetime import UTC

from marshmallow import fields, validate

from provisioning.web.schemas.lists import PageSchema
from provisioning.web.schemas.request_fields import TEXT


class AuditFilter(PageSchema):
    """Entries of the log of people."""

    who = fields.String(
        validate=validate.Length(max=254),
        metadata=TEXT | {"description": "a user's e-mail, or `token NAME`, `command line`, `unknown`"},
    )
    object = fields.String(
        validate=validate.Length(max=300),
        metadata=TEXT | {"description": "`device:IMEI` with all its files and commands, `upload:ID`, …"},
    )
    since = fields.AwareDateTime(data_key="from", default_timezone=UTC)
    until = fields.AwareDateTime(data_key="to", default_timezone=UTC, metadata={"description": "before it"})
