"""camreq: the request for a photo or a video, its arguments and its text.

Source: vendor's DualCam SMS commands, table of camreq.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self

from marshmallow import Schema, ValidationError, fields, post_load, validates_schema

from provisioning.roles import Permission
from provisioning.tracker.input_fields import EPOCH, WHOLE_SECONDS, Choice, Flag, Moment, WholeNumber
from provisioning.tracker.language.arguments import REQUIRED, Arguments
from provisioning.tracker.language.command import SOURCE_DIGITS, Effect, Source, TypedCommand
from provisioning.tracker.language.unsendable import UnsendableText
from provisioning.tracker.normalization import clean_host
from provisioning.tracker.parameters import host_problem
from provisioning.translation import gettext

LONGEST_VIDEO = 30  # seconds of one request
LONGEST_SPLIT = 120  # seconds of a video that several requests bring


class FileType(StrEnum):
    """What a camreq asks for."""

    PHOTO = "photo"
    VIDEO = "video"


_FILE_TYPE_DIGITS = {FileType.VIDEO: "0", FileType.PHOTO: "1"}

# One more than the values of the parameter picture_resolution; 0 takes what that parameter says.
RESOLUTIONS: Mapping[str, int] = MappingProxyType(
    {"configured": 0, "160x120": 1, "320x240": 2, "640x480": 3, "1280x720": 4, "1920x1080": 5}
)


@dataclass(frozen=True, slots=True)
class CameraServer:
    """Where the files of one camreq go, instead of the server that the device has configured."""

    domain: str
    port: int


class Host(fields.Field[str]):
    """A host name or an IPv4 address, without what an address bar puts around it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError(gettext("Give a host name or an IPv4 address."))
        host = clean_host(value)
        if problem := host_problem(host):
            raise ValidationError(problem)
        return host


class ServerArguments(Schema):
    """The server of a camreq."""

    error_messages = {
        "unknown": "A server has a domain and a port, and nothing else.",
        "type": "Give an object with domain and port.",
    }
    domain = Host(required=True, error_messages={"required": "Give a host name or an IPv4 address."})
    port = WholeNumber(
        1, 65535, required=True, error_messages={"required": "Give a whole number from 1 to 65535."}
    )

    @post_load
    def make(self, given: dict[str, Any], **_: Any) -> CameraServer:
        """Make the server."""
        return CameraServer(**given)


class ClipLength(fields.Field[int]):
    """How long a video is, in whole seconds: what one request brings, or, with `split`, what several do."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **_: Any) -> int:
        is_split = data is not None and data.get("split") is True
        return WholeNumber(1, LONGEST_SPLIT if is_split else LONGEST_VIDEO, WHOLE_SECONDS).deserialize(value)


class CamReqArguments(Arguments):
    """A photo of now, or a video of a time that has passed. `split`: as many requests as it takes."""

    file_type = Choice(FileType, required=True, error_messages=REQUIRED)
    source = Choice(Source, required=True, error_messages=REQUIRED)
    timestamp = Moment(whole_seconds=True)
    duration = ClipLength()
    split = Flag()
    resolution = Choice(RESOLUTIONS)
    server = fields.Nested(ServerArguments)

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check_file_type(self, read: dict[str, Any], given: Mapping[str, Any], **_: Any) -> None:
        """Check that what was given suits a photo or a video."""
        errors = {}
        present = {name for name, value in given.items() if value is not None}
        if read.get("file_type") is FileType.PHOTO:
            for name in present & {"timestamp", "duration", "split"}:
                errors[name] = [f"A photo is taken now and has no {name}: leave it out, or ask for a video."]
        if read.get("file_type") is FileType.VIDEO:
            errors |= {name: ["This is needed."] for name in {"timestamp", "duration"} - present}
            if "resolution" in present:
                errors["resolution"] = ["Only a photo has a resolution: leave it out."]
            if "timestamp" in read and "duration" in read:
                errors |= self._future(_seconds(read["timestamp"]), read["duration"])
        if errors:
            raise ValidationError(errors)

    def _future(self, begin: int, duration: int) -> dict[str, list[str]]:
        if begin + duration <= self.now:
            return {}
        return {
            "timestamp": [
                f"The video would end at {_utc(begin + duration)}, which has not come yet (it is {_utc(self.now)})."
                f" Begin at {_utc(self.now - duration)} or earlier."
            ]
        }

    @post_load
    def make(self, read: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Write times as the wire has them; "configured" is the camera's own choice, which needs no word."""
        if "timestamp" in read:
            read["timestamp"] = _seconds(read["timestamp"])
        if read.get("resolution") == "configured":
            del read["resolution"]
        read.pop("split", None)  # the duration says it
        return read


def _seconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(seconds=1)


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@dataclass(frozen=True)
class CamReq(
    TypedCommand, name="camreq", effect=Effect.COSTS, permission=Permission.ASK, arguments=CamReqArguments
):
    """Take a photo, or fetch a video: timestamp in Unix seconds UTC and duration in seconds, only for video.

    A video of more than LONGEST_VIDEO seconds takes several requests.
    """

    file_type: FileType
    source: Source
    timestamp: int | None = None
    duration: int | None = None
    server: CameraServer | None = None
    resolution: str | None = None

    def encode(self) -> str:
        slots = [_FILE_TYPE_DIGITS[self.file_type], SOURCE_DIGITS[self.source]]
        video = self.file_type is FileType.VIDEO
        if video != (self.timestamp is not None) or video != (self.duration is not None):
            raise UnsendableText("video_times")
        if video:
            slots += [str(self.timestamp), str(self.duration)]
        if self.server:
            slots += [self.server.domain, str(self.server.port)]
        return "camreq:" + ",".join(slots + self._resolution_slot())

    def split(self, fits: Callable[[Self], bool]) -> Iterator[Self]:
        return self.requests()

    def requests(self) -> Iterator[Self]:
        """Give the requests that bring all of it: each one at most LONGEST_VIDEO seconds, in order."""
        if self.timestamp is None or self.duration is None:
            yield self
            return
        for begin in range(0, self.duration, LONGEST_VIDEO):
            rest = min(LONGEST_VIDEO, self.duration - begin)
            yield replace(self, timestamp=self.timestamp + begin, duration=rest)

    def _resolution_slot(self) -> list[str]:
        if self.resolution is None:
            return []
        if self.file_type is FileType.VIDEO:
            raise UnsendableText("video_resolution")
        if self.server:
            return [str(RESOLUTIONS[self.resolution])]
        if self.resolution == "configured":  # sending nothing means the same
            return []
        raise UnsendableText("resolution_without_server")

    def as_arguments(self) -> dict[str, Any]:
        server = self.server and {"domain": self.server.domain, "port": self.server.port}
        optional = {
            "timestamp": self.timestamp,
            "duration": self.duration,
            "server": server,
            "resolution": self.resolution,
        }
        required = {"file_type": self.file_type.value, "source": self.source.value}
        return required | {key: value for key, value in optional.items() if value is not None}


def cameras(source: str) -> tuple[str, ...]:
    """Return the cameras that a request's source names."""
    return ("front", "rear") if source == "both" else (source,)
