"""The rules of health: each reads the facts of a vehicle and gives a finding, or None where it does not hold. Pure.

Those about cameras and cards stand in `camera_rules`. Within a rule the newest fact counts, so an older fact never
outweighs a newer one.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from provisioning.devices import transfer_times
from provisioning.devices.health_findings import Finding, found_by_check, recent
from provisioning.devices.vehicle_facts import (
    DUALCAM,
    CameraFacts,
    HealthLimits,
    VehicleFacts,
    cameras_of,
    last_proof,
    last_sign,
    newest,
)
from provisioning.tracker.parameters import id_of

LAST = 5  # of so many newest answers and files the median counts
FEWEST = 3  # with fewer a median says nothing
WRONG_CLOCK = 120  # seconds
# so long the tracker's data at the camera port counts: a tracker that sends it there comes again and again
ASTRAY_FOR = timedelta(days=1)


# ends of a request that say nothing of the vehicle: it was not asked, has it already, or sleeps
INCONCLUSIVE = frozenset(
    ("already_captured", "queue_timeout", "not_sent", "superseded", "unsendable", "no_sms_credentials", "cabin_private",
     "ignition_off", "configuring", "key_missing")
)  # fmt: skip


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
    check = found_by_check(facts, "wrong_mode")
    if check is None or wrong or (works_at is not None and works_at > check.found_at):
        return None
    confirmed = facts.settings.get(id_of("rs232_mode"))
    if confirmed is not None and confirmed.at > check.found_at:
        return None
    return Finding(check.found_at)


def no_reply(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    """Find silence: the last two requests, or all of the last check, were not answered, and no SMS came since."""
    sent = [
        request for request in recent(facts, now)
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
    check = found_by_check(facts, "server_unreachable")
    said = [r.ended_at for r in recent(facts, now) if r.failure == "server_unreachable"]
    since = newest([*said, check.started_at if check else None])
    if since is None or (facts.connected_at is not None and facts.connected_at > since):
        return None
    return Finding(since)


def requests_fail(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    """Find one reason for which the last three requests failed, with no proof of the cameras since."""
    conclusive = [
        request for request in recent(facts, now)
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


def triggers_lead_nowhere(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    if facts.by_itself is None or facts.server_is_ours:
        return None
    return Finding(facts.by_itself.since, {"what": facts.by_itself.value})


def wrong_clock(facts: VehicleFacts, limits: HealthLimits, now: datetime) -> Finding | None:
    check, clock = found_by_check(facts, "wrong_clock"), facts.clock
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
    answered = [request for request in recent(facts, now) if request.seconds is not None]
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
