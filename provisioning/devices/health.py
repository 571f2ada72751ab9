"""Health of a vehicle: one state with one reason, decided from facts that carry their own times. Pure.

RULES stands in order: the first rule that holds decides. Within a rule the newest fact counts, so an older fact never
outweighs a newer one. `health_facts` gathers the facts, `health_store` keeps the result, `health_words` puts it into
words.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from provisioning.devices import transfer_times
from provisioning.tracker.parameters import REQUIRED, id_of

SIDES = ("front", "rear")
DUALCAM = {number: str(value) for number, value in REQUIRED.items()}  # what the camera port needs
LAST = 5  # of so many newest answers and files the median counts
FEWEST = 3  # with fewer a median says nothing
WRONG_CLOCK = 120  # seconds
RECENT = timedelta(days=30)  # older requests say nothing of today
# so long the tracker's data at the camera port counts: a tracker that sends it there comes again and again
ASTRAY_FOR = timedelta(days=1)


class HealthState(StrEnum):
    """How a vehicle is; the words are in alphabetical order from the worst to the best, and lists sort by them."""

    BROKEN = "broken"
    LIMITED = "limited"
    SILENT = "silent"
    UNCHECKED = "unchecked"
    WORKING = "working"


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
class Camera:
    """What is known of one camera. `answers`: "yes" or "no" to camgetver; `state`: of AVL 498 or 497."""

    answers: Known | None = None
    detected: Known | None = None  # "yes" or "no", by the state
    card: Known | None = None  # a Card, by the state
    file: datetime | None = None  # when its newest file came
    video: datetime | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A check that ended: its verdict, the camera that it is about, and the marks of its steps."""

    verdict: str
    started_at: datetime
    ended_at: datetime
    camera: str | None = None  # front, rear or both
    marks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """A command that was handed over. `answered`: the device replied, or its file came; `failure`: code of its end."""

    sent_at: datetime
    ended_at: datetime | None = None
    answered: bool = False
    seconds: float | None = None  # until the first reply
    failure: str | None = None
    went_out: bool = True  # the gateway took it, or may have
    sources: tuple[str, ...] = ()  # cameras of a request for files


@dataclass(frozen=True, slots=True)
class Drift:
    """Parameters that the device confirmed with another value than was asked for."""

    numbers: tuple[int, ...]
    since: datetime
    preset: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that health is decided from. Requests, checks and rates stand newest first."""

    created_at: datetime
    number_since: datetime  # since when the phone number is this one
    settings: Mapping[int, Known] = field(
        default_factory=dict
    )  # those of DUALCAM, as the device confirmed them
    front: Camera = Camera()
    rear: Camera = Camera()
    checks: Sequence[Check] = ()
    requests: Sequence[Request] = ()
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
    record_at: datetime | None = None  # newest record of the telematics platform


@dataclass(frozen=True, slots=True)
class Limits:
    """Settings that health depends on."""

    silent: timedelta
    proof: timedelta
    slow_answer: float  # seconds


@dataclass(frozen=True, slots=True)
class Health:
    """What a vehicle's health is, why (a code of RULES with arguments), since when, and until when it is certain."""

    state: HealthState
    code: str
    since: datetime
    valid_until: datetime | None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Found:
    since: datetime
    arguments: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""  # where a rule has several


# ends of a request that say nothing of the vehicle: it was not asked, has it already, or sleeps
TELLS_NOTHING = frozenset(
    ("already_captured", "queue_timeout", "not_sent", "superseded", "unsendable", "no_sms_credentials",
     "ignition_off", "configuring", "key_missing")
)  # fmt: skip
# verdicts that leave open what earlier checks found at cameras, card and clock
BLIND = frozenset(("silent", "answers_late", "ignition_off", "other_tracker", "refused", "undecided"))
WORKS = frozenset(("good", "slow"))  # verdicts of a check that ended well
_DEAD = {"front_camera": ("front",), "rear_camera": ("rear",), "no_camera": SIDES, "no_power": SIDES}


def decide(facts: Facts, limits: Limits, now: datetime) -> Health:
    """Decide the health of a vehicle: the first rule that holds gives the reason."""
    for code, state, rule in RULES:
        found = rule(facts, limits, now)
        if found is not None:
            until = _valid_until(facts, limits, now)
            return Health(state, found.code or code, min(found.since, now), until, found.arguments)
    raise AssertionError("the last rule always holds")


def last_sign(facts: Facts) -> datetime | None:
    """Give when the vehicle was last heard of: by SMS, connection or record."""
    return _newest((facts.sms_at, facts.connected_at, facts.record_at))


def last_proof(facts: Facts) -> datetime | None:
    """Give when something last proved that the cameras work."""
    answers = [facts.front.answers, facts.rear.answers]
    both = [known.at for known in answers if known is not None and known.value == "yes"]
    mounted = [
        camera.card.at for camera in _cameras(facts) if camera.card and camera.card.value == Card.MOUNTED
    ]
    ended_well = [check.ended_at for check in facts.checks if check.verdict in WORKS]
    files = [camera.file for camera in _cameras(facts)]
    return _newest([*files, *mounted, *ended_well, min(both) if len(both) == len(SIDES) else None])


def _valid_until(facts: Facts, limits: Limits, now: datetime) -> datetime | None:
    """Give when time alone may change the result: a silence, a proof or a fact comes of age."""
    proof = last_proof(facts)
    ends = [
        (last_sign(facts) or facts.created_at) + limits.silent,
        *([proof + limits.proof] if proof else []),
        *([facts.astray_at + ASTRAY_FOR] if facts.astray_at else []),
        *(request.sent_at + RECENT for request in facts.requests),
    ]
    return min((end for end in ends if end > now), default=None)


def _newest(times: Iterable[datetime | None]) -> datetime | None:
    return max((at for at in times if at is not None), default=None)


def _cameras(facts: Facts) -> tuple[Camera, Camera]:
    return facts.front, facts.rear


def _camera(facts: Facts, side: str) -> Camera:
    return facts.front if side == "front" else facts.rear


def _telling(facts: Facts) -> Check | None:
    """Give the newest check that saw the cameras."""
    return next((check for check in facts.checks if check.verdict not in BLIND), None)


def _found_by_check(facts: Facts, *verdicts: str) -> Check | None:
    check = _telling(facts)
    return check if check is not None and check.verdict in verdicts else None


def _recent(facts: Facts, now: datetime) -> list[Request]:
    return [request for request in facts.requests if request.sent_at > now - RECENT]


def _wrong_mode(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
    wrong = {
        number: known for number, right in DUALCAM.items()
        if (known := facts.settings.get(number)) is not None and known.value != right
    }  # fmt: skip
    # without DualCam mode no file comes: one that came later is the newer fact
    file_at = _newest(camera.file for camera in _cameras(facts))
    for number, known in wrong.items():
        if file_at is None or file_at < known.at:
            return _Found(known.since, {"parameter": number, "value": known.value})
    check = _found_by_check(facts, "wrong_mode")
    if check is None or wrong or (file_at is not None and file_at > check.ended_at):
        return None
    confirmed = facts.settings.get(id_of("rs232_mode"))
    if confirmed is not None and confirmed.at > check.ended_at:
        return None
    return _Found(check.ended_at)


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


def _dead_since(facts: Facts, side: str, now: datetime) -> datetime | None:
    """Give since when a camera does not answer; None where it does, or nobody knows."""
    camera = _camera(facts, side)
    signs = [
        _Sign(known.at, known.value, known.since) for known in (camera.answers, camera.detected) if known
    ]
    seen = [camera.file, *(check.ended_at for check in facts.checks if check.marks.get(side) == "came")]
    signs += [_Sign(at, "yes", at) for at in seen if at is not None]
    if (check := _found_by_check(facts, *_DEAD)) is not None and side in _DEAD[check.verdict]:
        signs.append(_Sign(check.ended_at, "no", check.ended_at))
    for request in _recent(facts, now):
        none_there = request.failure == "dualcam_not_present"
        missing = request.failure == "camera_not_present" and request.sources == (side,)
        if request.ended_at is not None and (none_there or missing):
            signs.append(_Sign(request.ended_at, "no", request.ended_at))
    found = _present(signs)
    return found[1] if found is not None and found[0] == "no" else None


def _no_camera(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
    front, rear = (_dead_since(facts, side, now) for side in SIDES)
    return _Found(max(front, rear)) if front and rear else None


def _dead_camera(side: str) -> Callable[[Facts, Limits, datetime], _Found | None]:
    def rule(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
        since = _dead_since(facts, side, now)
        return _Found(since) if since else None

    return rule


def _no_reply(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
    """Find silence: the last two requests, or all of the last check, were not answered, and no SMS came since."""
    sent = [
        request for request in _recent(facts, now)
        if request.went_out and (request.ended_at is not None or request.answered)
        and request.sent_at >= facts.number_since
    ]  # fmt: skip
    check = next(iter(facts.checks), None)
    if check is not None and check.verdict == "silent":
        asked = [request for request in sent if check.started_at <= request.sent_at <= check.ended_at]
    else:
        asked = []
    for unanswered in (asked, sent[:2] if len(sent) > 1 else []):
        if not unanswered or any(request.answered for request in unanswered):
            continue
        later = [request for request in sent if request.sent_at > unanswered[0].sent_at]
        began = unanswered[-1].sent_at
        heard = facts.sms_at is not None and facts.sms_at > began
        if not heard and not any(request.answered for request in later):
            since = _newest(request.ended_at for request in unanswered) or now
            return _Found(since, {"unanswered": len(unanswered), "asked": len(unanswered)})
    return None


def _server_unreachable(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
    check = _found_by_check(facts, "server_unreachable")
    said = [r.ended_at for r in _recent(facts, now) if r.failure == "server_unreachable"]
    since = _newest([*said, check.started_at if check else None])
    if since is None or (facts.connected_at is not None and facts.connected_at > since):
        return None
    return _Found(since)


def _no_capture(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
    check = _found_by_check(facts, "no_capture")
    if check is None:
        return None
    sides = [side for side in SIDES if check.camera in (side, "both", None)]
    came = _newest(_camera(facts, side).file for side in sides)
    if came is not None and came > check.ended_at:
        return None
    return _Found(check.ended_at, {"camera": sides[0] if len(sides) == 1 else "both"})


def _requests_fail(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
    """Find one reason for which the last three requests failed, with no proof of the cameras since."""
    told = [
        request for request in _recent(facts, now)
        if request.ended_at is not None and request.went_out and request.failure not in TELLS_NOTHING
    ][:3]  # fmt: skip
    codes = {request.failure for request in told}
    (code,) = codes if len(codes) == 1 else (None,)
    ends = [request.ended_at for request in told if request.ended_at is not None]
    if len(told) < 3 or code is None or not all(request.answered for request in told):
        return None  # silence is another rule's
    proof = last_proof(facts)
    if proof is not None and proof > max(ends):
        return None
    return _Found(min(ends), {"reason": code})


def _other_tracker(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
    told = facts.imei
    if told is None or told.value == "ours" or facts.number_since > told.at:
        return None
    return _Found(told.since, {"imei": told.value})


def _card(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
    """Find missing and faulty cards, by the newest sign of each camera's."""
    bad: dict[str, tuple[str, datetime]] = {}
    for side in SIDES:
        camera = _camera(facts, side)
        signs = [_Sign(known.at, known.value, known.since) for known in [camera.card] if known is not None]
        if camera.video is not None:
            signs.append(_Sign(camera.video, Card.MOUNTED, camera.video))
        check = _found_by_check(facts, "no_card")
        if check is not None and side == (check.camera or "front"):
            said = Card.FAULTY if check.marks.get("sd") == "bad_card" else Card.MISSING
            signs.append(_Sign(check.ended_at, said, check.ended_at))
        found = _present(signs)
        if found is not None and found[0] != Card.MOUNTED:
            bad[side] = found
    for card, code in ((Card.MISSING, "no_card"), (Card.FAULTY, "faulty_card")):
        sides = [side for side, (said, _) in bad.items() if said == card]
        if sides:
            since = min(bad[side][1] for side in sides)
            return _Found(since, {"camera": sides[0] if len(sides) == 1 else "both"}, code)
    return None


def _triggers_lead_nowhere(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
    if facts.by_itself is None or facts.server_is_ours:
        return None
    return _Found(facts.by_itself.since, {"what": facts.by_itself.value})


def _wrong_clock(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
    check, clock = _found_by_check(facts, "wrong_clock"), facts.clock
    if clock is not None and (check is None or clock.at >= check.ended_at):
        off = int(clock.value)
        return _Found(clock.since, {"seconds": off}) if abs(off) > WRONG_CLOCK else None
    return _Found(check.ended_at) if check else None


def _drift(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
    if facts.drift is None or not facts.drift.numbers:
        return None
    return _Found(facts.drift.since, {"parameters": list(facts.drift.numbers), "preset": facts.drift.preset})


def _median(values: Sequence[float]) -> float | None:
    some = sorted(values[:LAST])
    return some[len(some) // 2] if len(some) >= FEWEST else None


def _slow_line(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
    rate = _median(facts.rates)
    if rate is None or not transfer_times.is_slow(rate):
        return None
    return _Found(facts.rated_at or now, {"bytes_per_second": round(rate)})


def _slow_answers(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
    answered = [request for request in _recent(facts, now) if request.seconds is not None]
    seconds = _median([request.seconds for request in answered if request.seconds is not None])
    if seconds is None or seconds <= limits.slow_answer:
        return None
    return _Found(answered[0].sent_at, {"seconds": round(seconds)})


def _avl_on_camera_port(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
    if facts.astray_at is None or now - facts.astray_at >= ASTRAY_FOR:
        return None
    return _Found(facts.astray_at)


def _silent(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
    seen = last_sign(facts)
    if now - (seen or facts.created_at) < limits.silent:
        return None
    return _Found(seen or facts.created_at, {"ever": seen is not None})


def _never_checked(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
    if last_proof(facts) is not None:
        return None
    return _Found(facts.created_at, _ignition(facts))


def _proof_old(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
    proof = last_proof(facts)
    if proof is None or now - proof < limits.proof:
        return None
    return _Found(proof, _ignition(facts))


def _ignition(facts: Facts) -> dict[str, Any]:
    """Tell that the newest check found the ignition off, which is why it proved nothing."""
    newest = next(iter(facts.checks), None)
    return {"ignition_off": True} if newest is not None and newest.verdict == "ignition_off" else {}


def _proved(facts: Facts, limits: Limits, now: datetime) -> _Found | None:
    return _Found(last_proof(facts) or now)


Rule = Callable[[Facts, Limits, datetime], _Found | None]
RULES: tuple[tuple[str, HealthState, Rule], ...] = (
    ("wrong_mode", HealthState.BROKEN, _wrong_mode),
    ("no_camera", HealthState.BROKEN, _no_camera),
    ("no_reply", HealthState.BROKEN, _no_reply),
    ("server_unreachable", HealthState.BROKEN, _server_unreachable),
    ("no_capture", HealthState.BROKEN, _no_capture),
    ("requests_fail", HealthState.BROKEN, _requests_fail),
    ("other_tracker", HealthState.BROKEN, _other_tracker),
    ("front_camera", HealthState.LIMITED, _dead_camera("front")),
    ("rear_camera", HealthState.LIMITED, _dead_camera("rear")),
    ("no_card", HealthState.LIMITED, _card),  # or faulty_card
    ("triggers_lead_nowhere", HealthState.LIMITED, _triggers_lead_nowhere),
    ("wrong_clock", HealthState.LIMITED, _wrong_clock),
    ("drift", HealthState.LIMITED, _drift),
    ("slow_line", HealthState.LIMITED, _slow_line),
    ("slow_answers", HealthState.LIMITED, _slow_answers),
    ("avl_on_camera_port", HealthState.LIMITED, _avl_on_camera_port),
    ("silent", HealthState.SILENT, _silent),
    ("never_checked", HealthState.UNCHECKED, _never_checked),
    ("proof_old", HealthState.UNCHECKED, _proof_old),
    ("proved", HealthState.WORKING, _proved),
)
CODES = frozenset(code for code, _, _ in RULES) | {"faulty_card"}
