"""Warnings about a valid set of parameters that may not do what its author expects. They never block.

Each check reads a `_Plan`: what is asked, what the device confirmed before, its firmware if known.
Shown beside the field of that id, in plan, provision and setparam.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from provisioning.tracker.parameters.catalogue import CATALOGUE, CREDENTIALS
from provisioning.tracker.parameters.firmware import firmware_at_least
from provisioning.tracker.parameters.labels import as_integer, describe

# Vendor's guide: a photo of 1280x720 takes about 18 s to send.
PHOTO_SECONDS = 18

# what makes a vehicle send files that nobody asked for
BY_ITSELF = {66006: "periodic photos", 66022: "photo triggers", 66023: "video triggers"}

_VIDEO_TRIGGERS = {2: 66040, 4: 66041, 8: 66042}

ParameterWarning = tuple[int, str]


@dataclass(frozen=True, slots=True)
class _Plan:
    asked: Mapping[int, int | str]
    known: Mapping[int, int | str]
    firmware: str | None
    server_advice: str | None

    def value(self, id: int) -> int | None:
        """Return what the device will hold, None where nobody knows."""
        return as_integer(self.asked.get(id, self.known.get(id)))

    def asks(self, id: int) -> int | None:
        return as_integer(self.asked.get(id))

    def too_old(self, since: str) -> bool:
        return self.firmware is not None and firmware_at_least(self.firmware, since) is False


def find_warnings(
    parameters: Mapping[int, int | str],
    *,
    known: Mapping[int, int | str] | None = None,
    firmware: str | None = None,
    server_advice: str | None = None,
) -> dict[str, list[str]]:
    """Return warnings by parameter id (as text) for a set that `validate` or `complete` has passed.

    `known` are values that the device confirmed before; `firmware` is a version or a getver reply.
    `server_advice` says how to set the vehicle's own camera server; None where that is known to be ours.
    """
    plan = _Plan(parameters, known or {}, firmware, server_advice)
    found: dict[str, list[str]] = {}
    if not parameters or set(parameters) <= CREDENTIALS:
        return found
    for check in _CHECKS:
        for id, sentence in check(plan):
            found.setdefault(str(id), []).append(sentence)
    return found


def _serial_port(plan: _Plan) -> Iterator[ParameterWarning]:
    mode, port = plan.value(151), plan.value(150)
    if mode not in (None, 18):
        yield (
            151,
            f"With {mode} the serial port is not in DualCam mode: the cameras do not work. They need 18.",
        )
    if port not in (None, 1):
        yield 150, f"With {port} the serial port is not RS232: the cameras do not work. They need 1."
    if plan.asks(152):
        yield 152, "DualCam works with the default speed: leave this at 0 unless the vendor says otherwise."
    if plan.asks(151) == 18 and plan.too_old("03.27.00.Rev.100"):
        yield (
            151,
            "The tracker's firmware is too old for DualCam: update it first (03.27.00.Rev.100 or newer).",
        )


def _data_protocol(plan: _Plan) -> Iterator[ParameterWarning]:
    concerned = plan.asked.keys() & {113, 151, 66022, 66023}
    if not concerned or plan.value(113) == 1:
        return
    doubt = "is not known to be" if plan.value(113) is None else "is not"
    yield (
        113,
        f"113 {doubt} 1 (Codec 8 Extended): without it camera states and triggers"
        " (AVL 497 to 499) never arrive.",
    )


def _image_trigger(plan: _Plan) -> Iterator[ParameterWarning]:
    if plan.asks(66022):
        yield 66022, "An image trigger always sends the pictures of both cameras."


def _video_triggers(plan: _Plan) -> Iterator[ParameterWarning]:
    mask = plan.value(66023) or 0
    for bit, source_id in _VIDEO_TRIGGERS.items():
        name = CATALOGUE[66023].bits[bit]
        source = plan.value(source_id)
        concerned = 66023 in plan.asked or source_id in plan.asked
        if mask & bit and not source and concerned:
            beside = 66023 if 66023 in plan.asked else source_id
            doubt = "is 0 (none)" if source == 0 else "is not set, so probably 0 (none)"
            yield (
                beside,
                f"{name} triggers a video, but its source {source_id} {doubt}: nothing is recorded."
                f" Choose the cameras in {source_id}.",
            )
        if plan.asks(source_id) and not mask & bit:
            yield source_id, f"This does nothing without {name} in 66023 (video trigger)."


def _scenario(plan: _Plan) -> Iterator[ParameterWarning]:
    if plan.asks(66020) != 1:
        return
    yield (
        66020,
        "Always mode wakes the device often, which costs battery; it needs cameras on a permanent supply and"
        " never works in Ultra sleep.",
    )
    if plan.too_old("03.27.03.Rev.105"):
        yield 66020, "The tracker's firmware works with the ignition on only: Always needs 03.27.03.Rev.105."


def _time_zone(plan: _Plan) -> Iterator[ParameterWarning]:
    zone = plan.asks(66024)
    if zone is None:
        return
    if as_integer(plan.known.get(66024)) != zone:
        yield 66024, "Changing the time zone makes footage recorded before unreachable by its time."
    if zone > 480:
        yield 66024, "Above 480 nothing is documented: read the value back and check the time of a file."
    if plan.too_old("03.27.07.Rev.364"):
        yield 66024, "The tracker's firmware does not know this parameter: it needs 03.27.07.Rev.364."


def _periodic(plan: _Plan) -> Iterator[ParameterWarning]:
    cameras, interval = plan.value(66006), plan.value(66007)
    if plan.asks(66006) in (2, 3) and plan.too_old("03.27.03.Rev.04"):
        yield (
            66006,
            f"The tracker's firmware knows only on and off here: {describe(66006, cameras or 0)} needs"
            " 03.27.03.Rev.04.",
        )
    if cameras == 0 or interval is None or not plan.asked.keys() & {66006, 66007}:
        return
    needed = PHOTO_SECONDS * (2 if cameras == 3 else 1)
    if interval < needed:
        yield (
            66007 if 66007 in plan.asked else 66006,
            f"A photo every {interval} s floods a 2G link: at 1280x720 sending takes about {needed} s, and"
            " photos are skipped while one is being sent.",
        )


def _own_server(plan: _Plan) -> Iterator[ParameterWarning]:
    if plan.server_advice is not None:
        yield from ((id, plan.server_advice) for id in BY_ITSELF if plan.value(id))


_CHECKS = (
    _own_server,
    _serial_port,
    _data_protocol,
    _image_trigger,
    _video_triggers,
    _scenario,
    _time_zone,
    _periodic,
)
