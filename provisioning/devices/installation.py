"""The steps of an installation, and the one at which a vehicle stands. Pure.

An installation is finished once something proved the vehicle's cameras (`vehicle_facts.last_proof`), in whatever order
that came about. `installation_facts` reads the facts from the rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from provisioning.tracker.parameters import same


class InstallationStep(IntEnum):
    """What is done to a vehicle until it is in service, in this order."""

    ADD = 1
    LOGIN = 2  # an SMS of the vehicle came: its number, its SMS login and password are right
    SETTINGS = 3  # the vehicle confirmed what it should hold
    PROOF = 4  # a check ended well, or a picture came


@dataclass(frozen=True, slots=True)
class InstallationFacts:
    """What is known of a vehicle that was added; settings are by parameter id."""

    is_proved: bool
    has_answered: bool
    wanted: Mapping[int, Any]  # the settings that it should hold
    confirmed: Mapping[int, str]  # those that it confirmed, as it wrote them


def open_step(facts: InstallationFacts) -> InstallationStep | None:
    """Give the first step that is not done; None where the installation is finished."""
    if facts.is_proved:
        return None
    if not facts.has_answered:
        return InstallationStep.LOGIN
    if not all(
        number in facts.confirmed and same(number, facts.confirmed[number], str(value))
        for number, value in facts.wanted.items()
    ):
        return InstallationStep.SETTINGS
    return InstallationStep.PROOF
