"""SMS commands and replies, pure: typed arguments to exact text, and a device's words to typed results.

No clock, files, sockets, Flask or SQL; no credentials are kept. Called by the outbox, the inbox, forms,
the API and the simulator. A new command is one class in `requests`, its text in `encoding`, its arguments in
`parsing`, and a vector file.
"""

from provisioning.tracker.language.definitions import (
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
from provisioning.tracker.language.encoding import UnreadableText, UnsendableText, decode, encode
from provisioning.tracker.language.masking import mask
from provisioning.tracker.language.parsing import LONGEST_VIDEO, CommandErrors, from_arguments, to_arguments
from provisioning.tracker.language.refusals import REFUSALS, Refusal
from provisioning.tracker.language.reply_reader import PARTS, read_replies
from provisioning.tracker.language.reply_types import (
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
from provisioning.tracker.language.sms_text import Family, Sms, compose, family, prefix

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
