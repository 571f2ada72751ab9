"""What can be asked of a device: one frozen class a command, with its typed arguments.

No text and no checks here: `parsing` makes these from JSON or forms, `encoding` turns them into SMS bodies.
Source: vendor's DualCam SMS commands and FMB SMS/GPRS command pages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar


class FileType(StrEnum):
    """What a camreq asks for."""

    PHOTO = "photo"
    VIDEO = "video"


class Source(StrEnum):
    """Which cameras; the wire says 1, 2 and 3."""

    FRONT = "front"
    REAR = "rear"
    BOTH = "both"


# Off by one from parameter 66000; 0 is what 66000 says.
RESOLUTIONS: Mapping[str, int] = MappingProxyType(
    {"configured": 0, "160x120": 1, "320x240": 2, "640x480": 3, "1280x720": 4, "1920x1080": 5}
)


@dataclass(frozen=True, slots=True)
class Server:
    """Where the files of one camreq go, instead of the configured server."""

    domain: str
    port: int


@dataclass(frozen=True)
class SetParam:
    """Set parameters, in this order."""

    parameters: Mapping[int, int | str]
    name: ClassVar[str] = "setparam"
    repeatable: ClassVar[bool] = True
    destructive: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))


@dataclass(frozen=True)
class GetParam:
    """Read parameters back, in this order."""

    parameters: tuple[int, ...]
    name: ClassVar[str] = "getparam"
    repeatable: ClassVar[bool] = True
    destructive: ClassVar[bool] = False


@dataclass(frozen=True)
class CamReq:
    """Take a photo, or fetch a video: timestamp in Unix seconds UTC, duration 1 to 30 s, only for video."""

    file_type: FileType
    source: Source
    timestamp: int | None = None
    duration: int | None = None
    server: Server | None = None
    resolution: str | None = None
    name: ClassVar[str] = "camreq"
    repeatable: ClassVar[bool] = False
    destructive: ClassVar[bool] = False


@dataclass(frozen=True)
class CamGetSdFormat:
    """Erase the SD card of one camera."""

    camera: Source
    name: ClassVar[str] = "camget_sdformat"
    repeatable: ClassVar[bool] = False
    destructive: ClassVar[bool] = True


@dataclass(frozen=True)
class CamGetRestart:
    """Restart one camera."""

    camera: Source
    name: ClassVar[str] = "camget_restart"
    repeatable: ClassVar[bool] = False
    destructive: ClassVar[bool] = False


@dataclass(frozen=True)
class CamGetVer:
    """Ask both cameras for their firmware version."""

    name: ClassVar[str] = "camgetver"
    repeatable: ClassVar[bool] = True
    destructive: ClassVar[bool] = False


@dataclass(frozen=True)
class GetVer:
    """Ask the tracker for firmware, hardware and IMEI."""

    name: ClassVar[str] = "getver"
    repeatable: ClassVar[bool] = True
    destructive: ClassVar[bool] = False


@dataclass(frozen=True)
class GetInfo:
    """Ask the tracker for its clock, uptime and counters."""

    name: ClassVar[str] = "getinfo"
    repeatable: ClassVar[bool] = True
    destructive: ClassVar[bool] = False


@dataclass(frozen=True)
class GetStatus:
    """Ask the tracker for its mobile network state."""

    name: ClassVar[str] = "getstatus"
    repeatable: ClassVar[bool] = True
    destructive: ClassVar[bool] = False


@dataclass(frozen=True)
class GetIo:
    """Ask the tracker for its inputs and outputs."""

    name: ClassVar[str] = "getio"
    repeatable: ClassVar[bool] = True
    destructive: ClassVar[bool] = False


@dataclass(frozen=True)
class CpuReset:
    """Restart the tracker."""

    name: ClassVar[str] = "cpureset"
    repeatable: ClassVar[bool] = False
    destructive: ClassVar[bool] = False


Plain = CamGetVer | GetVer | GetInfo | GetStatus | GetIo | CpuReset
Command = SetParam | GetParam | CamReq | CamGetSdFormat | CamGetRestart | Plain

PLAIN: Mapping[str, type[Plain]] = MappingProxyType(
    {kind.name: kind for kind in (CamGetVer, GetVer, GetInfo, GetStatus, GetIo, CpuReset)}
)
_WITH_ARGUMENTS: tuple[type[Command], ...] = (SetParam, GetParam, CamReq, CamGetSdFormat, CamGetRestart)
COMMANDS: Mapping[str, type[Command]] = MappingProxyType(
    {**{kind.name: kind for kind in _WITH_ARGUMENTS}, **PLAIN}
)


def cameras(source: str) -> tuple[str, ...]:
    """Give the cameras that a request's source names."""
    return ("front", "rear") if source == "both" else (source,)
