"""What the schemas of requests share: texts that are cleaned, and fields that several nouns have.

Forms and JSON pass the same schemas.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from marshmallow import RAISE, Schema, ValidationError, fields, pre_load, validate
from stdnum import imei as stdnum_imei

from provisioning.tracker.input_fields import EARLIEST
from provisioning.tracker.normalization import CONTROL, clean_imei, clean_line, clean_phone, clean_text
from provisioning.translation import N_, gettext
from provisioning.web import tag_limit

PHONE = re.compile(r"\+[0-9]{8,15}")


# what marshmallow itself says of a field, as far as forms bring it about
OF_MARSHMALLOW = (
    N_("Missing data for required field."),
    N_("Field may not be null."),
    N_("Not a valid integer."),
    N_("Shorter than minimum length {min}."),
    N_("Longer than maximum length {max}."),
    N_("Must be greater than or equal to {min} and less than or equal to {max}."),
    N_("Must be one of: {choices}."),
)
# where a validator of marshmallow's keeps its sentences
_SENTENCES = ("error", "message_min", "message_max", "message_all", "default_message")


class Sentence(str):
    """A sentence of a field or a validator, which is translated when marshmallow fills in its gaps."""

    def format(self, *args: object, **values: object) -> str:
        """Give the sentence in the reader's language, with its values."""
        return gettext(str(self)).format(*args, **values)


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

    def on_bind_field(self, field_name: str, field_obj: fields.Field) -> None:
        """Have the sentences of a field and of its validators translated where they are shown."""
        field_obj.error_messages = {key: Sentence(text) for key, text in field_obj.error_messages.items()}
        for validator in field_obj.validators:
            for name in _SENTENCES:
                if isinstance(text := getattr(validator, name, None), str):
                    setattr(validator, name, Sentence(text))

    @pre_load
    def clean(self, data: Any, **_: Any) -> Any:
        """Look at every name and text that was given, and clean the texts."""
        if not isinstance(data, Mapping):
            return data
        errors = {
            CONTROL.sub("?", str(key)).translate(_SHOWN)[:40]: [gettext(UNKEEPABLE)]
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


UNKEEPABLE = N_("This holds a character that is no text (NUL, another control character, or half of a pair).")
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
        raise ValidationError(gettext("An IMEI has exactly 15 digits."))
    if not stdnum_imei.is_valid(value):
        raise ValidationError(
            gettext("The check digit is wrong: compare the number with the label on the tracker.")
        )


def check_phone(value: str) -> None:
    """Accept E.164 in form; M2M numbers follow no numbering plan."""
    if not PHONE.fullmatch(value):
        raise ValidationError(
            gettext("Give the number with its country code, such as +12025550123 (+ and 8 to 15 digits).")
        )


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


def optional_text(**options: Any) -> fields.String:
    """Declare a text that is empty where it is left out."""
    return fields.String(load_default="", **options)


MOST_TAGS = tag_limit.MOST


# what is no text, and the comma; and each kind of blank, since "\s" means others in the API's document
_NO_TAG = r",\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f"
_BLANK = r"\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff"


class Tags(fields.List):
    """Words to sort vehicles by: each is one line without a comma, which separates several. Blank ones are left out."""

    shape: ClassVar[dict[str, Any]] = {"pattern": f"^[^{_NO_TAG}]{{0,{tag_limit.LENGTH}}}$"}

    def __init__(self, **options: Any) -> None:
        super().__init__(fields.String(validate=_check_tag, metadata=self.shape), **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> list[Any]:
        found = super()._deserialize(value, attr, data, **options)
        if len(found) > MOST_TAGS:  # blank ones count: the API's document cannot leave them out
            raise ValidationError(gettext("At most %(number)s tags.", number=MOST_TAGS))
        return [tag for one in found if one and (tag := clean_line(one))]


class LimitingTags(Tags):
    """Tags that somebody is limited to: none at all mean the whole fleet, so that no blank one may be left out."""

    shape: ClassVar[dict[str, Any]] = {
        "pattern": f"^[^{_NO_TAG}]*[^,{_BLANK}][^{_NO_TAG}]*$", "maxLength": tag_limit.LENGTH,
    }  # fmt: skip

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> list[Any]:
        found = super()._deserialize(value, attr, data, **options)
        if len(found) < len(value):
            raise ValidationError(gettext("A tag must not be blank."))
        return found


def _check_tag(tag: str) -> None:
    if len(tag) > tag_limit.LENGTH or "," in tag:
        raise ValidationError(
            gettext("A tag has at most %(number)s characters and no comma.", number=tag_limit.LENGTH)
        )


LONGEST_NUMBER = 20  # characters of a number in a form


class FormFields(Schema):
    """Fields of a form, which are all texts: tags separated by commas, an empty number for none."""

    @pre_load
    def read_texts(self, data: Any, **_: Any) -> Any:
        """Read the texts as the values that JSON would hold."""
        given = dict(data)
        if isinstance(given.get("tags"), str):
            tags = [tag for tag in given["tags"].split(",") if tag.strip()]
            given["tags"] = tags or ([""] if given["tags"].strip() else [])  # commas alone are no empty field
        if isinstance(text := given.get("card_gb"), str):
            # a number that is too long for Python's reader is not read, and refused as what it is: no number of ours
            is_number = text.strip().isdecimal() and len(text) < LONGEST_NUMBER
            given["card_gb"] = int(text) if is_number else text.strip() or None
        if given.get("time_zone") == "":  # none was chosen
            del given["time_zone"]
        return given


PLAIN_NAME = validate.Regexp(
    r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,98}$(?!\n)",
    error=N_(
        "Letters from A to Z, digits, blanks, dots and dashes, 99 at most; it begins with a letter or digit."
    ),
)
# a line end in such a name is refused, not taken off
PLAIN_NAME_CLEANED = {**Readable.cleaned, "name": lambda name: name.strip(" \u00a0\u200b\ufeff")}

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
