"""Decides which command a reply answers, by content first. Pure.

No SQL, no clock: the inbox gives candidates and applies the choice. Replies carry no id; phone and time have
already narrowed the candidates down. Source: design, "A command".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioning.tracker.language import (
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
from provisioning.tracker.parameters import CREDENTIALS, same


@dataclass(frozen=True, slots=True)
class Candidate:
    """A command that a reply could belong to.

    `asked`: the moment that a video was asked for; `reported`: those that the device gave of its files, in words or
    with a file. Both in Unix seconds. `unannounced`: a camreq that is done, since its file came before the words that
    announce it. `answered`: the device has said something to it already.
    """

    id: str
    kind: str
    arguments: Mapping[str, Any]
    in_flight: bool
    capturing: bool
    asked: float | None = None
    reported: tuple[float, ...] = ()
    unannounced: bool = False
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """The chosen command, and whether its content proves it."""

    id: str
    certain: bool


def choose(replies: Sequence[Reply], candidates: Sequence[Candidate]) -> Match | None:
    """Choose the command that one SMS answers; None where nothing fits.

    `candidates` come newest first. Content decides first; else the one in flight, which is then not certain.
    """
    fitting = [(candidate, _fit(replies, candidate)) for candidate in candidates]
    for candidate, fit in fitting:
        if fit == EXACT:
            return Match(candidate.id, True)
    strong = [candidate for candidate, fit in fitting if fit == STRONG]
    weak = [candidate for candidate, fit in fitting if fit == WEAK]
    faint = [candidate for candidate, fit in fitting if fit == FAINT]
    if strong:
        held = [candidate for candidate in strong if candidate.in_flight or candidate.capturing]
        waiting = [candidate for candidate in strong if not candidate.answered]
        # late words go to the oldest that nobody answered, and only then to one that was: they came twice
        chosen = held[0] if held else waiting[-1] if waiting else strong[0]
        rivals = {candidate.id for candidate in ([*held[:1], *waiting] or strong)}
        return Match(chosen.id, len(rivals) == 1)
    for some in (weak, faint):
        if holding := [candidate for candidate in some if candidate.in_flight or candidate.capturing]:
            return Match(min(holding, key=lambda candidate: not candidate.in_flight).id, False)
    for candidate in weak:
        if candidate.unannounced and any(isinstance(reply, Preparing) for reply in replies):
            return Match(candidate.id, False)
    # a late refusal, where only one command can be meant
    owing = [candidate for candidate in (*weak, *faint) if not candidate.answered]
    if len(owing) == 1 and any(isinstance(reply, Refused | AlreadyCaptured) for reply in replies):
        return Match(owing[0].id, False)
    return None


# faint: words that fit better with another kind of command, which is not waiting
EXACT, STRONG, WEAK, FAINT, NONE = 4, 3, 2, 1, 0
NEAR_ASKED = 2.0  # seconds: a clip may begin so far from the moment that was asked for


def _fit(replies: Sequence[Reply], candidate: Candidate) -> int:
    if all(isinstance(reply, Unread) for reply in replies):
        return WEAK if candidate.in_flight else NONE
    return max((_fit_one(reply, candidate) for reply in replies), default=NONE)


def _fit_one(reply: Reply, candidate: Candidate) -> int:
    if isinstance(reply, Refused):
        is_known = reply.code != "unknown_refusal"
        return FAINT if is_known and candidate.kind != "camreq" else WEAK
    if candidate.kind not in reply.answers:
        return NONE
    arguments = candidate.arguments
    match reply:
        case Values():
            return _fit_values(reply, candidate)
        case ParametersRefused():
            asked = {int(number) for number in arguments.get("parameters", ())}
            return STRONG if reply.ids and set(reply.ids) <= asked else WEAK
        case Accepted():
            return _fit_accepted(reply, arguments)
        case AlreadyCaptured():
            return WEAK if reply.file_type in (None, arguments.get("file_type")) else NONE
        case Preparing():
            return _fit_preparing(reply, candidate)
        case CameraAction():
            if reply.camera is None:
                return WEAK
            return STRONG if reply.camera == arguments.get("camera") else NONE
        case CameraVersions() | Info() | ResetAcknowledged():
            return STRONG
    return NONE


def _fit_preparing(reply: Preparing, candidate: Candidate) -> int:
    if reply.file_timestamp is not None:
        moment = reply.file_timestamp / 1000
        # a device announces a file with its whole second: the next photo of the same camera may be one second later
        if int(moment) in map(int, candidate.reported):
            return EXACT
        if candidate.asked is not None and abs(moment - candidate.asked) <= NEAR_ASKED:
            return EXACT
    return STRONG if candidate.capturing and not candidate.in_flight else WEAK


def _fit_values(reply: Values, candidate: Candidate) -> int:
    arguments = candidate.arguments
    if candidate.kind == "getparam":
        return STRONG if set(reply.values) <= {int(number) for number in arguments["parameters"]} else NONE
    if "encrypted" in arguments:
        return STRONG if set(reply.values) <= CREDENTIALS else NONE
    asked = {int(number): str(value) for number, value in arguments["parameters"].items()}
    if not set(reply.values) <= set(asked):
        return NONE
    agree = all(same(number, value, asked[number]) for number, value in reply.values.items())
    return STRONG if agree else WEAK


def _fit_accepted(reply: Accepted, arguments: Mapping[str, Any]) -> int:
    told = {"file_type": reply.file_type, "source": reply.source, "duration": reply.duration}
    if any(value is not None and value != arguments.get(name) for name, value in told.items()):
        return NONE
    return STRONG
