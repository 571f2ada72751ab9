"""The dated facts of a vehicle that its health is decided from, and when they last proved something. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from provisioning.tracker.parameters import REQUIRED

SIDES = ("front", "rear")
DUALCAM = {number: str(value) for number, value in REQUIRED.items()}  # what the camera port needs


class Card(StrEnum):
    """What a camera says of its SD card."""

    MISSING = "missing"
    FAULTY = "faulty"
    MOUNTED = "mounted"


@dataclass(frozen=True, slots=True)
class Known:
    """A value, since when it is so, and when it was last seen so."""

    value: str
    since: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """What is known of one camera. `answers`: "yes" or "no" to camgetver; `state`: of AVL 498 or 497."""

    answers: Known | None = None
    detected: Known | None = None  # "yes" or "no", by the state
    card: Known | None = None  # a Card, by the state
    file: datetime | None = None  # when its newest file came
    video: datetime | None = None


@dataclass(frozen=True, slots=True)
class CheckFacts:
    """What a check found: its verdict, the camera that it is about, and the marks of its steps."""

    verdict: str
    started_at: datetime
    found_at: datetime
    camera: str | None = None  # front, rear or both
    marks: Mapping[str, str] = field(default_factory=dict)
    restarted: tuple[str, ...] = ()  # cameras that took no picture although they had been restarted


@dataclass(frozen=True, slots=True)
class SentCommand:
    """A command that was handed over. `answered`: the device replied, or its file came; `failure`: code of its end."""

    sent_at: datetime
    ended_at: datetime | None = None
    answered: bool = False
    seconds: float | None = None  # until the first reply
    failure: str | None = None
    went_out: bool = True  # the gateway took it, or may have
    restarted: str = ""  # the camera that confirmed its restart by it
    missing: tuple[str, ...] = ()  # cameras that a refusal for a missing one may be about


@dataclass(frozen=True, slots=True)
class Drift:
    """Parameters that the device confirmed with another value than was asked for."""

    numbers: tuple[int, ...]
    since: datetime
    preset: str | None = None


@dataclass(frozen=True, slots=True)
class VehicleFacts:
    """Everything that health is decided from. Requests, checks and rates stand newest first."""

    created_at: datetime
    number_since: datetime  # since when the phone number is this one
    # those of DUALCAM, as the device confirmed them
    settings: Mapping[int, Known] = field(default_factory=dict)
    front: CameraFacts = CameraFacts()
    rear: CameraFacts = CameraFacts()
    checks: Sequence[CheckFacts] = ()
    requests: Sequence[SentCommand] = ()
    rates: Sequence[float] = ()  # bytes per second of whole files
    rated_at: datetime | None = None  # when the newest of those came
    imei: Known | None = None  # "ours" or the IMEI of another tracker
    clock: Known | None = None  # camera's time minus ours, in seconds
    by_itself: Known | None = None  # what makes it send without a request; None: nothing
    server_is_ours: bool = True
    drift: Drift | None = None
    astray_at: datetime | None = None  # when the tracker's own data last came to the camera port
    sms_at: datetime | None = None  # newest SMS from the device
    connected_at: datetime | None = None  # newest connection of the camera
    pictured_at: datetime | None = None  # when the newest picture among its newest files was recorded
    record_at: datetime | None = None  # newest record of the telematics platform


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """Settings that health depends on."""

    silent: timedelta
    proof: timedelta
    slow_answer: float  # seconds


WORKS = frozenset(("good", "slow"))  # verdicts of a check that ended well

# the cameras that a verdict of the checklist is about, where the verdict alone says it
_CAMERAS_OF_VERDICTS = {
    "front_camera": "front",
    "rear_camera": "rear",
    "no_camera": "both",
    "no_power": "both",
}


def camera_of_verdict(verdict: str, marks: Mapping[str, str]) -> str | None:
    """Give the camera that a verdict of the checklist is about: front, rear or both; None where it is about none.

    `marks`: what the steps found, by step.
    """
    if verdict == "no_capture":
        sides = [side for side in SIDES if marks.get(side) == "no_capture"]
        return sides[0] if len(sides) == 1 else "both"
    if verdict == "faulty_card" and marks.get("sd") == "bad_card":
        return "front"  # somebody saw it there
    return _CAMERAS_OF_VERDICTS.get(verdict)


def last_sign(facts: VehicleFacts) -> datetime | None:
    """Give when the vehicle last sent anything: an SMS, a connection or a record."""
    return newest((facts.sms_at, facts.connected_at, facts.record_at))


def last_proof(facts: VehicleFacts) -> datetime | None:
    """Give when something last proved that the cameras work."""
    answers = [facts.front.answers, facts.rear.answers]
    both = [known.at for known in answers if known is not None and known.value == "yes"]
    mounted = [
        camera.card.at for camera in cameras_of(facts) if camera.card and camera.card.value == Card.MOUNTED
    ]
    ended_well = [check.found_at for check in facts.checks if check.verdict in WORKS]
    files = [camera.file for camera in cameras_of(facts)]
    return newest([*files, *mounted, *ended_well, min(both) if len(both) == len(SIDES) else None])


def newest(times: Iterable[datetime | None]) -> datetime | None:
    return max((at for at in times if at is not None), default=None)


def cameras_of(facts: VehicleFacts) -> tuple[CameraFacts, CameraFacts]:
    return facts.front, facts.rear


def camera_of(facts: VehicleFacts, side: str) -> CameraFacts:
    return facts.front if side == "front" else facts.rear
