"""marshmallow schemas that forms and JSON share: devices, presets, records, links and the queries of lists.

Commands and parameters are validated in `tracker`.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import available_timezones

from marshmallow import (
    EXCLUDE,
    INCLUDE,
    RAISE,
    Schema,
    ValidationError,
    fields,
    pre_load,
    validate,
    validates_schema,
)
from stdnum import imei as stdnum_imei

from provisioning.check.facts import LOOKS
from provisioning.check.steps import QUESTIONS
from provisioning.devices.health import HealthState
from provisioning.media.event_rules import EventKind
from provisioning.models import Role, ShownState, UploadState
from provisioning.tracker.input_fields import EARLIEST, Flag, Moment, WholeNumber
from provisioning.tracker.normalization import CONTROL, clean_imei, clean_line, clean_phone, clean_text
from provisioning.web import tag_limit

PHONE = re.compile(r"\+[0-9]{8,15}")
CREDENTIAL = re.compile(r"[A-Za-z0-9]{1,5}")
ZONES = frozenset(available_timezones())


class Readable(Schema):
    """Input: what is no text (control characters, half a surrogate pair) is refused by field, at any depth; then the
    texts are cleaned, each as its field asks.
    """

    left_out: frozenset[str] = frozenset()  # fields of which only numbers are kept
    cleaned: Mapping[str, Callable[[str], str]] = {
        "imei": clean_imei,
        "phone": clean_phone,
        "name": clean_line,
        "model": clean_line,
        "plate": clean_line,
    }

    @pre_load
    def clean(self, data: Any, **_: Any) -> Any:
        """Look at every name and text that was given, and clean the texts."""
        if not isinstance(data, Mapping):
            return data
        errors = {
            CONTROL.sub("?", str(key)).translate(_SHOWN)[:40]: [UNKEEPABLE]
            for key, value in data.items()
            if key not in self.left_out and (_unkeepable(key) or _unkeepable(value))
        }
        if errors:
            raise ValidationError(errors)
        return {
            key: self.cleaned.get(key, clean_text)(value) if isinstance(value, str) else value
            for key, value in data.items()
        }


def _unkeepable(value: Any) -> bool:
    if isinstance(value, str):
        return CONTROL.search(value) is not None or _HALF.search(value) is not None
    if isinstance(value, Mapping):
        return any(_unkeepable(key) or _unkeepable(item) for key, item in value.items())
    return isinstance(value, list) and any(_unkeepable(item) for item in value)


UNKEEPABLE = "This holds a character that is no text (NUL, another control character, or half of a pair)."
_HALF = re.compile("[\ud800-\udfff]")
_SHOWN = dict.fromkeys(range(0xD800, 0xE000), "?")
# what `Readable` takes, for the API's document
TEXT = {"pattern": r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]*$"}


class Strict(Readable):
    """Input: unknown fields are refused by name."""

    class Meta:
        unknown = RAISE

    error_messages = {"unknown": "There is no such field."}


def check_imei(value: str) -> None:
    """Accept exactly 15 digits with a right check digit."""
    if not re.fullmatch(r"[0-9]{15}", value):
        raise ValidationError("An IMEI has exactly 15 digits.")
    if not stdnum_imei.is_valid(value):
        raise ValidationError("The check digit is wrong: compare the number with the label on the device.")


def check_phone(value: str) -> None:
    """Accept E.164 in form; M2M numbers follow no numbering plan."""
    if not PHONE.fullmatch(value):
        raise ValidationError(
            "Give the number with its country code, such as +12025550123 (+ and 8 to 15 digits)."
        )


def check_credential(value: str) -> None:
    """Accept what a tracker holds: letters and digits, at most 5; empty for none."""
    if value and not CREDENTIAL.fullmatch(value):
        raise ValidationError("Letters and digits only, at most 5.")


def check_zone(value: str) -> None:
    """Accept an IANA name."""
    if value not in ZONES:
        raise ValidationError("Not an IANA time zone, such as Europe/Vilnius.")


# how the API's document shows them; what people paste is cleaned before it is checked
IMEI = {
    "pattern": "^[0-9]{15}$",
    "format": "imei",
    "description": "15 digits, the last a check digit (Luhn); blanks, hyphens and slashes are taken off",
}
PHONE_SHAPE = {
    "pattern": r"^\+[0-9]{8,15}$",
    "description": "with country code; blanks, hyphens, brackets are taken off, and 00 is read as +",
}
CREDENTIAL_SHAPE = {
    "pattern": "^[A-Za-z0-9]{0,5}$",
    "description": "what the device already has; empty: none",
}
ZONE = {"format": "time-zone", "description": "IANA name, such as Europe/Vilnius"}


def _credential() -> fields.String:
    return fields.String(
        load_default="", allow_none=True, validate=check_credential, load_only=True, metadata=CREDENTIAL_SHAPE
    )


def _text(**options: Any) -> fields.String:
    return fields.String(load_default="", **options)


MOST_TAGS = tag_limit.MOST


class Tags(fields.List):
    """Words to sort vehicles by: each is one line without a comma, which separates several. Blank ones are left out."""

    def __init__(self, **options: Any) -> None:
        shape = {"pattern": rf"^[^,\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]{{0,{tag_limit.LENGTH}}}$"}
        super().__init__(fields.String(validate=_check_tag, metadata=shape), **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> list[Any]:
        found = super()._deserialize(value, attr, data, **options)
        if len(found) > MOST_TAGS:  # blank ones count: the API's document cannot leave them out
            raise ValidationError(f"At most {MOST_TAGS} tags.")
        return [tag for one in found if one and (tag := clean_line(one))]


def _check_tag(tag: str) -> None:
    if len(tag) > tag_limit.LENGTH or "," in tag:
        raise ValidationError(f"A tag has at most {tag_limit.LENGTH} characters and no comma.")


class DeviceSchema(Strict):
    """A device as it is added."""

    imei = fields.String(required=True, validate=check_imei, metadata=IMEI)
    phone = fields.String(required=True, validate=check_phone, metadata=PHONE_SHAPE)
    name = _text(validate=validate.Length(max=100), metadata=TEXT)
    model = _text(validate=validate.Length(max=32), metadata=TEXT)
    sms_login = _credential()
    sms_password = _credential()
    time_zone = fields.String(load_default="UTC", validate=check_zone, metadata=ZONE)
    plate = _text(validate=validate.Length(max=20), metadata=TEXT)
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


class _FormFields(Schema):
    """Fields of a form, which are all texts: tags separated by commas, an empty number for none."""

    @pre_load
    def read_texts(self, data: Any, **_: Any) -> Any:
        """Read the texts as the values that JSON would hold."""
        given = dict(data)
        if isinstance(given.get("tags"), str):
            given["tags"] = [tag for tag in given["tags"].split(",") if tag.strip()]
        if isinstance(text := given.get("card_gb"), str):
            given["card_gb"] = int(text) if text.strip().isdecimal() else text.strip() or None
        return given


class DeviceForm(_FormFields, DeviceSchema):
    """A device as it is added by a form."""


class DeviceChangeForm(_FormFields, DeviceChangeSchema):
    """What a form may change of a device."""

    class Meta:
        unknown = RAISE
        exclude = ("imei",)


def check_past(value: datetime) -> None:
    """Accept a time that has passed; the clocks of others may be a day ahead."""
    if value > datetime.now(UTC) + timedelta(days=1):
        raise ValidationError("This time is in the future.")


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
        raise ValidationError("Give + and the digits of the country, such as +370.")


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
            raise ValidationError("Login and password go together.", field_name=field)


class TrialMessageSchema(Strict):
    """A test SMS to a person's phone."""

    phone = fields.String(required=True, validate=check_phone, metadata=PHONE_SHAPE)


def kept_days_schema(least: int) -> Schema:
    """Make the schema of the days for which photos and clips are kept: 0 for ever, else `least` at least."""

    def check(value: int) -> None:
        if value and value < least:
            raise ValidationError(f"At least {least} days, or 0 to keep them for ever.")

    days = {
        name: WholeNumber(0, 36_500, "a number of days", required=True, validate=check)
        for name in ("photo", "video")
    }
    return Strict.from_dict(days)()  # type: ignore[arg-type]


PLAIN_NAME = validate.Regexp(
    r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,98}$(?!\n)",
    error="Letters, digits, blanks, dots, dashes; it begins with a letter or digit.",
)
# a line end in such a name is refused, not taken off
PLAIN_NAME_CLEANED = {**Readable.cleaned, "name": lambda name: name.strip(" \u00a0\u200b\ufeff")}


class ProfileSchema(Strict):
    """A profile as it is made; the parameters are checked as one set."""

    cleaned = PLAIN_NAME_CLEANED

    name = fields.String(required=True, validate=PLAIN_NAME)
    description = _text(validate=validate.Length(max=2000), metadata=TEXT)
    parameters = fields.Dict(keys=fields.String(), values=fields.Raw(allow_none=True), required=True)


class CheckAnswerSchema(Strict):
    """A person's answer to a question of a check."""

    question = fields.String(required=True, validate=validate.OneOf(QUESTIONS))
    answer = fields.String(required=True, validate=validate.OneOf([choice for choice, _ in LOOKS]))


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


class LinkSchema(Strict):
    """A link fixed by hand: a command's id, or null for none."""

    command = fields.String(required=True, allow_none=True, metadata=TEXT)


class PageSchema(Readable):
    """Where a list begins and how long it is."""

    class Meta:
        unknown = EXCLUDE

    cursor = fields.String(
        validate=validate.Regexp(r"^[0-9a-f]{1,32}$", error="This is not a cursor of ours.")
    )
    limit = fields.Integer(load_default=50, validate=validate.Range(1, 200))


class NumberedPage(PageSchema):
    """Where a list whose ids are numbers begins."""

    cursor = fields.String(validate=validate.Regexp(r"^[0-9]{1,9}$", error="This is not a cursor of ours."))


ROLES = tuple(role.value for role in Role)


def _limit(**options: Any) -> Tags:
    """Declare the tags that a person or a token is limited to."""
    shape = {"description": "sees vehicles with one of these tags; none: the whole fleet"}
    return Tags(allow_none=True, validate=validate.Length(max=MOST_TAGS), metadata=shape, **options)


class UserChangeSchema(Strict):
    """What may change of a person."""

    name = fields.String(validate=validate.Length(max=100), metadata=TEXT)
    role = fields.String(validate=validate.OneOf(ROLES))
    tags = _limit()
    active = Flag()


# a part of an e-mail address: no blank of any kind, each named, since "\s" means others in the API's document
_WORD = r"[^@\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff]+"


class UserSchema(Strict):
    """A person who is invited."""

    email = fields.String(
        required=True,
        validate=[
            validate.Length(max=254),
            validate.Regexp(rf"^{_WORD}@{_WORD}$", error="Not an e-mail address."),
        ],
    )
    name = fields.String(load_default="", validate=validate.Length(max=100), metadata=TEXT)
    role = fields.String(required=True, validate=validate.OneOf(ROLES))
    tags = _limit(load_default=None)


class UserForm(_FormFields, UserSchema):
    """A person who is invited by a form."""


class AccessForm(_FormFields, UserChangeSchema):
    """What a form changes of a person."""


class TokenChangeSchema(Strict):
    """What may change of a token."""

    cleaned = PLAIN_NAME_CLEANED

    name = fields.String(validate=PLAIN_NAME)
    role = fields.String(validate=validate.OneOf(ROLES))
    tags = _limit()


class TokenSchema(Strict):
    """A token that is made."""

    cleaned = PLAIN_NAME_CLEANED

    name = fields.String(required=True, validate=PLAIN_NAME)
    role = fields.String(required=True, validate=validate.OneOf(ROLES))
    days = fields.Integer(load_default=365, strict=True, validate=validate.Range(1, 36_500))
    tags = _limit(load_default=None)


class TokenForm(_FormFields, TokenSchema):
    """A token as a form makes it: its numbers are text."""

    days = fields.Integer(load_default=365, validate=validate.Range(1, 36_500))


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


class CommandSchema(Readable):
    """A command by name; its other fields are its arguments."""

    class Meta:
        unknown = INCLUDE

    command = fields.String(required=True)


class ListFilter(PageSchema):
    """A list of things of one device."""

    imei = fields.String(validate=validate.Length(max=40), metadata=TEXT)


class CommandFilter(ListFilter):
    """A list of commands."""

    state = fields.String(validate=validate.OneOf([state.value for state in ShownState]))


class UploadFilter(ListFilter):
    """A list of uploads."""

    command = fields.String(validate=validate.Length(max=32), metadata=TEXT)
    state = fields.String(validate=validate.OneOf([state.value for state in UploadState]))


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


ISO_8601 = (
    r"^2[0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
# a moment that has passed: Unix seconds, or ISO 8601 with a zone
PAST: dict[str, Any] = {
    "anyOf": [
        {
            "type": "integer",
            "minimum": int(EARLIEST.timestamp()),
            "description": "Unix seconds, not later than now",
        },
        {
            "type": "string",
            "format": "past-time",
            "pattern": ISO_8601,
            "description": "ISO 8601 with a zone, from the year 2000 on, not later than now",
        },
    ]
}
_KIND = "|".join(EventKind)


SHORTEST_SHARE_PASSWORD = 6


class ShareSchema(Strict):
    """A link to an event: for how many hours, and by which password if any."""

    left_out = frozenset({"password"})

    hours = fields.Integer(strict=True, required=True, validate=validate.Range(1, 8760))
    password = fields.String(validate=validate.Length(min=SHORTEST_SHARE_PASSWORD, max=200), metadata=TEXT)


class EventFilterSchema(ListFilter):
    """A list of events."""

    kind = fields.String(
        validate=validate.Regexp(
            rf"^({_KIND})(,({_KIND}))*$", error="Give kinds of events, separated by commas."
        ),
        metadata={"description": "kinds of events, separated by commas"},
    )
    since = Moment(data_key="from", metadata=PAST["anyOf"][1])
    until = Moment(data_key="to", metadata=PAST["anyOf"][1])
    unseen = fields.Boolean(metadata={"description": "only those that nobody has seen, or only the others"})
    saved = fields.Boolean(metadata={"description": "only those that are kept, or only the others"})


class MessageFilter(ListFilter):
    """A list of messages; `unmatched`: inbound texts that no command took."""

    unclaimed = fields.Boolean(load_default=False)
