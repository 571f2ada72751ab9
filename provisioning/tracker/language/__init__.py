"""SMS commands and replies, pure: from arguments to the exact text of a command, from a text to typed replies.

No clock, files, sockets, Flask or SQL; no credentials are kept. A command is one declaration (`command`), which names
its arguments, text and rights; everything that handles commands asks it.
"""

from provisioning.tracker.language.arguments import CommandErrors
from provisioning.tracker.language.camera_request import (
    LONGEST_VIDEO,
    RESOLUTIONS,
    CameraServer,
    CamReq,
    FileType,
    cameras,
)
from provisioning.tracker.language.command import Effect, Source, TypedCommand, UnsendableText
from provisioning.tracker.language.commands import COMMANDS, GetVer, from_arguments
from provisioning.tracker.language.masking import mask
from provisioning.tracker.language.parameter_commands import GetParam, SetParam
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
from provisioning.tracker.language.sms_text import CredentialStyle, Sms, compose, credential_style, prefix

__all__ = [
    "COMMANDS",
    "LONGEST_VIDEO",
    "PARTS",
    "REFUSALS",
    "RESOLUTIONS",
    "Accepted",
    "AlreadyCaptured",
    "CamReq",
    "CameraAction",
    "CameraServer",
    "CameraVersions",
    "CommandErrors",
    "CredentialStyle",
    "Effect",
    "FileType",
    "GetParam",
    "GetVer",
    "Info",
    "ParametersRefused",
    "Preparing",
    "Refusal",
    "Refused",
    "Reply",
    "ResetAcknowledged",
    "SetParam",
    "Sms",
    "Source",
    "TypedCommand",
    "Unread",
    "UnsendableText",
    "Values",
    "cameras",
    "compose",
    "credential_style",
    "from_arguments",
    "mask",
    "prefix",
    "read_replies",
]
