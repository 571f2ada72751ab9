"""What pages call things: requests and their states, files, events, states of vehicles. No rules.

Constants hold English sentences, marked; functions and `Label.word` give them in the reader's language.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from provisioning.devices import health_rules, health_words, transfer_times
from provisioning.devices.health import HealthState
from provisioning.media.event_rules import EventKind
from provisioning.models import TRIGGERS, Certainty, Command, Event, ShownState, Upload, UploadState, db
from provisioning.tracker import setting_words
from provisioning.tracker.language import COMMANDS
from provisioning.translation import N_, gettext, ngettext, pgettext
from provisioning.web.pages import times

CAMERAS = {"front": N_("front camera"), "rear": N_("rear camera"), "both": N_("both cameras")}


@dataclass(frozen=True, slots=True)
class Label:
    """A state in a word, the icon that stands beside it, and its tone (a class of the style sheet)."""

    sentence: str
    icon: str
    tone: str

    @property
    def word(self) -> str:
        """Give the word in the reader's language."""
        return gettext(self.sentence)


_REQUEST: Mapping[ShownState, Label] = {
    ShownState.QUEUED: Label(N_("Waiting"), "clock", "open"),
    ShownState.SENDING: Label(N_("Asked"), "send", "open"),
    ShownState.SENT: Label(N_("Asked"), "send", "open"),
    ShownState.DELIVERED: Label(N_("Asked"), "send", "open"),
    ShownState.UNKNOWN: Label(N_("Asked"), "send", "open"),
    ShownState.ANSWERED: Label(N_("Coming"), "download", "open"),
    ShownState.DONE: Label(N_("Here"), "circle-check", "good"),
    ShownState.FAILED: Label(N_("Failed"), "circle-x", "bad"),
    ShownState.EXPIRED: Label(N_("Failed"), "circle-x", "bad"),
    ShownState.CANCELLED: Label(N_("Cancelled"), "x", "quiet"),
}
STEPS = {
    ShownState.QUEUED: N_("It waits for the vehicle's turn"),
    ShownState.SENDING: N_("It was handed to the SMS gateway"),
    ShownState.SENT: N_("The gateway sent it"),
    ShownState.DELIVERED: N_("The vehicle's SIM has it"),
    ShownState.ANSWERED: N_("The vehicle answered"),
    ShownState.DONE: N_("Done"),
    ShownState.FAILED: N_("It failed"),
    ShownState.EXPIRED: N_("Nothing came in time"),
    ShownState.CANCELLED: N_("It was cancelled"),
    ShownState.UNKNOWN: N_("It is not clear whether the SMS went out"),
}
_SETTING = {
    ShownState.ANSWERED: Label(N_("Answered"), "message", "open"),
    ShownState.DONE: Label(N_("Done"), "circle-check", "good"),
}
_FILE: Mapping[UploadState, Label] = {
    UploadState.RECEIVING: Label(N_("Coming"), "download", "open"),
    UploadState.PARTIAL: Label(N_("Interrupted"), "wifi-off", "open"),
    UploadState.STORED: Label(N_("Here"), "circle-check", "good"),
    UploadState.DAMAGED: Label(N_("Damaged"), "circle-x", "bad"),
    UploadState.QUARANTINED: Label(N_("Kept apart"), "lock", "quiet"),
}
_TITLES = {
    ("front", "photo"): N_("Front photo"),
    ("rear", "photo"): N_("Rear photo"),
    ("front", "video"): N_("Front clip"),
    ("rear", "video"): N_("Rear clip"),
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
_CAUSES = {
    0: N_("Asked for"),
    3: N_("Crash"),
    4: N_("Towing"),
    5: N_("Idling"),
    6: N_("Geofence"),
    7: N_("Unplugged"),
    8: N_("Harsh driving"),
    9: N_("Periodic"),
}


def request_state(row: Command) -> Label:
    """Give the word for the state of a request or a setting."""
    state = row.shown_state
    return _REQUEST[state] if row.kind == "camreq" or state not in _SETTING else _SETTING[state]


def step(state: str) -> str:
    """Say a step in the life of a request or a setting."""
    return gettext(STEPS[ShownState(state)])


def camera(source: str) -> str:
    """Say which camera, or both: "front camera"."""
    return gettext(CAMERAS[source])


def request_title(row: Command, zone: str) -> str:
    """Say what was asked for: "20 s from 13:37 EST, both cameras", "Photo, front camera", "Set 3 settings".

    A clip of another day than the request's names the day.
    """
    given = row.arguments
    if row.kind == "camreq":
        cameras = gettext(CAMERAS[given["source"]])
        if given["file_type"] == "photo":
            return gettext("Photo, %(cameras)s", cameras=cameras)
        begin = datetime.fromtimestamp(given.get("timestamp") or 0, UTC)
        time = times.to_second(begin, zone, row.created_at) + times.zone_label(begin, zone)
        return gettext(
            "%(seconds)s s from %(time)s, %(cameras)s",
            seconds=given.get("duration"), time=time, cameras=cameras,
        )  # fmt: skip
    if "encrypted" in given:
        return gettext("Change the SMS login")
    count = len(given.get("parameters") or ())
    if row.kind == "setparam":
        return _set_title(given.get("parameters") or {})
    if row.kind == "getparam":
        return ngettext("Read one setting", "Read %(number)s settings", count)
    kind = COMMANDS.get(row.kind)
    label = kind.labels.get(given.get("camera") or "") if kind else None
    return gettext(label) if label else row.kind


def _set_title(parameters: Mapping[str, Any]) -> str:
    count = len(parameters)
    if not parameters:
        return ngettext("Set one setting", "Set %(number)s settings", count)
    return ngettext(
        "Set %(subjects)s (one setting)", "Set %(subjects)s (%(number)s settings)", count,
        subjects=setting_words.subjects(parameters),
    )  # fmt: skip


def title_of_request(ident: str) -> str:
    """Name a request with when it was made: "Photo, front camera (13:37 EST)"."""
    row = db.session.get_one(Command, ident)
    zone = row.device.time_zone
    time = times.short_time(row.created_at, zone) + times.zone_label(row.created_at, zone)
    return f"{request_title(row, zone)} ({time})"


def get_clip(seconds: int, begin: datetime | None, source: str, zone: str) -> str:
    """Say on a button which clip it gets: "Get 20 s from 13:37 EST, both cameras"; the last seconds without a time."""
    cameras = gettext(CAMERAS[source])
    if begin is None:
        return gettext("Get the last %(seconds)s s, %(cameras)s", seconds=seconds, cameras=cameras)
    time = times.to_second(begin, zone) + times.zone_label(begin, zone)
    return gettext(
        "Get %(seconds)s s from %(time)s, %(cameras)s", seconds=seconds, time=time, cameras=cameras
    )


def file_state(row: Upload) -> Label:
    """Give the word for the state of a file."""
    return _FILE[UploadState(row.state)]


def file_title(row: Upload) -> str:
    """Say what a file is: "Front photo", "Rear clip"."""
    return title_of(row.source, row.file_type)


def title_of(source: str, file_type: str) -> str:
    """Say what a file of this camera and type is: "Front photo"."""
    return gettext(_TITLES[source, file_type])


# how sure it is which request made a file
_CERTAINTIES: Mapping[str, str] = {
    Certainty.CERTAIN: N_("certain"),
    Certainty.PROBABLE: N_("probable"),
    Certainty.LOW: N_("low"),
    Certainty.MANUAL: N_("manual"),
}


def certainty(code: str | None) -> str:
    """Say how sure it is which request made a file: "certain"."""
    known = _CERTAINTIES.get(code or "")
    return gettext(known) if known else gettext("not known how sure")


def file_cause(row: Upload) -> str:
    """Say what had a file made: "Crash", "DIN1", "Asked for"; empty where that is not known."""
    if row.command_id or row.trigger == 0:
        return gettext(_CAUSES[0])
    if row.trigger is None:
        return ""
    if row.trigger in _CAUSES:
        return gettext(_CAUSES[row.trigger])
    return TRIGGERS.get(row.trigger) or gettext("Trigger %(number)s", number=row.trigger)


# the triggers of photos and clips, by their names in the parameters
_TRIGGERS = {
    "DIN1": N_("DIN1"),
    "DIN2": N_("DIN2"),
    "Crash": N_("Crash"),
    "Towing": N_("Towing"),
    "Idling": N_("Idling"),
    "Geofence": N_("Geofence"),
    "Unplug": N_("Unplug"),
    "GreenDriving": N_("Harsh driving"),
}


def trigger(name: str) -> str:
    """Say what a trigger of photos or clips is called."""
    return gettext(_TRIGGERS[name])


# the kinds of events that a list is filtered by, in the order of their weight
EVENT_KINDS: tuple[tuple[str, tuple[EventKind, ...]], ...] = (
    (N_("Crash"), (EventKind.CRASH,)),
    (N_("Towing"), (EventKind.TOW,)),
    (N_("DIN"), (EventKind.DIN1, EventKind.DIN2, EventKind.DIN3, EventKind.DIN4)),
    (N_("Driving"), (EventKind.HARSH, EventKind.IDLE, EventKind.GEOFENCE)),
    (N_("Asked for"), (EventKind.ASKED,)),
    (N_("Periodic"), (EventKind.PERIODIC,)),
    (N_("Checks"), (EventKind.CHECK,)),
    (N_("Others"), (EventKind.UNPLUG, EventKind.OTHER)),
)
_EVENTS: Mapping[EventKind, str] = {
    EventKind.CRASH: N_("Crash"),
    EventKind.TOW: N_("Towing"),
    EventKind.DIN1: N_("DIN1"),
    EventKind.DIN2: N_("DIN2"),
    EventKind.DIN3: N_("DIN3"),
    EventKind.DIN4: N_("DIN4"),
    EventKind.IDLE: N_("Idling"),
    EventKind.GEOFENCE: N_("Geofence"),
    EventKind.UNPLUG: N_("Unplugged"),
    EventKind.HARSH: N_("Harsh driving"),
    EventKind.ASKED: N_("Asked for"),
    EventKind.PERIODIC: N_("Periodic"),
    EventKind.OTHER: N_("Other"),
}


def event_title(row: Event) -> str:
    """Say what an event is: "Crash", "DIN1", "Asked for"."""
    if row.kind == EventKind.CHECK:
        return pgettext("noun", "Check")  # else it is a button
    return gettext(_EVENTS[EventKind(row.kind)])


def files_content(files: Sequence[Upload]) -> str:
    """Say what an event consists of: "2 clips, 1 photo"."""
    kinds = [file.file_type for file in files]
    counts = ((kinds.count("video"), clips), (kinds.count("photo"), photos))
    return ", ".join(say(count) for count, say in counts if count)


def photos_and_clips(photo_count: int, clip_count: int) -> str:
    """Say how many photos and clips there are, without those of which there is none: "1 photo, 2 clips"."""
    counts = ((photo_count, photos), (clip_count, clips))
    return ", ".join(say(count) for count, say in counts if count)


def vehicles(number: int) -> str:
    """Count vehicles: "45 vehicles"."""
    return ngettext("%(number)s vehicle", "%(number)s vehicles", number)


def photos(number: int) -> str:
    """Count photos: "2 photos"."""
    return ngettext("%(number)s photo", "%(number)s photos", number)


def clips(number: int) -> str:
    """Count clips: "1 clip"."""
    return ngettext("%(number)s clip", "%(number)s clips", number)


def zone_proposed(seconds: str, zone: str) -> str:
    """Say why a time zone is proposed: by how much the camera's clock is off, and that this puts it right."""
    off = float(seconds)
    time = transfer_times.about(abs(off))
    if off > 0:
        return gettext(
            "The camera's clock is %(time)s ahead. With %(zone)s it shows the right time.",
            time=time,
            zone=zone,
        )
    return gettext(
        "The camera's clock is %(time)s behind. With %(zone)s it shows the right time.", time=time, zone=zone
    )


def clock_shown(value: str) -> str:
    """Say how right a camera's clock is, from the seconds by which its newest file was ahead of ours."""
    seconds = float(value)
    time = transfer_times.about(abs(seconds))
    if abs(seconds) <= health_rules.WRONG_CLOCK:
        return gettext("Its newest file showed that the camera's clock is right.")
    if seconds > 0:
        return gettext("Its newest file showed that the camera's clock is %(time)s ahead of ours.", time=time)
    return gettext("Its newest file showed that the camera's clock is %(time)s behind ours.", time=time)
