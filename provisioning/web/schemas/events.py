"""Events, and links to them for people without an account."""

from collections.abc import Sequence
from dataclasses import dataclass

from marshmallow import fields, validate

from provisioning.media.event_rules import EventKind
from provisioning.models import Event, Share, Upload
from provisioning.tracker.input_fields import Moment
from provisioning.web.schemas.lists import ListFilter
from provisioning.web.schemas.request_fields import PAST, TEXT, Strict
from provisioning.web.schemas.response_fields import (
    Boolean,
    Count,
    Many,
    Number,
    One,
    ResponseSchema,
    Text,
    Texts,
    Time,
    Word,
)
from provisioning.web.schemas.uploads import UploadResponse

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


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """An event with its files, who asked for them, and who has seen it."""

    event: Event
    uploads: Sequence[Upload]
    asked_by: str | None
    seen_by: Sequence[str]


@dataclass(frozen=True, slots=True)
class NewShare:
    """A share, and its address, which nobody is shown again."""

    share: Share
    url: str


class PlaceResponse(ResponseSchema):
    """Where an event was. Made from the row of the event."""

    latitude = Number()
    longitude = Number()


class EventResponse(ResponseSchema):
    """Files that belong together."""

    row = "event"

    id = Text()
    imei = Text("device.imei")
    kind = Word(EventKind)
    at = Time()
    uploads = Many(UploadResponse, beside=True)
    asked_by = Text(
        beside=True, null=True, about="a user or token, or a check of theirs; null: it came by itself"
    )
    seen_by = Texts(beside=True, about="users and tokens")
    seen_at = Time(null=True, about="when it was first seen, or came too long ago for anybody to look")
    saved = Boolean(
        lambda event: event.saved_at is not None, about="its files are kept beyond their retention"
    )
    saved_by = Text(null=True)
    place = One(PlaceResponse, lambda event: event if event.latitude is not None else None, null=True)


class ShareResponse(ResponseSchema):
    """A link to an event for people without an account."""

    id = Text()
    event = Text("object_id")
    created_by = Text()
    created_at = Time()
    expires_at = Time()
    ended_at = Time(null=True, about="when somebody ended it before its time")
    password = Boolean(lambda share: share.password_hash is not None, about="whether it asks for a password")
    views = Count()
    viewed_at = Time(null=True)


class NewShareResponse(ShareResponse):
    """A share that was made just now."""

    row = "share"

    url = Text(beside=True)
