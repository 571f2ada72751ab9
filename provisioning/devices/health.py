"""Health of a vehicle: one state with one reason, decided from facts that carry their own times. Pure.

RULES stands in order: the first rule that holds decides. `vehicle_facts` says what the facts are, and `health_rules`
and `camera_rules` how each rule reads them; `health_facts` gathers the facts, `health_store` keeps the result,
`health_words` puts it into words.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from provisioning.devices import camera_rules
from provisioning.devices import health_rules as rules
from provisioning.devices.health_findings import RECENT, Finding
from provisioning.devices.health_rules import ASTRAY_FOR
from provisioning.devices.vehicle_facts import HealthLimits, VehicleFacts, last_proof, last_sign


class HealthState(StrEnum):
    """How a vehicle is; the words are in alphabetical order from the worst to the best, and lists sort by them."""

    BROKEN = "broken"
    LIMITED = "limited"
    SILENT = "silent"
    UNCHECKED = "unchecked"
    WORKING = "working"


@dataclass(frozen=True, slots=True)
class Health:
    """What a vehicle's health is, why (a code of RULES with arguments), since when, and until when it is certain."""

    state: HealthState
    code: str
    since: datetime
    valid_until: datetime | None
    arguments: Mapping[str, Any] = field(default_factory=dict)


def decide(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Health:
    """Decide the health of a vehicle: the first rule that holds gives the reason."""
    for code, state, rule in RULES:
        found = rule(facts, limits, now)
        if found is not None:
            until = _valid_until(facts, limits, now)
            return Health(state, found.code or code, min(found.since, now), until, found.arguments)
    raise AssertionError("the last rule always holds")


def _valid_until(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> datetime | None:
    """Give when time alone may change the result: a silence, a proof or a fact comes of age."""
    proof = last_proof(facts)
    ends = [
        (last_sign(facts) or facts.created_at) + limits.silent,
        *([proof + limits.proof] if proof else []),
        *([facts.astray_at + ASTRAY_FOR] if facts.astray_at else []),
        *(request.sent_at + RECENT for request in facts.requests),
    ]
    return min((end for end in ends if end > now), default=None)


Rule = Callable[[VehicleFacts, HealthLimits, datetime], Finding | None]
RULES: tuple[tuple[str, HealthState, Rule], ...] = (
    ("wrong_mode", HealthState.BROKEN, rules.wrong_mode),
    ("no_camera", HealthState.BROKEN, camera_rules.no_camera),
    ("no_reply", HealthState.BROKEN, rules.no_reply),
    ("server_unreachable", HealthState.BROKEN, rules.server_unreachable),
    ("no_capture", HealthState.BROKEN, camera_rules.no_capture),
    ("requests_fail", HealthState.BROKEN, rules.requests_fail),
    ("other_tracker", HealthState.BROKEN, rules.other_tracker),
    ("front_camera", HealthState.LIMITED, camera_rules.dead_camera("front")),
    ("rear_camera", HealthState.LIMITED, camera_rules.dead_camera("rear")),
    ("no_card", HealthState.LIMITED, camera_rules.card_problem),  # or faulty_card
    ("triggers_lead_nowhere", HealthState.LIMITED, rules.triggers_lead_nowhere),
    ("wrong_clock", HealthState.LIMITED, rules.wrong_clock),
    ("drift", HealthState.LIMITED, rules.drifted),
    ("slow_line", HealthState.LIMITED, rules.slow_line),
    ("slow_answers", HealthState.LIMITED, rules.slow_answers),
    ("avl_on_camera_port", HealthState.LIMITED, rules.avl_on_camera_port),
    ("silent", HealthState.SILENT, rules.silent),
    ("never_checked", HealthState.UNCHECKED, rules.never_checked),
    ("proof_old", HealthState.UNCHECKED, rules.proof_old),
    ("proved", HealthState.WORKING, rules.proved),
)
STATES = {code: state for code, state, _ in RULES} | {"faulty_card": HealthState.LIMITED}
CODES = frozenset(STATES)
