"""Sets of parameters: planned, sent to a device, and kept as profiles. `tracker` checks their values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marshmallow import fields, validate

from provisioning.models import Profile
from provisioning.tracker.input_fields import Flag
from provisioning.web.schemas.commands import PlannedSmsResponse
from provisioning.web.schemas.request_fields import (
    IMEI,
    PLAIN_NAME,
    PLAIN_NAME_CLEANED,
    TEXT,
    Strict,
    check_imei,
    optional_text,
)
from provisioning.web.schemas.response_fields import (
    Boolean,
    ByKey,
    Count,
    Integer,
    Many,
    ResponseSchema,
    Text,
    Texts,
    Time,
    Value,
    Word,
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


@dataclass(frozen=True, slots=True)
class ProfileHistory:
    """The newest version of a profile, and all of them."""

    newest: Profile
    versions: Sequence[Profile]


def _by_text(values: Mapping[int, Any]) -> dict[str, Any]:
    return {str(number): value for number, value in values.items()}


class ParameterResponse(ResponseSchema):
    """A parameter of the catalogue."""

    id = Count()
    key = Text()
    name = Text()
    kind = Word(("integer", "choice", "mask", "text"))
    summary = Text()
    minimum = Integer(null=True)
    maximum = Integer(null=True)
    step = Count()
    choices = ByKey(lambda row: _by_text(row.choices), values=fields.String(), about="names by value")
    bits = ByKey(lambda row: _by_text(row.bits), values=fields.String(), about="names by bit")
    default = Value("integer", "string", "null")
    unit = Text(null=True)
    since = Text(null=True, about="the firmware that has it first")
    depends = Texts()
    max_length = Count(null=True)
    secret = Boolean()


class PlanResponse(ResponseSchema):
    """What sending a set of parameters would do."""

    parameters = ByKey(
        lambda plan: _by_text(plan.parameters), values=Value("integer", "string"), about="by parameter id"
    )
    messages = Many(PlannedSmsResponse)
    warnings = ByKey(values=fields.List(fields.String()), about="by parameter id")


class ProfileResponse(ResponseSchema):
    """One version of a profile."""

    name = Text()
    version = Count()
    description = Text()
    parameters = ByKey(values=Value("integer", "string"), about="by parameter id")
    created_by = Text()
    created_at = Time()


class ProfileHistoryResponse(ProfileResponse):
    """A profile with all its versions."""

    row = "newest"

    versions = Many(ProfileResponse, beside=True)
