"""What a rule of health finds, and what several rules read of checks and requests. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from provisioning.devices.vehicle_facts import CheckFacts, SentCommand, VehicleFacts

RECENT = timedelta(days=30)  # older requests say nothing of today
# verdicts that leave open what earlier checks found at cameras, card and clock
BLIND = frozenset(("silent", "answers_late", "ignition_off", "other_tracker", "refused", "undecided"))


@dataclass(frozen=True, slots=True)
class Finding:
    since: datetime
    arguments: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""  # where a rule has several


def telling(facts: VehicleFacts) -> CheckFacts | None:
    """Give the newest check that saw the cameras."""
    return next((check for check in facts.checks if check.verdict not in BLIND), None)


def found_by_check(facts: VehicleFacts, *verdicts: str) -> CheckFacts | None:
    check = telling(facts)
    return check if check is not None and check.verdict in verdicts else None


def recent(facts: VehicleFacts, now: datetime) -> list[SentCommand]:
    return [request for request in facts.requests if request.sent_at > now - RECENT]
