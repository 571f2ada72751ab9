"""Lists: where a page of one begins, how long it is, of which device it is, and what it shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from marshmallow import EXCLUDE, fields, validate

from provisioning.web.schemas.request_fields import TEXT, Readable
from provisioning.web.schemas.response_fields import Many, ResponseSchema, Text


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


class ListFilter(PageSchema):
    """A list of things of one device."""

    imei = fields.String(validate=validate.Length(max=40), metadata=TEXT)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list: objects that a schema shows, and the cursor of the next page."""

    items: Sequence[Any]
    next: str | None = None


def page_of(schema: type[ResponseSchema]) -> type[ResponseSchema]:
    """Make the schema of a page of a list."""
    shown = {"items": Many(schema), "next": Text(null=True, about="cursor of the next page")}
    return type(schema.__name__.replace("Response", "Page"), (ResponseSchema,), shown)
