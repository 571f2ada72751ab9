"""Decides which command a reply answers, by content first. Pure.

Each reply says itself how well it fits a command (`Reply.fit`). Replies carry no id; phone and time have already
narrowed the candidates down. `answers` makes the candidates and applies the choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from provisioning.tracker.language import Candidate, Failure, Fit, Progress, Reply, Unread

UNANSWERED_FOR = timedelta(hours=24)  # so long a command without a reply stays a candidate for one


_NO_CONNECTION = Failure("server_unreachable", retry=True)


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
        if fit is Fit.EXACT:
            return Match(candidate.id, True)
    strong = [candidate for candidate, fit in fitting if fit is Fit.STRONG]
    weak = [candidate for candidate, fit in fitting if fit is Fit.WEAK]
    faint = [candidate for candidate, fit in fitting if fit is Fit.FAINT]
    if strong:
        held = [candidate for candidate in strong if candidate.in_flight or candidate.capturing]
        waiting = [candidate for candidate in strong if not candidate.answered]
        # a late reply goes to the oldest command without a reply, and only then to one that has one: it came twice
        chosen = held[0] if held else waiting[-1] if waiting else strong[0]
        rivals = {candidate.id for candidate in ([*held[:1], *waiting] or strong)}
        return Match(chosen.id, len(rivals) == 1)
    for some in (weak, faint):
        if holding := [candidate for candidate in some if candidate.in_flight or candidate.capturing]:
            return Match(min(holding, key=lambda candidate: not candidate.in_flight).id, False)
    for candidate in weak:
        if candidate.unannounced and any(reply.progress is Progress.ANNOUNCED for reply in replies):
            return Match(candidate.id, False)
    # a late refusal, where only one command can be meant
    owing = [candidate for candidate in (*weak, *faint) if not candidate.answered]
    if len(owing) == 1 and any(isinstance(reply.progress, Failure) for reply in replies):
        return Match(owing[0].id, False)
    # the device has tried to send the earlier file that it spoke of, and could not
    if any(reply.progress == _NO_CONNECTION for reply in replies):
        return next((Match(candidate.id, False) for candidate in weak if candidate.resending), None)
    return None


def _fit(replies: Sequence[Reply], candidate: Candidate) -> Fit:
    if all(isinstance(reply, Unread) for reply in replies):
        return Fit.WEAK if candidate.in_flight else Fit.NONE
    return max((reply.fit(candidate) for reply in replies), default=Fit.NONE)
