"""Devices, and the records that a telematics platform sends of them."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import available_timezones

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, validate, validates_schema

from provisioning.devices.health import HealthState
from provisioning.tracker.input_fields import Flag, Moment
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


def check_past(value: datetime) -> None:
    """Accept a time that has passed; the clocks of others may be a day ahead."""
    if value > datetime.now(UTC) + timedelta(days=1):
        raise ValidationError(gettext("This time is in the future."))


def _avl(text: str) -> fields.Integer:
    return fields.Integer(strict=True, validate=validate.Range(0, 65_535), metadata={"description": text})


AvlSchema = type(
    "AvlSchema",
    (Schema,),
    {
        "__doc__": "Values of a record by AVL id; those that this service does not use are left out.",
        "Meta": type("Meta", (), {"unknown": EXCLUDE}),
        "239": _avl("ignition"),
        "497": _avl("rear camera state"),
        "498": _avl("front camera state"),
        "499": _avl("SOS trigger"),
    },
)


class RecordSchema(Strict):
    """A record of the telematics platform."""

    left_out = frozenset({"values"})

    timestamp = Moment(
        required=True,
        validate=check_past,
        metadata={"description": "Unix seconds or milliseconds, or ISO 8601"},
    )
    values = fields.Nested(AvlSchema, required=True)


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
