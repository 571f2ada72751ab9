"""SMS commands and replies, pure: from arguments to the exact text of a command, from a text to typed replies.

No clock, files, sockets, Flask or SQL; no credentials are kept. A command is one declaration (`command`): its name,
effect, role, label, arguments and text. A reply is one declaration (`reply`): its forms, the commands that it answers,
what it says of the device and what it means for the command. Everything that handles them asks the declaration.
"""

from provisioning.tracker.language.arguments import CommandErrors
from provisioning.tracker.language.camera_request import (
    LONGEST_SPLIT,
    LONGEST_VIDEO,
    RESOLUTIONS,
    CameraServer,
    CamReq,
    FileType,
    cameras,
)
from provisioning.tracker.language.camera_request_replies import CommandRefused
from provisioning.tracker.language.command import Effect, Source, TypedCommand
from provisioning.tracker.language.commands import COMMANDS, GetVer, from_arguments
from provisioning.tracker.language.masking import mask
from provisioning.tracker.language.parameter_commands import GetParam, SetParam
from provisioning.tracker.language.parameter_replies import ParametersRefused, Values
from provisioning.tracker.language.replies import REPLIES, CameraAction, Unread
from provisioning.tracker.language.reply import Candidate, Failure, Fit, Progress, Reply, StatusFact
from provisioning.tracker.language.reply_json import reply_from
from provisioning.tracker.language.reply_reader import PARTS, read_replies
from provisioning.tracker.language.sms_envelope import CredentialStyle, SmsEnvelope, credential_style
from provisioning.tracker.language.sms_text import Sms, compose
from provisioning.tracker.language.unsendable import UnsendableText

__all__ = [
    "COMMANDS",
    "LONGEST_SPLIT",
    "LONGEST_VIDEO",
    "PARTS",
    "REPLIES",
    "RESOLUTIONS",
    "CamReq",
    "CameraAction",
    "CameraServer",
    "Candidate",
    "CommandErrors",
    "CommandRefused",
    "CredentialStyle",
    "Effect",
    "Failure",
    "FileType",
    "Fit",
    "GetParam",
    "GetVer",
    "ParametersRefused",
    "Progress",
    "Reply",
    "SetParam",
    "Sms",
    "SmsEnvelope",
    "Source",
    "StatusFact",
    "TypedCommand",
    "Unread",
    "UnsendableText",
    "Values",
    "cameras",
    "compose",
    "credential_style",
    "from_arguments",
    "mask",
    "read_replies",
    "reply_from",
]
