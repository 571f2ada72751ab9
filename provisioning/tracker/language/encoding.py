"""The exact SMS body of a command, without credentials, and the way back.

`encode` writes what the vendor's pages show, `decode` reads only that (commands are case sensitive).
Called by the composer, by the simulator and by tests; length and credentials are the composer's.
"""

import re

from provisioning.tracker.language.definitions import (
    PLAIN,
    RESOLUTIONS,
    CamGetRestart,
    CamGetSdFormat,
    CamReq,
    Command,
    FileType,
    GetParam,
    Server,
    SetParam,
    Source,
)
from provisioning.tracker.parameters import CATALOGUE, host_problem
from provisioning.tracker.parameters.values import wire_value

_FILE_TYPES = {FileType.VIDEO: "0", FileType.PHOTO: "1"}
SOURCE_DIGITS = {Source.FRONT: "1", Source.REAR: "2", Source.BOTH: "3"}
_CAMERAS = {digit: source for source, digit in SOURCE_DIGITS.items() if source is not Source.BOTH}
_RESOLUTION_NAMES = {str(digit): name for name, digit in RESOLUTIONS.items()}

_ID = r"[1-9][0-9]{0,7}"
_SETPARAM = re.compile(rf"setparam ({_ID}:[^;:]*(?:;{_ID}:[^;:]*)*)")
_GETPARAM = re.compile(rf"getparam ({_ID}(?:;{_ID})*)")
_CAMREQ = re.compile(
    r"camreq:(?P<type>[01]),(?P<source>[123])"
    r"(?:,(?P<timestamp>[0-9]{1,12}),(?P<duration>[0-9]{1,2}))?"
    r"(?:,(?P<domain>[A-Za-z0-9.-]*[A-Za-z.-][A-Za-z0-9.-]*),(?P<port>[0-9]{1,5})(?:,(?P<resolution>[0-5]))?)?"
)
_CAMERA_ACTION = re.compile(r"(camget_sdformat|camget_restart):([12])")


class UnsendableText(ValueError):
    """A command that cannot become one right SMS; its text says why and what to do."""


class UnreadableText(ValueError):
    """A text that is no command of ours; its text says what was expected."""


def encode(command: Command) -> str:
    """Write the SMS body of a command, without credentials; raises UnsendableText for what has no form."""
    if isinstance(command, SetParam):
        if not command.parameters:
            raise UnsendableText("A setparam without parameters says nothing: choose at least one.")
        return "setparam " + ";".join(f"{id}:{value}" for id, value in command.parameters.items())
    if isinstance(command, GetParam):
        if not command.parameters:
            raise UnsendableText("A getparam without parameters asks nothing: choose at least one.")
        return "getparam " + ";".join(str(id) for id in command.parameters)
    if isinstance(command, CamReq):
        return "camreq:" + ",".join(_camreq_slots(command))
    if isinstance(command, CamGetSdFormat | CamGetRestart):
        if command.camera is Source.BOTH:
            raise UnsendableText(f"{command.name} takes one camera at a time: send one for each.")
        return f"{command.name}:{SOURCE_DIGITS[command.camera]}"
    return command.name


def _camreq_slots(command: CamReq) -> list[str]:
    slots = [_FILE_TYPES[command.file_type], SOURCE_DIGITS[command.source]]
    video = command.file_type is FileType.VIDEO
    if video != (command.timestamp is not None) or video != (command.duration is not None):
        raise UnsendableText("A video needs a timestamp and a duration, a photo has neither.")
    if video:
        slots += [str(command.timestamp), str(command.duration)]
    if command.server:
        slots += [command.server.domain, str(command.server.port)]
    if command.resolution is not None:
        if video:
            raise UnsendableText("Only a photo has a resolution.")
        if command.server:
            slots.append(str(RESOLUTIONS[command.resolution]))
        elif command.resolution != "configured":  # sending nothing means the same
            raise UnsendableText(
                "A resolution stands behind the server's domain and port in the command: name the server too,"
                " or take the configured resolution (parameter 66000)."
            )
    return slots


def decode(text: str) -> Command:
    """Read an SMS body without credentials back into its command; raises UnreadableText.

    Values of catalogued text parameters stay text, all others become ints where that loses nothing.
    """
    if kind := PLAIN.get(text):
        return kind()
    if match := _SETPARAM.fullmatch(text):
        pairs = [pair.split(":") for pair in match[1].split(";")]
        if len({id for id, _ in pairs}) == len(pairs):
            return SetParam({int(id): _value(int(id), value) for id, value in pairs})
    if match := _GETPARAM.fullmatch(text):
        return GetParam(tuple(int(id) for id in match[1].split(";")))
    if match := _CAMERA_ACTION.fullmatch(text):
        camera = _CAMERAS[match[2]]
        return CamGetSdFormat(camera) if match[1] == "camget_sdformat" else CamGetRestart(camera)
    if match := _CAMREQ.fullmatch(text):
        return _camreq(match)
    raise UnreadableText("This is no command of a DualCam device in the form that the vendor documents.")


def _value(id: int, text: str) -> int | str:
    parameter = CATALOGUE.get(id)
    return text if parameter and parameter.kind == "text" else wire_value(text)


def _camreq(match: re.Match[str]) -> CamReq:
    file_type = FileType.VIDEO if match["type"] == "0" else FileType.PHOTO
    video = file_type is FileType.VIDEO
    if video != (match["timestamp"] is not None) or (video and match["resolution"]):
        raise UnreadableText("A video request has a timestamp and a duration, a photo request has neither.")
    if match["domain"] and (problem := host_problem(match["domain"])):
        raise UnreadableText(problem)
    if match["port"] and not 1 <= int(match["port"]) <= 65535:
        raise UnreadableText("The port must be a whole number from 1 to 65535.")
    return CamReq(
        file_type,
        Source({digit: source for source, digit in SOURCE_DIGITS.items()}[match["source"]]),
        int(match["timestamp"]) if video else None,
        int(match["duration"]) if video else None,
        Server(match["domain"], int(match["port"])) if match["domain"] else None,
        _RESOLUTION_NAMES[match["resolution"]] if match["resolution"] else None,
    )
