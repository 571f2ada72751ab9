"""Decides which command made which file, from the facts of one device, with reason and certainty. Pure.

No SQL, no clock. `link_service` gathers the facts and applies the decision; docs/linking.md has the table. The outcome
does not depend on the order in which facts arrived. Times are Unix seconds, as floats.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from provisioning.phrase import Phrase

SERVER_REQUEST = 0


@dataclass(frozen=True, slots=True)
class Windows:
    """How far times may differ, in seconds."""

    certain: float = 2.0
    probable: float = 15.0
    window: float = 86_400.0
    capture_tolerance: float = 5.0


@dataclass(frozen=True, slots=True)
class LinkBasis:
    """What files and requests do not say: `unasked_possible`, triggers or periodic photos may be on.

    `time_zone`: the camera's, in minutes.
    """

    windows: Windows
    unasked_possible: bool = False
    time_zone: int | None = None


@dataclass(frozen=True, slots=True)
class File:
    """An upload: what it is, when the camera took it and when it reached us."""

    id: str
    file_type: str
    source: str
    arrived: float  # when it began to come
    whole: float | None = None  # when all of it was here
    has_metadata: bool = True
    trigger: int | None = SERVER_REQUEST
    captured: float | None = None  # the camera's timestamp; None or 0: not given
    trigger_time: float | None = None
    time_zone: int | None = None  # minutes
    fixed: bool = False  # by a person, or too old to be decided anew
    command: str | None = None  # where fixed
    is_answer: bool = False  # where fixed: it is the certain answer to that request
    basis: LinkBasis | None = None  # as it was when this file was first decided


@dataclass(frozen=True, slots=True)
class Request:
    """A camreq that was handed over."""

    id: str
    file_type: str
    sources: tuple[str, ...]
    handed_over: float
    asked: float | None = None  # the moment a video was asked from
    announced: tuple[float, ...] = ()  # "Preparing to send file from timestamp …"
    open: bool = True
    refused: bool = False  # the device said that it did not happen
    already_captured: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A decision: the request (None: none), why, and how sure: certain, probable, low or None.

    `looked_like`: the request that this file would answer, had its certain answer not come: the file is doubtful.
    """

    command: str | None
    reason: Phrase  # as link_words says it
    certainty: str | None
    looked_like: str | None = None


@dataclass(slots=True)
class _Slots:
    """Which cameras of which requests have their file, and which of these files is so for certain."""

    taken: set[tuple[str, str]] = field(default_factory=set)
    certain: dict[tuple[str, str], File] = field(default_factory=dict)

    def free(self, request: Request, file: File) -> bool:
        return (request.id, file.source) not in self.taken

    def lost(self, request: Request, file: File) -> bool:
        """Condition: the request waited when the file began to come, and got its certain answer from another file."""
        answer = self.certain.get((request.id, file.source))
        return answer is not None and file.arrived < (answer.whole or answer.arrived)


def decide(files: Sequence[File], requests: Sequence[Request], present: LinkBasis) -> dict[str, Link]:
    """Decide for every file that is not fixed, by the file's own basis; where it has none, by `present`."""
    fixed = {(f.command, f.source): f for f in files if f.fixed and f.command}
    slots = _Slots(set(fixed), {slot: f for slot, f in fixed.items() if f.is_answer})
    decided: dict[str, Link] = {}
    waiting = []
    for file in sorted(files, key=lambda f: (f.arrived, f.id)):
        if file.fixed:
            continue
        if by_itself := taken_by_itself(file.trigger, file.has_metadata):
            decided[file.id] = by_itself
        else:
            waiting.append(file)
    for make in (_by_time, _by_zone):
        pairs = [
            (*found, request.handed_over, file, request)
            for file in waiting
            if file.has_metadata
            for step in (make(file.basis or present),)
            for request in _candidates(file, requests, step.windows, zone=step.zone)
            if (found := step.score(file, request)) is not None
        ]
        for _, certainty, reason, _, file, request in sorted(pairs, key=lambda p: (p[0], p[3], p[4].id)):
            if file.id not in decided and slots.free(request, file):
                slots.taken.add((request.id, file.source))
                decided[file.id] = Link(request.id, reason, certainty)
                if certainty == "certain":
                    slots.certain[request.id, file.source] = file
    for file in waiting:
        if file.id not in decided:
            decided[file.id] = _by_order(file, requests, file.basis or present, slots)
    return decided


def taken_by_itself(trigger: int | None, has_metadata: bool) -> Link | None:
    """Give the decision for a file whose metadata names another trigger than a request; None for any other.

    No further fact changes it, and such a file changes no other's.
    """
    if not has_metadata or trigger in (None, SERVER_REQUEST):
        return None
    return Link(None, Phrase("taken_by_itself", {"trigger": trigger}), None)


def _candidates(
    file: File, requests: Iterable[Request], windows: Windows, *, zone: bool = False
) -> list[Request]:
    return [
        request
        for request in requests
        if request.file_type == file.file_type
        and file.source in request.sources
        and not request.already_captured
        # both are of our own clocks: what began to come before a request was handed over was not made by it
        and 0 <= file.arrived - request.handed_over <= windows.window
        and (zone or not _too_early(file, request, windows))
    ]


def _too_early(file: File, request: Request, windows: Windows) -> bool:
    """A photo that was taken before its request was handed over was not made by it."""
    if file.file_type != "photo" or not file.captured:
        return False
    return file.captured < request.handed_over - windows.capture_tolerance


def _moments(request: Request) -> list[float]:
    return [*([request.asked] if request.asked is not None else []), *request.announced]


def _captured(file: File) -> list[float]:
    return [moment for moment in (file.captured, file.trigger_time) if moment]


@dataclass(frozen=True, slots=True)
class _Step:
    shifts: tuple[float, ...]
    windows: Windows
    zone: bool

    def score(self, file: File, request: Request) -> tuple[float, str, Phrase] | None:
        differences = [
            abs(taken + shift - moment)
            for taken in _captured(file)
            for moment in _moments(request)
            for shift in (self.shifts or _zone_shifts(file.time_zone))
        ]
        if not differences:
            return None
        difference = min(differences)
        if self.zone:
            if difference > self.windows.certain:
                return None
            return difference, "low", Phrase("time_fits_without_zone")
        if difference <= self.windows.certain:
            return difference, "certain", Phrase("time_is_same", {"seconds": round(difference)})
        if difference <= self.windows.probable:
            return difference, "probable", Phrase("time_is_near", {"seconds": round(difference)})
        return None


def _by_time(basis: LinkBasis) -> _Step:
    return _Step((0.0,), basis.windows, zone=False)


def _by_zone(basis: LinkBasis) -> _Step:
    return _Step(_zone_shifts(basis.time_zone) if basis.time_zone else (), basis.windows, zone=True)


def _zone_shifts(minutes: int | None) -> tuple[float, ...]:
    return (minutes * 60.0, -minutes * 60.0) if minutes else ()


def _by_order(file: File, requests: Sequence[Request], basis: LinkBasis, slots: _Slots) -> Link:
    windows = basis.windows
    candidates = _candidates(file, requests, windows)
    fitting = [r for r in candidates if slots.free(r, file)]
    lost = [r for r in candidates if slots.lost(r, file) and not _is_certain(file, r, basis)]
    if not file.has_metadata:
        return _without_metadata(file, fitting, lost, slots, basis.unasked_possible)
    if not fitting and lost:
        return _doubtful(_first(lost))
    if not fitting:
        early = [r for r in _candidates(file, requests, windows, zone=True) if slots.free(r, file)]
        is_earlier = early or _after_already_captured(file, requests, windows)
        return Link(None, Phrase("captured_before" if is_earlier else "none_fits"), None)
    chosen = _first(fitting)
    slots.taken.add((chosen.id, file.source))
    return Link(chosen.id, Phrase("only_one_fits" if len(fitting) == 1 else "first_that_fits"), "probable")


def _first(requests: Iterable[Request]) -> Request:
    return min(requests, key=lambda r: (r.refused, not r.open, r.handed_over, r.id))


def _is_certain(file: File, request: Request, basis: LinkBasis) -> bool:
    found = _by_time(basis).score(file, request)
    return found is not None and found[1] == "certain"


def _doubtful(request: Request) -> Link:
    return Link(None, Phrase("looked_like_answer"), None, request.id)


def _after_already_captured(file: File, requests: Sequence[Request], windows: Windows) -> bool:
    return any(
        request.already_captured
        and request.file_type == file.file_type
        and file.source in request.sources
        and 0 <= file.arrived - request.handed_over <= windows.window
        for request in requests
    )


def _without_metadata(
    file: File, fitting: list[Request], lost: list[Request], slots: _Slots, unasked_possible: bool
) -> Link:
    if unasked_possible:
        return Link(None, Phrase("may_be_by_itself"), None)
    if not fitting and len(lost) == 1:
        return _doubtful(lost[0])
    if len(fitting) != 1:
        return Link(None, Phrase("several_fit_without_metadata" if fitting else "none_fits"), None)
    slots.taken.add((fitting[0].id, file.source))
    return Link(fitting[0].id, Phrase("only_one_fits_without_metadata"), "low")
