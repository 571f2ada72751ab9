"""Files of the cameras, and which command made them."""

from marshmallow import fields, validate

from provisioning.media import copy_words, link_words
from provisioning.media.previews import FAILED, READY
from provisioning.models import TRIGGERS, Certainty, Upload, UploadState
from provisioning.web.schemas.lists import ListFilter
from provisioning.web.schemas.request_fields import TEXT, Strict
from provisioning.web.schemas.response_fields import (
    Boolean,
    Count,
    Integer,
    Number,
    One,
    ResponseSchema,
    Text,
    Time,
    Word,
)
from receiver.store.keys import SOURCES


class LinkSchema(Strict):
    """A link fixed by hand: a command's id, or null for none."""

    command = fields.String(required=True, allow_none=True, metadata=TEXT)


class UploadFilter(ListFilter):
    """A list of uploads."""

    command = fields.String(validate=validate.Length(max=32), metadata=TEXT)
    state = fields.String(validate=validate.OneOf([state.value for state in UploadState]))


def _reason(row: Upload) -> str | None:
    return link_words.reason(row.link_reason) if row.link_reason else None


class LinkResponse(ResponseSchema):
    """Which command made a file, why, and how sure that is. Made from the row of the file."""

    command = Text("command_id", null=True)
    reason = Text(_reason, null=True)
    record = Text("record_id", null=True)
    certainty = Word(Certainty, "link_certainty", null=True)
    looked_like = Text(null=True, about="the command that a doubtful file looked like the answer to")


class PlaybackResponse(ResponseSchema):
    """How many frames a second the copy of a video has. Made from the row of the file."""

    frame_rate = Count("playback_frame_rate")
    assumed = Boolean("playback_assumed", about="the camera did not tell it")


def _trigger_name(row: Upload) -> str | None:
    return None if row.trigger is None else TRIGGERS.get(row.trigger, f"number {row.trigger}")


def _problem(row: Upload) -> str | None:
    return copy_words.problem(row.derived_error) if row.derived_error else None


class UploadResponse(ResponseSchema):
    """A file of a camera."""

    id = Text()
    imei = Text()
    file_type = Word(("photo", "video"))
    source = Word(SOURCES, about="the camera; more than front and rear for files that are offered by path")
    trigger = Count(null=True)
    trigger_name = Text(_trigger_name, null=True)
    timestamp = Time(null=True)
    trigger_timestamp = Time(null=True)
    duration = Count(null=True)
    frame_rate = Count(null=True)
    camera_time_zone = Integer(null=True, about="minutes")
    latitude = Number(null=True)
    longitude = Number(null=True)
    state = Word(UploadState)
    size = Count(about="bytes")
    packets = Count()
    received_packets = Count()
    sha256 = Text(null=True)
    crc_errors = Count()
    resumes = Count()
    event = Text("event_id", null=True, about="id of the event that the file is of")
    started_at = Time()
    received_at = Time(null=True)
    address = Text(null=True, about="from which address the file came")
    other_network = Boolean(
        null=True, about="whether that is of another network than the device's files had come from before"
    )
    link = One(LinkResponse, lambda row: row)
    doubtful = Boolean(
        lambda row: row.looked_like is not None,
        about="the file looked like the answer to a command, but another one certainly is that: it may not be of this"
        " device",
    )
    thumbnail = Word((READY, FAILED), "thumbnail_state", null=True, about="null: not made yet")
    video = Word((READY, FAILED), "video_state", null=True, about="null: not made yet")
    playback = One(PlaybackResponse, lambda row: row if row.playback_frame_rate else None, null=True)
    problem = Text(_problem, null=True, about="why a copy could not be made")
