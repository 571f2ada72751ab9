"""Tables and their state machines, one file a noun. Rules that need more than one row live in the rooms above."""

from .base import Base, UTCDateTime, changed, db, first_id, new_id, put_all, take_write_lock, utcnow
from .commands import ENDED, OPEN, TRANSITIONS, Command, SenderBucket, State
from .devices import Device, DevicePhone, Record, StatusItem, Verdict
from .jobs import JobState
from .messages import RECONCILER, STATUS_RANK, UNCLAIMED, Cursor, Direction, GatewayEvent, Message
from .people import RANK, ApiToken, IdempotencyKey, LoginFailure, Role, User, WebSession
from .profiles import Change, ChecklistRun, Profile
from .sqlite import Patient
from .uploads import (
    TRIGGERS,
    UNSTORED,
    Certainty,
    DeviceNetwork,
    Lease,
    Session,
    Upload,
    UploadState,
    Watch,
    files_of,
    in_state,
)

__all__ = [
    "ENDED",
    "OPEN",
    "RANK",
    "RECONCILER",
    "STATUS_RANK",
    "TRANSITIONS",
    "TRIGGERS",
    "UNCLAIMED",
    "UNSTORED",
    "ApiToken",
    "Base",
    "Certainty",
    "Change",
    "ChecklistRun",
    "Command",
    "Cursor",
    "Device",
    "DeviceNetwork",
    "DevicePhone",
    "Direction",
    "GatewayEvent",
    "IdempotencyKey",
    "JobState",
    "Lease",
    "LoginFailure",
    "Message",
    "Patient",
    "Profile",
    "Record",
    "Role",
    "SenderBucket",
    "Session",
    "State",
    "StatusItem",
    "UTCDateTime",
    "Upload",
    "UploadState",
    "User",
    "Verdict",
    "Watch",
    "WebSession",
    "changed",
    "db",
    "files_of",
    "first_id",
    "in_state",
    "new_id",
    "put_all",
    "take_write_lock",
    "utcnow",
]
