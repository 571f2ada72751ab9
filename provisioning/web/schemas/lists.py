"""Where a list begins, how long it is, and of which device it is."""

from marshmallow import EXCLUDE, fields, validate

from provisioning.web.schemas.request_fields import TEXT, Readable


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
