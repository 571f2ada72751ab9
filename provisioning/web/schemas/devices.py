"""Devices, and the records that a telematics platform sends of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any
from zoneinfo import available_timezones

from marshmallow import RAISE, ValidationError, fields, validate, validates_schema

from provisioning.devices.actions import ActionKind
from provisioning.devices.health import CODES, HealthState
from provisioning.devices.health_view import HealthView
from provisioning.models import Device
from provisioning.tracker.input_fields import Flag
from provisioning.tracker.normalization import clean_phone
from provisioning.translation import gettext
from provisioning.web.schemas.lists import PageSchema
from provisioning.web.schemas.request_fields import (
    IMEI,
    MOST_TAGS,
    PHONE_SHAPE,
    TEXT,
    FormFields,
    Readable,
    Strict,
    Tags,
    check_imei,
    check_phone,
    optional_text,
)
from provisioning.web.schemas.response_fields import (
    Boolean,
    Count,
    One,
    ResponseSchema,
    Secret,
    Text,
    Texts,
    Time,
    Word,
)

CREDENTIAL = re.compile(r"[A-Za-z0-9]{1,5}")
ZONES = frozenset(available_timezones())


def check_credential(value: str) -> None:
    """Accept what a tracker holds: letters and digits, at most 5; empty for none."""
    if value and not CREDENTIAL.fullmatch(value):
        raise ValidationError(gettext("Letters and digits only, at most 5."))


def check_zone(value: str) -> None:
    """Accept an IANA name."""
    if value not in ZONES:
        raise ValidationError(gettext("Not an IANA time zone, such as Europe/Vilnius."))


CREDENTIAL_SHAPE = {
    "pattern": "^[A-Za-z0-9]{0,5}$",
    "description": "what the device already has; empty: none",
}
ZONE = {"format": "time-zone", "description": "IANA name, such as Europe/Vilnius"}


def _credential() -> fields.String:
    return fields.String(
        load_default="", allow_none=True, validate=check_credential, load_only=True, metadata=CREDENTIAL_SHAPE
    )


class DeviceSchema(Strict):
    """A device as it is added."""

    imei = fields.String(required=True, validate=check_imei, metadata=IMEI)
    phone = fields.String(required=True, validate=check_phone, metadata=PHONE_SHAPE)
    name = optional_text(validate=validate.Length(max=100), metadata=TEXT)
    model = optional_text(validate=validate.Length(max=32), metadata=TEXT)
    sms_login = _credential()
    sms_password = _credential()
    time_zone = fields.String(load_default="UTC", validate=check_zone, metadata=ZONE)
    plate = optional_text(validate=validate.Length(max=20), metadata=TEXT)
    tags = Tags(load_default=list, validate=validate.Length(max=MOST_TAGS))
    card_gb = fields.Integer(
        strict=True,
        load_default=None,
        allow_none=True,
        validate=validate.Range(1, 2048),
        metadata={"description": "size of the SD card of each camera"},
    )
    profile = fields.String(
        load_default=None,
        allow_none=True,
        metadata={
            "format": "profile",
            "description": 'what its settings should be: "name" (newest version) or "name@version"',
        },
    )
    camera_server_configured = Flag(
        load_default=False, metadata={"description": "the camera's server is set in the device itself"}
    )
    cabin_private = Flag(
        load_default=False,
        metadata={
            "description": "nothing of the cabin is taken: the rear camera and image triggers are refused"
        },
    )


class DeviceChangeSchema(DeviceSchema):
    """What may change of a device; the IMEI may not."""

    class Meta:
        unknown = RAISE
        exclude = ("imei",)


class DeviceForm(FormFields, DeviceSchema):
    """A device as it is added by a form."""


class DeviceChangeForm(FormFields, DeviceChangeSchema):
    """What a form may change of a device."""

    class Meta:
        unknown = RAISE
        exclude = ("imei",)


_STATE = "|".join(HealthState)
STATES = rf"^({_STATE})(,({_STATE}))*$"


class DeviceFilter(PageSchema):
    """A list of devices."""

    state = fields.String(
        validate=validate.Regexp(STATES, error="Give states of health, separated by commas."),
        metadata={"description": "states of health, separated by commas"},
    )
    tag = fields.String(validate=validate.Length(max=40), metadata=TEXT)
    q = fields.String(
        validate=validate.Length(max=100),
        metadata=TEXT | {"description": "a part of name, plate, IMEI or phone"},
    )


COUNTRY_CODE = re.compile(r"\+[1-9][0-9]{0,3}")


def check_country_code(value: str) -> None:
    """Accept the country's part of an international phone number; empty for none."""
    if value and not COUNTRY_CODE.fullmatch(value):
        raise ValidationError(gettext("Give + and the digits of the country, such as +370."))


class NewVehiclesSchema(Strict):
    """What the form of a new vehicle begins with; a login and its password come together."""

    cleaned = {**Readable.cleaned, "country_code": clean_phone}

    sms_login = _credential()
    sms_password = _credential()
    country_code = fields.String(load_default="", validate=check_country_code)

    @validates_schema
    def check_pair(self, data: Mapping[str, Any], **_: Any) -> None:
        """Refuse half a login."""
        login, password = data.get("sms_login"), data.get("sms_password")
        if bool(login) != bool(password):
            field = "sms_password" if login else "sms_login"
            raise ValidationError(gettext("Login and password go together."), field_name=field)


@dataclass(frozen=True, slots=True)
class ShownDevice:
    """A device and its health."""

    device: Device
    health: HealthView


@dataclass(frozen=True, slots=True)
class FleetSummary:
    """How many devices are in each state of health, and how many commands are under way."""

    counts: Mapping[HealthState, int]
    under_way: int


class ActionResponse(ResponseSchema):
    """What can be done."""

    label = Text()
    kind = Word(ActionKind)


class HealthResponse(ResponseSchema):
    """The health of a device; docs/api.md lists the codes and the kinds of actions."""

    state = Word(HealthState)
    code = Word(sorted(CODES))
    reason = Text()
    since = Time()
    action = One(ActionResponse, null=True)


CountsResponse = ResponseSchema.from_dict(
    {str(state): Count(itemgetter(state)) for state in HealthState}, name="CountsResponse"
)


class FleetResponse(ResponseSchema):
    """How the fleet is."""

    counts = One(CountsResponse)
    under_way = Count()


class DeviceResponse(ResponseSchema):
    """A device."""

    row = "device"

    imei = Text(pattern="^[0-9]{15}$")
    phone = Text()
    name = Text()
    model = Text()
    sms_login = Secret()
    sms_password = Secret()
    credentials_pending = Boolean(lambda device: device.credentials_state is not None)
    time_zone = Text()
    firmware = Text(null=True)
    camera_server_configured = Boolean()
    cabin_private = Boolean()
    health = One(HealthResponse, beside=True)
    seen_at = Time(null=True)
    tags = Texts()
    plate = Text(lambda device: device.plate or "")
    profile = Text(lambda device: device.profile.name if device.profile else None, null=True)
    profile_version = Count(lambda device: device.profile.version if device.profile else None, null=True)
    card_gb = Count(null=True)
    created_at = Time()
    updated_at = Time()
    archived_at = Time(null=True)
