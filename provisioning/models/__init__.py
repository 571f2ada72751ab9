"""Tables and their state machines, one file a noun. Rules that span several rows are in the packages above."""

from provisioning.models.attempts import PASSAGES, UNSETTLED, Attempt, Passage, Transport
from provisioning.models.audit import AuditEntry
from provisioning.models.base import (
    Base,
    UTCDateTime,
    changed,
    db,
    first_id,
    new_id,
    put_all,
    take_write_lock,
    utcnow,
)
from provisioning.models.changes import Change
from provisioning.models.checks import NO_VERDICT, WAITS_FOR_ANSWER, ChecklistRun
from provisioning.models.commands import (
    BY_CHECK,
    ENDED,
    OPEN,
    SHOWN,
    TRANSITIONS,
    Command,
    SenderBucket,
    ShownState,
    State,
)
from provisioning.models.devices import (
    UNFINISHED,
    Device,
    DevicePhone,
    DeviceTag,
    StatusItem,
    TelemetryRecord,
    Verdict,
)
from provisioning.models.events import NEEDS_A_LOOK, Event, EventView
from provisioning.models.fleet_settings import FleetSettings
from provisioning.models.health import HealthChange, HealthDue
from provisioning.models.jobs import JobState
from provisioning.models.messages import (
    BEING_SENT,
    DELIVERY_RANK,
    RECONCILER,
    UNMATCHED,
    Cursor,
    DeliveryStatus,
    Direction,
    GatewayEvent,
    Message,
)
from provisioning.models.notes import VehicleNote
from provisioning.models.profiles import Profile
from provisioning.models.shares import Share
from provisioning.models.sqlite import Patient
from provisioning.models.stored_amounts import StoredAmount
from provisioning.models.uploads import (
    IS_PICTURE,
    TRIGGERS,
    UNSTORED,
    CameraSession,
    Certainty,
    DeviceNetwork,
    Lease,
    Upload,
    UploadState,
    Watch,
    files_of,
    in_state,
)
from provisioning.models.users import ApiToken, IdempotencyKey, LoginFailure, User, WebSession
from provisioning.models.wall import WallLink
from provisioning.roles import Role

__all__ = [
    "BEING_SENT",
    "BY_CHECK",
    "DELIVERY_RANK",
    "ENDED",
    "IS_PICTURE",
    "NEEDS_A_LOOK",
    "NO_VERDICT",
    "OPEN",
    "PASSAGES",
    "RECONCILER",
    "SHOWN",
    "TRANSITIONS",
    "TRIGGERS",
    "UNFINISHED",
    "UNMATCHED",
    "UNSETTLED",
    "UNSTORED",
    "WAITS_FOR_ANSWER",
    "ApiToken",
    "Attempt",
    "AuditEntry",
    "Base",
    "CameraSession",
    "Certainty",
    "Change",
    "ChecklistRun",
    "Command",
    "Cursor",
    "DeliveryStatus",
    "Device",
    "DeviceNetwork",
    "DevicePhone",
    "DeviceTag",
    "Direction",
    "Event",
    "EventView",
    "FleetSettings",
    "GatewayEvent",
    "HealthChange",
    "HealthDue",
    "IdempotencyKey",
    "JobState",
    "Lease",
    "LoginFailure",
    "Message",
    "Passage",
    "Patient",
    "Profile",
    "Role",
    "SenderBucket",
    "Share",
    "ShownState",
    "State",
    "StatusItem",
    "StoredAmount",
    "TelemetryRecord",
    "Transport",
    "UTCDateTime",
    "Upload",
    "UploadState",
    "User",
    "VehicleNote",
    "Verdict",
    "WallLink",
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
