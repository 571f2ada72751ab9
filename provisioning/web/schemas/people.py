"""People, and tokens of programs."""

from typing import Any

from marshmallow import fields, pre_load, validate

from provisioning.models import Role
from provisioning.tracker.input_fields import Flag
from provisioning.translation import N_
from provisioning.web.language import LANGUAGES
from provisioning.web.schemas.devices import ZONE, check_zone
from provisioning.web.schemas.request_fields import (
    MOST_TAGS,
    PLAIN_NAME,
    PLAIN_NAME_CLEANED,
    TEXT,
    FormFields,
    Strict,
    Tags,
)

ROLES = tuple(role.value for role in Role)


def _limit(**options: Any) -> Tags:
    """Declare the tags that a person or a token is limited to."""
    shape = {"description": "sees vehicles with one of these tags; none: the whole fleet"}
    return Tags(allow_none=True, validate=validate.Length(max=MOST_TAGS), metadata=shape, **options)


class ReadingSchema(Strict):
    """In which language a person reads pages, and in which time zone the person is."""

    language = fields.String(
        allow_none=True, validate=validate.OneOf(LANGUAGES), metadata={"description": "null: the browser's"}
    )
    time_zone = fields.String(allow_none=True, validate=check_zone, metadata=ZONE)


class ReadingForm(ReadingSchema):
    """The same from a form, in which an empty text stands for null."""

    @pre_load
    def read_texts(self, data: Any, **_: Any) -> Any:
        """Read the texts as the values that JSON would hold."""
        return {name: text or None for name, text in data.items()}


class UserChangeSchema(ReadingSchema):
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
            validate.Regexp(rf"^{_WORD}@{_WORD}$", error=N_("Not an e-mail address.")),
        ],
    )
    name = fields.String(load_default="", validate=validate.Length(max=100), metadata=TEXT)
    role = fields.String(required=True, validate=validate.OneOf(ROLES))
    tags = _limit(load_default=None)


class UserForm(FormFields, UserSchema):
    """A person who is invited by a form."""


class AccessForm(FormFields, UserChangeSchema):
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


class TokenForm(FormFields, TokenSchema):
    """A token as a form makes it: its numbers are text."""

    days = fields.Integer(load_default=365, validate=validate.Range(1, 36_500))
