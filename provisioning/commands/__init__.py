"""SMS commands and replies, pure: typed arguments to exact text, and a device's words to typed results.

No clock, files, sockets, Flask or SQL; no credentials are kept. Called by the outbox, the inbox, forms,
the API and the simulator. A new command is one class in `requests`, its text in `wire`, its arguments in
`arguments`, and a vector file.
"""

from provisioning.commands.arguments import LONGEST_VIDEO, CommandErrors, from_arguments, to_arguments
from provisioning.commands.compose import Family, Sms, compose, family, prefix
from provisioning.commands.masking import mask
from provisioning.commands.reading import PARTS, read_replies
from provisioning.commands.refusals import REFUSALS, Refusal
from provisioning.commands.replies import (
    Accepted,
    AlreadyCaptured,
    CameraAction,
    CameraVersions,
    Info,
    ParametersRefused,
    Preparing,
    Refused,
    Reply,
    ResetAcknowledged,
    Unread,
    Values,
)
from provisioning.commands.requests import (
    COMMANDS,
    RESOLUTIONS,
    CamGetRestart,
    CamGetSdFormat,
    CamGetVer,
    CamReq,
    Command,
    CpuReset,
    FileType,
    GetInfo,
    GetIo,
    GetParam,
    GetStatus,
    GetVer,
    Server,
    SetParam,
    Source,
)
from provisioning.commands.wire import UnreadableText, UnsendableText, decode, encode

__all__ = [
    "COMMANDS",
    "LONGEST_VIDEO",
    "PARTS",
    "REFUSALS",
    "RESOLUTIONS",
    "Accepted",
    "AlreadyCaptured",
    "CamGetRestart",
    "CamGetSdFormat",
    "CamGetVer",
    "CamReq",
    "CameraAction",
    "CameraVersions",
    "Command",
    "CommandErrors",
    "CpuReset",
    "Family",
    "FileType",
    "GetInfo",
    "GetIo",
    "GetParam",
    "GetStatus",
    "GetVer",
    "Info",
    "ParametersRefused",
    "Preparing",
    "Refusal",
    "Refused",
    "Reply",
    "ResetAcknowledged",
    "Server",
    "SetParam",
    "Sms",
    "Source",
    "Unread",
    "UnreadableText",
    "UnsendableText",
    "Values",
    "compose",
    "decode",
    "encode",
    "family",
    "from_arguments",
    "mask",
    "prefix",
    "read_replies",
    "to_arguments",
]
