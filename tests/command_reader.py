"""Reads an SMS body without credentials back into its command, strictly as the vendor's pages show it.

A second reading of what the product writes, for tests: commands are case sensitive, and no blank may be added.
"""

import re

from provisioning.tracker.language import (
    COMMANDS,
    RESOLUTIONS,
    CameraServer,
    CamReq,
    FileType,
    GetParam,
    SetParam,
    Source,
    TypedCommand,
)
from provisioning.tracker.parameters import CATALOGUE, host_problem

_ID = r"[1-9][0-9]{0,7}"
_SETPARAM = re.compile(rf"setparam ({_ID}:[^;:]*(?:;{_ID}:[^;:]*)*)")
_GETPARAM = re.compile(rf"getparam ({_ID}(?:;{_ID})*)")
_CAMREQ = re.compile(
    r"camreq:(?P<type>[01]),(?P<source>[123])"
    r"(?:,(?P<timestamp>[0-9]{1,12}),(?P<duration>[0-9]{1,2}))?"
    r"(?:,(?P<domain>[A-Za-z0-9.-]*[A-Za-z.-][A-Za-z0-9.-]*),(?P<port>[0-9]{1,5})(?:,(?P<resolution>[0-5]))?)?"
)
_ONE_CAMERA = re.compile(r"([a-z_]+):([12])")
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_SOURCES = {"1": Source.FRONT, "2": Source.REAR, "3": Source.BOTH}
_RESOLUTIONS = {str(digit): name for name, digit in RESOLUTIONS.items()}


class UnreadableText(ValueError):
    """The text is no command in a documented form."""


def decode(text: str) -> TypedCommand:
    """Read a command. Raises UnreadableText."""
    if (kind := COMMANDS.get(text)) and not kind.takes_arguments():
        return kind()
    if match := _SETPARAM.fullmatch(text):
        pairs = [pair.split(":") for pair in match[1].split(";")]
        if len({id for id, _ in pairs}) == len(pairs):
            return SetParam({int(id): _value(int(id), value) for id, value in pairs})
    if match := _GETPARAM.fullmatch(text):
        return GetParam(tuple(int(id) for id in match[1].split(";")))
    if match := _ONE_CAMERA.fullmatch(text):
        kind = COMMANDS.get(match[1])
        if kind and kind.is_for_one_camera():
            return kind(camera=_SOURCES[match[2]])
    if match := _CAMREQ.fullmatch(text):
        return _camreq(match)
    raise UnreadableText(text)


def _value(id: int, text: str) -> int | str:
    parameter = CATALOGUE.get(id)
    return int(text) if (parameter is None or parameter.kind != "text") and _NUMBER.fullmatch(text) else text


def _camreq(match: re.Match[str]) -> CamReq:
    file_type = FileType.VIDEO if match["type"] == "0" else FileType.PHOTO
    video = file_type is FileType.VIDEO
    if video != (match["timestamp"] is not None) or (video and match["resolution"]):
        raise UnreadableText("a video has a timestamp and a duration, a photo has neither")
    if match["domain"] and host_problem(match["domain"]):
        raise UnreadableText("no host")
    if match["port"] and not 1 <= int(match["port"]) <= 65535:
        raise UnreadableText("no port")
    return CamReq(
        file_type,
        _SOURCES[match["source"]],
        int(match["timestamp"]) if video else None,
        int(match["duration"]) if video else None,
        CameraServer(match["domain"], int(match["port"])) if match["domain"] else None,
        _RESOLUTIONS[match["resolution"]] if match["resolution"] else None,
    )
