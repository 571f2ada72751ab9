"""Events, and links to them for people without an account."""

from marshmallow import fields, validate

from provisioning.media.event_rules import EventKind
from provisioning.tracker.input_fields import Moment
from provisioning.web.schemas.lists import ListFilter
from provisioning.web.schemas.request_fields import PAST, TEXT, Strict

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
