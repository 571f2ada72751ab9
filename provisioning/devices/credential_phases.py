"""The state machine of a change of SMS credentials: a phase and a fact give the next phase. Pure."""

from enum import StrEnum


class Phase(StrEnum):
    """Where a change of credentials stands; the column holds these words, and NULL for `settled` and `kept`."""

    SETTLED = "settled"  # one pair is known
    KEPT = "kept"  # the pair in use was answered, the other one may still be, or become, the true one
    QUEUED = "queued"  # the change waits to be sent
    SENT = "sent"  # the change was handed over
    TRYING_PENDING = "trying_pending"  # a getver with the pending pair is under way
    TRYING_CURRENT = "trying_current"  # a getver with the current pair is under way
    UNDECIDED = "undecided"  # neither was answered


class Fact(StrEnum):
    """What happened, as far as it bears on the credentials."""

    ASKED = "a change is asked for"
    HANDED_OVER = "the change is handed over"
    CANNOT_ARRIVE = "the change ended and cannot reach the device"
    UNCONFIRMED = "the change ended, or was answered, without being confirmed"
    PROVED = "an answer proves a pair"
    ANSWERED = "an answer speaks for a pair, with a doubt left"
    PENDING_SILENT = "the getver with the pending pair ended without an answer"
    CURRENT_SILENT = "the getver with the current pair ended without an answer"
    GIVEN_UP = "the getver of this service was cancelled, or its answer proves nothing"
    GETVER_SILENT = "a getver that a person asked for ended without an answer"
    SAID = "a person says which pair the device holds"


_DECIDES = {Fact.PROVED: Phase.SETTLED, Fact.ANSWERED: Phase.KEPT}
_BOTH_HELD = _DECIDES | {
    Fact.UNCONFIRMED: Phase.TRYING_PENDING,
    Fact.GETVER_SILENT: Phase.TRYING_PENDING,
    Fact.SAID: Phase.SETTLED,
}
# From each phase, what a fact leads to; a fact that is not named changes nothing, for it comes late or twice.
TRANSITIONS: dict[Phase, dict[Fact, Phase]] = {
    Phase.SETTLED: {
        Fact.ASKED: Phase.QUEUED,
        Fact.HANDED_OVER: Phase.SENT,
        **_DECIDES,
        Fact.SAID: Phase.SETTLED,
    },
    Phase.QUEUED: {Fact.HANDED_OVER: Phase.SENT, Fact.CANNOT_ARRIVE: Phase.SETTLED},
    Phase.SENT: _DECIDES | {Fact.CANNOT_ARRIVE: Phase.SETTLED, Fact.UNCONFIRMED: Phase.TRYING_PENDING},
    Phase.TRYING_PENDING: _DECIDES
    | {Fact.PENDING_SILENT: Phase.TRYING_CURRENT, Fact.GIVEN_UP: Phase.UNDECIDED},
    Phase.TRYING_CURRENT: _DECIDES | {Fact.CURRENT_SILENT: Phase.UNDECIDED, Fact.GIVEN_UP: Phase.UNDECIDED},
    Phase.UNDECIDED: _BOTH_HELD,
    Phase.KEPT: _BOTH_HELD,
}
AT_REST = frozenset({Phase.SETTLED, Phase.KEPT, Phase.UNDECIDED})
TRYING = {Phase.TRYING_PENDING: "pending", Phase.TRYING_CURRENT: "current"}
