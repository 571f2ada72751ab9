"""The rules of health about cameras and their SD cards: what the newest sign of each says. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from provisioning.devices.health_findings import Finding, found_by_check, recent, telling
from provisioning.devices.vehicle_facts import (
    SIDES,
    WORKS,
    CameraFacts,
    Card,
    HealthLimits,
    VehicleFacts,
    camera_of,
)

OFF_FOR = timedelta(hours=1)  # so long before and after a refusal because of it the ignition counts as off
_DEAD = {"front_camera": ("front",), "rear_camera": ("rear",), "no_camera": SIDES, "no_power": SIDES}


@dataclass(frozen=True, slots=True, order=True)
class _Sign:
    """Something that was seen at a time, and since when it was so."""

    at: datetime
    value: str
    since: datetime


def _present(signs: Iterable[_Sign]) -> tuple[str, datetime] | None:
    """Give the value of the newest sign, and since when no sign says otherwise."""
    newest_first = sorted(signs, reverse=True)
    if not newest_first:
        return None
    value = newest_first[0].value
    contrary = next((sign.at for sign in newest_first if sign.value != value), None)
    since = [
        sign.since if contrary is None else max(sign.since, contrary)
        for sign in newest_first
        if sign.value == value and (contrary is None or sign.at >= contrary)
    ]
    return value, min(since)


def _was_off(facts: VehicleFacts, at: datetime) -> bool:
    """Condition: near this time the device refused a request because the ignition was off."""
    said = [request.ended_at for request in facts.requests if request.failure == "ignition_off"]
    return any(abs(off - at) < OFF_FOR for off in said if off is not None)


def _dead_since(facts: VehicleFacts, side: str, now: datetime) -> datetime | None:
    """Give since when a camera does not answer; None where it does, or nobody knows."""
    camera = camera_of(facts, side)
    signs = [_Sign(known.at, known.value, known.since) for known in (camera.detected,) if known]
    if camera.answers is not None:
        asleep = camera.answers.value == "no" and _was_off(facts, camera.answers.at)
        # asked while the ignition was off it says nothing, and what it said before holds on
        at = camera.answers.since if asleep else camera.answers.at
        if not (asleep and _was_off(facts, at)):
            signs.append(_Sign(at, camera.answers.value, camera.answers.since))
    seen = [camera.file, *(check.found_at for check in facts.checks if check.marks.get(side) == "came")]
    signs += [_Sign(at, "yes", at) for at in seen if at is not None]
    if (check := found_by_check(facts, *_DEAD)) is not None and side in _DEAD[check.verdict]:
        signs.append(_Sign(check.found_at, "no", check.found_at))
    for request in recent(facts, now):
        none_there = request.failure == "dualcam_not_present"
        missing = request.failure == "camera_not_present" and request.missing == (side,)
        if request.ended_at is not None and (none_there or missing):
            signs.append(_Sign(request.ended_at, "no", request.ended_at))
    found = _present(signs)
    return found[1] if found is not None and found[0] == "no" else None


def no_camera(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    front, rear = (_dead_since(facts, side, now) for side in SIDES)
    return Finding(max(front, rear)) if front and rear else None


def dead_camera(side: str) -> Callable[[VehicleFacts, HealthLimits, datetime], Finding | None]:
    def rule(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
        since = _dead_since(facts, side, now)
        return Finding(since) if since else None

    return rule


def no_capture(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    """Find cameras that answered the last check and took no picture, with none of theirs since."""
    check = telling(facts)
    if check is None:
        return None
    sides = [side for side in SIDES if check.marks.get(side) == "no_capture"]
    if not sides and check.verdict == "no_capture":
        sides = [side for side in SIDES if check.camera in (side, "both", None)]
    left = [side for side in sides if not _came_since(camera_of(facts, side), check.found_at)]
    if not left:
        return None
    camera = left[0] if len(left) == 1 else "both"
    is_restarted = all(
        side in check.restarted or _restarted_since(facts, side, check.found_at) for side in left
    )
    return Finding(check.found_at, {"camera": camera} | ({"restarted": True} if is_restarted else {}))


def _restarted_since(facts: VehicleFacts, side: str, at: datetime) -> bool:
    return any(
        request.restarted == side and request.ended_at is not None and request.ended_at > at
        for request in facts.requests
    )


def _came_since(camera: CameraFacts, at: datetime) -> bool:
    return camera.file is not None and camera.file > at


def _card_by_check(facts: VehicleFacts) -> _Sign | None:
    """Give what the newest check that says something of the front camera's card found out by itself."""
    for check in facts.checks:
        card, seen = check.marks.get("card"), check.marks.get("sd")
        # with a wrong clock its footage may have another time
        if seen == "bad_card" and check.marks.get("clock") != "wrong":
            return _Sign(check.found_at, Card.FAULTY, check.found_at)
        # "no_card" of the step `card` is what records reported: that has its own time and camera
        if seen == "no_card" or (check.verdict == "no_card" and card != "no_card"):
            return _Sign(check.found_at, Card.MISSING, check.found_at)
        if card == "came" or check.verdict in WORKS:
            return None
    return None


def card_problem(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    """Find missing and faulty cards, by the newest sign of each camera's."""
    bad: dict[str, tuple[str, datetime]] = {}
    for side in SIDES:
        camera = camera_of(facts, side)
        signs = [_Sign(known.at, known.value, known.since) for known in [camera.card] if known is not None]
        if camera.video is not None:
            signs.append(_Sign(camera.video, Card.MOUNTED, camera.video))
        if side == "front" and (by_check := _card_by_check(facts)) is not None:
            signs.append(by_check)
        found = _present(signs)
        if found is not None and found[0] != Card.MOUNTED:
            bad[side] = found
    for card, code in ((Card.MISSING, "no_card"), (Card.FAULTY, "faulty_card")):
        sides = [side for side, (said, _) in bad.items() if said == card]
        if sides:
            since = min(bad[side][1] for side in sides)
            return Finding(since, {"camera": sides[0] if len(sides) == 1 else "both"}, code)
    return None
