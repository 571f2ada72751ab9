"""People, and tokens of programs."""

from dataclasses import dataclass
from typing import Any

from marshmallow import fields, pre_load, validate

from provisioning.models import ApiToken, Role, User
from provisioning.tracker.input_fields import Flag, WholeNumber
from provisioning.translation import N_
from provisioning.web.invitations import Invitation
from provisioning.web.language import LANGUAGES
from provisioning.web.schemas.devices import ZONE, check_zone
from provisioning.web.schemas.request_fields import (
    MOST_TAGS,
    PLAIN_NAME,
    PLAIN_NAME_CLEANED,
    TEXT,
    FormFields,
    LimitingTags,
    Strict,
)
from provisioning.web.schemas.response_fields import Boolean, One, ResponseSchema, Text, Texts, Time, Word
from provisioning.web.schemas.storage import DAYS

ROLES = tuple(role.value for role in Role)
LIMIT = "sees vehicles with one of these tags"


def _limit(**options: Any) -> LimitingTags:
    """Declare the tags that a person or a token is limited to."""
    shape = {"description": f"{LIMIT}; none: the whole fleet"}
    return LimitingTags(allow_none=True, validate=validate.Length(max=MOST_TAGS), metadata=shape, **options)


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


# a part of an e-mail address: nothing that has a meaning of its own in the head of a mail, and no blank of any kind;
# each is named, since "\s" means others in the API's document
_WORD = r"[^@()<>\[\]:;,\\?\u0022\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff]+"


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


class _NewTokenFields(Strict):
    """What is given of a token that is made, by whatever way."""

    cleaned = PLAIN_NAME_CLEANED

    name = fields.String(required=True, validate=PLAIN_NAME)
    role = fields.String(required=True, validate=validate.OneOf(ROLES))
    tags = _limit(load_default=None)


class TokenSchema(_NewTokenFields):
    """A token that is made."""

    days = fields.Integer(load_default=365, strict=True, validate=validate.Range(1, 36_500))


class TokenForm(FormFields, _NewTokenFields):
    """A token as a form makes it: its numbers are text."""

    days = WholeNumber(1, 36_500, DAYS, load_default=365)


@dataclass(frozen=True, slots=True)
class ShownUser:
    """A person, and the link of a new invitation."""

    user: User
    invitation: Invitation | None = None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token, and in clear what nobody is shown again."""

    row: ApiToken
    token: str


class InvitationResponse(ResponseSchema):
    """The link of an invitation."""

    url = Text(about="shown here alone")
    expires_at = Time()
    mailed = Boolean("is_mailed")
    problem = Text(lambda link: link.problem or None, null=True, about="why it was not mailed")


class UserResponse(ResponseSchema):
    """A person."""

    row = "user"

    id = Text(lambda user: str(user.id))
    email = Text()
    name = Text(lambda user: user.name or "")
    role = Word(Role)
    tags = Texts(null=True, about=f"{LIMIT}; null: the whole fleet")
    language = Word(LANGUAGES, null=True, about="null: the browser's")
    time_zone = Text(null=True, about="IANA name; null: none")
    active = Boolean()
    has_password = Boolean(lambda user: bool(user.password_hash))
    invited_until = Time("invite_until", null=True)
    seen_at = Time("last_seen_at", null=True)
    created_at = Time()


class InvitedUserResponse(UserResponse):
    """A person who was invited just now."""

    invitation = One(InvitationResponse, beside=True)


class TokenResponse(ResponseSchema):
    """A token, which itself is kept nowhere."""

    id = Text(lambda token: str(token.id))
    name = Text()
    role = Word(Role)
    tags = Texts(null=True, about=f"{LIMIT}; null: the whole fleet")
    made_by = Text(lambda token: token.made_by or "")
    last_used_at = Time(null=True)
    expires_at = Time()
    created_at = Time()


class NewTokenResponse(TokenResponse):
    """A token that was made just now."""

    row = "row"

    token = Text(beside=True, about="shown here alone")
