"""Decides which files of one device belong together as one event, of which kind, when and where. Pure.

No SQL, no clock. `event_service` gathers the facts and stores the events; docs/events.md explains the rules. The
outcome does not depend on the order in which files arrived. Times are Unix seconds, as floats.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

SERVER_REQUEST = 0
DAY = 86_400.0
# the clock of a camera that never had a satellite's time begins long before
EARLIEST = 1_420_070_400.0  # 2015-01-01
CLOCK_AHEAD = DAY  # a camera whose clock is further ahead is not believed
# a trigger's time that lies further from the file's own is not believed: a clip ends some seconds after its trigger
TRIGGER_NEAR = 30.0


class EventKind(StrEnum):
    """What caused an event. OTHER: the camera gave no trigger, or one that this service does not know."""

    CRASH = "crash"
    TOW = "tow"
    DIN1 = "din1"
    DIN2 = "din2"
    DIN3 = "din3"
    DIN4 = "din4"
    IDLE = "idle"
    GEOFENCE = "geofence"
    UNPLUG = "unplug"
    HARSH = "harsh"
    ASKED = "asked"
    PERIODIC = "periodic"
    CHECK = "check"
    OTHER = "other"


KINDS = {
    SERVER_REQUEST: EventKind.ASKED,
    1: EventKind.DIN1,
    2: EventKind.DIN2,
    3: EventKind.CRASH,
    4: EventKind.TOW,
    5: EventKind.IDLE,
    6: EventKind.GEOFENCE,
    7: EventKind.UNPLUG,
    8: EventKind.HARSH,
    9: EventKind.PERIODIC,
    10: EventKind.DIN3,
    11: EventKind.DIN4,
}


@dataclass(frozen=True, slots=True)
class EventFile:
    """A whole file of a device.

    `request`: names the request that made it, the same for all pieces of one request; `by_check`: a check asked for it.
    """

    id: str
    file_type: str
    source: str
    arrived: float  # when it began to come, by our clock
    trigger: int | None = None  # None: the camera gave no metadata of the file
    captured: float | None = None  # by the camera's clock
    trigger_time: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    request: str | None = None
    by_check: bool = False


@dataclass(frozen=True, slots=True)
class EventFacts:
    """An event: its kind, its files in the order of their moments, its time and where it happened."""

    kind: EventKind
    files: tuple[EventFile, ...]
    at: float
    place: tuple[float, float] | None

    @property
    def cameras(self) -> str:
        """Say which camera it has files of, as files name it, or "both" for several."""
        return _one_or_both({file.source for file in self.files})

    @property
    def file_types(self) -> str:
        """Say what its files are: "photo", "video" or "both"."""
        return _one_or_both({file.file_type for file in self.files})


def _one_or_both(values: set[str]) -> str:
    return values.pop() if len(values) == 1 else "both"


def moment(file: EventFile) -> float | None:
    """Give when what a file shows happened, by the camera's clock: its trigger's, else its own; None: not known."""
    if file.captured and file.trigger_time and abs(file.trigger_time - file.captured) <= TRIGGER_NEAR:
        return file.trigger_time
    return file.captured or None


def group(files: Iterable[EventFile], seconds: float) -> list[EventFacts]:
    """Give the events that files of one device make, in the order of their first files.

    Files of one request are one event. Files that the same trigger made are one event where they lie no more than
    `seconds` after its first, with one file of each camera and type; so a trigger that repeats begins another event.
    A file of which nothing is known is an event by itself.
    """
    requests: dict[str, list[EventFile]] = defaultdict(list)
    triggers: dict[int, list[EventFile]] = defaultdict(list)
    groups: list[list[EventFile]] = []
    for file in sorted(files, key=_order):
        if file.request is not None:
            requests[file.request].append(file)
        elif file.trigger is not None and moment(file) is not None:
            triggers[file.trigger].append(file)
        else:
            groups.append([file])
    groups += requests.values()
    for same in triggers.values():
        groups += _by_time(same, seconds)
    return [_facts(files) for files in sorted(groups, key=lambda files: _order(files[0]))]


def _order(file: EventFile) -> tuple[float, str]:
    return (moment(file) or 0.0, file.id)


def _by_time(files: Sequence[EventFile], seconds: float) -> list[list[EventFile]]:
    """Join files of one trigger, in the order of their moments, to the newest event that lacks such a file."""
    groups: list[list[EventFile]] = []
    for file in files:
        at = moment(file) or 0.0
        for events in reversed(groups):
            if at - (moment(events[0]) or 0.0) > seconds:
                groups.append([file])
                break
            if all((file.source, file.file_type) != (one.source, one.file_type) for one in events):
                events.append(file)
                break
        else:
            groups.append([file])
    return groups


def _facts(files: Sequence[EventFile]) -> EventFacts:
    places = (_place(file) for file in files)
    return EventFacts(
        kind=_kind(files),
        files=tuple(files),
        at=min(_time(file) for file in files),
        place=next((place for place in places if place is not None), None),
    )


def _kind(files: Sequence[EventFile]) -> EventKind:
    first = files[0]
    if first.request is not None:
        return EventKind.CHECK if any(file.by_check for file in files) else EventKind.ASKED
    return EventKind.OTHER if first.trigger is None else KINDS.get(first.trigger, EventKind.OTHER)


def _time(file: EventFile) -> float:
    """Give a file's moment, or when it came where the camera's clock cannot be right."""
    at = moment(file)
    return at if at is not None and EARLIEST <= at <= file.arrived + CLOCK_AHEAD else file.arrived


def _place(file: EventFile) -> tuple[float, float] | None:
    if file.latitude is None or file.longitude is None:
        return None
    has_fix = bool(file.latitude or file.longitude)  # a receiver without a fix tells 0, 0
    return (file.latitude, file.longitude) if has_fix and abs(file.latitude) <= 90 else None
