"""The rules of health: each reads the facts of a vehicle and gives a finding, or None where it does not hold. Pure.

Within a rule the newest fact counts, so an older fact never outweighs a newer one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from provisioning.devices import transfer_times
from provisioning.devices.vehicle_facts import (
    DUALCAM,
    SIDES,
    WORKS,
    CameraFacts,
    Card,
    CheckFacts,
    HealthLimits,
    SentCommand,
    VehicleFacts,
    camera_of,
    cameras_of,
    last_proof,
    last_sign,
    newest,
)
from provisioning.tracker.parameters import id_of

LAST = 5  # of so many newest answers and files the median counts
FEWEST = 3  # with fewer a median says nothing
WRONG_CLOCK = 120  # seconds
RECENT = timedelta(days=30)  # older requests say nothing of today
# so long the tracker's data at the camera port counts: a tracker that sends it there comes again and again
ASTRAY_FOR = timedelta(days=1)
OFF_FOR = timedelta(hours=1)  # so long before and after a refusal because of it the ignition counts as off


@dataclass(frozen=True, slots=True)
class Finding:
    since: datetime
    arguments: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""  # where a rule has several


# ends of a request that say nothing of the vehicle: it was not asked, has it already, or sleeps
INCONCLUSIVE = frozenset(
    ("already_captured", "queue_timeout", "not_sent", "superseded", "unsendable", "no_sms_credentials", "cabin_private",
     "ignition_off", "configuring", "key_missing")
)  # fmt: skip
# verdicts that leave open what earlier checks found at cameras, card and clock
BLIND = frozenset(("silent", "answers_late", "ignition_off", "other_tracker", "refused", "undecided"))
_DEAD = {"front_camera": ("front",), "rear_camera": ("rear",), "no_camera": SIDES, "no_power": SIDES}


def _telling(facts: VehicleFacts) -> CheckFacts | None:
    """Give the newest check that saw the cameras."""
    return next((check for check in facts.checks if check.verdict not in BLIND), None)


def _found_by_check(facts: VehicleFacts, *verdicts: str) -> CheckFacts | None:
    check = _telling(facts)
    return check if check is not None and check.verdict in verdicts else None


def _recent(facts: VehicleFacts, now: datetime) -> list[SentCommand]:
    return [request for request in facts.requests if request.sent_at > now - RECENT]


def _answered_at(camera: CameraFacts) -> datetime | None:
    """Give when a camera said its version, where that is the newest that is known of it."""
    return camera.answers.at if camera.answers is not None and camera.answers.value == "yes" else None


def wrong_mode(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    wrong = {
        number: known for number, right in DUALCAM.items()
        if (known := facts.settings.get(number)) is not None and known.value != right
    }  # fmt: skip
    # without DualCam mode no file comes and no camera answers: what came later is the newer fact
    works_at = newest((last_proof(facts), *(_answered_at(camera) for camera in cameras_of(facts))))
    for number, known in wrong.items():
        if works_at is None or works_at < known.at:
            return Finding(known.since, {"parameter": number, "value": known.value})
    check = _found_by_check(facts, "wrong_mode")
    if check is None or wrong or (works_at is not None and works_at > check.found_at):
        return None
    confirmed = facts.settings.get(id_of("rs232_mode"))
    if confirmed is not None and confirmed.at > check.found_at:
        return None
    return Finding(check.found_at)


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
    if (check := _found_by_check(facts, *_DEAD)) is not None and side in _DEAD[check.verdict]:
        signs.append(_Sign(check.found_at, "no", check.found_at))
    for request in _recent(facts, now):
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


def no_reply(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    """Find silence: the last two requests, or all of the last check, were not answered, and no SMS came since."""
    sent = [
        request for request in _recent(facts, now)
        if request.went_out and (request.ended_at is not None or request.answered)
        and request.sent_at >= facts.number_since
    ]  # fmt: skip
    check = next(iter(facts.checks), None)
    if check is not None and check.verdict == "silent":
        asked = [request for request in sent if check.started_at <= request.sent_at <= check.found_at]
    else:
        asked = []
    for unanswered in (asked, sent[:2] if len(sent) > 1 else []):
        if not unanswered or any(request.answered for request in unanswered):
            continue
        later = [request for request in sent if request.sent_at > unanswered[0].sent_at]
        began = unanswered[-1].sent_at
        heard = facts.sms_at is not None and facts.sms_at > began
        if not heard and not any(request.answered for request in later):
            since = newest(request.ended_at for request in unanswered) or now
            return Finding(since, {"unanswered": len(unanswered), "asked": len(unanswered)})
    return None


def server_unreachable(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    check = _found_by_check(facts, "server_unreachable")
    said = [r.ended_at for r in _recent(facts, now) if r.failure == "server_unreachable"]
    since = newest([*said, check.started_at if check else None])
    if since is None or (facts.connected_at is not None and facts.connected_at > since):
        return None
    return Finding(since)


def no_capture(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    """Find cameras that answered the last check and took no picture, with none of theirs since."""
    check = _telling(facts)
    if check is None:
        return None
    sides = [side for side in SIDES if check.marks.get(side) == "no_capture"]
    if not sides and check.verdict == "no_capture":
        sides = [side for side in SIDES if check.camera in (side, "both", None)]
    left = [side for side in sides if not _came_since(camera_of(facts, side), check.found_at)]
    return Finding(check.found_at, {"camera": left[0] if len(left) == 1 else "both"}) if left else None


def _came_since(camera: CameraFacts, at: datetime) -> bool:
    return camera.file is not None and camera.file > at


def requests_fail(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    """Find one reason for which the last three requests failed, with no proof of the cameras since."""
    conclusive = [
        request for request in _recent(facts, now)
        if request.ended_at is not None and request.went_out and request.failure not in INCONCLUSIVE
    ][:3]  # fmt: skip
    codes = {request.failure for request in conclusive}
    (code,) = codes if len(codes) == 1 else (None,)
    ends = [request.ended_at for request in conclusive if request.ended_at is not None]
    if len(conclusive) < 3 or code is None or not all(request.answered for request in conclusive):
        return None  # silence is another rule's
    proof = last_proof(facts)
    if proof is not None and proof > max(ends):
        return None
    if code == "no_file" and _is_behind(facts, since=min(request.sent_at for request in conclusive)):
        return None  # files come, and by their time they are older than the requests
    return Finding(min(ends), {"reason": code})


def _is_behind(facts: VehicleFacts, since: datetime) -> bool:
    """Condition: a file that came since then showed that the camera's clock is behind."""
    return facts.clock is not None and facts.clock.at > since and int(facts.clock.value) < -WRONG_CLOCK


def other_tracker(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    imei = facts.imei
    if imei is None or imei.value == "ours" or facts.number_since > imei.at:
        return None
    return Finding(imei.since, {"imei": imei.value})


def _card_by_check(facts: VehicleFacts) -> _Sign | None:
    """Give what the newest check that says something of the front camera's card found out by itself."""
    for check in facts.checks:
        card, seen = check.marks.get("card"), check.marks.get("sd")
        if (
            seen == "bad_card" and check.marks.get("clock") != "wrong"
        ):  # else its footage may have another time
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


def triggers_lead_nowhere(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    if facts.by_itself is None or facts.server_is_ours:
        return None
    return Finding(facts.by_itself.since, {"what": facts.by_itself.value})


def wrong_clock(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    check, clock = _found_by_check(facts, "wrong_clock"), facts.clock
    if clock is not None and abs(int(clock.value)) > WRONG_CLOCK:
        return Finding(clock.since, {"seconds": int(clock.value)})
    if check is None or (clock is not None and clock.at >= check.found_at):
        return None
    return Finding(check.found_at)


def drifted(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    if facts.drift is None or not facts.drift.numbers:
        return None
    return Finding(facts.drift.since, {"parameters": list(facts.drift.numbers), "preset": facts.drift.preset})


def _median(values: Sequence[float]) -> float | None:
    some = sorted(values[:LAST])
    return some[len(some) // 2] if len(some) >= FEWEST else None


def slow_line(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    rate = _median(facts.rates)
    if rate is None or not transfer_times.is_slow(rate):
        return None
    return Finding(facts.rated_at or now, {"bytes_per_second": round(rate)})


def slow_answers(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    answered = [request for request in _recent(facts, now) if request.seconds is not None]
    seconds = _median([request.seconds for request in answered if request.seconds is not None])
    if seconds is None or seconds <= limits.slow_answer:
        return None
    return Finding(answered[0].sent_at, {"seconds": round(seconds)})


def avl_on_camera_port(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    if facts.astray_at is None or now - facts.astray_at >= ASTRAY_FOR:
        return None
    return Finding(facts.astray_at)


def silent(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    seen = last_sign(facts)
    if now - (seen or facts.created_at) < limits.silent:
        return None
    return Finding(seen or facts.created_at, {"ever": seen is not None})


def never_checked(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    if last_proof(facts) is not None:
        return None
    return Finding(facts.created_at, _ignition(facts))


def proof_old(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    proof = last_proof(facts)
    if proof is None or now - proof < limits.proof:
        return None
    return Finding(proof, _ignition(facts))


def _ignition(facts: VehicleFacts) -> dict[str, Any]:
    """Give the argument that the newest check found the ignition off, which is why it proved nothing."""
    newest = next(iter(facts.checks), None)
    return {"ignition_off": True} if newest is not None and newest.verdict == "ignition_off" else {}


def proved(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    return Finding(last_proof(facts) or now)
