"""What pages call things: requests and their states, files, vehicles' states, people. No rules, no markup."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from provisioning.core.audit import AuditAction
from provisioning.devices import health_rules, health_words, transfer_times
from provisioning.devices.health import HealthState
from provisioning.media.event_rules import EventKind
from provisioning.models import TRIGGERS, Command, Event, Role, ShownState, Upload, UploadState, User
from provisioning.tracker.language import COMMANDS
from provisioning.web import users

CAMERAS = {"front": "front camera", "rear": "rear camera", "both": "both cameras"}


@dataclass(frozen=True, slots=True)
class Label:
    """A state in a word, the icon that stands beside it, and its tone (a class of the style sheet)."""

    word: str
    icon: str
    tone: str


_REQUEST: Mapping[ShownState, Label] = {
    ShownState.QUEUED: Label("Waiting", "clock", "open"),
    ShownState.SENDING: Label("Asked", "send", "open"),
    ShownState.SENT: Label("Asked", "send", "open"),
    ShownState.DELIVERED: Label("Asked", "send", "open"),
    ShownState.UNKNOWN: Label("Asked", "send", "open"),
    ShownState.ANSWERED: Label("Coming", "download", "open"),
    ShownState.DONE: Label("Here", "circle-check", "good"),
    ShownState.FAILED: Label("Failed", "circle-x", "bad"),
    ShownState.EXPIRED: Label("Failed", "circle-x", "bad"),
    ShownState.CANCELLED: Label("Cancelled", "x", "quiet"),
}
STEPS = {
    ShownState.QUEUED: "It waits for the vehicle's turn",
    ShownState.SENDING: "It was handed to the SMS gateway",
    ShownState.SENT: "The gateway sent it",
    ShownState.DELIVERED: "The vehicle's SIM has it",
    ShownState.ANSWERED: "The vehicle answered",
    ShownState.DONE: "Done",
    ShownState.FAILED: "It failed",
    ShownState.EXPIRED: "Nothing came in time",
    ShownState.CANCELLED: "It was cancelled",
    ShownState.UNKNOWN: "It is not clear whether the SMS went out",
}
_SETTING = {
    ShownState.ANSWERED: Label("Answered", "message", "open"),
    ShownState.DONE: Label("Done", "circle-check", "good"),
}
_FILE: Mapping[UploadState, Label] = {
    UploadState.RECEIVING: Label("Coming", "download", "open"),
    UploadState.PARTIAL: Label("Interrupted", "wifi-off", "open"),
    UploadState.STORED: Label("Here", "circle-check", "good"),
    UploadState.DAMAGED: Label("Damaged", "circle-x", "bad"),
    UploadState.QUARANTINED: Label("Kept apart", "lock", "quiet"),
}
_HEALTH: Mapping[HealthState, tuple[str, str]] = {
    HealthState.BROKEN: ("circle-x", "bad"),
    HealthState.LIMITED: ("alert-triangle", "warn"),
    HealthState.SILENT: ("circle", "quiet"),
    HealthState.UNCHECKED: ("circle-dashed", "quiet"),
    HealthState.WORKING: ("circle-check", "good"),
}
HEALTH = {state: Label(health_words.STATES[state], *shape) for state, shape in _HEALTH.items()}
# how bad the verdict of a check is
GRADES = {"good": "good", "warn": "warn", "bad": "bad", "unknown": "quiet"}
_CAUSES = {0: "Asked for", 3: "Crash", 4: "Towing", 5: "Idling", 6: "Geofence", 7: "Unplugged", 8: "Harsh driving",
           9: "Periodic"}  # fmt: skip


_DONE: Mapping[AuditAction, tuple[str, str]] = {
    AuditAction.SIGNED_IN: ("signed in", "user-circle"),
    AuditAction.SIGN_IN_FAILED: ("could not sign in", "lock"),
    AuditAction.SIGNED_OUT: ("signed out", "logout"),
    AuditAction.SAW: ("saw", "photo"),
    AuditAction.DOWNLOADED: ("downloaded", "download"),
    AuditAction.EXPORTED: ("exported the", "download"),
    AuditAction.SHARED: ("shared", "send"),
    AuditAction.SAVED: ("saved", "check"),
    AuditAction.ASKED: ("asked for:", "send"),
    AuditAction.CANCELLED: ("cancelled:", "x"),
    AuditAction.CHECKED: ("checked", "circle-check"),
    AuditAction.CORRECTED: ("corrected", "check"),
    AuditAction.ADDED: ("added", "plus"),
    AuditAction.CHANGED: ("changed", "settings"),
    AuditAction.REMOVED: ("removed", "x"),
    AuditAction.INVITED: ("invited", "user-circle"),
    AuditAction.RAN: ("started", "player-play"),
}


# what each role is called, and what it is for
ROLES: Mapping[Role, tuple[str, str]] = {
    Role.VIEWER: ("Viewer", "sees vehicles, photos and clips"),
    Role.SUPPORT: ("Support", "also asks for photos and clips, and runs checks"),
    Role.INSTALLER: ("Installer", "also adds vehicles and sets them up"),
    Role.ADMIN: ("Administrator", "also people, tokens, the log and the service itself"),
}


ROLE_NAMES = [(role.value, name) for role, (name, _) in ROLES.items()]
ROLE_OPTIONS = [(role.value, f"{name}: {sentence}") for role, (name, sentence) in ROLES.items()]


def standing(user: User, now: datetime) -> str:
    """Say what keeps a person out; empty where nothing does."""
    if not user.active:
        return "disabled"
    if user.password_hash:
        return ""
    return (
        "invited" if user.invite_until and user.invite_until > now else "the link has ended: make a new one"
    )


def password_length(user: User) -> int:
    """Give the least length of a person's password."""
    return users.ADMIN_PASSWORD_MIN if user.role == Role.ADMIN else users.PASSWORD_MIN


def role(name: str) -> str:
    """Say what a role is called."""
    return ROLES[Role(name)][0]


def done(action: str) -> Label:
    """Say what somebody did, as it stands between who and what; a word of another version stands as it is."""
    word, icon = _DONE[AuditAction(action)] if action in list(AuditAction) else (action, "dots")
    return Label(word, icon, "quiet")


def request_state(row: Command) -> Label:
    """Give the word for the state of a request or a setting."""
    state = row.shown_state
    return _REQUEST[state] if row.kind == "camreq" or state not in _SETTING else _SETTING[state]


def request_title(row: Command, zone: str) -> str:
    """Say what was asked for: "20 s from 13:37:00, both cameras", "Photo, front camera", "Set 3 settings".

    A clip of another day than the request's names the day.
    """
    given = row.arguments
    if row.kind == "camreq":
        cameras = CAMERAS[given["source"]]
        if given["file_type"] == "photo":
            return f"Photo, {cameras}"
        begin = datetime.fromtimestamp(given.get("timestamp") or 0, UTC).astimezone(ZoneInfo(zone))
        is_same_day = begin.date() == row.created_at.astimezone(begin.tzinfo).date()
        day = "" if is_same_day else f"{begin.day} {begin:%b} "
        return f"{given.get('duration')} s from {day}{begin:%H:%M:%S}, {cameras}"
    if "encrypted" in given:
        return "Change the SMS login"
    if row.kind in ("setparam", "getparam"):
        count = len(given.get("parameters") or ())
        verb = "Set" if row.kind == "setparam" else "Read"
        return f"{verb} one setting" if count == 1 else f"{verb} {count} settings"
    kind = COMMANDS.get(row.kind)
    return kind.label.format(camera=given.get("camera")) if kind and kind.label else row.kind


def file_state(row: Upload) -> Label:
    """Give the word for the state of a file."""
    return _FILE[UploadState(row.state)]


def file_title(row: Upload) -> str:
    """Say what a file is: "Front photo", "Rear clip"."""
    kind = "photo" if row.file_type == "photo" else "clip"
    return f"{row.source} {kind}".capitalize()


def file_cause(row: Upload) -> str:
    """Say what had a file made: "Crash", "DIN1", "Asked for"; empty where that is not known."""
    if row.command_id or row.trigger == 0:
        return _CAUSES[0]
    if row.trigger is None:
        return ""
    return _CAUSES.get(row.trigger) or TRIGGERS.get(row.trigger, f"Trigger {row.trigger}")


# the kinds of events that a list is filtered by, in the order of their weight
EVENT_KINDS: tuple[tuple[str, tuple[EventKind, ...]], ...] = (
    ("Crash", (EventKind.CRASH,)),
    ("Towing", (EventKind.TOW,)),
    ("DIN", (EventKind.DIN1, EventKind.DIN2, EventKind.DIN3, EventKind.DIN4)),
    ("Driving", (EventKind.HARSH, EventKind.IDLE, EventKind.GEOFENCE)),
    ("Asked for", (EventKind.ASKED,)),
    ("Periodic", (EventKind.PERIODIC,)),
    ("Checks", (EventKind.CHECK,)),
    ("Others", (EventKind.UNPLUG, EventKind.OTHER)),
)
_EVENTS: Mapping[EventKind, str] = {
    EventKind.CRASH: "Crash",
    EventKind.TOW: "Towing",
    EventKind.DIN1: "DIN1",
    EventKind.DIN2: "DIN2",
    EventKind.DIN3: "DIN3",
    EventKind.DIN4: "DIN4",
    EventKind.IDLE: "Idling",
    EventKind.GEOFENCE: "Geofence",
    EventKind.UNPLUG: "Unplugged",
    EventKind.HARSH: "Harsh driving",
    EventKind.ASKED: "Asked for",
    EventKind.PERIODIC: "Periodic",
    EventKind.CHECK: "Check",
    EventKind.OTHER: "Other",
}


def event_title(row: Event) -> str:
    """Say what an event is: "Crash", "DIN1", "Asked for"."""
    return _EVENTS[EventKind(row.kind)]


def files_content(files: Sequence[Upload]) -> str:
    """Say what an event consists of: "2 clips, 1 photo"."""
    counts = (
        (sum(file.file_type == kind for file in files), noun)
        for kind, noun in (("video", "clip"), ("photo", "photo"))
    )
    return ", ".join(counted(count, noun) for count, noun in counts if count)


def counted(number: int, noun: str) -> str:
    """Give a number with its noun: "1 vehicle", "45 vehicles"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def seconds_off(value: str) -> str:
    """Say how far a camera's clock is off ours, from the seconds by which it is ahead: "3 h ahead of ours", "right"."""
    seconds = float(value)
    if abs(seconds) <= health_rules.WRONG_CLOCK:
        return "right"
    return f"{transfer_times.about(abs(seconds))} {'ahead of' if seconds > 0 else 'behind'} ours"
