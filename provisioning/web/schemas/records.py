"""Records that a telematics platform sends of a device."""

from datetime import UTC, datetime, timedelta

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from provisioning.tracker.input_fields import Moment
from provisioning.translation import gettext
from provisioning.web.schemas.request_fields import Strict
from provisioning.web.schemas.response_fields import Boolean, ResponseSchema


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


class RecordResponse(ResponseSchema):
    """What became of a record."""

    accepted = Boolean(lambda is_new: True)
    known = Boolean(lambda is_new: not is_new, about="whether it had come before")
