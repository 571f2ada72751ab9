"""The log of people."""

from datetime import UTC

from marshmallow import fields, validate

from provisioning.core.audit import AuditAction
from provisioning.web.schemas.lists import PageSchema
from provisioning.web.schemas.request_fields import TEXT
from provisioning.web.schemas.response_fields import ByKey, ResponseSchema, Text, Time, Word


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


class AuditEntryResponse(ResponseSchema):
    """Something that a person or a program did or saw."""

    id = Text()
    at = Time()
    who = Text()
    address = Text()
    action = Word(AuditAction)
    object = Text(null=True)
    imei = Text(null=True)
    detail = ByKey(lambda row: row.detail or {}, about="what was given, secrets as dots")
